"""RTTM and UEM: the field's text files of turns, and of the parts of a recording to score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from voxid.errors import InputError
from voxid.segments import Segment, merge_segments
from voxid.timeline.text import bad_line, fit_word, read_lines, write_text
from voxid.timeline.turn import Turn

__all__ = ["format_rttm", "format_uem", "read_rttm_turns", "read_uem", "write_uem"]


def format_rttm(turns: Iterable[Turn], uri: str) -> str:
    """Return turns as RTTM lines; the ninth field holds the confidence where there is one.

    White space in names, which RTTM cannot hold, becomes ``_``.

    Source: NIST Rich Transcription 2009 evaluation plan, appendix A.
    """
    return "".join(
        f"SPEAKER {fit_word(uri)} 1 {turn.start_s:.3f} {max(turn.duration_s, 0.001):.3f} <NA> <NA> "
        f"{fit_word(turn.speaker)} {'<NA>' if turn.confidence is None else f'{turn.confidence:.3f}'} <NA>\n"
        for turn in turns
    )


def read_rttm_turns(path: str | Path) -> dict[str, list[Turn]]:
    """Return the turns of every recording of an RTTM file by uri.

    Comments (``;;``), lines of other types and turns of zero length carry no speech and are passed over. A ninth
    field that is no probability carries no confidence: other tools write scores of all kinds there.

    Raises:
        InputError: rttm_missing, or rttm_invalid with the line number.
    """
    turns: dict[str, list[Turn]] = {}
    for number, fields in read_lines(path, "rttm"):
        if fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise bad_line("rttm", path, number, f"{len(fields)} fields instead of 8 or more")
        try:
            start_s, duration_s = float(fields[3]), float(fields[4])
            if duration_s == 0:
                continue
            confidence = _probability(fields[8]) if len(fields) > 8 else None
            turn = Turn(Segment(start_s, start_s + duration_s), fields[7], confidence=confidence)
        except ValueError:
            raise bad_line("rttm", path, number, "a start or duration that is no number") from None
        except InputError as error:
            raise bad_line("rttm", path, number, error.message) from None
        turns.setdefault(fields[1], []).append(turn)
    return turns


def _probability(field: str) -> float | None:
    try:
        value = float(field)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def read_uem(path: str | Path) -> dict[str, list[Segment]]:
    """Return the regions to score of each recording, merged, from a UEM file.

    Raises:
        InputError: uem_missing, or uem_invalid with the line number.
    """
    regions: dict[str, list[Segment]] = {}
    for number, fields in read_lines(path, "uem"):
        if len(fields) < 4:
            raise bad_line("uem", path, number, f"{len(fields)} fields instead of 4")
        try:
            regions.setdefault(fields[0], []).append(Segment(float(fields[2]), float(fields[3])))
        except ValueError:
            raise bad_line("uem", path, number, "a start or end that is no number") from None
        except InputError as error:
            raise bad_line("uem", path, number, error.message) from None
    return {uri: merge_segments(of) for uri, of in regions.items()}


def format_uem(regions: Mapping[str, Sequence[Segment]]) -> str:
    """Return the regions to score of each recording as UEM lines."""
    return "".join(
        f"{fit_word(uri)} 1 {segment.start_s:.3f} {segment.end_s:.3f}\n"
        for uri, segments in regions.items()
        for segment in segments
    )


def write_uem(path: str | Path, regions: Mapping[str, Sequence[Segment]]) -> None:
    """Write the regions to score of each recording. Raises: InputError: output_unwritable."""
    write_text(path, format_uem(regions))
