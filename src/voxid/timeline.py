"""Who spoke when, as time values: `Segment`, `Turn`, `Timeline`; RTTM, UEM, JSON and SRT in and out."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxid.errors import InputError
from voxid.segments import Segment, merge_segments

__all__ = ["Segment", "Timeline", "Turn", "merge_segments", "read_rttms", "read_uem", "write_uem"]

_MAX_TEXT_BYTES = 64 << 20  # an hour of busy talk is 100 kB of RTTM
_MAX_NAME_LETTERS = 200
_PAST_END_S = 0.02  # a last frame may reach over the end of the audio by a hop or two
_JSON_VERSION = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """One stretch of one person's speech.

    Args:
        segment: when.
        speaker: a person's name, or a label such as ``SPEAKER_00``.
        named: the speaker is a person of the gallery, not a label made up for a stranger.
        llr: natural-log likelihood ratio behind the name (higher is surer); None without a name.

    Raises:
        InputError: speaker_invalid when the name is empty, over 200 letters or holds control characters.
    """

    segment: Segment
    speaker: str
    named: bool = False
    llr: float | None = None

    def __post_init__(self) -> None:
        name = self.speaker
        if (
            not isinstance(name, str)
            or not name.strip()
            or len(name) > _MAX_NAME_LETTERS
            or not name.isprintable()
        ):
            raise InputError(
                "speaker_invalid",
                f"{str(name)[:40]!r} is no speaker name; expected 1 to {_MAX_NAME_LETTERS} letters.",
            )

    @property
    def start_s(self) -> float:
        """Start in seconds."""
        return self.segment.start_s

    @property
    def end_s(self) -> float:
        """End in seconds."""
        return self.segment.end_s

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.segment.duration_s


@dataclass(frozen=True)
class Timeline:
    """The turns of one recording; turns of different people may overlap.

    Args:
        turns: any order; kept sorted by start, then end, then speaker.
        duration_s: length of the recording in seconds.
        uri: short name of the recording, as RTTM wants it.

    Raises:
        InputError: timeline_invalid when the duration is not finite, negative, or a turn ends behind it.

    Example:
        >>> talk = Timeline((Turn(Segment(2.0, 3.5), "bob"), Turn(Segment(0.0, 2.0), "ann")), duration_s=4.0)
        >>> talk.speakers, talk.speech_s("bob")
        (('ann', 'bob'), 1.5)
    """

    turns: tuple[Turn, ...]
    duration_s: float
    uri: str = "audio"

    def __post_init__(self) -> None:
        ordered = sorted(self.turns, key=lambda turn: (turn.start_s, turn.end_s, turn.speaker))
        object.__setattr__(self, "turns", tuple(ordered))
        last_s = max((turn.end_s for turn in ordered), default=0.0)
        if not (0 <= self.duration_s < math.inf) or last_s > self.duration_s + _PAST_END_S:
            raise InputError(
                "timeline_invalid",
                f"The last turn ends at {last_s:.3f} s in a recording of {self.duration_s} s; "
                "expected a finite duration that covers every turn.",
            )

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers, in the order in which they first speak."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))

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

    def overlaps(self) -> list[Segment]:
        """Return when two or more people speak at once, as sorted disjoint segments."""
        changes = [
            change
            for speaker in self.speakers
            for region in self.regions(speaker)
            for change in ((region.start_s, 1), (region.end_s, -1))
        ]
        found, active, since_s = [], 0, 0.0
        for at_s, step in sorted(changes):  # ends (-1) sort before starts at the same time
            if active >= 2 and at_s > since_s:
                found.append(Segment(since_s, at_s))
            active, since_s = active + step, at_s
        return merge_segments(found)

    def speech_s(self, speaker: str | None = None) -> float:
        """Return for how many seconds `speaker` (None: anyone) speaks; time is counted once."""
        return sum(region.duration_s for region in self.regions(speaker))

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

    # --- RTTM ---

    def to_rttm(self) -> str:
        """Return the turns as RTTM lines; white space in names, which RTTM cannot hold, becomes ``_``.

        Source: NIST Rich Transcription 2009 evaluation plan, appendix A.
        """
        return "".join(
            f"SPEAKER {_word(self.uri)} 1 {turn.start_s:.3f} {max(turn.duration_s, 0.001):.3f} "
            f"<NA> <NA> {_word(turn.speaker)} <NA> <NA>\n"
            for turn in self.turns
        )

    def write_rttm(self, path: str | Path) -> None:
        """Write `to_rttm` to a file. Raises: InputError: output_unwritable."""
        _write(path, self.to_rttm())

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

    # --- JSON ---

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, times rounded to milliseconds; what ``--json`` and the service print."""
        return {
            "version": _JSON_VERSION,
            "uri": self.uri,
            "duration_s": round(self.duration_s, 3),
            "speakers": [{"name": name, "speech_s": round(self.speech_s(name), 3)} for name in self.speakers],
            "turns": [
                {
                    "start_s": round(turn.start_s, 3),
                    "end_s": round(max(turn.end_s, turn.start_s + 0.001), 3),
                    "speaker": turn.speaker,
                    "named": turn.named,
                    "llr": None if turn.llr is None else round(turn.llr, 3),
                }
                for turn in self.turns
            ],
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"

    def write_json(self, path: str | Path) -> None:
        """Write `to_json` to a file. Raises: InputError: output_unwritable."""
        _write(path, self.to_json())

    @classmethod
    def from_json(cls, text: str) -> Timeline:
        """Return the timeline that `to_json` wrote. Raises: InputError: timeline_invalid."""
        try:
            data = json.loads(text)
            if data["version"] != _JSON_VERSION:
                raise ValueError(f"version {data['version']!r} instead of {_JSON_VERSION}")
            turns = tuple(
                Turn(
                    Segment(_number(turn["start_s"]), _number(turn["end_s"])),
                    turn["speaker"],
                    turn["named"] is True,
                    None if turn["llr"] is None else _number(turn["llr"]),
                )
                for turn in data["turns"]
            )
            return cls(turns, _number(data["duration_s"]), str(data["uri"]))
        except InputError as error:
            raise InputError("timeline_invalid", error.message) from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                "timeline_invalid",
                f"This is no timeline in JSON ({type(error).__name__}: {error}); give one voxid wrote.",
            ) from None

    # --- SRT ---

    def to_srt(self) -> str:
        """Return subtitles that show the speaker's name during each turn."""
        return "\n".join(
            f"{number}\n{_srt_time(turn.start_s)} --> {_srt_time(turn.end_s)}\n"
            f"{turn.speaker.replace('-->', '->')}\n"
            for number, turn in enumerate(self.turns, 1)
        )

    def write_srt(self, path: str | Path) -> None:
        """Write `to_srt` to a file. Raises: InputError: output_unwritable."""
        _write(path, self.to_srt())


def read_rttms(path: str | Path) -> dict[str, Timeline]:
    """Return every recording of an RTTM file by uri; each lasts until the end of its last turn.

    Comments (``;;``), lines of other types and turns of zero length carry no speech and are passed over.

    Raises:
        InputError: rttm_missing, or rttm_invalid with the line number.
    """
    turns: dict[str, list[Turn]] = {}
    for number, fields in _lines(path, "rttm"):
        if fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise _bad_line("rttm", path, number, f"{len(fields)} fields instead of 8 or more")
        try:
            start_s, duration_s = float(fields[3]), float(fields[4])
            if duration_s == 0:
                continue
            turn = Turn(Segment(start_s, start_s + duration_s), fields[7])
        except ValueError:
            raise _bad_line("rttm", path, number, "a start or duration that is no number") from None
        except InputError as error:
            raise _bad_line("rttm", path, number, error.message) from None
        turns.setdefault(fields[1], []).append(turn)
    return {uri: Timeline(tuple(of), max(turn.end_s for turn in of), uri) for uri, of in turns.items()}


def read_uem(path: str | Path) -> dict[str, list[Segment]]:
    """Return the regions to score of each recording, merged, from a UEM file.

    Raises:
        InputError: uem_missing, or uem_invalid with the line number.
    """
    regions: dict[str, list[Segment]] = {}
    for number, fields in _lines(path, "uem"):
        if len(fields) < 4:
            raise _bad_line("uem", path, number, f"{len(fields)} fields instead of 4")
        try:
            regions.setdefault(fields[0], []).append(Segment(float(fields[2]), float(fields[3])))
        except ValueError:
            raise _bad_line("uem", path, number, "a start or end that is no number") from None
        except InputError as error:
            raise _bad_line("uem", path, number, error.message) from None
    return {uri: merge_segments(of) for uri, of in regions.items()}


def write_uem(path: str | Path, regions: Mapping[str, Sequence[Segment]]) -> None:
    """Write the regions to score of each recording. Raises: InputError: output_unwritable."""
    _write(
        path,
        "".join(
            f"{_word(uri)} 1 {segment.start_s:.3f} {segment.end_s:.3f}\n"
            for uri, segments in regions.items()
            for segment in segments
        ),
    )


def _lines(path: str | Path, kind: str) -> list[tuple[int, list[str]]]:
    """The non-empty, non-comment lines of a text file, numbered from 1 and split at white space."""
    try:
        size_bytes = os.stat(path).st_size
        if size_bytes > _MAX_TEXT_BYTES:
            raise InputError(
                f"{kind}_invalid", f"{path} has {size_bytes:,} bytes, over {_MAX_TEXT_BYTES:,}; split it."
            )
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{kind}_missing", f"There is no file {path}; check the path.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{kind}_invalid",
            f"{path} is no text (byte {error.start} is not UTF-8); give a {kind.upper()} file.",
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{kind}_invalid", f"{path} cannot be read ({error}); check the path.") from None
    # Only \n ends a line: str.splitlines would also break names at rarer separators.
    numbered = ((number, line.split()) for number, line in enumerate(text.split("\n"), 1))
    return [(number, fields) for number, fields in numbered if fields and not fields[0].startswith(";;")]


def _bad_line(kind: str, path: str | Path, number: int, found: str) -> InputError:
    return InputError(f"{kind}_invalid", f"{path}, line {number}: {found.rstrip('.')}; correct this line.")


def _write(path: str | Path, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(
            "output_unwritable", f"{path} cannot be written ({error.strerror}); choose another place."
        ) from None


def _word(name: str) -> str:
    return "_".join(name.split()) or "audio"


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"expected a finite number, found {value!r}"[:80])
    return float(value)


def _srt_time(at_s: float) -> str:
    seconds, ms = divmod(round(at_s * 1000), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{ms:03}"
