"""Long audio is held packed: the same samples, read by slices, in a fraction of the memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxid import packed as packed_room
from voxid.audio import Waveform, load
from voxid.packed import PackedSamples, Packer
from voxid.segments import Segment


def pack(samples: np.ndarray, pieces: int = 7) -> PackedSamples:
    packer = Packer()
    for piece in np.array_split(samples, pieces):
        packer.append(piece)
    return packer.finish()


def draw(seconds: float, seed: int = 0) -> np.ndarray:
    """Return 16-bit steps of a tone in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * 220 * t) + 0.01 * rng.standard_normal(t.size)).astype(np.float32)


def test_samples_of_16_bits_come_back_exactly() -> None:
    samples = (np.rint(draw(95.0) * 32_768) / 32_768).astype(np.float32)
    samples[[0, 5]] = -1.0, 32_767 / 32_768
    packed = pack(samples)
    assert np.array_equal(np.asarray(packed), samples)
    assert (packed.shape, len(packed), packed.size) == (samples.shape, samples.size, samples.size)
    assert packed.nbytes < 0.4 * samples.nbytes


def test_blocks_lie_in_slabs_one_behind_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slab that is full, and a block larger than a slab, change nothing of what comes back."""
    samples = (np.rint(draw(200.0) * 32_768) / 32_768).astype(np.float32)
    for slab_bytes in (1_500_000, 1_000):
        monkeypatch.setattr(packed_room, "_SLAB_BYTES", slab_bytes)
        packed = pack(samples, pieces=50)
        assert np.array_equal(np.asarray(packed), samples)


@pytest.mark.parametrize("scale", [1e-4, 0.3, 1.0, 40.0])
def test_others_come_back_within_16_bits_of_their_peak(scale: float) -> None:
    samples = draw(40.0) * np.float32(scale)
    error = np.abs(np.asarray(pack(samples)) - samples)
    assert error.max() <= 2.0 * np.abs(samples).max() / 32_768


def test_slices_are_those_of_the_array() -> None:
    samples = (np.rint(draw(100.0) * 32_768) / 32_768).astype(np.float32)
    packed, rng = pack(samples), np.random.default_rng(1)
    for start, stop in rng.integers(-5_000, samples.size + 5_000, (40, 2)).tolist():
        assert np.array_equal(packed[start:stop], samples[start:stop])
    assert np.array_equal(packed[:], samples)
    assert np.array_equal(packed[480_000:480_001], samples[480_000:480_001])
    assert np.array_equal(packed[100:500_000:160], samples[100:500_000:160])
    assert np.array_equal(packed[::-1], samples[::-1])
    assert packed[3:3].size == 0
    assert not packed[:10_000].flags.writeable


def test_silence_and_nothing_are_packed_too() -> None:
    assert not np.asarray(pack(np.zeros(500_000, np.float32))).any()
    assert len(Packer().finish()) == 0


def test_only_slices_are_read() -> None:
    with pytest.raises(TypeError, match="read by slices, not by int"):
        pack(draw(1.0))[3]  # type: ignore[index]


def test_long_files_are_loaded_packed(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, draw(70.0), 16_000, subtype="PCM_16")
    plain, packed = load(path), load(path, pack_beyond_s=20.0)
    assert isinstance(packed.samples, PackedSamples)
    assert isinstance(load(path, pack_beyond_s=70.0).samples, np.ndarray), "not beyond"
    assert np.array_equal(np.asarray(packed.samples), plain.samples)
    assert (packed.duration_s, packed.sha256) == (plain.duration_s, plain.sha256)
    part = packed.slice(Segment(29.0, 31.0))
    assert isinstance(part, Waveform)
    assert np.array_equal(part.samples, plain.slice(Segment(29.0, 31.0)).samples)


def test_resampled_files_are_packed_alike(tmp_path: Path) -> None:
    path = tmp_path / "call.flac"
    soundfile.write(path, np.stack([draw(50.0)[::2], draw(50.0, 1)[::2]], axis=1), 8_000)
    plain, packed = load(path), load(path, pack_beyond_s=10.0)
    assert len(plain.samples) == len(packed.samples)
    assert np.abs(np.asarray(packed.samples) - plain.samples).max() < 2e-5
