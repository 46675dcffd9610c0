"""An EEND recipe: one YAML file that says everything a run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from voxid.train.course import Course
from voxid.train.eend.network import AttractorSize

TASK = "eend"


@dataclass(frozen=True, kw_only=True)
class EendRecipe(Course):
    """A whole run.

    Args:
        network: width, depth, speakers at most.
        trunk: bundle that comes with voxid whose frames the network hears too; None: fbank alone.
        seconds: of a conversation.
        existence_weight: of the loss of how many there are, beside that of who speaks when.
        held_out_conversations: made of held-out people, for validation.
    """

    network: AttractorSize = field(default_factory=AttractorSize)
    trunk: str | None = None
    seconds: float = 30.0
    existence_weight: float = 0.3
    held_out_conversations: int = 100
    batch: int = 12

    @property
    def size(self) -> AttractorSize:
        """Width and depth of the network."""
        return self.network
