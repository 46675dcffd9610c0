"""The generators of spoofed speech: what comes back of each, and what a drawn replay chain says of itself."""

from __future__ import annotations

import json
import sys
from dataclasses import replace as changed
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import voxid
from voxid.audio import load
from voxid.errors import ConfigError, InputError
from voxid.simulate import splicing
from voxid.simulate.conversion import pitch_synchronous
from voxid.simulate.distortions import Samples
from voxid.simulate.fakes import FAMILIES, GENERATORS, generators
from voxid.simulate.replay import Device, draw_replay_chain, play_back, record
from voxid.simulate.shorttime import pitch_hz, samples_of, spectra

VOICES = Path(voxid.__file__).parent / "data" / "voices"
HERE = [name for name, made in GENERATORS.items() if made.needs is None or find_spec(made.needs)]


@pytest.fixture(scope="module")
def speech() -> Samples:
    """2 s of a bundled voice."""
    return np.asarray(load(VOICES / "ada" / "01.opus").samples[:32_000], dtype=np.float32)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", HERE)
def test_each_generator_makes_other_speech_of_the_same_power(name: str, speech: Samples) -> None:
    """Finite, float32, as loud, as long where it says so, not the original, and the same for the same seed."""
    generator = GENERATORS[name]
    short = speech[:12_000] if generator.family != "concatenation" else speech
    made = generator.make(short, rng(1))
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert np.abs(made).max() <= 1.0
    assert made.size == short.size or not generator.keeps_length
    assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(short**2)), rel=0.3)
    same = min(made.size, short.size)
    assert np.abs(made[:same] - short[:same]).mean() > 0.05 * np.abs(short).mean()
    assert np.array_equal(made, generator.make(short, rng(1)))
    assert any(not np.array_equal(made, generator.make(short, rng(seed))) for seed in range(2, 8))


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


def test_refuses_to_hand_out_silence(speech: Samples) -> None:
    """A generator that fails is an error, not a silent file."""
    broken = changed(GENERATORS["rtisi"], forge=lambda samples, rng, others: samples * np.float32(np.nan))
    with pytest.raises(InputError, match=r"rtisi made silence or numbers that are not finite of 2\.00 s"):
        broken.make(speech, rng(0))


@pytest.mark.parametrize("name", HERE)
def test_hard_sounds_do_not_break_a_generator(name: str) -> None:
    """A click, a tone, a constant and 0.2 s of noise: a finite fake or the coded error."""
    noise = rng(0).standard_normal(3_200).astype(np.float32)
    tone = np.sin(2 * np.pi * 300 * np.arange(3_200) / 16_000).astype(np.float32)
    click = np.zeros(4_000, np.float32)
    click[2_000] = 1.0
    for hard in (0.1 * noise, 2.0 * tone.clip(-0.4, 0.4), click, np.full(3_333, 0.5, np.float32)):
        try:
            made = GENERATORS[name].make(np.asarray(hard, dtype=np.float32), rng(1))
        except InputError as error:
            assert error.code == "fake_unusable"
        else:
            assert np.isfinite(made).all()


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
    noise = rng(0).standard_normal(16_000)
    rumble = np.convolve(noise, np.ones(20), "same")  # alike from sample to sample, and yet without a period
    for sound in (noise, rumble):
        assert np.mean(pitch_hz(sound.astype(np.float32), 160) > 0.0) < 0.1


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.5])
def test_pitch_synchronous_grains_move_pitch_and_length(ratio: float) -> None:
    """The pitch is moved as asked, and length and tempo apart from it."""
    time_s = np.arange(32_000) / 16_000
    buzz = np.asarray(sum(np.cos(2 * np.pi * 150 * k * time_s) / k for k in range(1, 20)), dtype=np.float32)
    made = pitch_synchronous(buzz, ratio, 1.3)
    assert made.size == 41_600
    assert np.median(pitch_hz(made, 160)) == pytest.approx(150 * ratio, rel=0.02)


def test_a_flat_voice_has_one_pitch() -> None:
    """A glide from 100 to 200 Hz is spoken at its median."""
    turns = np.cumsum(np.linspace(100, 200, 32_000)) / 16_000
    glide = np.asarray(sum(np.cos(2 * np.pi * k * turns) / k for k in range(1, 15)), dtype=np.float32)
    found = pitch_hz(pitch_synchronous(glide, 1.0, 1.0, flatness=1.0), 160)[10:-10]
    assert np.ptp(found) < 8.0
    assert np.median(found) == pytest.approx(150, rel=0.05)


def test_a_splice_is_made_of_genuine_pieces(speech: Samples) -> None:
    """Cut hard, every piece of the original is found again unchanged, in another order."""
    parts = splicing.pieces(speech)
    assert len(parts) > 2
    assert all(part.size >= 3_200 for part in parts)
    made = splicing.hard_joined(speech, rng(2))
    assert made.size == sum(part.size for part in parts[:8])
    starts = [made.tobytes().find(part.tobytes()) for part in parts]
    assert min(starts) >= 0
    assert starts != sorted(starts)


def test_a_splice_takes_pieces_of_other_recordings(speech: Samples) -> None:
    """Given another recording of the person, one piece comes from there."""
    other = np.asarray(load(VOICES / "ada" / "02.opus").samples[:40_000], dtype=np.float32)
    alone = GENERATORS["splice-inserted"].make(speech, rng(5))
    mixed = GENERATORS["splice-inserted"].make(speech, rng(5), [other])
    assert not np.array_equal(alone, mixed)


def test_says_what_to_install(speech: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyworld the WORLD generators say where it comes from."""
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(ConfigError, match=r"needs pyworld, .* pip install 'voxid\[train\]'"):
        GENERATORS["world-copy"].make(speech, rng(0))


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
