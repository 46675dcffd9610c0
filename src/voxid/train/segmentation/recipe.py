"""A segmentation recipe: one YAML file that says everything a run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from voxid.train.course import Course
from voxid.train.segmentation.network import Size

TASK = "segmentation"


@dataclass(frozen=True, kw_only=True)
class SegmentationRecipe(Course):
    """A whole run.

    Args:
        network: width and depth.
        trunk: bundle that comes with voxid whose frames the network hears too; None: fbank alone.
        held_out_chunks: of ten seconds, made of held-out people, for validation.
    """

    network: Size = field(default_factory=Size)
    trunk: str | None = None
    held_out_chunks: int = 400

    @property
    def size(self) -> Size:
        """Width and depth of the network."""
        return self.network
