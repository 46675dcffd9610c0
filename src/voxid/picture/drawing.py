"""A timeline as a still SVG drawing: waveform, a lane per person, one of overlaps, a time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from voxid.audio import Waveform
from voxid.picture.peaks import COLORS_DARK, COLORS_LIGHT, color_of, outline_paths
from voxid.segments import clock
from voxid.timeline import ReviewPolicy, Segment, Timeline, merge_segments
from voxid.timeline.counted import describe_count
from voxid.timeline.text import write_text

__all__ = [
    "MAX_LANES",
    "draw_caption",
    "draw_facts",
    "draw_svg",
    "shares",
    "split_regions",
    "tick_step_s",
    "write_svg",
]

_WIDTH, _MARGIN, _NAMES, _SHARES = 1200, 24, 150, 96
_WAVE_HEIGHT, _LANE_HEIGHT, _BAR_HEIGHT, _AXIS_HEIGHT, _TITLE_HEIGHT = 84, 32, 18, 34, 44
MAX_LANES = 24
"""Speakers a still picture has room for; a caption says how many more there are."""
_MAX_NAME_LETTERS = 18
_TICK_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


def write_svg(
    timeline: Timeline, waveform: Waveform | None, path: str | Path, *, policy: ReviewPolicy | None = None
) -> None:
    """Write `draw_svg` to a file. Raises: InputError: output_unwritable."""
    write_text(path, draw_svg(timeline, waveform, policy=policy))


def draw_svg(timeline: Timeline, waveform: Waveform | None, *, policy: ReviewPolicy | None = None) -> str:
    """Return a drawing of the timeline, 1,200 units wide, for documents in light or dark.

    Where people speak at once, a lane of its own says so; what needs review is hollow.

    Args:
        timeline: who spoke when.
        waveform: the recording; None draws the lanes alone.
        policy: what needs review.
    """
    policy = policy or ReviewPolicy()
    lanes = timeline.speakers[:MAX_LANES]
    overlaps = timeline.overlaps()
    left, right = _MARGIN + _NAMES, _WIDTH - _MARGIN - _SHARES
    wave_height = _WAVE_HEIGHT + 12 if waveform is not None else 0
    lanes_top = _TITLE_HEIGHT + wave_height
    axis_top = lanes_top + (max(1, len(lanes)) + bool(overlaps)) * _LANE_HEIGHT
    height = axis_top + _AXIS_HEIGHT
    duration_s = max(timeline.duration_s, 1e-3)
    per_s = (right - left) / duration_s
    parts = _head(timeline, policy, height)
    parts += _grid(duration_s, left, per_s, _TITLE_HEIGHT, axis_top)
    if waveform is not None:
        paths = outline_paths(waveform, timeline, (right - left) // 2, right - left, _WAVE_HEIGHT)
        parts.append(f'<g transform="translate({left} {_TITLE_HEIGHT})">')
        parts += [f'<path class="{name}" d="{data}"/>' for name, data in paths.items()]
        parts.append("</g>")
    share_of = shares(timeline)
    for at, speaker in enumerate(lanes):
        lane = _Lane(lanes_top + at * _LANE_HEIGHT, left, right - left, per_s)
        sure, unsure = split_regions(timeline, speaker, policy)
        spoken = f"{clock(timeline.speech_s(speaker))} · {share_of[speaker]:.0%}"
        named = any(turn.named for turn in timeline.turns if turn.speaker == speaker)
        parts += lane.head(speaker, spoken, f"c{color_of(at)}", named)
        parts += lane.bars(sure, f"c{color_of(at)}") + lane.bars(unsure, f"o{color_of(at)}")
    if overlaps:
        lane = _Lane(axis_top - _LANE_HEIGHT, left, right - left, per_s)
        both_s = sum(overlap.duration_s for overlap in overlaps)
        parts += lane.head("at the same time", clock(both_s, tenths=True), "both", named=False)
        parts += lane.bars(overlaps, "both", _BAR_HEIGHT / 3)
    if not lanes:
        parts.append(f'<text class="soft" x="{left}" y="{lanes_top + 21}">nobody speaks</text>')
    parts.append("</svg>\n")
    return "".join(parts)


def _head(timeline: Timeline, policy: ReviewPolicy, height: float) -> list[str]:
    caption = escape(draw_caption(timeline, policy))
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{escape(_summary(timeline))}">',
        f"<style>{_style()}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="10"/>',
        f'<text class="title" x="{_MARGIN}" y="28">{escape(timeline.uri[:60])}</text>',
        f'<text class="soft" x="{_WIDTH - _MARGIN}" y="28" text-anchor="end">{caption}</text>',
    ]


def split_regions(
    timeline: Timeline, speaker: str, policy: ReviewPolicy
) -> tuple[list[Segment], list[Segment]]:
    """Return when `speaker` speaks for sure, and when a person should listen first."""
    doubtful = {(item.segment, item.speaker) for item in timeline.review(policy)}
    sure: list[Segment] = []
    unsure: list[Segment] = []
    for turn in timeline.turns:
        if turn.speaker == speaker:
            guessed = turn.suggestion is not None and not turn.reviewed
            (unsure if guessed or (turn.segment, speaker) in doubtful else sure).append(turn.segment)
    return merge_segments(sure), merge_segments(unsure)


@dataclass(frozen=True)
class _Lane:
    """Where a lane lies: its top, its left edge, its width, and units per second."""

    top: float
    left: float
    width: float
    per_s: float

    def head(self, name: str, right_text: str, color: str, named: bool) -> list[str]:
        """The dot and the name to the left, the bed of the bars, the numbers to the right."""
        shown = name if len(name) <= _MAX_NAME_LETTERS else name[: _MAX_NAME_LETTERS - 1] + "…"
        return [
            f'<circle class="{color}" cx="{_MARGIN + 6}" cy="{self.top + 16}" r="6"/>',
            f'<text class="{"name" if named else "name label"}" x="{_MARGIN + 20}" y="{self.top + 21}">'
            f"{escape(shown)}</text>",
            f'<rect class="lane" x="{self.left}" y="{self.top + (_LANE_HEIGHT - _BAR_HEIGHT) / 2}" '
            f'width="{self.width:.1f}" height="{_BAR_HEIGHT}" rx="4"/>',
            f'<text class="soft number" x="{_WIDTH - _MARGIN}" y="{self.top + 21}" text-anchor="end">'
            f"{right_text}</text>",
        ]

    def bars(self, regions: Sequence[Segment], color: str, height: float = _BAR_HEIGHT) -> list[str]:
        """A bar for each region."""
        top = self.top + (_LANE_HEIGHT - height) / 2
        return [
            f'<rect class="{color}" x="{self.left + region.start_s * self.per_s:.2f}" y="{top}" '
            f'width="{max(region.duration_s * self.per_s, 0.8):.2f}" height="{height}" rx="2"/>'
            for region in regions
        ]


def _grid(duration_s: float, left: float, per_s: float, top: float, bottom: float) -> list[str]:
    step_s = tick_step_s(duration_s)
    parts = []
    for number in range(int(duration_s / step_s + 1e-6) + 1):
        x = left + number * step_s * per_s
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{bottom + 4}"/>')
        parts.append(
            f'<text class="soft number" x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">'
            f"{clock(number * step_s, tenths=step_s < 1)}</text>"
        )
    return parts


def _style() -> str:
    def colors(palette: tuple[str, ...]) -> str:
        return "".join(
            f".c{at}{{fill:{color}}}.o{at}{{fill:none;stroke:{color};stroke-width:1.5;stroke-dasharray:4 3}}"
            for at, color in enumerate(palette)
        )

    return (
        "text{font:14px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#1b2026}"
        ".title{font-size:17px;font-weight:600}.name{font-weight:600}.label{font-weight:400}"
        ".soft{fill:#5b6570;font-size:13px}.number{font-variant-numeric:tabular-nums}"
        ".paper{fill:#fff}.lane{fill:#eef1f4}.grid{stroke:#dfe4e9;stroke-width:1}"
        ".rest{fill:#b9c1c9}.both{fill:#3b424a}" + colors(COLORS_LIGHT) + "@media(prefers-color-scheme:dark){"
        "text{fill:#e8ecf0}.soft{fill:#9aa5b1}.paper{fill:#15191e}.lane{fill:#20262d}.grid{stroke:#2c343c}"
        ".rest{fill:#4a545e}.both{fill:#e8ecf0}" + colors(COLORS_DARK) + "}"
    )


def shares(timeline: Timeline) -> dict[str, float]:
    """Return each speaker's share of all speech, overlap counted for everyone in it; they add up to 1."""
    spoken_s = {speaker: timeline.speech_s(speaker) for speaker in timeline.speakers}
    total_s = sum(spoken_s.values()) or 1.0
    return {speaker: spent_s / total_s for speaker, spent_s in spoken_s.items()}


def tick_step_s(duration_s: float, most: int = 12) -> float:
    """Return the distance of ticks, a round number, so that there are `most` at the most."""
    return next((step for step in _TICK_STEPS_S if duration_s / step <= most), max(1.0, duration_s // most))


def draw_facts(timeline: Timeline) -> str:
    """Return how long, how many people, how much speech and overlap, in one line."""
    both_s = sum(overlap.duration_s for overlap in timeline.overlaps())
    facts = [
        f"{clock(timeline.duration_s)} long",
        describe_count(len(timeline.speakers), timeline.count_confidence),
        f"{clock(timeline.speech_s())} of speech",
    ]
    if both_s >= 0.1:
        spent = f"{both_s:.1f} s" if both_s < 60 else clock(both_s)
        facts.append(f"{spent} of it at the same time")
    return " · ".join(facts)


def draw_caption(timeline: Timeline, policy: ReviewPolicy) -> str:
    """Return the facts for a still picture, which has to say what its dashes mean, and whom it leaves out."""
    legend = " · dashed: needs review" if timeline.review(policy) else ""
    missing = len(timeline.speakers) - MAX_LANES
    if missing > 0:
        legend += f" · {missing} more speaker{'s' if missing > 1 else ''} not drawn"
    return draw_facts(timeline) + legend


def _summary(timeline: Timeline) -> str:
    spoken = ", ".join(f"{name} {clock(timeline.speech_s(name))}" for name in timeline.speakers[:MAX_LANES])
    return f"Who spoke when in {timeline.uri}, {draw_facts(timeline)}: {spoken or 'nobody'}"
