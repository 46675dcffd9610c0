"""Subtitles that show who speaks: SRT, and WebVTT with its voice tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voxid.timeline.turn import Turn
from voxid.timeline.voices import find_stretches

__all__ = ["format_srt", "format_vtt"]


def format_srt(turns: Sequence[Turn]) -> str:
    """Return SRT cues that never overlap; people who speak at once stand under each other, a dash before each.

    Players show overlapping SRT cues each in its own way, many only one of them, so time is cut where the speakers
    change instead.
    """
    cues: list[str] = []
    for stretch in find_stretches(turns):
        start_ms, end_ms = round(stretch.segment.start_s * 1000), round(stretch.segment.end_s * 1000)
        if end_ms == start_ms:  # under half a millisecond: no cue can show it
            continue
        names = [name.replace("-->", "->") for name in stretch.speakers]
        shown = names if len(names) == 1 else [f"- {name}" for name in names]
        cues.append(
            f"{len(cues) + 1}\n{_clock(start_ms, ',')} --> {_clock(end_ms, ',')}\n" + "\n".join(shown) + "\n"
        )
    return "\n".join(cues)


def format_vtt(turns: Iterable[Turn]) -> str:
    """Return WebVTT, a cue with a voice tag per turn; cues overlap where people do, and players stack them.

    Source: W3C, "WebVTT: The Web Video Text Tracks Format", sections 3 and 4.2.2.
    """
    cues = ["WEBVTT\n"]
    for turn in turns:
        start_ms = round(turn.start_s * 1000)
        end_ms = max(round(turn.end_s * 1000), start_ms + 1)
        name = turn.speaker.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        cues.append(f"{_clock(start_ms, '.')} --> {_clock(end_ms, '.')}\n<v {name}>{name}</v>\n")
    return "\n".join(cues)


def _clock(at_ms: int, mark: str) -> str:
    seconds, ms = divmod(at_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{ms:03}"
