"""How alike two voices are: the cosine of embeddings after the mean of many speakers is taken away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxid.errors import CompatibilityError


def center(embeddings: NDArray[np.floating], mean: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return embeddings minus the mean of the training speakers, scaled to length 1.

    Taking the mean away keeps what all voices and channels share from raising every score.

    Args:
        embeddings: (..., D), unit length or not.
        mean: (D,), the bundle's mean of unit embeddings.

    Returns:
        (..., D) float32 of unit length.

    Raises:
        CompatibilityError: ``dimension_mismatch`` when D differs.

    Example:
        >>> center(np.array([[2.0, 0.0]]), np.array([1.0, 0.0])).tolist()
        [[1.0, 0.0]]
    """
    if embeddings.shape[-1] != mean.shape[-1]:
        raise CompatibilityError(
            "dimension_mismatch",
            f"embeddings have {embeddings.shape[-1]} dimensions, the bundle's mean has {mean.shape[-1]}; "
            "compare only embeddings made by one bundle.",
        )
    shifted = np.asarray(embeddings, dtype=np.float32) - np.asarray(mean, dtype=np.float32)
    length = np.linalg.norm(shifted, axis=-1, keepdims=True)
    return np.asarray(shifted / np.maximum(length, 1e-12), dtype=np.float32)


def cosine(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the cosines of unit vectors ``a`` (..., D) with the rows of ``b`` (M, D).

    Returns:
        (..., M) float32 in [-1, 1]; higher is more alike.

    Raises:
        CompatibilityError: ``dimension_mismatch`` when D differs.
    """
    if a.shape[-1] != b.shape[-1]:
        raise CompatibilityError(
            "dimension_mismatch",
            f"vectors of {a.shape[-1]} and {b.shape[-1]} dimensions cannot be compared; use one bundle for both.",
        )
    return np.asarray(np.clip(a @ np.swapaxes(b, -1, -2), -1.0, 1.0), dtype=np.float32)
