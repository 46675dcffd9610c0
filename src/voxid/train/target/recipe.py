"""A target-speech recipe: one YAML file that says everything a run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from voxid.train.course import Course
from voxid.train.target.network import TargetSize

TASK = "target_speech"


@dataclass(frozen=True, kw_only=True)
class TargetRecipe(Course):
    """A whole run.

    Args:
        bundle: bundle that comes with voxid, whose embeddings are used.
        network: width and depth.
        seconds: of a conversation.
        targets: people asked for in each: those present first, then strangers.
        absent_share: of those asked for are not there, at least; further ones where too few are present.
        held_out_conversations: made of held-out people, for validation.
    """

    network: TargetSize = field(default_factory=TargetSize)
    bundle: str = "ecapa-base"
    seconds: float = 20.0
    targets: int = 3
    absent_share: float = 0.25
    held_out_conversations: int = 100
    batch: int = 8

    @property
    def size(self) -> TargetSize:
        """Width and depth of the network."""
        return self.network
