"""Conversations as placements: which part of whose recording is heard when. No audio is touched here.

Both a whole conversation on disk and a chunk for training are composed by this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError
from voxid.segments import Segment, merge_segments
from voxid.simulate.clips import Clip, Voice
from voxid.simulate.fitting import BRIDGE_S
from voxid.simulate.timing import Timing
from voxid.simulate.turntaking import FRAMES_PER_S, Slot, Talk
from voxid.timeline import Timeline, Turn

__all__ = ["Placement", "Score", "compose"]

# Two spans inside one stretch stand this far apart: shorter than what annotations close.
_JOIN_FRAMES: Final = (4, 20)
# Speech is cut at its quietest frame this near to the length wanted; a span not longer than that is left whole.
_CUT_SLACK_FRAMES: Final = 20
_SHORTEST_REST_FRAMES: Final = 25
_SHORTEST_PIECE_FRAMES: Final = 8
# Of what was recorded around a span, this much is heard too, fading, but not counted as speech.
_MARGIN_FRAMES: Final = 5


@dataclass(frozen=True)
class Placement:
    """A part of a clip in a conversation, in frames of 10 ms.

    Attributes:
        speaker: number in the conversation.
        clip: what is heard.
        first: first frame of it. length: frames of speech.
        at: frame of the conversation at which it begins.
        lead: frames before it that fade in. tail: frames after it that fade out.
    """

    speaker: int
    clip: Clip
    first: int
    length: int
    at: int
    lead: int
    tail: int


@dataclass(frozen=True)
class Score:
    """A composed conversation.

    Attributes:
        voices: the speakers.
        placements: sorted by beginning.
        repeated_share: share of the speech that had been heard before in this conversation, for want of more.
    """

    voices: tuple[Voice, ...]
    placements: tuple[Placement, ...]
    repeated_share: float

    def segments(self, speaker: int, delay_s: float = 0.0) -> list[Segment]:
        """Return when a speaker is heard, pauses of up to ``BRIDGE_S`` closed, ``delay_s`` after they spoke."""
        own = [
            Segment(p.at / FRAMES_PER_S + delay_s, (p.at + p.length) / FRAMES_PER_S + delay_s)
            for p in self.placements
            if p.speaker == speaker
        ]
        return merge_segments(own, BRIDGE_S)

    def timeline(self, duration_s: float, uri: str, delays_s: Sequence[float]) -> Timeline:
        """Return the truth: who is heard when, cut at the end of the recording."""
        turns = [
            Turn(Segment(segment.start_s, min(segment.end_s, duration_s)), voice.name)
            for number, voice in enumerate(self.voices)
            for segment in self.segments(number, delays_s[number])
            if segment.start_s < duration_s - 0.01
        ]
        return Timeline(tuple(turns), duration_s, uri)

    def activity(self, first: int, n_frames: int) -> NDArray[np.bool_]:
        """Return (T, S) who is heard in each frame from ``first`` on, pauses of up to ``BRIDGE_S`` closed."""
        active = np.zeros((n_frames, len(self.voices)), np.bool_)
        bridge = round(BRIDGE_S * FRAMES_PER_S)
        ends = [-bridge - 1] * len(self.voices)
        for p in self.placements:
            start = ends[p.speaker] if 0 <= p.at - ends[p.speaker] <= bridge else p.at
            ends[p.speaker] = p.at + p.length
            active[max(0, start - first) : max(0, ends[p.speaker] - first), p.speaker] = True
        return active


@dataclass
class _Tape:
    """What one voice still has to say: its spans in random order, again from the beginning when all was said."""

    voice: Voice
    rng: np.random.Generator
    said: int = 0
    repeated: int = 0
    _order: list[tuple[Clip, int]] = field(default_factory=list)
    _next: int = 0
    _from: int = -1  # frame inside the span at `_next` from which it goes on; -1 is its beginning
    _rounds: int = 0

    def say(self, wanted: int) -> list[Placement]:
        """Return pieces of about ``wanted`` frames in all, placed from 0 on, at least one."""
        pieces: list[Placement] = []
        at = 0
        while True:
            piece = self._piece(wanted - at, at)
            pieces.append(piece)
            at += piece.length
            join = int(self.rng.integers(*_JOIN_FRAMES))
            if wanted - at - join <= _SHORTEST_REST_FRAMES:
                break
            at += join
        return pieces

    def _piece(self, wanted: int, at: int) -> Placement:
        if self._next >= len(self._order):
            self._wind()
        clip, number = self._order[self._next]
        start, end = int(clip.spans[number, 0]), int(clip.spans[number, 1])
        first = start if self._from < 0 else self._from
        last = end
        if end - first > wanted + _CUT_SLACK_FRAMES:
            last = _quietest(clip, first, first + wanted)
            if end - last < _SHORTEST_REST_FRAMES:
                last = end
        self._from = last if last < end else -1
        self._next += last == end
        self.said += last - first
        self.repeated += (last - first) if self._rounds > 1 else 0
        return Placement(
            speaker=0,
            clip=clip,
            first=first,
            length=last - first,
            at=at,
            lead=_room_before(clip, number) if first == start else 0,
            tail=_room_after(clip, number) if last == end else 0,
        )

    def _wind(self) -> None:
        order = self.rng.permutation(len(self.voice.clips))
        self._order = [
            (self.voice.clips[i], number) for i in order for number in range(len(self.voice.clips[i].spans))
        ]
        self._next = 0
        self._rounds += 1


def compose(
    timing: Timing, voices: Sequence[Voice], n_frames: int, rng: np.random.Generator, lead_in: int = 0
) -> Score:
    """Return a conversation of voices that lasts at least ``n_frames``.

    Whoever has more speech is given more of the floor, so that little is heard twice.

    Args:
        timing: when who speaks.
        voices: each with speech.
        n_frames: stretches are added until one ends here or later; what reaches over is for the caller to cut.
        rng: of all that is drawn.
        lead_in: frame at which the first one speaks.

    Raises:
        InputError: ``voice_without_speech``.
    """
    silent = [voice.name for voice in voices if voice.speech_s <= 0.0]
    if silent or not voices:
        raise InputError(
            "voice_without_speech",
            f"No speech was found in the recordings of {', '.join(silent) or 'nobody'}; give others.",
        )
    tapes = [_Tape(voice, rng) for voice in voices]
    said: list[list[Placement]] = []

    def say(speaker: int, wanted: int) -> int:
        said.append(tapes[speaker].say(wanted))
        return said[-1][-1].at + said[-1][-1].length

    weights = np.sort(rng.dirichlet(np.full(len(voices), timing.evenness)))
    by_speech = np.argsort([voice.speech_s for voice in voices], kind="stable")
    shares = np.empty(len(voices))
    shares[by_speech] = weights
    slots = Talk(timing, len(voices), rng, say, shares).extend(n_frames - lead_in)
    placements = _placed(slots, said, lead_in)
    spoken = sum(tape.said for tape in tapes)
    return Score(tuple(voices), placements, sum(tape.repeated for tape in tapes) / max(1, spoken))


def _placed(slots: Sequence[Slot], said: Sequence[list[Placement]], lead_in: int) -> tuple[Placement, ...]:
    placed = [
        Placement(slot.speaker, p.clip, p.first, p.length, slot.start + p.at + lead_in, p.lead, p.tail)
        for slot, pieces in zip(slots, said, strict=True)
        for p in pieces
    ]
    return tuple(sorted(placed, key=lambda p: (p.at, p.speaker)))


def _quietest(clip: Clip, first: int, wanted: int) -> int:
    """Return the frame near ``wanted``, and behind ``first``, at which a cut is least heard."""
    low = max(first + _SHORTEST_PIECE_FRAMES, wanted - _CUT_SLACK_FRAMES // 2)
    window = clip.loudness_db[low : max(low, wanted) + _CUT_SLACK_FRAMES]
    return low + int(np.argmin(window)) if window.size else wanted


def _room_before(clip: Clip, number: int) -> int:
    behind = int(clip.spans[number - 1, 1]) if number else 0
    return min(_MARGIN_FRAMES, int(clip.spans[number, 0]) - behind)


def _room_after(clip: Clip, number: int) -> int:
    ahead = int(clip.spans[number + 1, 0]) if number + 1 < len(clip.spans) else clip.loudness_db.size
    return max(0, min(_MARGIN_FRAMES, ahead - int(clip.spans[number, 1])))
