"""Long audio held in memory in a few bytes a sample: blocks of lossless FLAC, unpacked where they are read.

Ten hours at 16 kHz are 2.3 GB as float32; packed, speech is about a third of that and noise half. Nothing is written
to a disk.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile
from numpy.typing import DTypeLike, NDArray

__all__ = ["PackedSamples", "Packer"]

_RATE_HZ: Final = 16_000
_BLOCK_SAMPLES: Final = 30 * _RATE_HZ
_KEPT_BLOCKS: Final = 4  # two minutes unpacked: chunks that follow each other share blocks
_STEPS: Final = 32_768
_SLAB_BYTES: Final = 33 << 20
"""Packed blocks lie one after another in slabs of this: small pieces among what is freed while a long file is read left
holes of a third of their size. The system gives so much at a time, and only what is written to takes memory."""


@dataclass(frozen=True)
class _Block:
    """FLAC of 16 bit, and what its full scale stands for: a power of two."""

    flac: memoryview
    full_scale: float


class _Shelf:
    """Puts blocks into slabs, in the order they come."""

    def __init__(self) -> None:
        self._slab = memoryview(b"")

    def put(self, block: memoryview) -> memoryview:
        """Return a copy that lies right behind the one before."""
        if len(block) > len(self._slab):
            # np.empty takes no memory until it is written.
            self._slab = np.empty(max(_SLAB_BYTES, len(block)), np.uint8).data
        place, self._slab = self._slab[: len(block)], self._slab[len(block) :]
        place[:] = block
        return place.toreadonly()


class PackedSamples:
    """Float32 samples (N,) that are read by slices, as an array is; whatever needs all of them unpacks all of them.

    Samples of 16-bit audio come back exactly; others within 16 bits below the peak of their 30 s.
    """

    dtype: Final = np.dtype(np.float32)
    ndim: Final = 1

    def __init__(self, blocks: Sequence[_Block], size: int) -> None:
        self._blocks = tuple(blocks)
        self._recent: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self.size = size

    @property
    def shape(self) -> tuple[int]:
        """(N,)."""
        return (self.size,)

    @property
    def nbytes(self) -> int:
        """Bytes held, unpacked blocks not counted."""
        return sum(len(block.flac) for block in self._blocks)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        """Return the samples of a slice, read-only.

        Raises:
            TypeError: for anything but a slice.
        """
        if not isinstance(part, slice):
            raise TypeError(f"packed samples are read by slices, not by {type(part).__name__}")
        start, stop, step = part.indices(self.size)
        if step < 0:
            return np.asarray(self)[part]
        pieces = [np.empty(0, np.float32)]
        for number in range(start // _BLOCK_SAMPLES, -(-stop // _BLOCK_SAMPLES) if stop > start else 0):
            first = number * _BLOCK_SAMPLES
            pieces.append(self._unpack(number)[max(0, start - first) : stop - first])
        samples = pieces[1] if len(pieces) == 2 else np.concatenate(pieces)
        return samples[::step]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.float32]:
        """Return all samples: 64 kB for each second."""
        whole = np.empty(self.size, np.float32)
        for number, block in enumerate(self._blocks):
            part = _decode(block)
            whole[number * _BLOCK_SAMPLES : number * _BLOCK_SAMPLES + len(part)] = part
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def _unpack(self, number: int) -> NDArray[np.float32]:
        recent = self._recent.get(number)
        if recent is None:
            recent = _decode(self._blocks[number])
            recent.flags.writeable = False
            # Threads that read at once may unpack a block twice, and drop one too many: both only cost time.
            self._recent[number] = recent
            while len(self._recent) > _KEPT_BLOCKS:
                try:
                    self._recent.popitem(last=False)
                except KeyError:
                    break
        return recent


class Packer:
    """Takes samples in pieces of any length and packs them block by block."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._shelf = _Shelf()
        self._waiting: list[NDArray[np.float32]] = []
        self._waiting_samples = 0
        self._size = 0

    def append(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples (N,), finite float32."""
        self._size += len(samples)
        while len(samples) > 0:
            taken = samples[: _BLOCK_SAMPLES - self._waiting_samples]
            self._waiting.append(taken.copy())
            self._waiting_samples += len(taken)
            samples = samples[len(taken) :]
            if self._waiting_samples == _BLOCK_SAMPLES:
                self._pack()

    def finish(self) -> PackedSamples:
        """Return everything that was appended."""
        if self._waiting:
            self._pack()
        return PackedSamples(self._blocks, self._size)

    def _pack(self) -> None:
        self._blocks.append(_encode(np.concatenate(self._waiting), self._shelf))
        self._waiting, self._waiting_samples = [], 0


def _encode(samples: NDArray[np.float32], shelf: _Shelf) -> _Block:
    peak = float(np.abs(samples).max())
    # -1 is a step more than +1 in 16 bits; a peak of exactly full scale still fits, clipped by that one step.
    full_scale = float(2.0 ** np.ceil(np.log2(peak))) if peak > 1e-15 else 1.0
    steps = np.clip(np.rint(samples * np.float32(_STEPS / full_scale)), -_STEPS, _STEPS - 1)
    file = io.BytesIO()
    soundfile.write(file, steps.astype(np.int16), _RATE_HZ, format="FLAC", subtype="PCM_16")
    return _Block(shelf.put(file.getbuffer()), full_scale)


def _decode(block: _Block) -> NDArray[np.float32]:
    steps, _ = soundfile.read(io.BytesIO(block.flac), dtype="int16")
    return np.asarray(steps * np.float32(block.full_scale / _STEPS), np.float32)
