"""`Timeline`: the turns of one recording, what follows from them, and the formats they go in and out by."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxid.errors import InputError
from voxid.segments import Segment, merge_segments
from voxid.timeline import annotation as exchange
from voxid.timeline.counted import CountedSpeakers
from voxid.timeline.document import JSON_VERSION, check_sha256, describe_turns, read_document
from voxid.timeline.review import ReviewItem, ReviewPolicy, find_doubts
from voxid.timeline.revision import Naming, Revision
from voxid.timeline.rttm import format_rttm, format_uem, read_rttm_turns
from voxid.timeline.subtitles import format_srt, format_vtt
from voxid.timeline.table import format_csv, read_csv_turns
from voxid.timeline.text import read_text, write_text
from voxid.timeline.textgrid import format_textgrid, read_textgrid_turns
from voxid.timeline.turn import Turn, is_label, sort_turns
from voxid.timeline.voices import (
    Stretch,
    choose_one_voice,
    find_stretches,
    merge_overlaps,
    overlapped_seconds,
)

if TYPE_CHECKING:
    from pyannote.core import Annotation

__all__ = ["Timeline", "read_rttms"]

_PAST_END_S = 0.02  # a last frame may reach over the end of the audio by a hop or two


@dataclass(frozen=True)
class Timeline:
    """The turns of one recording; turns of different people may overlap.

    Args:
        turns: any order; kept sorted by start, then end, then speaker.
        duration_s: length of the recording in seconds.
        uri: short name of the recording, as RTTM wants it.
        audio_sha256: hash (hex) of the encoded audio, which corrections must match; None: not known.
        naming: how the names were found, with the false-accept rate; None: no gallery was asked.
        history: what people corrected or agreed with, oldest first.
        counted: how many speakers were counted, and how sure that is; None: the number was given, or not measured.

    Raises:
        InputError: timeline_invalid when the duration is not finite, negative, a turn ends behind it, or the hash
            is none.

    Example:
        >>> talk = Timeline((Turn(Segment(2.0, 3.5), "bob"), Turn(Segment(0.0, 2.5), "ann")), duration_s=4.0)
        >>> talk.speakers, talk.speech_s("bob"), talk.overlaps()
        (('ann', 'bob'), 1.5, [Segment(start_s=2.0, end_s=2.5)])
        >>> [(turn.speaker, turn.start_s) for turn in talk.exclusive().turns]
        [('ann', 0.0), ('bob', 2.5)]
    """

    turns: tuple[Turn, ...]
    duration_s: float
    uri: str = "audio"
    audio_sha256: str | None = None
    naming: Naming | None = None
    history: tuple[Revision, ...] = ()
    counted: CountedSpeakers | None = None

    def __post_init__(self) -> None:
        ordered = sort_turns(self.turns)
        object.__setattr__(self, "turns", ordered)
        last_s = max((turn.end_s for turn in ordered), default=0.0)
        if not (0 <= self.duration_s < math.inf) or last_s > self.duration_s + _PAST_END_S:
            raise InputError(
                "timeline_invalid",
                f"The last turn ends at {last_s:.3f} s in a recording of {self.duration_s} s; "
                "expected a finite duration that covers every turn.",
            )
        if self.audio_sha256 is not None:
            try:
                check_sha256(self.audio_sha256)
            except ValueError as error:
                raise InputError("timeline_invalid", f"The hash of the audio: {error}.") from None

    # --- what follows from the turns ---

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers, in the order in which they first speak."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))

    @property
    def count_confidence(self) -> float | None:
        """Estimated probability that so many people speak as the timeline has speakers, in [0, 1].

        None where it was not measured, the number was given, or names and corrections changed it since.
        """
        fits = self.counted is not None and self.counted.number == len(self.speakers)
        return self.counted.confidence if self.counted is not None and fits else None

    @property
    def extent(self) -> Segment | None:
        """From the first start to the last end; None without turns."""
        if not self.turns:
            return None
        return Segment(self.turns[0].start_s, max(turn.end_s for turn in self.turns))

    def regions(self, speaker: str | None = None) -> list[Segment]:
        """Return when `speaker` (None: anyone) speaks, as sorted disjoint segments."""
        chosen = (turn.segment for turn in self.turns if speaker in (None, turn.speaker))
        return merge_segments(chosen)

    def stretches(self) -> list[Stretch]:
        """Return the speech as sorted, disjoint stretches, each with everyone who speaks in it."""
        return list(self._stretches)

    @cached_property
    def _stretches(self) -> list[Stretch]:
        return find_stretches(self.turns)

    def overlaps(self) -> list[Segment]:
        """Return when two or more people speak at once, as sorted disjoint segments."""
        return list(self._overlaps)

    @cached_property
    def _overlaps(self) -> list[Segment]:
        return merge_overlaps(self._stretches)

    def overlapped_s(self) -> list[float]:
        """Return for how many seconds of each turn, in the order of `turns`, somebody else speaks too."""
        return overlapped_seconds(self.turns, self._overlaps)

    def speech_s(self, speaker: str | None = None) -> float:
        """Return for how many seconds `speaker` (None: anyone) speaks; time is counted once."""
        return sum(region.duration_s for region in self.regions(speaker))

    def exclusive(self) -> Timeline:
        """Return the timeline with one speaker at a time, the more confident one; no moment of speech is lost.

        Between equals, and without confidences, who began first keeps the floor (`choose_one_voice`). Made for what
        cannot show two at once: transcripts, where every word has one speaker.
        """
        return replace(self, turns=choose_one_voice(self.turns))

    def review(self, policy: ReviewPolicy | None = None) -> tuple[ReviewItem, ...]:
        """Return what a person should look at, in order of time, each with the reason in words."""
        return find_doubts(self.turns, policy or ReviewPolicy())

    def rename(self, mapping: Mapping[str, str], *, named: bool | None = None) -> Timeline:
        """Return the timeline with speakers renamed; two of them given one name become one.

        Args:
            mapping: from present to new names; others keep theirs.
            named: what to set `Turn.named` of the renamed turns to; None leaves it.
        """
        turns = [
            replace(turn, speaker=mapping[turn.speaker], named=turn.named if named is None else named)
            if turn.speaker in mapping
            else turn
            for turn in self.turns
        ]
        return replace(self, turns=tuple(turns))

    @property
    def voice_ids(self) -> tuple[str, ...]:
        """The stable ids of unknown people on the timeline, in order of time."""
        return tuple(dict.fromkeys(turn.voice_id for turn in self.turns if turn.voice_id is not None))

    def relabel(self, names: Mapping[str, str | None]) -> Timeline:
        """Return the timeline with the names that the ids of unknown people have by now.

        Args:
            names: stable id -> the person's name, the id of the unknown person they are now, or None when nobody has
                the id any more: such turns are called by their id again. Other ids stay as they are.
        """
        turns = []
        for turn in self.turns:
            if turn.voice_id is not None and turn.voice_id in names:
                label = names[turn.voice_id] or turn.voice_id
                if label != turn.speaker:
                    named = not is_label(label)
                    told = None if named else turn.suggestion
                    turn = replace(turn, speaker=label, named=named, suggestion=told)
            turns.append(turn)
        return replace(self, turns=tuple(turns))

    # --- RTTM and UEM ---

    def to_rttm(self) -> str:
        """Return the turns as RTTM lines; white space in names, which RTTM cannot hold, becomes ``_``."""
        return format_rttm(self.turns, self.uri)

    def write_rttm(self, path: str | Path) -> None:
        """Write `to_rttm` to a file. Raises: InputError: output_unwritable."""
        write_text(path, self.to_rttm())

    @classmethod
    def read_rttm(
        cls, path: str | Path, uri: str | None = None, *, duration_s: float | None = None
    ) -> Timeline:
        """Return one recording of an RTTM file.

        Args:
            path: the file.
            uri: which recording; None when the file holds only one.
            duration_s: length of the recording; None: up to the end of the last turn.

        Raises:
            InputError: rttm_invalid (with the line), rttm_missing, or rttm_uri_missing.
        """
        timelines = read_rttms(path)
        if uri is None and len(timelines) == 1:
            uri = next(iter(timelines))
        if uri is None or uri not in timelines:
            known = ", ".join(sorted(timelines)[:5]) or "none"
            asked = f"no recording {uri!r}" if uri else f"{len(timelines)} recordings"
            raise InputError("rttm_uri_missing", f"{path} holds {asked}; it has: {known}; name one of them.")
        found = timelines[uri]
        return found if duration_s is None else replace(found, duration_s=duration_s)

    def to_uem(self) -> str:
        """Return the UEM line that has the whole recording scored; nothing for one without length."""
        whole = [Segment(0.0, self.duration_s)] if self.duration_s > 0 else []
        return format_uem({self.uri: whole})

    def write_uem(self, path: str | Path) -> None:
        """Write `to_uem` to a file. Raises: InputError: output_unwritable."""
        write_text(path, self.to_uem())

    # --- JSON ---

    def to_dict(self, policy: ReviewPolicy | None = None) -> dict[str, Any]:
        """Return plain values, times rounded to milliseconds; what ``--json`` and the service print.

        Args:
            policy: what is listed under ``review``.
        """
        return {
            "version": JSON_VERSION,
            "uri": self.uri,
            "audio_sha256": self.audio_sha256,
            "duration_s": round(self.duration_s, 3),
            "naming": None if self.naming is None else self.naming.to_dict(),
            "speakers": [{"name": name, "speech_s": round(self.speech_s(name), 3)} for name in self.speakers],
            **(
                {} if self.count_confidence is None else {"count_confidence": round(self.count_confidence, 3)}
            ),
            **describe_turns(self.turns, self.review(policy)),
            "history": [revision.to_dict() for revision in self.history],
        }

    def to_json(self, policy: ReviewPolicy | None = None) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(policy), ensure_ascii=False, indent=1) + "\n"

    def write_json(self, path: str | Path, policy: ReviewPolicy | None = None) -> None:
        """Write `to_json` to a file. Raises: InputError: output_unwritable."""
        write_text(path, self.to_json(policy))

    @classmethod
    def from_json(cls, text: str) -> Timeline:
        """Return the timeline that `to_json` of this or an earlier version wrote.

        Raises:
            InputError: timeline_invalid.
        """
        parts = read_document(text)
        timeline = cls(
            parts.turns, parts.duration_s, parts.uri, parts.audio_sha256, parts.naming, parts.history
        )
        if parts.count_confidence is None:
            return timeline
        return replace(timeline, counted=CountedSpeakers(len(timeline.speakers), parts.count_confidence))

    @classmethod
    def read_json(cls, path: str | Path) -> Timeline:
        """Return the timeline in a JSON file. Raises: InputError: timeline_missing, timeline_invalid."""
        return cls.from_json(read_text(path, "timeline"))

    # --- subtitles ---

    def to_srt(self) -> str:
        """Return subtitles that show the speakers' names; cues never overlap, people who do share one."""
        return format_srt(self.turns)

    def write_srt(self, path: str | Path) -> None:
        """Write `to_srt` to a file. Raises: InputError: output_unwritable."""
        write_text(path, self.to_srt())

    def to_vtt(self) -> str:
        """Return WebVTT with a voice tag per turn; cues overlap where people do."""
        return format_vtt(self.turns)

    def write_vtt(self, path: str | Path) -> None:
        """Write `to_vtt` to a file. Raises: InputError: output_unwritable."""
        write_text(path, self.to_vtt())

    # --- CSV ---

    def to_csv(self) -> str:
        """Return a header and a row per turn, for spreadsheets; names are never run as formulas."""
        return format_csv(self.turns)

    def write_csv(self, path: str | Path) -> None:
        """Write `to_csv` to a file. Raises: InputError: output_unwritable."""
        write_text(path, self.to_csv())

    @classmethod
    def read_csv(cls, path: str | Path, *, duration_s: float | None = None) -> Timeline:
        """Return the timeline of a CSV file, called after the file.

        Args:
            path: the file; columns ``start_s``, ``end_s`` and ``speaker`` are needed.
            duration_s: length of the recording; None: up to the end of the last turn.

        Raises:
            InputError: csv_missing, csv_invalid (with the line), timeline_invalid.
        """
        turns = read_csv_turns(path)
        last_s = max((turn.end_s for turn in turns), default=0.0)
        return cls(tuple(turns), last_s if duration_s is None else duration_s, Path(path).stem)

    # --- TextGrid ---

    def to_textgrid(self) -> str:
        """Return a Praat TextGrid, long text form, with a tier per speaker."""
        return format_textgrid(self.turns, self.duration_s)

    def write_textgrid(self, path: str | Path) -> None:
        """Write `to_textgrid` to a file. Raises: InputError: output_unwritable."""
        write_text(path, self.to_textgrid())

    @classmethod
    def read_textgrid(cls, path: str | Path) -> Timeline:
        """Return the timeline of a TextGrid, called after the file: tiers are speakers, intervals with text turns.

        Raises:
            InputError: textgrid_missing, textgrid_invalid, timeline_invalid.
        """
        turns, duration_s = read_textgrid_turns(path)
        return cls(tuple(turns), duration_s, Path(path).stem)

    # --- pyannote ---

    def to_annotation(self) -> Annotation:
        """Return a ``pyannote.core.Annotation`` with a track per turn.

        Raises:
            ConfigError: pyannote_extra_missing.
        """
        return exchange.to_annotation(self.turns, self.uri)

    @classmethod
    def from_annotation(cls, annotation: Annotation, *, duration_s: float | None = None) -> Timeline:
        """Return the timeline of a ``pyannote.core.Annotation``.

        Args:
            annotation: tracks become turns, labels speakers.
            duration_s: length of the recording; None: up to the end of the last turn.

        Raises:
            InputError: annotation_invalid, segment_invalid, speaker_invalid, timeline_invalid.
            ConfigError: pyannote_extra_missing.
        """
        turns, uri = exchange.from_annotation(annotation)
        last_s = max((turn.end_s for turn in turns), default=0.0)
        return cls(tuple(turns), last_s if duration_s is None else duration_s, uri)


def read_rttms(path: str | Path) -> dict[str, Timeline]:
    """Return every recording of an RTTM file by uri; each lasts until the end of its last turn.

    Comments (``;;``), lines of other types and turns of zero length carry no speech and are passed over.

    Raises:
        InputError: rttm_missing, or rttm_invalid with the line number.
    """
    return {
        uri: Timeline(tuple(of), max(turn.end_s for turn in of), uri)
        for uri, of in read_rttm_turns(path).items()
    }
