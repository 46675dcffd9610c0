"""Calls: each channel one speaker, or two voices on one channel; and whether the agent is who they should be.

On a recording with a channel per side nobody needs to be told apart: speech is found on each channel. What leaks from
the other side (echo, cross-talk) would be heard as a second turn, so it is taken away by comparing levels.

Shapes: C channels, T frames of 10 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid import decoding
from voxid.audio import SAMPLE_RATE_HZ, AudioLimits, Waveform, load
from voxid.bundle import Bundle, default_bundle
from voxid.diarize.naming import (
    ClusterVoices,
    Found,
    embed_voices,
    label_turns,
    name_voices,
)
from voxid.diarize.options import DiarizeOptions
from voxid.diarize.pipeline import PACK_BEYOND_S, check_served, diarize
from voxid.diarize.progress import Progress, part_of
from voxid.diarize.turns import DrawnTurn, alone
from voxid.diarize.windows import find_runs
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.features import FRAME_HOP_S, frame_count
from voxid.segments import Segment, merge_segments
from voxid.speech import detect_speech, speech_mask
from voxid.timeline import Timeline

if TYPE_CHECKING:
    from voxid.decision import Decision
    from voxid.recognize import Gallery

CallSource = str | Path | bytes | tuple[NDArray[Any], int]

LEAK_DB: Final = 10.0
"""Speech whose channel lies so much further below its own usual level than another channel does is that channel's.

An echo of a telephone line lies 15 dB and more below the speech it repeats; two people who speak at once differ by
less, taken over 0.2 s. On calls made of two people's clips with leakage of -15, -20 and -30 dB, 80 ms late, see the
tests; real lines were not measured."""

_LATE_S: Final = 0.3  # an echo comes so much later at most
_SMOOTH_S: Final = 0.2
_QUIETEST_DB: Final = -20.0  # a side is taken to be at most so much quieter than the loudest one
_LEAST_OWN_S: Final = 0.5  # of a side's own speech, to tell how loud it usually is
_MAX_GAP_S: Final = 0.3
_MIN_TURN_S: Final = 0.2
_VERIFIED_S: Final = 120.0
_HOP: Final = round(FRAME_HOP_S * SAMPLE_RATE_HZ)


@dataclass(frozen=True)
class CallPlan:
    """How a call is recorded, and who should be on it.

    Args:
        channels: names of the channels, in order; empty: CHANNEL_0, CHANNEL_1, ...; None: both sides are on one.
        agent: name in the gallery of the person who should speak on the agent's side: the channel called ``agent``,
            else the first; of two voices on one channel the one more like that person.

    Raises:
        InputError: ``channels_invalid``.
    """

    channels: tuple[str, ...] | None = None
    agent: str | None = None

    def __post_init__(self) -> None:
        names = self.channels or ()
        if any(not name.strip() for name in names) or len(set(names)) < len(names):
            raise InputError(
                "channels_invalid",
                f"the channels are called {', '.join(map(repr, names))}; expected a name of its own for each, such as "
                "agent,customer.",
            )


@dataclass(frozen=True, eq=False)
class Call:
    """A call as it was heard.

    Attributes:
        timeline: who spoke when.
        waveform: both sides on one channel.
        agent: whether the agent is who they should be; None: nobody asked.
    """

    timeline: Timeline
    waveform: Waveform
    agent: Decision | None = None


def diarize_call(
    source: CallSource,
    plan: CallPlan,
    *,
    gallery: Gallery | None = None,
    bundle: Bundle | None = None,
    options: DiarizeOptions | None = None,
    progress: Progress | None = None,
) -> Call:
    """Return who spoke when in a call. Nothing is stored.

    Args:
        source: path, encoded bytes, or (samples (N, C), rate_hz): it is read once for each channel.
        plan: one channel or several, and who the agent should be.
        gallery, bundle, options, progress: as for :func:`voxid.diarize.diarize`.

    Returns:
        Speakers are called by their channels, or SPEAKER_00 and SPEAKER_01; people of the gallery by name.

    Raises:
        InputError: ``channels_missing`` for a recording with one channel, ``channels_invalid`` for another number of
            names than channels, ``agent_needs_gallery``, ``no_speech``, and those of ``voxid.load_audio``.
        CompatibilityError: ``model_mismatch``.
    """
    options = options or DiarizeOptions()
    bundle = bundle or (gallery.bundle if gallery is not None else default_bundle())
    if plan.agent is not None and gallery is None:
        raise InputError(
            "agent_needs_gallery",
            f"{plan.agent} is to be verified and there is no gallery; give one in which {plan.agent} is enrolled.",
        )
    check_served(options, bundle, gallery)
    if plan.channels is None:
        return _two_voices(source, plan, gallery, bundle, options, progress)
    return _channels(source, plan, gallery, bundle, options, progress)


def _two_voices(
    source: CallSource,
    plan: CallPlan,
    gallery: Gallery | None,
    bundle: Bundle,
    options: DiarizeOptions,
    progress: Progress | None,
) -> Call:
    """Both sides on one channel: two voices, no more and no fewer."""
    waveform = load(source, pack_beyond_s=PACK_BEYOND_S)
    timeline = diarize(
        waveform, gallery=gallery, bundle=bundle, speakers=2, options=options, progress=progress
    )
    decision = None
    if plan.agent is not None and gallery is not None:
        drawn = [DrawnTurn(turn.segment, timeline.speakers.index(turn.speaker)) for turn in timeline.turns]
        heard = [
            gallery.verify(plan.agent, speech_of(waveform, drawn, number), profile=options.profile)
            for number in range(len(timeline.speakers))
        ]
        decision = max(heard, key=lambda one: (one.llr is not None, one.llr or 0.0))
    return Call(timeline, waveform, decision)


def _channels(
    source: CallSource,
    plan: CallPlan,
    gallery: Gallery | None,
    bundle: Bundle,
    options: DiarizeOptions,
    progress: Progress | None,
) -> Call:
    """Every side on a channel of its own."""
    report = part_of(progress, 0.0, 1.0)
    names = _names(source, plan)
    sides = [load(source, channel=number) for number in range(len(names))]
    report(0.1)
    turns = find_channel_turns(sides, part_of(progress, 0.1, 0.7))
    mixed = load(source)
    if not turns:
        raise InputError(
            "no_speech",
            f"{mixed.uri} has {mixed.duration_s:.1f} s of audio and no speech on any of {len(names)} channels; check "
            "the recording.",
        )
    found = Found() if gallery is None else _found(gallery, sides, turns, bundle, options.profile)
    report(0.9)
    labelled = [
        turn if turn.named else replace(turn, speaker=names[drawn.speaker])
        for turn, drawn in zip(label_turns(turns, found.names, found.ids), turns, strict=True)
    ]
    timeline = Timeline(tuple(labelled), mixed.duration_s, mixed.uri, mixed.sha256, naming=found.naming)
    decision = None
    if plan.agent is not None and gallery is not None:
        side = names.index("agent") if "agent" in names else 0
        decision = gallery.verify(plan.agent, speech_of(sides[side], turns, side), profile=options.profile)
    report(1.0)
    return Call(timeline, mixed, decision)


def find_channel_turns(sides: Sequence[Waveform], progress: Progress | None = None) -> list[DrawnTurn]:
    """Return the turns of every channel, numbered by channel, in order of time.

    Args:
        sides: the channels of one recording.
    """
    n_frames = min(frame_count(len(side.samples)) for side in sides)
    speech = np.zeros((len(sides), n_frames), np.bool_)
    for number, side in enumerate(sides):
        speech[number] = speech_mask(detect_speech(side), n_frames) > 0
        if progress is not None:
            progress((number + 1) / len(sides))
    levels = np.stack([frame_levels(side.samples, n_frames) for side in sides])
    return draw_sides(speech & ~find_leaks(levels, speech))


def draw_sides(own: NDArray[np.bool_]) -> list[DrawnTurn]:
    """Return the turns of every channel, numbered by channel, in order of time; short pauses are closed.

    Args:
        own: (C, T) where each side speaks and does not only leak over from another one.
    """
    turns = [DrawnTurn(segment, number) for number in range(len(own)) for segment in _segments(own[number])]
    return sorted(turns, key=lambda turn: (turn.segment.start_s, turn.segment.end_s, turn.speaker))


def find_leaks(levels: NDArray[np.float64], speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (C, T) whether what is heard on a channel comes from another one.

    Each channel is measured against its own usual level, so that a quiet side is not taken for an echo of a loud one.

    Args:
        levels: (C, T) in dB, of each frame.
        speech: (C, T) where speech was detected.
    """
    smooth = np.stack([_smoothed(row) for row in levels])
    # The loudest of the last moments, for an echo comes later than what it repeats.
    lately = np.stack([_loudest_lately(row, round(_LATE_S / FRAME_HOP_S)) for row in smooth])
    usual = np.full(len(levels), -np.inf)
    for number in range(len(levels)):
        mine = speech[number] & (
            smooth[number] >= np.delete(lately, number, axis=0).max(axis=0, initial=-np.inf)
        )
        if mine.sum() * FRAME_HOP_S >= _LEAST_OWN_S:
            usual[number] = np.quantile(smooth[number, mine], 0.9)
    loudest = usual.max()
    if not np.isfinite(loudest):
        return np.zeros(speech.shape, np.bool_)
    # A side that is never the louder one may say nothing at all: it is taken to be as loud as the others.
    usual = np.where(np.isfinite(usual), np.maximum(usual, loudest + _QUIETEST_DB), loudest)
    relative, before = smooth - usual[:, None], lately - usual[:, None]
    leaks = np.zeros(speech.shape, np.bool_)
    for number in range(len(levels)):
        others = np.delete(before, number, axis=0)
        if len(others):
            leaks[number] = others.max(axis=0) - relative[number] > LEAK_DB
    return leaks


def frame_levels(samples: NDArray[np.float32], n_frames: int) -> NDArray[np.float64]:
    """Return (T,) the power of each 10 ms in dB, at least -100."""
    blocks = np.asarray(samples[: n_frames * _HOP], np.float64).reshape(n_frames, _HOP)
    return np.asarray(10 * np.log10(np.square(blocks).mean(axis=1) + 1e-10))


def speech_of(waveform: Waveform, turns: Sequence[DrawnTurn], speaker: int) -> Waveform:
    """Return what one speaker says alone, up to two minutes of it, cut together; silence of a speaker without any."""
    parts, left_s = [np.zeros(_HOP * 20, np.float32)], _VERIFIED_S
    for turn in alone(turns):
        if turn.speaker == speaker and left_s > 0:
            end_s = min(turn.segment.end_s, turn.segment.start_s + left_s)
            part = waveform.slice(Segment(turn.segment.start_s, end_s))
            parts.append(np.asarray(part.samples))
            left_s -= part.duration_s
    return Waveform(np.concatenate(parts), waveform.uri, waveform.sha256, waveform.source_rate_hz)


def _found(
    gallery: Gallery, sides: Sequence[Waveform], turns: Sequence[DrawnTurn], bundle: Bundle, profile: str
) -> Found:
    """Return who the channels are: everybody compared with everybody, a person on one channel at most."""
    embedder = get_embedder(bundle)
    each = [embed_voices(side, turns, embedder, {number}) for number, side in enumerate(sides)]
    voices = ClusterVoices(
        [number for one in each for number in one.clusters],
        [segments for one in each for segments in one.segments],
        np.concatenate([one.embeddings for one in each]),
        [quality for one in each for quality in one.qualities],
        each[0].audio_sha256,
    )
    return name_voices(gallery, voices, bundle, profile)


def _names(source: CallSource, plan: CallPlan) -> list[str]:
    """Return what the channels are called."""
    n_channels = count_channels(source)
    if n_channels < 2:
        raise InputError(
            "channels_missing",
            "the recording has one channel; expected one for each side of the call; say --telephone for two voices on "
            "one channel.",
        )
    names = list(plan.channels or ()) or [f"CHANNEL_{number}" for number in range(n_channels)]
    if len(names) != n_channels:
        raise InputError(
            "channels_invalid",
            f"the recording has {n_channels} channels and {len(names)} names were given ({', '.join(names)}); expected "
            "a name for each.",
        )
    return names


def count_channels(source: CallSource) -> int:
    """Return how many channels a recording has. Raises: InputError, those of ``voxid.load_audio``."""
    if isinstance(source, tuple):
        return decoding.open_array(source).channels
    limits = AudioLimits()
    file, name = decoding.open_bytes(source, limits.max_encoded_bytes)
    with file:
        decoding.check_size_and_hash(file, name, limits.max_encoded_bytes)
        return decoding.open_encoded(file, name).channels


def _segments(active: NDArray[np.bool_]) -> list[Segment]:
    runs = [Segment(start * FRAME_HOP_S, end * FRAME_HOP_S) for start, end in find_runs(active).tolist()]
    joined = merge_segments(runs, _MAX_GAP_S)
    return [segment for segment in joined if segment.duration_s >= _MIN_TURN_S]


def _smoothed(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the level of the mean power over 0.2 s around each frame."""
    width = round(_SMOOTH_S / FRAME_HOP_S) + 1
    power = np.convolve(10 ** (levels / 10), np.full(width, 1 / width), mode="same")
    return np.asarray(10 * np.log10(power))


def _loudest_lately(levels: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    padded = np.concatenate([np.full(frames, levels.min()), levels])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, frames + 1).max(axis=1))
