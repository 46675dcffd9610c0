"""To and from ``pyannote.core.Annotation``. Needs the extra ``pyannote``, which is loaded only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voxid.errors import ConfigError, InputError
from voxid.segments import Segment
from voxid.timeline.turn import Turn

if TYPE_CHECKING:
    from pyannote.core import Annotation

__all__ = ["from_annotation", "to_annotation"]

_SHORTEST_S = 0.001  # pyannote drops a track that is shorter than its precision without a word


def to_annotation(turns: Sequence[Turn], uri: str) -> Annotation:
    """Return an Annotation with a track for each turn, numbered from 0; overlapping and equal turns are all kept.

    Raises:
        ConfigError: pyannote_extra_missing.
    """
    core = _pyannote()
    annotation = core.Annotation(uri=uri, modality="speaker")
    for number, turn in enumerate(turns):
        end_s = max(turn.end_s, turn.start_s + _SHORTEST_S)
        annotation[core.Segment(turn.start_s, end_s), number] = turn.speaker
    return annotation


def from_annotation(annotation: Annotation) -> tuple[list[Turn], str]:
    """Return the turns of an Annotation and its uri; labels that are no text (pyannote allows any) are written out.

    Raises:
        InputError: annotation_invalid for anything else; segment_invalid where a track begins before 0;
            speaker_invalid.
        ConfigError: pyannote_extra_missing.
    """
    core = _pyannote()
    if not isinstance(annotation, core.Annotation):
        raise InputError(
            "annotation_invalid",
            f"A {type(annotation).__name__} was given; expected a pyannote.core.Annotation.",
        )
    turns = [
        Turn(Segment(float(segment.start), float(segment.end)), str(label))
        for segment, _, label in annotation.itertracks(yield_label=True)
    ]
    return turns, str(annotation.uri) if annotation.uri is not None else "audio"


def _pyannote() -> Any:
    try:
        import pyannote.core
    except ImportError:
        raise ConfigError(
            "pyannote_extra_missing",
            "pyannote.core is not installed; it is needed to exchange annotations: pip install 'voxid[pyannote]'.",
        ) from None
    return pyannote.core
