"""The generators of spoofed speech: what comes back of each, and what a drawn replay chain says of itself."""

from __future__ import annotations

import json
from dataclasses import replace as changed
from pathlib import Path

import numpy as np
import pytest

import voxid
from voxid.audio import load
from voxid.errors import InputError
from voxid.simulate.distortions import Samples
from voxid.simulate.fakes import FAMILIES, GENERATORS, generators
from voxid.simulate.replay import Device, draw_replay_chain, play_back, record
from voxid.simulate.shorttime import pitch_hz, samples_of, spectra

VOICES = Path(voxid.__file__).parent / "data" / "voices"
IN_CORE = [name for name, made in GENERATORS.items() if made.needs is None]


@pytest.fixture(scope="module")
def speech() -> Samples:
    """2.5 s of a bundled voice."""
    return np.asarray(load(VOICES / "ada" / "01.opus").samples[:40_000], dtype=np.float32)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", IN_CORE)
def test_each_generator_makes_other_speech_of_the_same_power(name: str, speech: Samples) -> None:
    """Finite, float32, as loud, as long where it says so, and not the original."""
    generator = GENERATORS[name]
    made = generator.make(speech, rng(1))
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert np.abs(made).max() <= 1.0
    assert made.size == speech.size or not generator.keeps_length
    assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(speech**2)), rel=0.3)
    same = min(made.size, speech.size)
    assert np.abs(made[:same] - speech[:same]).mean() > 0.05 * np.abs(speech).mean()


@pytest.mark.parametrize("name", IN_CORE)
def test_each_generator_follows_its_seed(name: str, speech: Samples) -> None:
    """The same state gives the same samples, another state others."""
    short, generator = speech[:16_000], GENERATORS[name]
    first = generator.make(short, rng(3))
    assert np.array_equal(first, generator.make(short, rng(3)))
    other = generator.make(short, rng(4))
    assert other.size != first.size or not np.array_equal(first, other)


def test_every_generator_says_what_it_is() -> None:
    """Names are unique and plain, families are of the list, sources are named."""
    for name, generator in GENERATORS.items():
        assert name == generator.name
        assert generator.family in FAMILIES
        assert len(generator.source) > 3


def test_generators_are_chosen_by_name_or_family() -> None:
    """A family's name stands for all of it; an unknown name is refused with the names there are."""
    assert {made.family for made in generators("replay")} == {"replay"}
    assert [made.name for made in generators("rtisi, lpc-pulse,rtisi")] == ["rtisi", "lpc-pulse"]
    with pytest.raises(InputError, match=r"no generator or family 'voice-of-god'; choose of griffin-lim, "):
        generators("voice-of-god")


def test_refuses_silence_and_a_blink() -> None:
    """There is nothing to make a fake of."""
    for samples in (np.zeros(16_000, np.float32), np.ones(100, np.float32)):
        with pytest.raises(InputError, match=r"needs 0.2 s that are not silent: leave this recording out"):
            GENERATORS["rtisi"].make(samples, rng(0))


def test_spectra_and_back_is_the_same_sound(speech: Samples) -> None:
    """The transform is undone to 1e-4."""
    again = samples_of(spectra(speech, 512, 128), 128, speech.size)
    assert np.abs(again - speech).max() < 1e-4


def test_the_pitch_of_a_buzz_is_found() -> None:
    """Harmonics of 120 Hz are 120 Hz, noise has no pitch."""
    time_s = np.arange(16_000) / 16_000
    buzz = sum(np.cos(2 * np.pi * 120 * k * time_s) for k in range(1, 20))
    found = pitch_hz(np.asarray(buzz, dtype=np.float32), 160)[5:-5]
    assert np.abs(found - 120.0).max() < 2.0
    noise = rng(0).standard_normal(16_000).astype(np.float32)
    assert np.mean(pitch_hz(noise, 160) > 0.0) < 0.1


def test_a_replay_chain_tells_its_facts(speech: Samples) -> None:
    """Devices, rooms, distances, hum and codecs are known of every chain, and can be written as JSON."""
    chains = [draw_replay_chain(rng(seed)) for seed in range(40)]
    for chain in chains:
        assert json.loads(json.dumps(chain.to_dict()))["second_codec"] == chain.second_codec
        assert 0.0 < chain.played.distance_m <= 2.01
        assert 0.1 <= chain.played.reverberation_s <= 0.8
        assert (chain.recorded is None) == (chain.first_microphone is None)
    assert len({chain.second_codec for chain in chains}) == 5
    assert {chain.hum_hz for chain in chains} == {0.0, 50.0, 60.0}
    again = play_back(speech, chains[0], rng(9))
    assert np.array_equal(again, play_back(speech, chains[0], rng(9)))


def test_a_small_loudspeaker_takes_the_bass_and_bends_the_sound() -> None:
    """A tone of 100 Hz is lost to a loudspeaker from 600 Hz; a tone of 1 kHz gets harmonics."""
    time_s = np.arange(32_000) / 16_000
    chain = changed(
        draw_replay_chain(rng(0)),
        recorded=None,
        first_microphone=None,
        first_codec="none",
        second_codec="none",
        hum_hz=0.0,
        noise_db=80.0,
        loudspeaker=Device(600.0, None, 2, (), second=0.3, third=0.3),
    )
    sound = np.asarray(
        0.3 * np.sin(2 * np.pi * 100 * time_s) + 0.3 * np.sin(2 * np.pi * 1_000 * time_s), np.float32
    )
    heard = np.abs(np.fft.rfft(play_back(sound, chain, rng(0))))
    level = {hz: heard[2 * hz - 4 : 2 * hz + 5].max() for hz in (100, 1_000, 2_000, 3_000, 2_500)}
    assert level[100] < 0.1 * level[1_000]
    assert level[2_000] > 10.0 * level[2_500]
    assert level[3_000] > 10.0 * level[2_500]


def test_a_genuine_recording_passes_one_room_and_one_microphone(speech: Samples) -> None:
    """The counterpart of a replay: as long, as loud, changed."""
    heard = record(speech, rng(2))
    assert heard.size == speech.size
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(np.sqrt(np.mean(speech**2)), rel=0.01)
    assert np.abs(heard - speech).mean() > 0.01 * np.abs(speech).mean()
