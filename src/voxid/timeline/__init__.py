"""Who spoke when, as time values: `Segment`, `Turn`, `Timeline`, and every format they go in and out by."""

from voxid.segments import Segment, merge_segments
from voxid.timeline.corrections import (
    Correction,
    Corrections,
    apply_corrections,
    correct_speaker,
    correct_turn,
    read_correction_table,
    read_corrections,
)
from voxid.timeline.counted import CountedSpeakers
from voxid.timeline.review import ReviewItem, ReviewPolicy
from voxid.timeline.revision import Naming, Revision
from voxid.timeline.rttm import read_uem, write_uem
from voxid.timeline.timeline import Timeline, read_rttms
from voxid.timeline.turn import Suggestion, Turn
from voxid.timeline.voices import Stretch

__all__ = [
    "Correction",
    "Corrections",
    "CountedSpeakers",
    "Naming",
    "ReviewItem",
    "ReviewPolicy",
    "Revision",
    "Segment",
    "Stretch",
    "Suggestion",
    "Timeline",
    "Turn",
    "apply_corrections",
    "correct_speaker",
    "correct_turn",
    "merge_segments",
    "read_correction_table",
    "read_corrections",
    "read_rttms",
    "read_uem",
    "write_uem",
]
