"""voxid: who is speaking, by name, on your own machine.

    import voxid
    gallery = voxid.Gallery.open("people.voxid")
    gallery.enroll("alice", ["a1.wav", "a2.wav"],
                   consent=voxid.Consent(purposes={"verify", "identify"}, evidence="signed form 17"))
    gallery.verify("alice", "call.wav")                       # Decision, true only when accepted
    voxid.diarize("meeting.wav", gallery=gallery)             # Timeline of turns with names

Everything public is in ``__all__`` and is imported on first use, so that ``import voxid`` costs a few
milliseconds; the rooms behind the names are described in docs/architecture.md.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from voxid.audio import AudioLimits, Waveform
    from voxid.audio import load as load_audio
    from voxid.bundle import Bundle, default_bundle, load_bundle
    from voxid.client import Client
    from voxid.decision import Candidate, Decision, Outcome
    from voxid.diarize import diarize
    from voxid.diarize.find import find
    from voxid.errors import (
        CompatibilityError,
        ConfigError,
        InputError,
        PolicyError,
        StoreError,
        VoxidError,
    )
    from voxid.gallery import Consent
    from voxid.recognize import Enrollment, Gallery
    from voxid.speech import QualityPolicy
    from voxid.spoof.detector import detect_spoof
    from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict
    from voxid.timeline import Segment, Timeline, Turn

__version__: Final = "0.1.0"

__all__ = [
    "AudioLimits",
    "Bundle",
    "Candidate",
    "Client",
    "CompatibilityError",
    "ConfigError",
    "Consent",
    "Decision",
    "Enrollment",
    "Gallery",
    "InputError",
    "Outcome",
    "PolicyError",
    "QualityPolicy",
    "Segment",
    "SpoofOutcome",
    "SpoofVerdict",
    "StoreError",
    "Timeline",
    "Turn",
    "VoxidError",
    "Waveform",
    "default_bundle",
    "detect_spoof",
    "diarize",
    "find",
    "load_audio",
    "load_bundle",
]

# public name -> the room it lives in and its name there
_HOME: Final[dict[str, tuple[str, str]]] = {
    "AudioLimits": ("voxid.audio", "AudioLimits"),
    "Bundle": ("voxid.bundle", "Bundle"),
    "Candidate": ("voxid.decision", "Candidate"),
    "Client": ("voxid.client", "Client"),
    "CompatibilityError": ("voxid.errors", "CompatibilityError"),
    "ConfigError": ("voxid.errors", "ConfigError"),
    "Consent": ("voxid.gallery", "Consent"),
    "Decision": ("voxid.decision", "Decision"),
    "Enrollment": ("voxid.recognize", "Enrollment"),
    "Gallery": ("voxid.recognize", "Gallery"),
    "InputError": ("voxid.errors", "InputError"),
    "Outcome": ("voxid.decision", "Outcome"),
    "PolicyError": ("voxid.errors", "PolicyError"),
    "QualityPolicy": ("voxid.speech", "QualityPolicy"),
    "Segment": ("voxid.timeline", "Segment"),
    "SpoofOutcome": ("voxid.spoof.verdict", "SpoofOutcome"),
    "SpoofVerdict": ("voxid.spoof.verdict", "SpoofVerdict"),
    "StoreError": ("voxid.errors", "StoreError"),
    "Timeline": ("voxid.timeline", "Timeline"),
    "Turn": ("voxid.timeline", "Turn"),
    "VoxidError": ("voxid.errors", "VoxidError"),
    "Waveform": ("voxid.audio", "Waveform"),
    "default_bundle": ("voxid.bundle", "default_bundle"),
    "detect_spoof": ("voxid.spoof.detector", "detect_spoof"),
    "diarize": ("voxid.diarize", "diarize"),
    "find": ("voxid.diarize.find", "find"),
    "load_audio": ("voxid.audio", "load"),
    "load_bundle": ("voxid.bundle", "load_bundle"),
}


class _Package(ModuleType):
    """This package, with one rule of its own: ``voxid.diarize`` is always the function.

    The import system binds a room to its package under the room's name as soon as anything imports it.
    The room ``diarize`` and the public function ``diarize`` share that name, so the binding is answered
    with the function; ``from voxid.diarize import ...`` reaches the room either way.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "diarize" and isinstance(value, ModuleType):
            value = value.diarize
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'voxid' has no attribute {name!r}")
    room, own_name = _HOME[name]
    value = getattr(importlib.import_module(room), own_name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Package
