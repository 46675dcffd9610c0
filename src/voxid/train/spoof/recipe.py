"""A recipe for a spoof detector: one YAML file that says everything a run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from voxid.train.course import Course
from voxid.train.spoof.network import DetectorSize

__all__ = ["TASK", "ClipFolder", "SpoofRecipe"]

TASK = "spoof"


@dataclass(frozen=True, kw_only=True)
class ClipFolder:
    """A folder of spoofed speech, and genuine speech beside it.

    Attributes:
        folder: below that of the corpora.
        manifest: file beside the recipe with a row for every clip; empty: ``manifest.csv`` of the folder.
        per_generator: at most that many clips of one generator.
    """

    folder: str
    manifest: str = ""
    per_generator: int = 80


@dataclass(frozen=True, kw_only=True)
class SpoofRecipe(Course):
    """A whole run.

    Args:
        network: front end, width and depth.
        clips: spoofed speech, and genuine speech of the same pages.
        genuine_per_speaker, genuine_per_corpus: at most that many utterances of the genuine speech.
        made: generators of :mod:`voxid.simulate.fakes`, names or families, that copies of genuine recordings are made
            with, one generator a recording.
        made_share, replayed_share: of the genuine recordings that are also packed as such copies, and as replayed.
        train_s: seconds of a recording learnt from at a time.
        held_out_families: generators that are validated, calibrated and given thresholds on, never trained on: every
            one whose name begins with one of these letters (``hifigan``: hifigan(maum-ai), not tacotron2+hifigan).
        left_out: families (``vocoder``, ``vc`` ...) or beginnings of generators' names that are neither trained nor
            calibrated on, to see what the detector makes of what it never saw.
        spoof_made: share of the spoofed pieces in a batch that were made here.
        replay_weight: of the loss on replayed speech.
    """

    clips: tuple[ClipFolder, ...]
    network: DetectorSize = field(default_factory=DetectorSize)
    genuine_per_speaker: int = 3
    genuine_per_corpus: int = 900
    made: str = ""
    made_share: float = 0.6
    replayed_share: float = 0.4
    spoof_made: float = 0.4
    train_s: float = 2.6
    held_out_families: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    replay_weight: float = 0.3

    @property
    def size(self) -> DetectorSize:
        """Front end, width and depth of the network."""
        return self.network
