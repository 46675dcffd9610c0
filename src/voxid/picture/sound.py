"""The recording inside a page: as MP3, up to a limit, or a sentence why not."""

from __future__ import annotations

import base64
import io

import soundfile

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.segments import clock

__all__ = ["MAX_AUDIO_BYTES", "draw_sound", "encode_mp3"]

# MP3 and not Opus: libsndfile's Opus encoder takes 130 s of processor time for an hour, its MP3 encoder 35 s,
# and every browser plays it. At a constant 40 kbit/s, because browsers seek inexactly in a varying one and
# because below that LAME's frames have no room for the tag that keeps sound and picture aligned.
_MP3_COMPRESSION = 0.8
_BLOCK_SAMPLES = 30 * SAMPLE_RATE_HZ

MAX_AUDIO_BYTES = 20 << 20
"""Most MP3 a page holds: 69 minutes; base64 makes a third more of it."""


def encode_mp3(waveform: Waveform, max_bytes: int) -> str | None:
    """Return the recording as base64 of MP3, or None as soon as it grows over `max_bytes`."""
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


def draw_sound(waveform: Waveform | None, max_bytes: int) -> tuple[str, bool]:
    """Return the sound as HTML and whether it can play at once; without it, a place to give the recording."""
    audio = None if waveform is None or max_bytes <= 0 else encode_mp3(waveform, max_bytes)
    if audio is not None:
        return f'<audio id="sound" preload="auto" src="data:audio/mpeg;base64,{audio}"></audio>', True
    return (
        f'<div class="notice" role="note"><p>{_why_silent(waveform, max_bytes)}</p>'
        '<label for="recording">To listen, choose the recording; it stays on this machine</label>'
        '<input id="recording" type="file" accept="audio/*,video/*">'
        '<p id="given" class="soft" role="status"></p></div>'
    ), False


def _why_silent(waveform: Waveform | None, max_bytes: int) -> str:
    if waveform is None or max_bytes <= 0:
        return "This page was made without the recording."
    return (
        f"This recording of {clock(waveform.duration_s)} would take more than {max_bytes / (1 << 20):g} MB here, "
        "so the page holds no sound."
    )
