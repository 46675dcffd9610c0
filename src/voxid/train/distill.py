"""A bundle's model as a teacher: a student's embeddings are drawn to those the teacher gives the same crop.

The teacher hears crops as packed, the student hears them distorted (``distort`` of the recipe's stages) and blanked.
Distances between the student's embeddings become the teacher's, so that thresholds lie where the teacher's lie, and
nothing has to be labelled.

Source: Hinton et al., "Distilling the knowledge in a neural network", 2015, on embeddings instead of classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from voxid.bundle import Bundle
from voxid.score import center
from voxid.train.graph_embedder import Floats, GraphEmbedder, random_crops, unit
from voxid.train.recipe import Recipe, Stage
from voxid.train.shards import Shard

_FITTED_CROPS = 2_000
_FITTED_FRAMES = (150, 200, 300)


@dataclass(frozen=True, eq=False)
class BundleTeacher:
    """A bundle's embeddings of crops, in as many dimensions as the student has.

    Attributes:
        graph: runs the teacher.
        mean: (D,) subtracted from its unit embeddings, as its scoring does.
        basis: (D, student's D): principal directions, so that cosines change least; identity where D agrees.
    """

    graph: GraphEmbedder
    mean: Floats
    basis: Floats

    @classmethod
    def of(cls, bundle: Bundle, student_dim: int, training: Shard, seed: int) -> BundleTeacher:
        """Return a bundle as the teacher of embeddings of length ``student_dim``.

        Raises:
            CompatibilityError: ``not_for_packed_speech`` when the bundle listens to other features.
        """
        graph = GraphEmbedder.of(bundle)
        if bundle.dim == student_dim:
            return cls(graph, bundle.mean, np.eye(student_dim, dtype=np.float32))
        crops = random_crops(training, _FITTED_FRAMES, _FITTED_CROPS, seed)
        vectors = np.concatenate([graph.embed(crop[None]) for crop in crops])
        return cls(graph, bundle.mean, principal_basis(center(vectors, bundle.mean), student_dim))

    @property
    def dim(self) -> int:
        """Length of the vectors: the student's."""
        return int(self.basis.shape[1])

    def __call__(self, crops: Floats) -> Floats:
        """Return (B, dim) unit vectors of crops (B, T, 80) as packed."""
        return unit(center(self.graph.embed(crops), self.mean) @ self.basis)


def principal_basis(vectors: Floats, dim: int) -> Floats:
    """Return (D, dim) with orthonormal columns (rows, where dim is above D) that keeps most of (N, D) vectors.

    Example:
        >>> principal_basis(np.eye(3, dtype=np.float32), 5).shape
        (3, 5)
    """
    _, _, directions = np.linalg.svd(vectors, full_matrices=False)
    basis = np.zeros((vectors.shape[1], dim), dtype=np.float32)
    kept = min(dim, len(directions))
    basis[:, :kept] = directions[:kept].T
    return basis


def distilling(recipe: Recipe, classify: float) -> Recipe:
    """Return the recipe with every stage learning from the teacher, and from the speakers' labels by ``classify``."""
    return replace(
        recipe,
        stages=tuple(
            replace(stage, distill=stage.distill or 1.0, classify=classify) for stage in recipe.stages
        ),
    )


def tuning(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with one short stage instead of its own: a pruned network learns to be the one it was.

    The rate begins at half of what fresh networks are trained with, since the weights are nearly right.
    """
    longest = recipe.stages[-1]
    stage = Stage(
        steps=steps,
        crop_s=2.0,
        batch=longest.batch,
        lr_from=5e-4,
        lr_to=5e-6,
        margin_from=0.0,
        margin_to=0.0,
        distort=longest.distort,
        classify=0.0,
        distill=1.0,
    )
    return replace(recipe, stages=(stage,))
