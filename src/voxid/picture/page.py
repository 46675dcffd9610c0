"""A timeline as one self-contained HTML page that plays what it shows."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from html import escape
from importlib.resources import files
from pathlib import Path

import soundfile

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.picture.drawing import clock, shares, write_text
from voxid.picture.peaks import COLORS_DARK, COLORS_LIGHT, color_of, outline_paths
from voxid.timeline import Timeline

__all__ = ["draw_html", "write_html"]

# MP3 and not Opus: libsndfile's Opus encoder takes 130 s of processor time for an hour, its MP3 encoder 35 s,
# and every browser plays it. At a constant 40 kbit/s, because browsers seek inexactly in a varying one and
# because below that LAME's frames have no room for the tag that keeps sound and picture aligned.
_MP3_COMPRESSION = 0.8
_MAX_AUDIO_BYTES = 20 << 20  # 69 minutes; base64 makes a third more of it
_BLOCK_SAMPLES = 30 * SAMPLE_RATE_HZ
_COLUMNS_PER_S, _MIN_COLUMNS, _MAX_COLUMNS = 20, 600, 6000
_WAVE_HEIGHT = 100


def write_html(
    timeline: Timeline,
    waveform: Waveform | None,
    path: str | Path,
    *,
    max_audio_bytes: int = _MAX_AUDIO_BYTES,
) -> None:
    """Write `draw_html` to a file. Raises: InputError: output_unwritable."""
    write_text(path, draw_html(timeline, waveform, max_audio_bytes=max_audio_bytes))


def draw_html(
    timeline: Timeline, waveform: Waveform | None, *, max_audio_bytes: int = _MAX_AUDIO_BYTES
) -> str:
    """Return a page with the waveform, a lane per person, and the sound itself.

    The page holds everything it needs and its content security policy lets it load and send nothing. Names
    reach it only as text. It contains the recording (as MP3): handle it like the recording.

    Args:
        timeline: who spoke when.
        waveform: the recording; None leaves out waveform and sound.
        max_audio_bytes: most bytes of MP3 to hold, before base64; a longer recording (over 69 minutes at the
            default) leaves the sound out, and the page says so.
    """
    style = _resource("page.css") + _colors()
    script = _resource("page.js")
    audio = _mp3(waveform, max_audio_bytes) if waveform is not None else None
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    sound = (
        f'<audio id="sound" preload="auto" src="data:audio/mpeg;base64,{audio}"></audio>'
        if audio is not None
        else f'<p class="notice" role="note">{_why_silent(waveform, max_audio_bytes)}</p>'
    )
    return _resource("page.html").format(
        policy=policy,
        style=style,
        script=script,
        title=escape(timeline.uri),
        facts=_facts(timeline),
        sound=sound,
        disabled="" if audio is not None else " disabled",
        names=_names(timeline),
        wave=_wave(timeline, waveform),
        rows=_rows(timeline),
        data=_data(timeline),
    )


def _resource(name: str) -> str:
    return files("voxid.picture").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _colors() -> str:
    def rules(palette: tuple[str, ...]) -> str:
        return "".join(f".c{at}{{--color:{color}}}" for at, color in enumerate(palette))

    return rules(COLORS_LIGHT) + "@media(prefers-color-scheme:dark){" + rules(COLORS_DARK) + "}"


def _mp3(waveform: Waveform, max_bytes: int) -> str | None:
    """The recording as base64 of MP3, or None as soon as it grows over `max_bytes`."""
    encoded = io.BytesIO()
    with soundfile.SoundFile(
        encoded,
        "w",
        SAMPLE_RATE_HZ,
        1,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=_MP3_COMPRESSION,
        bitrate_mode="CONSTANT",
    ) as file:
        for start in range(0, len(waveform.samples), _BLOCK_SAMPLES):
            file.write(waveform.samples[start : start + _BLOCK_SAMPLES].clip(-1, 1))
            if encoded.tell() > max_bytes:
                return None
    return None if encoded.tell() > max_bytes else base64.b64encode(encoded.getvalue()).decode()


def _why_silent(waveform: Waveform | None, max_bytes: int) -> str:
    if waveform is None:
        return "This page was made without the recording, so it cannot play."
    return (
        f"This recording of {clock(waveform.duration_s)} would take more than {max_bytes / (1 << 20):g} MB here, "
        "so the page holds no sound. Click a turn to see its time, and play the recording itself."
    )


def _facts(timeline: Timeline) -> str:
    both_s = sum(region.duration_s for region in timeline.overlaps())
    people = len(timeline.speakers)
    facts = [
        f"{clock(timeline.duration_s)} long",
        f"{people} {'speaker' if people == 1 else 'speakers'}",
        f"{clock(timeline.speech_s())} of speech",
    ]
    if both_s >= 0.1:
        facts.append(f"{both_s:.1f} s of it at the same time")
    return " · ".join(facts)


def _names(timeline: Timeline) -> str:
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


def _wave(timeline: Timeline, waveform: Waveform | None) -> str:
    if waveform is None:
        return ""
    wanted = round(waveform.duration_s * _COLUMNS_PER_S)
    columns = min(max(wanted, _MIN_COLUMNS), _MAX_COLUMNS, len(waveform.samples))
    paths = outline_paths(waveform, timeline, columns, columns, _WAVE_HEIGHT)
    drawn = "".join(f'<path class="{name}" d="{data}"/>' for name, data in paths.items())
    return f'<svg viewBox="0 0 {columns} {_WAVE_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'


def _rows(timeline: Timeline) -> str:
    return "".join(
        f"<tr><td>{clock(turn.start_s, tenths=True)}</td><td>{clock(turn.end_s, tenths=True)}</td>"
        f"<td>{turn.duration_s:.1f} s</td><td>{escape(turn.speaker)}</td>"
        f"<td>{'' if turn.llr is None else f'{turn.llr:+.1f}'}</td></tr>"
        for turn in timeline.turns
    )


def _data(timeline: Timeline) -> str:
    place = {speaker: at for at, speaker in enumerate(timeline.speakers)}
    turns = [[round(turn.start_s, 3), round(turn.end_s, 3), place[turn.speaker]] for turn in timeline.turns]
    text = json.dumps(
        {
            "duration_s": timeline.duration_s,
            "speakers": timeline.speakers,
            "colors": len(COLORS_LIGHT),
            "turns": turns,
        }
    )
    # Inside <script> only "<" could end the element or begin a comment.
    return text.replace("<", "\\u003c")
