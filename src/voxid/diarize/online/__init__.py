"""Who speaks when while they speak: a call followed half a second at a time, and drawn anew when it is over."""

from voxid.diarize.online.events import Event, EventKind, SpoofEvent
from voxid.diarize.online.hearing import LocalSegmenter
from voxid.diarize.online.options import LiveOptions
from voxid.diarize.online.session import LiveSession
from voxid.diarize.online.sides import SideSession
from voxid.diarize.online.speakers import VoiceSoFar
from voxid.diarize.online.verdicts import PieceDetector

__all__ = [
    "Event",
    "EventKind",
    "LiveOptions",
    "LiveSession",
    "LocalSegmenter",
    "PieceDetector",
    "SideSession",
    "SpoofEvent",
    "VoiceSoFar",
]
