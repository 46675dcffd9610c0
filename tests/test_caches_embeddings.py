"""The embedding cache: per bundle, whole or absent, rebuilt when damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.errors import InputError
from voxid.evaluate.embeddings import EmbeddingCache


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    cache = EmbeddingCache(tmp_path, "ecapa@0123", dim=4)
    cache.put("hash-a:speech", vector(1))
    cache.put("hash-b:speech", vector(2))
    cache.save()
    return cache.path


def vector(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, 4).astype(np.float32)


def test_what_was_put_is_found_again(stored: Path) -> None:
    """Bit for bit, and nothing else."""
    cache = EmbeddingCache(stored.parent, "ecapa@0123", dim=4)
    found = cache.get("hash-a:speech")
    assert found is not None
    assert np.array_equal(found, vector(1))
    assert cache.get("hash-c:speech") is None
    assert len(cache) == 2
    assert not cache.rebuilt


def test_bundles_do_not_share_embeddings(stored: Path) -> None:
    """Another bundle id is another file, and a hostile id stays inside the folder."""
    assert EmbeddingCache(stored.parent, "ecapa@4567", dim=4).get("hash-a:speech") is None
    assert EmbeddingCache(stored.parent, "../../etc/x", dim=4).path.parent == stored.parent


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, 0.99])
def test_a_truncated_file_is_rebuilt(stored: Path, keep: float) -> None:
    """Whatever is left of it, it is not used and the next save replaces it."""
    content = stored.read_bytes()
    stored.write_bytes(content[: int(keep if keep >= 1 or keep == 0 else keep * len(content))])
    cache = EmbeddingCache(stored.parent, "ecapa@0123", dim=4)
    assert cache.rebuilt
    assert len(cache) == 0
    cache.put("hash-a:speech", vector(3))
    cache.save()
    again = EmbeddingCache(stored.parent, "ecapa@0123", dim=4)
    assert not again.rebuilt
    assert len(again) == 1


def test_flipped_bytes_never_change_a_vector(stored: Path) -> None:
    """Each byte flipped in turn: the cache is rebuilt, or what it still gives is what was stored."""
    content = stored.read_bytes()
    for place in range(len(content)):
        stored.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        cache = EmbeddingCache(stored.parent, "ecapa@0123", dim=4)
        for key, seed in (("hash-a:speech", 1), ("hash-b:speech", 2)):
            found = cache.get(key)
            assert found is None or np.array_equal(found, vector(seed)), f"byte {place}"


def test_a_cache_of_other_dimension_or_with_nan_is_rebuilt(stored: Path) -> None:
    """A file that reads well but does not fit is not used either."""
    assert EmbeddingCache(stored.parent, "ecapa@0123", dim=5).rebuilt
    np.savez(stored, keys=np.asarray(["k"]), vectors=np.full((1, 4), np.nan, dtype=np.float32))
    assert EmbeddingCache(stored.parent, "ecapa@0123", dim=4).rebuilt


def test_nothing_is_written_without_a_change(tmp_path: Path) -> None:
    """Reading leaves no trace."""
    EmbeddingCache(tmp_path / "cache", "ecapa@0123", dim=4).save()
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "cache").write_text("")
    cache = EmbeddingCache(tmp_path / "cache", "ecapa@0123", dim=4)
    cache.put("k", vector(1))
    with pytest.raises(InputError, match="Cannot write the embedding cache") as caught:
        cache.save()
    assert caught.value.code == "output_unwritable"
