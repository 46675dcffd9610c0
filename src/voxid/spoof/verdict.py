"""What came of asking whether a voice is live and human: four outcomes, never a bare yes or no."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["SpoofOutcome", "SpoofVerdict"]


class SpoofOutcome(StrEnum):
    """Everything a check of a voice can end in.

    ``CANNOT_TELL`` is an answer of its own: the speech is too short, the band too narrow, or the sound unlike anything
    the detector was trained on. What becomes of it is a matter of policy, not of the detector.
    """

    GENUINE = "genuine"
    SUSPICIOUS = "suspicious"
    SPOOF = "spoof"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True)
class SpoofVerdict:
    """What came of checking one recording, with everything needed to defend it later. It has no truth value.

    Args:
        outcome: genuine, suspicious, spoof or cannot_tell.
        llr: genuine speech against synthesised or converted; above 0 speaks for genuine. None: not measured.
        replay_llr: genuine speech against a recording played back; as ``llr``.
        domain_distance: how far the sound lies from all speech the detector was trained on; None: not measured.
        domain_limit: beyond this distance the detector cannot tell; None: it has no limit or measured nothing.
        net_speech_s: speech heard.
        bandwidth_hz: highest frequency at which the speech has energy; 0 without speech.
        model_id: name of the detector and the beginning of its graph's hash.
        reason: a sentence for people.
        pieces: (start s, end s, llr) of each piece heard, in order of time.

    Example:
        >>> verdict = SpoofVerdict(
        ...     SpoofOutcome.CANNOT_TELL, None, None, None, None, 0.4, 7800.0, "m@1", "0.4 s of speech."
        ... )
        >>> verdict.to_dict()["outcome"]
        'cannot_tell'
    """

    outcome: SpoofOutcome
    llr: float | None
    replay_llr: float | None
    domain_distance: float | None
    domain_limit: float | None
    net_speech_s: float
    bandwidth_hz: float
    model_id: str
    reason: str
    pieces: tuple[tuple[float, float, float], ...] = ()

    def __bool__(self) -> bool:
        raise TypeError("a spoof verdict is not true or false; compare its outcome with SpoofOutcome.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; LLRs rounded to 2 places against hill-climbing."""
        return {
            **asdict(self),
            "outcome": self.outcome.value,
            "llr": _rounded(self.llr, 2),
            "replay_llr": _rounded(self.replay_llr, 2),
            "domain_distance": _rounded(self.domain_distance, 2),
            "domain_limit": _rounded(self.domain_limit, 2),
            "net_speech_s": round(self.net_speech_s, 2),
            "bandwidth_hz": round(self.bandwidth_hz),
            "pieces": [
                {"start_s": round(start_s, 3), "end_s": round(end_s, 3), "llr": round(llr, 2)}
                for start_s, end_s, llr in self.pieces
            ],
        }


def _rounded(value: float | None, places: int) -> float | None:
    return None if value is None else round(value, places)
