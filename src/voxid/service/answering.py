"""How the service hears an answer to a challenge: its detector and limits, and the tries it remembers."""

from __future__ import annotations

from voxid.audio import AudioLimits, Waveform
from voxid.errors import PolicyError
from voxid.recognize.liveness import AnswerOptions
from voxid.service.attempts import Attempt
from voxid.service.state import Service, Tenant
from voxid.service.uploads import Upload
from voxid.spoof.fusion import SpoofPolicy
from voxid.spoof.listening import MOST_ANSWER_S, default_listener

__all__ = ["options_for", "ready_to_listen"]


def ready_to_listen() -> None:
    """Refuse where spoken challenges cannot be heard: what is asked for must be understood.

    Raises:
        ConfigError: challenge_extra_missing.
    """
    default_listener()


def options_for(
    service: Service, tenant: Tenant, attempt: Attempt, audio: Upload, profile: str
) -> AnswerOptions:
    """Return what an answer is looked at with.

    Proof of life is what is asked for here, so the detector is asked also where the tenant's policy of verifications is
    off; where it is strict, this is as well. Without a detector nobody is asked, and strict refuses.

    Raises:
        ConfigError: challenge_extra_missing.
    """
    limits, detector = service.settings.limits, service.inference.detector
    strict = tenant.policy.verify_spoof == "strict"
    policy = SpoofPolicy.named("strict" if strict else "check" if detector is not None else "off")

    def known(waveform: Waveform) -> bool:
        try:
            attempt.refuse_replay(audio.sha256)
            attempt.refuse_near_replay(waveform, audio.sha256, service.clock())
        except PolicyError:
            return True
        return False

    return AnswerOptions(
        profile=profile,
        spoof=policy,
        listener=default_listener(),
        detector=detector,
        known=known,
        limits=AudioLimits(
            max_duration_s=min(MOST_ANSWER_S, limits.max_verify_s), max_encoded_bytes=limits.max_audio_bytes
        ),
        channel=audio.channel,
    )
