"""A segmentation recipe: one YAML file that says everything a run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from voxid.train.segmentation.network import Size


@dataclass(frozen=True)
class Part:
    """One part of the schedule: the learning rate falls from one value to the other along half a cosine."""

    steps: int
    lr_from: float
    lr_to: float
    average: bool = False


@dataclass(frozen=True)
class SegmentationRecipe:
    """A whole run.

    Args:
        name: of the model.
        speech: embedding recipe beside this one whose corpora and people are used; those it holds out stay out.
        styles: how often each kind of conversation is drawn, by its name in :mod:`voxid.simulate`.
        stages: the schedule.
        network: width and depth.
        batch: chunks of ten seconds per step.
        held_out_chunks: made of held-out people, for validation.
        distort: share of the chunks that are distorted anew (:mod:`voxid.train.spectra`).
        optimizer: ``muon`` or ``adamw``.
    """

    name: str
    speech: str
    styles: dict[str, float]
    stages: tuple[Part, ...]
    network: Size = field(default_factory=Size)
    seed: int = 29
    batch: int = 32
    held_out_chunks: int = 400
    distort: float = 0.3
    optimizer: str = "muon"
    weight_decay: float = 0.01
    validate_every_steps: int = 500
    checkpoint_every_steps: int = 250

    @property
    def total_steps(self) -> int:
        """Steps over all stages."""
        return sum(stage.steps for stage in self.stages)
