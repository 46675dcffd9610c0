"""Who sounds most like this: exact inner-product search over unit vectors kept in half precision.

The index is a cache in memory, made from the store; of a large one `index_file` keeps a sealed copy on disk. It answers
with ids and approximate scores (half precision: within 1e-3 for unit vectors); who is named is decided from the store's
own vectors. FAISS numbers rows by position; the ids are ours, in a list kept in step, because FAISS's id map
returned vectors of removed people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from voxid.errors import CompatibilityError, InputError

__all__ = ["FaissIndex", "VectorIndex"]


class VectorIndex(Protocol):
    """What the gallery asks of a search index; scores are inner products, higher is more alike."""

    @property
    def ids(self) -> Sequence[str]:
        """The ids in row order."""

    def vectors(self) -> NDArray[np.float16]:
        """Return the vectors as held (M, D), in row order."""

    def rebuild(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Forget everything and hold these: ids (M), vectors (M, D) of unit length."""

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Hold these too; an id already held gets the new vector."""

    def remove(self, ids: Sequence[str]) -> None:
        """Hold these no longer; ids not held are passed over."""

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[list[list[float]], list[list[str]]]:
        """Return scores and ids, best first, at most k per query."""


class FaissIndex:
    """Exact search by FAISS over float16 rows: 2 D bytes per person, 100,000 people of 192-d in 38 MB.

    Example:
        >>> index = FaissIndex(dim=2)
        >>> index.add(["x", "y"], np.eye(2, dtype=np.float32))
        >>> index.search(np.array([[0.6, 0.8]], dtype=np.float32), k=1)[1]
        [['y']]
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._index = self._empty()

    @property
    def ids(self) -> Sequence[str]:
        """The ids in row order."""
        return self._ids

    def vectors(self) -> NDArray[np.float16]:
        """Return the vectors as held (M, D), in row order."""
        codes: NDArray[np.uint8] = faiss.vector_to_array(self._index.codes)
        return codes.view(np.float16).reshape(-1, self.dim)

    def rebuild(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Forget everything and hold these.

        Args:
            ids: M, all different.
            vectors: (M, D) float32, unit length, finite.

        Raises:
            InputError: index_input_invalid. CompatibilityError: model_mismatch for another D.
        """
        rows = self._checked(vectors, len(ids))
        if len(set(ids)) != len(ids):
            raise InputError("index_input_invalid", "An id is given twice; expected each id once.")
        self._index = self._empty()
        self._index.add(rows)
        self._ids = list(ids)
        self._number()

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Hold these too; arguments and errors as for `rebuild`, an id already held gets the new vector."""
        rows = self._checked(vectors, len(ids))
        if len(set(ids)) != len(ids):
            raise InputError("index_input_invalid", "An id is given twice; expected each id once.")
        self.remove(ids)
        self._index.add(rows)
        first = len(self._ids)
        self._ids.extend(ids)
        self._rows.update((id_, first + n) for n, id_ in enumerate(ids))

    def remove(self, ids: Sequence[str]) -> None:
        """Hold these no longer; ids not held are passed over."""
        gone = sorted(self._rows[id_] for id_ in set(ids) if id_ in self._rows)
        if not gone:
            return
        # The rows behind a removed one move up, in FAISS as in our list.
        self._index.remove_ids(np.asarray(gone, dtype=np.int64))
        removed = set(gone)
        self._ids = [id_ for row, id_ in enumerate(self._ids) if row not in removed]
        self._number()

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[list[list[float]], list[list[str]]]:
        """Return the k best per query.

        Args:
            queries: (Q, D) float32, unit length, finite.
            k: at least 1.
            allowed: (M,) over `ids`; only True rows are answers. None: all.

        Returns:
            scores and ids, Q lists of at most k, best first; fewer where fewer are allowed.

        Raises:
            InputError: index_input_invalid. CompatibilityError: model_mismatch for another D.
        """
        rows = self._checked(queries, len(queries))
        if k < 1:
            raise InputError("index_input_invalid", f"{k} results were asked for; expected at least 1.")
        k = min(k, len(self._ids))
        if k == 0 or (allowed is not None and not allowed.any()):
            return [[] for _ in rows], [[] for _ in rows]
        parameters = None
        if allowed is not None:
            # The bit map must outlive the search: FAISS keeps only its address.
            bits = np.packbits(allowed, bitorder="little")
            api: Any = faiss  # its Python conveniences are not in its type information
            parameters = api.SearchParameters(sel=api.IDSelectorBitmap(bits))
        # More threads than one only pay off for many queries, and wait actively between them.
        faiss.omp_set_num_threads(1)
        scores, found = self._index.search(rows, k, params=parameters)
        return (
            [
                [float(s) for s, row in zip(line, at, strict=True) if row >= 0]
                for line, at in zip(scores, found, strict=True)
            ],
            [[self._ids[row] for row in at if row >= 0] for at in found],
        )

    def _empty(self) -> Any:
        index = faiss.IndexScalarQuantizer(
            self.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        # Half precision needs no training; FAISS asks for the call all the same.
        index.train(np.zeros((1, self.dim), dtype=np.float32))
        return index

    def _number(self) -> None:
        self._rows = {id_: row for row, id_ in enumerate(self._ids)}

    def _checked(self, vectors: NDArray[np.float32], n_rows: int) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[0] != n_rows:
            raise InputError(
                "index_input_invalid",
                f"Vectors of shape {rows.shape} were given for {n_rows} ids; expected (M, D).",
            )
        if rows.shape[1] != self.dim:
            raise CompatibilityError(
                "model_mismatch",
                f"Embeddings of dimension {rows.shape[1]} were given to a gallery of dimension {self.dim}; use the "
                "bundle the gallery was opened with.",
            )
        if not np.isfinite(rows).all():
            raise InputError(
                "index_input_invalid", "A vector holds NaN or infinity; expected finite numbers."
            )
        return rows
