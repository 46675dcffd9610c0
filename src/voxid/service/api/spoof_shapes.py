"""What the service says of whether a voice is live and human, as JSON."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

__all__ = ["VERDICT_EXAMPLE", "SpoofCheckOut", "SpoofVerdictOut"]

VERDICT_EXAMPLE: Final[dict[str, Any]] = {
    "outcome": "genuine",
    "llr": 3.12,
    "replay_llr": 4.05,
    "domain_distance": 1.7,
    "domain_limit": 3.4,
    "net_speech_s": 6.2,
    "bandwidth_hz": 7600,
    "model_id": "countermeasure@0123456789ab",
    "reason": "LLR 3.12 lies above 0.40, where speech counts as genuine.",
}


class SpoofVerdictOut(BaseModel):
    """Whether a voice is live and human; of four outcomes, one of which is that it cannot be told."""

    model_config = ConfigDict(json_schema_extra={"example": VERDICT_EXAMPLE})

    outcome: SpoofOutcome
    llr: float | None = Field(
        description="Genuine speech against synthesised or converted, natural logarithm; above 0 speaks for genuine. "
        "null: not measured"
    )
    replay_llr: float | None = Field(description="The same against a recording played back")
    domain_distance: float | None = Field(
        description="How far the sound lies from all speech the detector was trained on"
    )
    domain_limit: float | None = Field(description="Beyond this distance it cannot tell")
    net_speech_s: float
    bandwidth_hz: float = Field(description="Highest frequency at which the speech has energy")
    model_id: str
    reason: str

    @classmethod
    def of(cls, verdict: SpoofVerdict) -> SpoofVerdictOut:
        """Return the verdict as JSON shows it."""
        return cls.model_validate(verdict.to_dict())


class PieceOut(BaseModel):
    """A few seconds of the recording."""

    start_s: float
    end_s: float
    llr: float


class SpoofCheckOut(SpoofVerdictOut):
    """What came of checking one recording."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **VERDICT_EXAMPLE,
                "pieces": [
                    {"start_s": 0.0, "end_s": 4.0, "llr": 3.4},
                    {"start_s": 2.6, "end_s": 6.6, "llr": 2.84},
                ],
                "duration_s": 6.6,
                "audio_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            }
        }
    )

    pieces: list[PieceOut] = Field(description="The LLR of each piece heard, in order of time")
    duration_s: float
    audio_sha256: str
