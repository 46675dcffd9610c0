"""What a training batch is made of: balance, texts, teacher, distortions."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import torch

from voxid.errors import CompatibilityError, ConfigError
from voxid.features import N_MELS
from voxid.train.augment import shift_formants
from voxid.train.sampler import Crops
from voxid.train.shards import Shard
from voxid.train.spectra import add_noise, blank, distort, narrow, reverberate
from voxid.train.teacher import TeacherNetwork, load_teacher, mel_power, teach


def shard(rows: list[tuple[int, int, str, int, bool]], frames: int = 30) -> Shard:
    """Return packed speech of (speaker, copy, corpus, text, labelled); utterance u is filled with the value u."""
    speaker, copy, corpus, text, labelled = zip(*rows, strict=True)
    count = len(rows)
    values = np.repeat(np.arange(count, dtype=np.float16), frames)[:, None].repeat(N_MELS, 1)
    rng = np.random.default_rng(0)
    return Shard(
        features=(values,),
        file=np.zeros(count, np.int64),
        start=np.arange(count) * frames,
        frames=np.full(count, frames),
        speaker=np.array(speaker),
        copy=np.array(copy),
        augmented=np.zeros(count, np.bool_),
        session=np.array(["0"] * count),
        corpus=np.array(corpus),
        text=np.array(text),
        labelled=np.array(labelled),
        teacher=(1.0 + rng.standard_normal((count, 6))).astype(np.float16),
        speakers=tuple(str(s) for s in range(max(speaker) + 1)),
    )


def test_classes_are_labelled_speakers_times_copies() -> None:
    crops = Crops(
        shard([(0, 0, "a", 1, True), (0, 1, "a", 1, True), (1, 0, "b", 2, False), (2, 0, "a", 3, True)]),
        {},
        1,
    )
    batch = crops.draw(400, 10, np.random.default_rng(0))
    drawn = {(int(f), int(label)) for f, label in zip(batch.features[:, 0, 0], batch.label, strict=True)}
    assert crops.classes == 4
    assert drawn == {(0, 0), (1, 1), (2, -1), (3, 2)}


def test_classes_know_their_corpus_and_what_the_teacher_says_of_them() -> None:
    packed = shard([(0, 0, "b", 1, True), (0, 0, "b", 2, True), (1, 0, "a", 3, True), (2, 0, "b", 4, False)])
    crops = Crops(packed, {}, 1)
    assert crops.class_corpora().tolist() == [1, 0]
    b = packed.teacher[[0, 1, 3]].astype(np.float32)
    b -= b.mean(axis=0)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    assert crops.class_teachers()[0] == pytest.approx(b[:2].mean(axis=0), abs=2e-3)


@pytest.mark.parametrize(
    ("weights", "balance", "share"), [({}, 1.0, 0.8), ({}, 0.0, 0.5), ({"b": 4.0}, 1.0, 0.5)]
)
def test_corpora_are_drawn_by_size_weight_and_balance(
    weights: dict[str, float], balance: float, share: float
) -> None:
    rows = [(i, 0, "a", 0, True) for i in range(8)] + [(8 + i, 0, "b", 0, True) for i in range(2)]
    crops = Crops(shard(rows), weights, balance)
    assert crops.probability[:8].sum() == pytest.approx(share)
    assert crops.probability.sum() == pytest.approx(1.0)


def test_utterances_of_a_speaker_in_a_batch_say_different_words() -> None:
    rows = [(0, 0, "a", text, True) for text in (7, 7, 7, 7, 7, 7, 7, 8, 9)]
    crops = Crops(shard(rows), {}, 1.0)
    for seed in range(20):
        drawn = crops.draw(3, 10, np.random.default_rng(seed), utterances_per_speaker=3).features[:, 0, 0]
        assert {rows[int(u)][3] for u in drawn} == {7, 8, 9}


def test_too_few_texts_are_repeated() -> None:
    crops = Crops(shard([(0, 0, "a", 1, True), (0, 0, "a", 1, True)]), {}, 1.0)
    drawn = crops.draw(4, 10, np.random.default_rng(0), utterances_per_speaker=4).features[:, 0, 0]
    assert sorted(drawn) == [0, 0, 1, 1]


def test_the_teacher_is_centred_by_corpus() -> None:
    packed = shard([(i, 0, "ab"[i % 2], i, True) for i in range(40)])
    batch = Crops(packed, {}, 1.0).draw(64, 10, np.random.default_rng(0))
    assert np.linalg.norm(batch.teacher, axis=1) == pytest.approx(np.ones(64), abs=1e-2)
    u = int(batch.features[0, 0, 0])
    own = packed.teacher[u % 2 :: 2].astype(np.float32)
    expected = packed.teacher[u].astype(np.float32) - own.mean(axis=0)
    assert batch.teacher[0] == pytest.approx(expected / np.linalg.norm(expected), abs=3e-3)


def loud_and_quiet(rng: np.random.Generator) -> np.ndarray:
    """Return log power of 1 s: bursts 60 dB above the pauses between them."""
    level = np.where(np.arange(100) % 20 < 10, 14.0, 0.0)
    return (level[:, None] + rng.normal(0, 0.3, (100, N_MELS))).astype(np.float32)


def test_noise_fills_the_pauses_and_leaves_the_loud_parts() -> None:
    rng = np.random.default_rng(0)
    quiet = loud_and_quiet(rng)
    heard = np.mean([add_noise(quiet, quiet[None], rng) for _ in range(50)], axis=0)
    pause = np.arange(100) % 20 >= 10
    assert heard[pause].mean() > quiet[pause].mean() + 3.0
    assert heard[~pause].mean() == pytest.approx(quiet[~pause].mean(), abs=0.7)


def test_a_room_decays_after_each_sound() -> None:
    rng = np.random.default_rng(0)
    click = np.full((100, N_MELS), -10.0, np.float32)
    click[20] = 10.0
    wet = reverberate(click, rng)
    assert wet[:20].mean() < -3.0
    assert np.all(np.diff(wet[21:40, 0]) < 0)
    assert wet[25, 0] > click[25, 0] + 5.0


def test_a_narrow_channel_carries_nothing_outside() -> None:
    heard = narrow(loud_and_quiet(np.random.default_rng(1)), np.random.default_rng(5))
    assert heard[:, -1].std() < 1.0 < heard[:, 40].std()


def test_distortions_keep_shape_and_stay_finite_even_for_silence() -> None:
    rng = np.random.default_rng(0)
    crops = np.full((32, 50, N_MELS), -15.9, np.float32)
    crops[::2] = loud_and_quiet(rng)[:50]
    before = crops.copy()
    distort(crops, 0.5, rng)
    blank(crops, rng)
    assert np.isfinite(crops).all()
    assert not np.array_equal(crops, before)


def test_formants_move_and_pitch_stays() -> None:
    """A pulse train through a resonance at 1 kHz: the centre of its power rises, the pulses stay 8 ms apart."""
    rate_hz, n = 16_000, 32_000
    pulses = np.zeros(n)
    pulses[::128] = 1.0
    t = np.arange(400) / rate_hz
    sound = np.convolve(pulses, np.exp(-1_500 * t) * np.sin(2 * np.pi * 1_000 * t))[:n].astype(np.float32)
    moved, lowered = shift_formants(sound, 1.25), shift_formants(sound, 0.8)

    def centre_hz(samples: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(samples[8_000:24_000]))[:2_500] ** 2
        return float(np.arange(2_500) @ power / power.sum())

    assert 1.08 < centre_hz(moved) / centre_hz(sound) < 1.3
    assert 0.75 < centre_hz(lowered) / centre_hz(sound) < 0.94
    inside = moved[8_000:24_000] - moved[8_000:24_000].mean()
    correlation = np.correlate(inside, inside, "full")[inside.size - 1 :]
    assert 100 + np.argmax(correlation[100:180]) == pytest.approx(128, abs=1)
    assert np.array_equal(shift_formants(sound, 1.0), sound)


def test_mel_power_has_slaney_bands_of_equal_area() -> None:
    """A 1 kHz tone peaks in the band round 1 kHz; white noise gives all bands the same mean."""
    t = np.arange(16_000) / 16_000
    tone = mel_power(np.sin(2 * np.pi * 1_000 * t).astype(np.float32))
    assert tone.shape == (101, 40)
    assert np.argmax(tone.mean(axis=0)) in (12, 13, 14)
    noise = mel_power(np.random.default_rng(0).standard_normal(160_000).astype(np.float32)).mean(axis=0)
    assert noise.std() / noise.mean() < 0.1


def test_the_teacher_is_pinned_by_its_hash(tmp_path: Path) -> None:
    torch.manual_seed(0)
    buffer = io.BytesIO()
    network = TeacherNetwork()
    extra = {"similarity_weight": torch.ones(1), **network.state_dict()}
    torch.save({"model_state": extra, "step": 1}, buffer)
    file = tmp_path / "pretrained.pt"
    file.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    loaded = load_teacher(file, digest)
    rng = np.random.default_rng(0)
    utterances = [rng.standard_normal(n).astype(np.float32) for n in (8_000, 25_600, 60_000)]
    together = teach(loaded, utterances)
    alone = np.concatenate([teach(loaded, [samples]) for samples in utterances])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    with pytest.raises(CompatibilityError, match="the recipe pins 000000000000") as caught:
        load_teacher(file, "0" * 64)
    assert caught.value.code == "teacher_hash_mismatch"
    with pytest.raises(ConfigError, match="pip download --no-deps Resemblyzer==0.1.4") as missing:
        load_teacher(tmp_path / "none.whl", digest)
    assert missing.value.code == "teacher_missing"
