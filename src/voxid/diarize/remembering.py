"""Voices of a timeline that have no name, kept by a gallery when a caller asks for it; ``diarize`` never does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from voxid.audio import SAMPLE_RATE_HZ, AudioSource, Waveform, load
from voxid.decision import DEFAULT_PROFILE
from voxid.diarize.naming import MIN_VOICE_TURN_S, embed_voices
from voxid.diarize.turns import DrawnTurn, alone
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.recognize.remembering import Remembered, UnnamedVoice
from voxid.speech import SpeechQuality, detect_speech, measure_quality
from voxid.timeline import Correction, Segment, Timeline

if TYPE_CHECKING:
    from voxid.gallery import Grounds
    from voxid.recognize import Gallery

__all__ = ["excerpt", "reference_of", "remember"]

_MOST_REFERENCE_S = 60.0


def remember(
    timeline: Timeline,
    source: AudioSource,
    gallery: Gallery,
    grounds: Grounds,
    *,
    channel: int | None = None,
    profile: str = DEFAULT_PROFILE,
) -> tuple[Timeline, tuple[Remembered, ...]]:
    """Keep the voices of a timeline that have no name, so that the next recording calls them by the same id.

    Args:
        timeline: what ``diarize`` returned for the recording, corrected or not.
        source: the recording, as ``diarize`` was given it.
        gallery: keeps the voices, each sealed under a key of its own.
        grounds: why they may be kept, and how long.
        channel: as ``diarize`` was given it.
        profile: its false-accept rate holds for the comparison with all unknown people together.

    Returns:
        The timeline with the ids in place of SPEAKER_00, .., and what became of each voice.

    Raises:
        InputError: ``recording_of_other_timeline``, ``profile_unknown``, and those of ``voxid.load_audio``.
        CompatibilityError: ``model_mismatch``, ``bundle_uncalibrated``. StoreError.
    """
    waveform = load(source, channel=channel)
    _check_recording(timeline, waveform)
    voices = unnamed_voices(timeline, waveform, gallery)
    kept = gallery.unknown.remember(
        voices, grounds, uri=waveform.uri, audio_sha256=waveform.sha256, profile=profile
    )
    ids = {one.label: one.id for one in kept if one.id is not None}
    turns = tuple(
        replace(turn, speaker=ids[turn.speaker], voice_id=ids[turn.speaker]) if turn.speaker in ids else turn
        for turn in timeline.turns
    )
    return replace(timeline, turns=turns), kept


def unnamed_voices(timeline: Timeline, waveform: Waveform, gallery: Gallery) -> list[UnnamedVoice]:
    """Return the voices of the speakers of whom no turn has a person's name, in order of time."""
    named = {turn.speaker for turn in timeline.turns if turn.named}
    numbers = {speaker: number for number, speaker in enumerate(timeline.speakers)}
    drawn = [DrawnTurn(turn.segment, numbers[turn.speaker]) for turn in timeline.turns]
    # Named speakers take part, for what is said while they speak is left out; only their voices are not heard.
    wanted = {number for speaker, number in numbers.items() if speaker not in named}
    voices = embed_voices(waveform, drawn, get_embedder(gallery.bundle), wanted, overlapped=False)
    found = []
    for cluster, segments, embedding in zip(voices.clusters, voices.segments, voices.embeddings, strict=True):
        label = timeline.speakers[cluster]
        found.append(
            UnnamedVoice(
                label,
                embedding,
                _quality_of(waveform, segments),
                timeline.speech_s(label),
                _seconds_of(segments),
            )
        )
    return found


def excerpt(waveform: Waveform, segments: Sequence[Segment]) -> Waveform:
    """Return parts of a recording one after another, as a recording of its own, with a hash of its own.

    Raises:
        InputError: segment_invalid, audio_too_short.
    """
    pieces = [waveform.slice(segment).samples for segment in segments]
    joined = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
    return replace(load((joined, SAMPLE_RATE_HZ)), uri=waveform.uri, source_rate_hz=waveform.source_rate_hz)


def reference_of(
    timeline: Timeline,
    items: Sequence[Correction],
    name: str,
    source: AudioSource,
    channel: int | None = None,
) -> Waveform:
    """Return what a person says in the turns that were corrected to their name, to be added as a reference.

    Taken are the longest parts in which nobody else speaks, a minute at most.

    Args:
        timeline: with the corrections applied.
        items: the corrections; those with another new name are passed over.
        name: the person's, as it was corrected to.
        source: the recording.
        channel: as ``diarize`` was given it.

    Raises:
        InputError: ``recording_of_other_timeline``; ``reference_empty`` when somebody else speaks all the time.
    """
    waveform = load(source, channel=channel)
    _check_recording(timeline, waveform)
    corrected = {_milliseconds(item.segment) for item in items if item.new_name == name}
    drawn = [
        DrawnTurn(turn.segment, int(turn.speaker == name and _milliseconds(turn.segment) in corrected))
        for turn in timeline.turns
    ]
    own = [turn.segment for turn in alone(drawn) if turn.speaker == 1]
    chosen: list[Segment] = []
    left_s = _MOST_REFERENCE_S
    for part in sorted(own, key=lambda part: -part.duration_s):
        if min(part.duration_s, left_s) < MIN_VOICE_TURN_S:
            break
        chosen.append(Segment(part.start_s, part.start_s + min(part.duration_s, left_s)))
        left_s -= chosen[-1].duration_s
    if not chosen:
        raise InputError(
            "reference_empty",
            f"In the corrected turns of {name!r} nothing is said while the others are silent; nothing was added.",
        )
    return excerpt(waveform, sorted(chosen))


def _milliseconds(segment: Segment) -> tuple[int, int]:
    return round(segment.start_s * 1000), round(segment.end_s * 1000)


def _quality_of(waveform: Waveform, segments: Sequence[Segment]) -> SpeechQuality:
    heard = excerpt(waveform, sorted(segments))
    return measure_quality(heard, detect_speech(heard))


def _seconds_of(segments: Sequence[Segment]) -> tuple[int, ...]:
    seconds = {second for part in segments for second in range(int(part.start_s), int(np.ceil(part.end_s)))}
    return tuple(sorted(seconds))


def _check_recording(timeline: Timeline, waveform: Waveform) -> None:
    if timeline.audio_sha256 is not None and timeline.audio_sha256 != waveform.sha256:
        raise InputError(
            "recording_of_other_timeline",
            f"{waveform.uri} has the hash {waveform.sha256[:12]}…, the timeline is of {timeline.audio_sha256[:12]}…; "
            "expected the same; give the recording the timeline was made from.",
        )
