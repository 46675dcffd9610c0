"""The hash tree over entries: its root, the proof that an entry is in it, the proof that it only grew.

Source: RFC 6962, section 2.1 (tree, audit paths, consistency proofs); the two checks follow RFC 9162, sections
2.1.3.2 and 2.1.4.2, which word them as loops. Letters are the RFC's: n leaves, m of an earlier tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from voxid.errors import InputError

__all__ = [
    "HASH_BYTES",
    "Frontier",
    "consistency_path",
    "holds",
    "inclusion_path",
    "leaf_hash",
    "only_grew",
    "root_of",
]

HASH_BYTES: Final = 32
_EMPTY: Final = hashlib.sha256(b"").digest()


def leaf_hash(content: bytes) -> bytes:
    """Return the hash (32 bytes) of a leaf; the first byte keeps leaves and nodes apart."""
    return hashlib.sha256(b"\x00" + content).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """As much of a tree as is needed to let it grow: the roots of its whole subtrees, largest first.

    Args:
        size: number of leaves.
        peaks: one hash for each bit set in `size`.

    Example:
        >>> tree = Frontier().grown([leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")])
        >>> tree.size, len(tree.peaks)
        (3, 2)
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def grown(self, leaves: Iterable[bytes]) -> Frontier:
        """Return the frontier with more leaves."""
        size, peaks = self.size, list(self.peaks)
        for leaf in leaves:
            peaks.append(leaf)
            full = size
            while full & 1:
                right = peaks.pop()
                peaks[-1] = _node_hash(peaks[-1], right)
                full >>= 1
            size += 1
        return Frontier(size, tuple(peaks))

    @property
    def root(self) -> bytes:
        """The hash of the tree."""
        if not self.peaks:
            return _EMPTY
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = _node_hash(peak, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the hash of the tree over leaf hashes."""
    return Frontier().grown(leaves).root


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from a leaf (from 0) to the root, lowest first.

    Raises:
        InputError: audit_entry_missing.
    """
    if not 0 <= index < len(leaves):
        raise InputError(
            "audit_entry_missing", f"There is no entry {index + 1}; the log has {len(leaves)} entries."
        )
    start, end, path = 0, len(leaves), []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[start:middle]))
            start = middle
    return path[::-1]


def consistency_path(leaves: Sequence[bytes], m: int) -> list[bytes]:
    """Return the hashes that prove the tree of the first m leaves to be the beginning of this one.

    Raises:
        InputError: audit_size_invalid unless m is between 1 and the number of leaves.
    """
    n = len(leaves)
    if not 1 <= m <= n:
        raise InputError("audit_size_invalid", f"The earlier size is {m}; expected 1 to {n}.")
    start, end, path = 0, n, []
    original = True
    while m != end - start:
        k = _split(end - start)
        if m <= k:
            path.append(root_of(leaves[start + k : end]))
            end = start + k
        else:
            path.append(root_of(leaves[start : start + k]))
            start, m, original = start + k, m - k, False
    if not original:
        path.append(root_of(leaves[start:end]))
    return path[::-1]


def holds(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether the path proves the leaf at `index` (from 0) to be in the tree of that size and root."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = _node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = _node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def only_grew(m: int, first: bytes, n: int, second: bytes, path: Sequence[bytes]) -> bool:
    """Return whether the path proves the tree of size m and root `first` to be the beginning of the other."""
    if not 0 < m <= n:
        return False
    if m == n:
        return not path and first == second
    hashes = list(path) if m & (m - 1) else [first, *path]
    if not hashes:
        return False
    at, last = m - 1, n - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = _node_hash(sibling, old), _node_hash(sibling, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = _node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first and new == second


def _split(n: int) -> int:
    """Return the largest power of two below n."""
    return 1 << (n - 1).bit_length() - 1
