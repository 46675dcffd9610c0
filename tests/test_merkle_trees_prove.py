"""The hash tree: known values of RFC 6962, and proofs against a plain oracle."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.audit.merkle import (
    Frontier,
    consistency_path,
    holds,
    inclusion_path,
    leaf_hash,
    only_grew,
    root_of,
)
from voxid.errors import InputError

# The eight leaves and roots of the certificate-transparency reference implementation's tests.
LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def oracle(leaves: list[bytes]) -> bytes:
    """The definition of section 2.1, word for word."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + oracle(leaves[:k]) + oracle(leaves[k:])).digest()


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


def test_every_proof_of_every_tree_holds_and_no_other() -> None:
    """All sizes to 40: each entry is proved in its place, refused in another, and against another root."""
    leaves = [leaf_hash(str(number).encode()) for number in range(40)]
    for n in range(1, 41):
        tree, root = leaves[:n], root_of(leaves[:n])
        assert root == oracle(tree)
        for index in range(n):
            path = inclusion_path(tree, index)
            assert holds(leaves[index], index, n, path, root)
            assert not holds(leaves[index], index, n, path, leaf_hash(b"other"))
            assert not holds(leaf_hash(b"other"), index, n, path, root)
            assert n == 1 or not holds(leaves[index], (index + 1) % n, n, path, root)
            assert not holds(leaves[index], index, n, [*path, root], root)


def test_growth_is_proved_and_history_cannot_change() -> None:
    leaves = [leaf_hash(str(number).encode()) for number in range(33)]
    changed = [leaf_hash(b"changed"), *leaves[1:]]
    for n in range(1, 34):
        for m in range(1, n + 1):
            path = consistency_path(leaves[:n], m)
            first, second = root_of(leaves[:m]), root_of(leaves[:n])
            assert only_grew(m, first, n, second, path)
            assert not only_grew(m, root_of(changed[:m]), n, second, path)
            assert not only_grew(m, first, n, root_of(changed[:n]), path)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_a_tree_grows_the_same_in_any_steps(steps: list[int]) -> None:
    leaves = [leaf_hash(str(number).encode()) for number in range(sum(steps))]
    tree, at = Frontier(), 0
    for step in steps:
        tree, at = tree.grown(leaves[at : at + step]), at + step
    assert tree.root == oracle(leaves)
    assert len(tree.peaks) == tree.size.bit_count()


def test_asks_outside_the_tree_are_refused() -> None:
    with pytest.raises(InputError, match="There is no entry 4; the log has 3 entries"):
        inclusion_path(LEAVES[:3], 3)
    with pytest.raises(InputError, match="The earlier size is 4; expected 1 to 3"):
        consistency_path(LEAVES[:3], 4)
    assert not holds(LEAVES[0], 3, 3, [], LEAVES[0])
    assert not only_grew(0, LEAVES[0], 3, LEAVES[0], [])
