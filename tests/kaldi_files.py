"""Readers of the few Kaldi forms the tests meet: binary vectors in archives, and a PLDA model."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

TYPES = {b"F": np.dtype("<f4"), b"D": np.dtype("<f8")}


def read_number(file: BinaryIO) -> int:
    """Return an int32, which a byte with its size (4) precedes."""
    size, number = struct.unpack("<bi", file.read(5))
    assert size == 4
    return int(number)


def read_array(file: BinaryIO) -> NDArray[np.float64]:
    """Return a binary vector (FV, DV) or matrix (FM, DM) at the file's place."""
    kind = file.read(3)
    dtype = TYPES[kind[:1]]
    shape = tuple(read_number(file) for _ in range({b"V ": 1, b"M ": 2}[kind[1:]]))
    flat = np.frombuffer(file.read(int(np.prod(shape)) * dtype.itemsize), dtype)
    return flat.reshape(shape).astype(np.float64)


def read_archive(path: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the key and the vector of each entry."""
    with path.open("rb") as file:
        while key := b"".join(iter(lambda: file.read(1), b" ")) if file.peek(1) else b"":  # type: ignore[attr-defined]
            assert file.read(2) == b"\0B"
            yield key.decode(), read_array(file)


def read_plda(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (D,), the transform (D, D) and the variance between speakers (D,)."""
    with path.open("rb") as file:
        assert file.read(9) == b"\0B<Plda> "
        mean, transform, between = (read_array(file) for _ in range(3))
        assert file.read(8) == b"</Plda> "
    return mean, transform, between
