"""A timeline as one self-contained HTML page that plays what it shows and takes corrections."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from pathlib import Path

from voxid.audio import Waveform
from voxid.picture.drawing import draw_facts
from voxid.picture.lists import draw_data, draw_more, draw_names, draw_review, draw_rows
from voxid.picture.peaks import COLORS_DARK, COLORS_LIGHT, outline_paths
from voxid.picture.sound import MAX_AUDIO_BYTES, draw_sound
from voxid.timeline import ReviewPolicy, Timeline
from voxid.timeline.text import write_text

__all__ = ["draw_html", "write_html"]

_COLUMNS_PER_S, _MIN_COLUMNS, _MAX_COLUMNS = 20, 600, 6000
_WAVE_HEIGHT = 100


def write_html(
    timeline: Timeline,
    waveform: Waveform | None,
    path: str | Path,
    *,
    max_audio_bytes: int = MAX_AUDIO_BYTES,
    policy: ReviewPolicy | None = None,
) -> None:
    """Write `draw_html` to a file. Raises: InputError: output_unwritable."""
    write_text(path, draw_html(timeline, waveform, max_audio_bytes=max_audio_bytes, policy=policy))


def draw_html(
    timeline: Timeline,
    waveform: Waveform | None,
    *,
    max_audio_bytes: int = MAX_AUDIO_BYTES,
    policy: ReviewPolicy | None = None,
) -> str:
    """Return a page with the waveform, a lane per person, the sound itself, and a place to say who it really was.

    The page holds everything it needs and its content security policy lets it load and send nothing. Names
    reach it only as text. It contains the recording (as MP3): handle it like the recording. Corrections leave it
    only as a file its reader saves (`voxid.timeline.read_corrections` reads it).

    Args:
        timeline: who spoke when.
        waveform: the recording; None leaves out waveform and sound.
        max_audio_bytes: most bytes of MP3 to hold, before base64; a longer recording (over 69 minutes at the
            default) leaves the sound out, and the page asks for the recording instead. 0 always leaves it out.
        policy: what is listed for review.
    """
    policy = policy or ReviewPolicy()
    style = _resource("page.css") + _colors()
    script = _resource("page.js") + _resource("correcting.js")
    sound, plays = draw_sound(waveform, max_audio_bytes)
    rules = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; media-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    audio_sha256 = timeline.audio_sha256 or (waveform.sha256 if waveform is not None else None)
    return _resource("page.html").format(
        policy=rules,
        style=style,
        script=script,
        title=escape(timeline.uri),
        facts=draw_facts(timeline),
        sound=sound,
        disabled="" if plays else " disabled",
        bare=" bare" if waveform is None else "",
        names=draw_names(timeline),
        wave=_wave(timeline, waveform),
        review=draw_review(timeline, policy),
        rows=draw_rows(timeline),
        more=draw_more(timeline),
        data=draw_data(timeline, audio_sha256, policy),
    )


def _resource(name: str) -> str:
    return files("voxid.picture").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _colors() -> str:
    def rules(palette: tuple[str, ...]) -> str:
        return "".join(f".c{at}{{--color:{color}}}" for at, color in enumerate(palette))

    return rules(COLORS_LIGHT) + "@media(prefers-color-scheme:dark){" + rules(COLORS_DARK) + "}"


def _wave(timeline: Timeline, waveform: Waveform | None) -> str:
    if waveform is None:
        return ""
    wanted = round(waveform.duration_s * _COLUMNS_PER_S)
    columns = min(max(wanted, _MIN_COLUMNS), _MAX_COLUMNS, len(waveform.samples))
    paths = outline_paths(waveform, timeline, columns, columns, _WAVE_HEIGHT)
    drawn = "".join(f'<path class="{name}" d="{data}"/>' for name, data in paths.items())
    return f'<svg viewBox="0 0 {columns} {_WAVE_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'
