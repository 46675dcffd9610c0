"""How the service hears a recording: under limits of length and size, with a look at the sound before it counts."""

from __future__ import annotations

from collections.abc import Callable

from voxid.audio import AudioLimits, AudioSource, Waveform, load
from voxid.recognize.gallery import Gallery
from voxid.recognize.listening import Heard, Hearing, hear_waveform
from voxid.spoof.detector import SpoofDetector
from voxid.stages import stage

__all__ = ["hearing_for"]

_LABEL = "The recording"


def hearing_for(
    gallery: Gallery,
    max_duration_s: float,
    max_bytes: int,
    before: Callable[[], None] | None = None,
    decoded: Callable[[Waveform], None] | None = None,
    detector: SpoofDetector | None = None,
) -> Hearing:
    """Return how to hear one recording.

    Args:
        before: called once the recording may be opened, and before it is; what it raises ends the hearing.
        decoded: called with the sound before anything is computed from it; likewise.
        detector: asked whether the voice is live; None: nobody is.
    """
    limits = AudioLimits(max_duration_s=max_duration_s, max_encoded_bytes=max_bytes)

    def hear(source: AudioSource, channel: int | None) -> Heard:
        if before is not None:
            before()
        with stage("decode"):
            waveform = load(source, channel=channel, limits=limits)
        if decoded is not None:
            decoded(waveform)
        return hear_waveform(waveform, _LABEL, gallery.bundle, gallery.policy, detector)

    return hear
