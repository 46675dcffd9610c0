"""The search index finds what a plain scan in numpy finds, through any history of additions and removals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.errors import CompatibilityError, InputError
from voxid.gallery.index import FaissIndex

DIM = 48


def units(n_rows: int, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((n_rows, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def oracle(
    held: dict[str, NDArray[np.float32]], query: NDArray[np.float32], k: int
) -> list[tuple[str, float]]:
    scored = sorted(((float(vector @ query), id_) for id_, vector in held.items()), reverse=True)
    return [(id_, score) for score, id_ in scored[:k]]


def test_a_history_of_changes_matches_the_oracle() -> None:
    """The same ids, in the same order but for ties within half precision, after each of 60 seeded steps."""
    rng = np.random.default_rng(5)
    index, held, vectors = FaissIndex(DIM), {}, units(900, seed=6)
    for step in range(60):
        action = rng.choice(["add", "add", "remove", "replace", "rebuild"])
        if action == "add":
            new = [f"s{step}n{n}" for n in range(int(rng.integers(1, 12)))]
            rows = vectors[rng.integers(0, 900, len(new))] + 0.01 * units(len(new), seed=step)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            index.add(new, rows)
            held.update(zip(new, rows, strict=True))
        elif action == "replace" and held:
            id_ = str(rng.choice(list(held)))
            held[id_] = units(1, seed=1000 + step)[0]
            index.add([id_], held[id_][None])
        elif action == "remove" and held:
            gone = [str(id_) for id_ in rng.choice(list(held), min(len(held), 5), replace=False)]
            index.remove([*gone, "never there"])
            for id_ in gone:
                del held[id_]
        elif action == "rebuild":
            index.rebuild(list(held), np.array(list(held.values()), np.float32).reshape(-1, DIM))
        assert set(index.ids) == set(held)
        queries = units(3, seed=2000 + step)
        scores, ids = index.search(queries, 4)
        for query, line, at in zip(queries, scores, ids, strict=True):
            expected = oracle(held, query, 4)
            assert [float(held[id_] @ query) for id_ in at] == pytest.approx(
                [s for _, s in expected], abs=1e-3
            )
            assert len(set(at)) == len(at)
            assert line == pytest.approx([score for _, score in expected], abs=1e-3)


def test_only_allowed_rows_are_answers() -> None:
    """A mask leaves the best of the allowed, also when far fewer than k are."""
    index, vectors = FaissIndex(DIM), units(200, seed=7)
    ids = [str(n) for n in range(200)]
    index.rebuild(ids, vectors)
    allowed = np.arange(200) % 50 == 3
    found = index.search(vectors[:1], 10, allowed)[1][0]
    held = {ids[n]: vectors[n] for n in np.flatnonzero(allowed)}
    assert found == [id_ for id_, _ in oracle(held, vectors[0], 10)]
    assert index.search(vectors[:2], 5, np.zeros(200, dtype=bool)) == ([[], []], [[], []])


def test_a_removed_person_is_never_returned() -> None:
    """Not even to the exact vector, not even as the only one ever held."""
    index, vectors = FaissIndex(DIM), units(1, seed=8)
    index.add(["gone"], vectors)
    index.remove(["gone"])
    assert index.search(vectors, 5) == ([[]], [[]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(bad: float) -> None:
    vectors = units(2, seed=9)
    vectors[1, 3] = bad
    index = FaissIndex(DIM)
    for call in (lambda: index.add(["a", "b"], vectors), lambda: index.search(vectors, 1)):
        with pytest.raises(InputError, match="holds NaN or infinity"):
            call()
    assert list(index.ids) == []


def test_another_dimension_is_another_model() -> None:
    with pytest.raises(
        CompatibilityError, match="dimension 3 were given to a gallery of dimension 48"
    ) as caught:
        FaissIndex(DIM).search(np.ones((1, 3), np.float32), 1)
    assert caught.value.code == "model_mismatch"


def test_each_id_is_held_once() -> None:
    with pytest.raises(InputError, match="An id is given twice"):
        FaissIndex(DIM).add(["a", "a"], units(2, seed=1))
