"""Who spoke when, with names: windows, clustering, smoothing and naming on top of one embedding graph."""

from voxid.diarize.again import HeardRecording, listen
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.pipeline import diarize
from voxid.diarize.remembering import reference_of, remember

__all__ = [
    "DiarizeOptions",
    "HeardRecording",
    "SpeakerCount",
    "diarize",
    "listen",
    "reference_of",
    "remember",
]
