"""A timeline as a still SVG drawing: waveform, a lane per person, a time axis."""

from __future__ import annotations

from html import escape
from pathlib import Path

from voxid.audio import Waveform
from voxid.errors import InputError
from voxid.picture.peaks import COLORS_DARK, COLORS_LIGHT, color_of, outline_paths
from voxid.timeline import Timeline

__all__ = ["clock", "draw_svg", "shares", "tick_step_s", "write_svg", "write_text"]

_WIDTH, _MARGIN, _NAMES, _SHARES = 1200, 24, 150, 96
_WAVE_HEIGHT, _LANE_HEIGHT, _BAR_HEIGHT, _AXIS_HEIGHT, _TITLE_HEIGHT = 84, 32, 18, 34, 44
_MAX_LANES = 24
_MAX_NAME_LETTERS = 18
_TICK_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


def write_svg(timeline: Timeline, waveform: Waveform | None, path: str | Path) -> None:
    """Write `draw_svg` to a file. Raises: InputError: output_unwritable."""
    write_text(path, draw_svg(timeline, waveform))


def draw_svg(timeline: Timeline, waveform: Waveform | None) -> str:
    """Return a drawing of the timeline, 1,200 units wide, for documents in light or dark.

    Args:
        timeline: who spoke when.
        waveform: the recording; None draws the lanes alone.
    """
    lanes = timeline.speakers[:_MAX_LANES]
    left, right = _MARGIN + _NAMES, _WIDTH - _MARGIN - _SHARES
    wave_height = _WAVE_HEIGHT + 12 if waveform is not None else 0
    lanes_top = _TITLE_HEIGHT + wave_height
    axis_top = lanes_top + max(1, len(lanes)) * _LANE_HEIGHT
    height = axis_top + _AXIS_HEIGHT
    duration_s = max(timeline.duration_s, 1e-3)
    per_s = (right - left) / duration_s
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{escape(_summary(timeline))}">',
        f"<style>{_style()}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="10"/>',
        f'<text class="title" x="{_MARGIN}" y="28">{escape(timeline.uri[:60])}</text>',
        f'<text class="soft" x="{_WIDTH - _MARGIN}" y="28" text-anchor="end">{escape(_facts(timeline))}</text>',
    ]
    parts += _grid(duration_s, left, per_s, _TITLE_HEIGHT, axis_top)
    if waveform is not None:
        paths = outline_paths(waveform, timeline, (right - left) // 2, right - left, _WAVE_HEIGHT)
        parts.append(f'<g transform="translate({left} {_TITLE_HEIGHT})">')
        parts += [f'<path class="{name}" d="{data}"/>' for name, data in paths.items()]
        parts.append("</g>")
    share_of = shares(timeline)
    for at, speaker in enumerate(lanes):
        parts += _lane(timeline, speaker, at, lanes_top + at * _LANE_HEIGHT, left, per_s, share_of[speaker])
    if not lanes:
        parts.append(f'<text class="soft" x="{left}" y="{lanes_top + 21}">nobody speaks</text>')
    parts.append("</svg>\n")
    return "".join(parts)


def _lane(
    timeline: Timeline, speaker: str, at: int, top: float, left: float, per_s: float, share: float
) -> list[str]:
    named = any(turn.named for turn in timeline.turns if turn.speaker == speaker)
    shown = speaker if len(speaker) <= _MAX_NAME_LETTERS else speaker[: _MAX_NAME_LETTERS - 1] + "…"
    bar_top = top + (_LANE_HEIGHT - _BAR_HEIGHT) / 2
    right = left + timeline.duration_s * per_s
    return [
        f'<circle class="c{color_of(at)}" cx="{_MARGIN + 6}" cy="{top + 16}" r="6"/>',
        f'<text class="{"name" if named else "name label"}" x="{_MARGIN + 20}" y="{top + 21}">'
        f"{escape(shown)}</text>",
        f'<rect class="lane" x="{left}" y="{bar_top}" width="{right - left:.1f}" height="{_BAR_HEIGHT}" rx="4"/>',
        *(
            f'<rect class="c{color_of(at)}" x="{left + region.start_s * per_s:.2f}" y="{bar_top}" '
            f'width="{max(region.duration_s * per_s, 0.8):.2f}" height="{_BAR_HEIGHT}" rx="2"/>'
            for region in timeline.regions(speaker)
        ),
        f'<text class="soft number" x="{_WIDTH - _MARGIN}" y="{top + 21}" text-anchor="end">'
        f"{clock(timeline.speech_s(speaker))} · {share:.0%}</text>",
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
        return "".join(f".c{at}{{fill:{color}}}" for at, color in enumerate(palette))

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


def clock(at_s: float, *, tenths: bool = False) -> str:
    """Return a time of day within a recording: 7:05, 1:07:05, with ``tenths`` 7:05.5."""
    # Rounded once, in the smallest unit shown, so that 59.96 s is 1:00.0 and never 0:60.0.
    units = round(at_s * 10) if tenths else round(at_s)
    whole_s, tenth = divmod(units, 10) if tenths else (units, 0)
    minutes, seconds = divmod(whole_s, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{text}.{tenth}" if tenths else text


def _facts(timeline: Timeline) -> str:
    people = len(timeline.speakers)
    return (
        f"{clock(timeline.duration_s)} long · {people} {'speaker' if people == 1 else 'speakers'} · "
        f"{clock(timeline.speech_s())} of speech"
    )


def _summary(timeline: Timeline) -> str:
    spoken = ", ".join(f"{name} {clock(timeline.speech_s(name))}" for name in timeline.speakers[:_MAX_LANES])
    return f"Who spoke when in {timeline.uri}, {_facts(timeline)}: {spoken or 'nobody'}"


def write_text(path: str | Path, text: str) -> None:
    """Write a text file. Raises: InputError: output_unwritable."""
    try:
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(
            "output_unwritable", f"{path} cannot be written ({error.strerror}); choose another place."
        ) from None
