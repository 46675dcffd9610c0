"""The parts of a page that are there without a script: people, review list, table; and the data for the script."""

from __future__ import annotations

import json
from bisect import bisect_right
from html import escape
from itertools import islice
from typing import Any

from voxid.picture.drawing import shares
from voxid.picture.peaks import COLORS_LIGHT, color_of
from voxid.segments import clock
from voxid.timeline import ReviewItem, ReviewPolicy, Timeline, Turn
from voxid.timeline.corrections import CORRECTIONS_FORMAT, CORRECTIONS_VERSION

__all__ = ["draw_data", "draw_more", "draw_names", "draw_review", "draw_rows"]

_MOST_ROWS = 2_000  # a table of twenty thousand turns would take a browser longer to open than all the rest
_MOST_DOUBTS = 200


def draw_names(timeline: Timeline) -> str:
    """Return the people as list items, each with the time and the share spoken."""
    parts = []
    share_of = shares(timeline)
    for at, speaker in enumerate(timeline.speakers):
        named = any(turn.named for turn in timeline.turns if turn.speaker == speaker)
        kind = "known" if named else "stranger"
        parts.append(
            f'<li class="c{color_of(at)} {kind}"><i class="dot"></i><b title="{escape(speaker)}">{escape(speaker)}</b>'
            f"<span>{clock(timeline.speech_s(speaker))} · {share_of[speaker]:.0%}</span></li>"
        )
    return "".join(parts) or '<li class="stranger"><b>nobody speaks</b></li>'


def draw_review(timeline: Timeline, policy: ReviewPolicy) -> str:
    """Return the list of what a person should look at, or nothing when there is nothing."""
    items = timeline.review(policy)
    if not items:
        return ""
    place = {(turn.segment, turn.speaker): number for number, turn in enumerate(timeline.turns)}
    rows = "".join(
        f'<li data-turn="{place[item.segment, item.speaker]}" data-kind="{item.kind}">{_button(item)}'
        f"<span>{escape(item.reason)}</span></li>"
        for item in items[:_MOST_DOUBTS]
    )
    more = len(items) - _MOST_DOUBTS
    rest = f'<p class="soft">And {more:,} more: N takes you to each.</p>' if more > 0 else ""
    return (
        '<section class="card" id="review" aria-labelledby="doubts">'
        f'<h2 id="doubts">Needs review ({len(items):,})</h2><ol>{rows}</ol>{rest}</section>'
    )


def _button(item: ReviewItem) -> str:
    at = clock(item.segment.start_s, tenths=True)
    return f'<button type="button" aria-label="Listen at {at}">▶ {at}</button>'


def draw_more(timeline: Timeline) -> str:
    """Return how many turns the table leaves out, in words; nothing when it has all."""
    more = len(timeline.turns) - _MOST_ROWS
    if more <= 0:
        return ""
    return f'<p class="soft">And {more:,} more turns; --csv writes all of them.</p>'


def draw_rows(timeline: Timeline) -> str:
    """Return the first 2,000 turns as table rows."""
    together = _others(timeline)
    return "".join(
        f"<tr><td>{clock(turn.start_s, tenths=True)}</td><td>{clock(turn.end_s, tenths=True)}</td>"
        f"<td>{turn.duration_s:.1f} s</td><td>{escape(turn.speaker)}</td>"
        f"<td>{'' if turn.confidence is None else f'{turn.confidence:.0%}'}</td>"
        f"<td>{'' if turn.llr is None else f'{turn.llr:+.1f}'}</td>"
        f"<td>{escape(_remarks(turn, others, shared_s))}</td></tr>"
        for turn, others, shared_s in islice(
            zip(timeline.turns, together, timeline.overlapped_s(), strict=True), _MOST_ROWS
        )
    )


def _remarks(turn: Turn, others: list[str], shared_s: float) -> str:
    remarks = []
    if others:
        remarks.append(f"{shared_s:.1f} s together with {' and '.join(others)}")
    if turn.suggestion is not None:
        remarks.append(f"may be {turn.suggestion.person}")
    if turn.reviewed:
        remarks.append("reviewed")
    return "; ".join(remarks)


def _others(timeline: Timeline) -> list[list[str]]:
    """Who else speaks during each turn, by first appearance."""
    shared = [stretch for stretch in timeline.stretches() if len(stretch.speakers) > 1]
    ends_s = [stretch.segment.end_s for stretch in shared]
    found = []
    for turn in timeline.turns:
        names: dict[str, None] = {}
        at = bisect_right(ends_s, turn.start_s)
        while at < len(shared) and shared[at].segment.start_s < turn.end_s:
            names.update(dict.fromkeys(shared[at].speakers))
            at += 1
        names.pop(turn.speaker, None)
        found.append(list(names))
    return found


def draw_data(timeline: Timeline, audio_sha256: str | None, policy: ReviewPolicy) -> str:
    """Return what the script needs as JSON that cannot end its element.

    Args:
        timeline: who spoke when.
        audio_sha256: the recording's hash, without which no corrections can be saved.
        policy: which turns are marked as doubtful.
    """
    place = {speaker: at for at, speaker in enumerate(timeline.speakers)}
    doubtful = {(item.segment, item.speaker) for item in timeline.review(policy)}
    text = json.dumps(
        {
            "uri": timeline.uri,
            "audio_sha256": audio_sha256,
            "corrections_format": CORRECTIONS_FORMAT,
            "corrections_version": CORRECTIONS_VERSION,
            "duration_s": timeline.duration_s,
            "speakers": timeline.speakers,
            "colors": len(COLORS_LIGHT),
            "turns": [
                _turn(turn, place[turn.speaker], (turn.segment, turn.speaker) in doubtful)
                for turn in timeline.turns
            ],
        }
    )
    # Inside <script> only "<" could end the element or begin a comment.
    return text.replace("<", "\\u003c")


def _turn(turn: Turn, who: int, doubt: bool) -> dict[str, Any]:
    start_s = round(turn.start_s, 3)
    data: dict[str, Any] = {"start": start_s, "end": max(round(turn.end_s, 3), start_s + 0.001), "who": who}
    if turn.confidence is not None:
        data["confidence"] = round(turn.confidence, 3)
    if turn.llr is not None:
        data["llr"] = round(turn.llr, 2)
    if turn.suggestion is not None:
        data["suggestion"] = turn.suggestion.person
        data["suggestion_llr"] = round(turn.suggestion.llr, 2)
        data["suggestion_threshold_llr"] = round(turn.suggestion.threshold_llr, 2)
    if turn.reviewed:
        data["reviewed"] = True
    if doubt or (turn.suggestion is not None and not turn.reviewed):
        data["doubt"] = True
    return data
