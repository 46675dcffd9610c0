"""A recording heard: decoded, its speech found and judged, and, when good enough, its embedding."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from voxid.audio import AudioSource, Waveform, load
from voxid.bundle import Bundle
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.speech import QualityPolicy, SpeechQuality, detect_speech, measure_quality
from voxid.spoof.detector import SpoofDetector
from voxid.spoof.verdict import SpoofVerdict
from voxid.stages import stage

__all__ = ["Heard", "Hearing", "as_sources", "hear", "hear_waveform", "too_little_to_compare"]


@dataclass(frozen=True, eq=False)
class Heard:
    """What a recording offers.

    Args:
        label: what to call it in messages: the path as given, or the waveform's name.
        audio_sha256: hash (hex) of the encoded audio.
        quality: as measured.
        verdict: "ok", "not_enough_speech" or "poor_quality", judged as a probe.
        embedding: (D,) float32 of unit length, raw; None unless the verdict is "ok".
        spoof: whether the voice is live; None where nobody asked, or the verdict is not "ok".
    """

    label: str
    audio_sha256: str
    quality: SpeechQuality
    verdict: str
    embedding: NDArray[np.float32] | None
    spoof: SpoofVerdict | None = None


Hearing: TypeAlias = Callable[[AudioSource, int | None], Heard]
"""How a recording, one channel of it or all averaged (None), is heard."""


def hear(
    source: AudioSource,
    bundle: Bundle,
    policy: QualityPolicy,
    channel: int | None,
    detector: SpoofDetector | None = None,
) -> Heard:
    """Return a recording's speech, judged, and its embedding over the speech only.

    Args:
        detector: asked whether the voice is live; None: nobody is.

    Raises:
        InputError: whatever the audio door refuses.
    """
    with stage("decode"):
        waveform = load(source, channel=channel)
    return hear_waveform(waveform, _label(source, waveform), bundle, policy, detector)


def hear_waveform(
    waveform: Waveform,
    label: str,
    bundle: Bundle,
    policy: QualityPolicy,
    detector: SpoofDetector | None = None,
) -> Heard:
    """Return a decoded recording's speech, judged, and its embedding over the speech only; arguments as for `hear`."""
    with stage("speech"):
        regions = detect_speech(waveform)
        quality = measure_quality(waveform, regions)
    verdict = policy.check(quality, for_enroll=False)
    spoof = None
    if detector is not None and verdict == "ok":
        with stage("spoof"):
            spoof = detector.detect(waveform, regions)
    with stage("embed"):
        embedding = get_embedder(bundle).embed(waveform, regions) if verdict == "ok" else None
    return Heard(label, waveform.sha256, quality, verdict, embedding, spoof)


def too_little_to_compare(heard: Heard, policy: QualityPolicy) -> str:
    """Return the sentence for a recording whose verdict is not "ok"."""
    if heard.verdict == "not_enough_speech":
        return (
            f"{heard.label} has {heard.quality.net_speech_s:.1f} s of speech; at least "
            f"{policy.min_probe_speech_s:.1f} s are needed: give a longer recording."
        )
    noise = "unknown" if heard.quality.snr_db is None else f"{heard.quality.snr_db:.0f} dB"
    return (
        f"{heard.label} is of poor quality: speech over noise {noise} (at least {policy.min_snr_db:.0f} dB needed), "
        f"{heard.quality.clipping_share:.0%} of it clipped (at most {policy.max_clipping_share:.0%}): record it again."
    )


def embedding_of(heard: Heard, policy: QualityPolicy) -> NDArray[np.float32]:
    """Return the embedding; too little or too poor speech is an error, never an answer.

    Raises:
        InputError: no_speech, audio_clipped, not_enough_speech, poor_quality.
    """
    if heard.embedding is None:
        policy.require(heard.quality, heard.label)
        raise InputError(heard.verdict, too_little_to_compare(heard, policy))
    return heard.embedding


def as_sources(sources: AudioSource | Sequence[AudioSource]) -> list[AudioSource]:
    """Return a list of recordings, also from a single one.

    Raises:
        InputError: enrollment_empty when the list is empty.
    """
    single = isinstance(sources, str | bytes | bytearray | memoryview | os.PathLike | Waveform)
    array = isinstance(sources, tuple) and len(sources) == 2 and isinstance(sources[0], np.ndarray)
    if single or array or hasattr(sources, "read"):
        return [cast(AudioSource, sources)]
    try:
        listed: list[AudioSource] = list(cast("Sequence[Any]", sources))
    except TypeError as error:
        raise InputError(
            "audio_unreadable",
            f"A {type(sources).__name__} is not a recording; give paths, bytes or waveforms.",
        ) from error
    if not listed:
        raise InputError(
            "enrollment_empty", "No recording was given; give at least one with the person's speech."
        )
    return listed


def _label(source: AudioSource, waveform: Waveform) -> str:
    return str(source) if isinstance(source, str | Path) else waveform.uri
