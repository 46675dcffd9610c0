"""Praat TextGrid: an interval tier per speaker, for phoneticians and transcribers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline.text import read_text
from voxid.timeline.turn import Turn, sort_turns

__all__ = ["format_textgrid", "read_textgrid_turns"]

# Only strings, flags and numbers that stand free carry values; everything else in the long form is for the reader's
# eye. So one reader reads the long and the short form. Source: Praat manual, "TextGrid file formats".
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|!.*|(\S+)')
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_MAX_TIERS = 10_000


def format_textgrid(turns: Sequence[Turn], duration_s: float) -> str:
    """Return a TextGrid in Praat's long text form: a tier for each speaker, an interval for each turn.

    Intervals of one tier cannot overlap: where turns of the same speaker do, the later one begins at the end of
    the earlier. Times are rounded to milliseconds.
    """
    tiers: dict[str, list[tuple[int, int]]] = {}
    for turn in sort_turns(turns):
        spans = tiers.setdefault(turn.speaker, [])
        start_ms = max(round(turn.start_s * 1000), spans[-1][1] if spans else 0)
        end_ms = round(turn.end_s * 1000)
        if end_ms > start_ms:
            spans.append((start_ms, end_ms))
    ends_ms = [spans[-1][1] for spans in tiers.values() if spans]
    last_ms = max([round(duration_s * 1000), 1, *ends_ms])
    head = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
        f"xmin = 0\nxmax = {_seconds(last_ms)}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:\n"
    )
    return head + "".join(
        _format_tier(number, speaker, spans, last_ms)
        for number, (speaker, spans) in enumerate(tiers.items(), 1)
    )


def _format_tier(number: int, speaker: str, spans: Sequence[tuple[int, int]], last_ms: int) -> str:
    intervals: list[tuple[int, int, str]] = []
    done_ms = 0
    for start_ms, end_ms in spans:
        if start_ms > done_ms:
            intervals.append((done_ms, start_ms, ""))
        intervals.append((start_ms, end_ms, speaker))
        done_ms = end_ms
    if done_ms < last_ms:
        intervals.append((done_ms, last_ms, ""))
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f"        name = {_quote(speaker)}",
        "        xmin = 0",
        f"        xmax = {_seconds(last_ms)}",
        f"        intervals: size = {len(intervals)}",
    ]
    for at, (start_ms, end_ms, text) in enumerate(intervals, 1):
        lines += [
            f"        intervals [{at}]:",
            f"            xmin = {_seconds(start_ms)}",
            f"            xmax = {_seconds(end_ms)}",
            f"            text = {_quote(text)}",
        ]
    return "\n".join(lines) + "\n"


def read_textgrid_turns(path: str | Path) -> tuple[list[Turn], float]:
    """Return the turns of a TextGrid, long or short text form, UTF-8 or UTF-16, and its length in seconds.

    Every interval with a text is a turn of the speaker its tier is called after, whatever the text says (a transcript
    is usual); point tiers are passed over.

    Raises:
        InputError: textgrid_missing, textgrid_invalid.
    """
    tokens = _tokens(read_text(path, "textgrid", utf16=True))
    turns: list[Turn] = []
    try:
        if (next(tokens), next(tokens)) != ("ooTextFile", "TextGrid"):
            raise ValueError('it does not begin with "ooTextFile" and "TextGrid"')
        _number(tokens)  # where the grid begins: 0, whatever it says, is where the recording does
        duration_s = _number(tokens)
        if next(tokens) != "<exists>":
            return [], duration_s
        for _ in range(_count(tokens, _MAX_TIERS)):
            turns += _read_tier(tokens)
    except StopIteration:
        raise _invalid(path, "it ends too early") from None
    except InputError as error:
        raise _invalid(path, error.message.rstrip(".")) from None
    except ValueError as error:
        raise _invalid(path, str(error)) from None
    return turns, duration_s


def _read_tier(tokens: Iterator[str | float]) -> list[Turn]:
    kind, speaker = next(tokens), next(tokens)
    if not isinstance(speaker, str) or kind not in ("IntervalTier", "TextTier"):
        raise ValueError(f"a tier of kind {str(kind)[:40]!r}")
    _number(tokens)
    _number(tokens)
    turns = []
    for _ in range(_count(tokens)):
        start_s = _number(tokens)
        end_s = _number(tokens) if kind == "IntervalTier" else start_s
        text = next(tokens)
        if not isinstance(text, str):
            raise ValueError(f"a number ({text}) where a text should be")
        if kind == "IntervalTier" and text.strip():
            turns.append(Turn(Segment(start_s, end_s), speaker.strip()))
    return turns


def _tokens(text: str) -> Iterator[str | float]:
    for match in _TOKEN.finditer(text):
        quoted, word = match.groups()
        if quoted is not None:
            yield quoted.replace('""', '"')
        elif word is not None and _NUMBER.fullmatch(word):
            yield float(word)
        elif word in ("<exists>", "<absent>"):
            yield word


def _number(tokens: Iterator[str | float]) -> float:
    value = next(tokens)
    if isinstance(value, str):
        raise ValueError(f"{value[:40]!r} where a number should be")
    return value


def _count(tokens: Iterator[str | float], most: float = float("inf")) -> int:
    value = _number(tokens)
    if not (0 <= value <= most) or value % 1:
        raise ValueError(f"a count of {value:g}")
    return int(value)


def _invalid(path: str | Path, found: str) -> InputError:
    return InputError(
        "textgrid_invalid", f"{path} is no TextGrid: {found}; give one in Praat's long or short text form."
    )


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _seconds(at_ms: int) -> str:
    whole, part = divmod(at_ms, 1000)
    return f"{whole}.{part:03}" if part else str(whole)
