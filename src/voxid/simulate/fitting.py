"""Timings from real annotations, and the same measurements on simulated talk, to set both side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError
from voxid.segments import Segment, merge_segments
from voxid.simulate.timing import PROBABILITIES, Timing
from voxid.simulate.turntaking import FRAMES_PER_S, Slot, Talk
from voxid.timeline import Timeline, Turn

__all__ = ["BRIDGE_S", "TalkFacts", "fit_timing", "measure_talk"]

BRIDGE_S = 0.3
"""Pauses of one speaker up to this long count as speech, in fitting, in simulated truth and in comparing them."""

_LONGEST_PAUSE_S = 15.0  # longer silences are breaks of the meeting, not timing of a conversation
_LONGEST_STRETCH_S = 90.0
_FEWEST_CHANGES = 50
_CALIBRATION_S, _CALIBRATION_SEEDS, _CALIBRATION_ROUNDS = 3600.0, 4, 6


@dataclass(frozen=True)
class TalkFacts:
    """What was measured on conversations; the words are those of `voxid.simulate.timing`.

    Attributes:
        hours: from first to last speech, summed.
        speakers: mean number of speakers of a conversation.
        speech_share: share of the time in which anyone speaks.
        overlap_share: share of the speech time in which two or more speak.
        changes_per_minute: floor stretches that come after another speaker's.
        stretches_per_minute: all stretches.
        inside_per_minute: stretches inside others.
        early_share: share of the changes with an overlap.
        offset_s: offsets at changes at the probabilities .05, .25, .5, .75, .95; negative is overlap.
        pause_s: pauses of the same speaker, the same.
        stretch_s: lengths of floor stretches, the same.
        inside_s: lengths of stretches inside others, the same.
    """

    hours: float
    speakers: float
    speech_share: float
    overlap_share: float
    changes_per_minute: float
    stretches_per_minute: float
    inside_per_minute: float
    early_share: float
    offset_s: tuple[float, ...]
    pause_s: tuple[float, ...]
    stretch_s: tuple[float, ...]
    inside_s: tuple[float, ...]

    def to_dict(self) -> dict[str, float | list[float]]:
        """Return plain rounded values."""
        return {
            key: [round(item, 3) for item in value] if isinstance(value, tuple) else round(value, 4)
            for key, value in asdict(self).items()
        }


@dataclass
class _Walk:
    """What is seen going through conversations from stretch to stretch."""

    offset_s: list[float]
    pause_s: list[float]
    after_change_s: list[float]
    after_pause_s: list[float]
    inside_s: list[float]
    returns: list[tuple[bool, float]]
    floor_s: float = 0.0
    speech_s: float = 0.0
    overlap_s: float = 0.0
    total_s: float = 0.0


def measure_talk(timelines: Iterable[Timeline], bridge_s: float = BRIDGE_S) -> TalkFacts:
    """Return the facts of conversations, such as those of RTTM files.

    Raises:
        InputError: ``no_turns`` when nobody speaks in any of them.
    """
    talks = [timeline for timeline in timelines if timeline.turns]
    walk = _walk(talks, bridge_s)
    minutes = walk.total_s / 60.0
    floor = [*walk.after_change_s, *walk.after_pause_s]

    def spread(values: Sequence[float]) -> tuple[float, ...]:
        points = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)) if values else np.zeros(5)
        return tuple(float(value) for value in points)

    return TalkFacts(
        hours=minutes / 60.0,
        speakers=float(np.mean([len(talk.speakers) for talk in talks])),
        speech_share=walk.speech_s / walk.total_s,
        overlap_share=walk.overlap_s / walk.speech_s,
        changes_per_minute=len(walk.offset_s) / minutes,
        stretches_per_minute=(len(floor) + len(walk.inside_s)) / minutes,
        inside_per_minute=len(walk.inside_s) / minutes,
        early_share=float(np.mean(np.asarray(walk.offset_s) < 0.0)) if walk.offset_s else 0.0,
        offset_s=spread(walk.offset_s),
        pause_s=spread(walk.pause_s),
        stretch_s=spread(floor),
        inside_s=spread(walk.inside_s),
    )


def fit_timing(timelines: Iterable[Timeline], name: str, source: str, bridge_s: float = BRIDGE_S) -> Timing:
    """Return the timing of real conversations.

    The rate of stretches inside others is then set so that drawn conversations overlap as much as the real ones: some
    of what is drawn finds no place, because its speaker is about to speak anyway.

    Raises:
        InputError: ``no_turns``, or ``too_few_turns`` under 50 changes of speaker.
    """
    talks = [timeline for timeline in timelines if timeline.turns]
    walk = _walk(talks, bridge_s)
    if len(walk.offset_s) < _FEWEST_CHANGES or not walk.pause_s or not walk.inside_s:
        raise InputError(
            "too_few_turns",
            f"{name} has {len(walk.offset_s)} changes of speaker, {len(walk.pause_s)} pauses and "
            f"{len(walk.inside_s)} stretches inside others; expected at least {_FEWEST_CHANGES}, 1 and 1; "
            "give more conversations.",
        )
    changes, pauses = len(walk.offset_s), len(walk.pause_s)
    timing = Timing(
        name=name,
        source=source,
        change_share=changes / (changes + pauses),
        return_share=_return_share(walk.returns),
        evenness=_evenness(talks),
        inside_per_s=len(walk.inside_s) / walk.floor_s,
        overlap_share=walk.overlap_s / walk.speech_s,
        offset_s=_curve(walk.offset_s, _LONGEST_PAUSE_S),
        pause_s=_curve(walk.pause_s, _LONGEST_PAUSE_S),
        after_change_s=_curve(walk.after_change_s, _LONGEST_STRETCH_S),
        after_pause_s=_curve(walk.after_pause_s, _LONGEST_STRETCH_S),
        inside_s=_curve(walk.inside_s, _LONGEST_STRETCH_S),
    )
    return _calibrated(timing, max(2, round(float(np.mean([len(talk.speakers) for talk in talks])))))


def _stretches(timeline: Timeline, bridge_s: float) -> list[tuple[float, float, str]]:
    """Return (start, end, speaker), sorted, with each speaker's own short pauses closed."""
    found = [
        (segment.start_s, segment.end_s, speaker)
        for speaker in timeline.speakers
        for segment in merge_segments((t.segment for t in timeline.turns if t.speaker == speaker), bridge_s)
    ]
    return sorted(found)


def _walk(talks: Sequence[Timeline], bridge_s: float) -> _Walk:
    if not talks:
        raise InputError("no_turns", "nobody speaks in these conversations; give RTTM files with turns.")
    walk = _Walk([], [], [], [], [], [])
    for talk in talks:
        stretches = _stretches(talk, bridge_s)
        _walk_floor(walk, stretches, {name: talk.speech_s(name) for name in talk.speakers})
        regions = merge_segments(Segment(start_s, end_s) for start_s, end_s, _ in stretches)
        bridged = replace(
            talk,
            turns=tuple(replace(talk.turns[0], segment=Segment(a, b), speaker=c) for a, b, c in stretches),
        )
        walk.speech_s += sum(region.duration_s for region in regions)
        walk.overlap_s += sum(region.duration_s for region in bridged.overlaps())
        walk.total_s += regions[-1].end_s - regions[0].start_s
    return walk


def _walk_floor(walk: _Walk, stretches: list[tuple[float, float, str]], speech_s: dict[str, float]) -> None:
    start_s, end_s, owner = stretches[0]
    walk.floor_s += end_s - start_s
    before = ""
    for start_s, stop_s, speaker in stretches[1:]:
        if stop_s <= end_s:
            walk.inside_s.append(stop_s - start_s)
            continue
        walk.floor_s += stop_s - start_s
        if speaker == owner:
            walk.pause_s.append(start_s - end_s)
            walk.after_pause_s.append(stop_s - start_s)
        else:
            walk.offset_s.append(start_s - end_s)
            walk.after_change_s.append(stop_s - start_s)
            if before and before != owner:
                rest = sum(value for name, value in speech_s.items() if name != owner)
                walk.returns.append((before == speaker, speech_s[before] / rest))
            before, owner = owner, speaker
        end_s = stop_s


def _curve(values_s: Sequence[float], longest_s: float) -> tuple[float, ...]:
    values = np.asarray(values_s)
    points = np.quantile(values[values <= longest_s], PROBABILITIES)
    return tuple(round(float(value), 3) for value in points)


def _return_share(returns: list[tuple[bool, float]]) -> float:
    """Return r of: P(back to the one before) = r + (1 - r) * their share among the others."""
    if not returns:
        return 0.0
    seen, by_share = (float(np.mean([pair[at] for pair in returns])) for at in (0, 1))
    return round(float(np.clip((seen - by_share) / max(1.0 - by_share, 1e-6), 0.0, 1.0)), 4)


def _evenness(talks: Sequence[Timeline]) -> float:
    """Return the Dirichlet parameter whose variance of shares is the one seen, by moments over conversations."""
    parameters = []
    for talk in talks:
        n = len(talk.speakers)
        if n < 2:
            continue
        shares: NDArray[np.float64] = np.array([talk.speech_s(name) for name in talk.speakers])
        shares /= shares.sum()
        variance = float(np.mean((shares - 1.0 / n) ** 2))
        parameters.append(((1.0 / n) * (1.0 - 1.0 / n) / max(variance, 1e-6) - 1.0) / n)
    return round(float(np.clip(np.median(parameters) if parameters else 3.0, 0.3, 30.0)), 3)


def _calibrated(timing: Timing, n_speakers: int) -> Timing:
    """Return the timing with the rate inside others at which drawn conversations overlap as measured."""
    low, high = 0.0, 4.0 * timing.inside_per_s + 1e-3
    for _ in range(_CALIBRATION_ROUNDS * 2):
        rate = (low + high) / 2.0
        tried = replace(timing, inside_per_s=rate)
        found = measure_talk(
            draw_timeline(tried, n_speakers, _CALIBRATION_S, seed) for seed in range(_CALIBRATION_SEEDS)
        )
        low, high = (rate, high) if found.overlap_share < timing.overlap_share else (low, rate)
    return replace(timing, inside_per_s=round((low + high) / 2.0, 5))


def draw_timeline(timing: Timing, n_speakers: int, duration_s: float, seed: int) -> Timeline:
    """Return who would speak when in a conversation drawn from a timing, without any audio."""
    talk = Talk(timing, n_speakers, np.random.default_rng(seed))
    return timeline_of(talk.extend(int(duration_s * FRAMES_PER_S)))


def timeline_of(slots: Sequence[Slot]) -> Timeline:
    """Return slots as a timeline."""
    turns = tuple(
        Turn(Segment(slot.start / FRAMES_PER_S, slot.end / FRAMES_PER_S), f"SPEAKER_{slot.speaker:02d}")
        for slot in slots
    )
    return Timeline(turns, max((turn.end_s for turn in turns), default=0.0))
