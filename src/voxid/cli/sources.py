"""Where a live call comes from: a file at its own speed, raw samples on stdin, or a microphone."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ConfigError, InputError

if TYPE_CHECKING:
    from voxid.audio import Waveform

_BLOCK_S: Final = 0.1
_WAITING_BLOCKS: Final = 600  # a minute of sound may wait for a busy machine


@dataclass(frozen=True, eq=False)
class Source:
    """A call that can be listened to once.

    Attributes:
        name: short, for the timeline.
        rate_hz: of the samples.
        blocks: the samples, (N,) float32 or int16, in order.
        waveform: the whole recording, where it is known beforehand.
    """

    name: str
    rate_hz: int
    blocks: Iterator[NDArray[Any]]
    waveform: Waveform | None = None


def open_source(audio: str | None, rate_hz: int, speed: float, channel: int | None) -> Source:
    """Return the source of a call: a file, ``-`` for stdin, None for the microphone.

    Args:
        rate_hz: of stdin and microphone; a file says its own.
        speed: of a file, as a multiple of its own; 0 as fast as possible.

    Raises:
        InputError: ``speed_invalid``, ``stdin_is_terminal``, and those of ``voxid.load_audio``.
        ConfigError: ``microphone_extra_missing``, ``microphone_unusable``.
    """
    if not 0 <= speed < 1e6:
        raise InputError("speed_invalid", f"a speed of {speed} was asked for; expected 0 (fast) or more.")
    if audio is None:
        return Source("microphone", rate_hz, read_microphone(rate_hz))
    if audio == "-":
        if sys.stdin.isatty():
            raise InputError(
                "stdin_is_terminal",
                "stdin is a keyboard; expected raw samples (16 bit, mono), such as from: "
                "ffmpeg -i call.mp3 -f s16le -ac 1 -ar 16000 -",
            )
        return Source("stdin", rate_hz, read_raw(sys.stdin.buffer))
    from voxid.audio import SAMPLE_RATE_HZ, load

    waveform = load(Path(audio), channel=channel)
    return Source(waveform.uri, SAMPLE_RATE_HZ, play(waveform, speed), waveform)


def play(waveform: Waveform, speed: float) -> Iterator[NDArray[np.float32]]:
    """Yield a recording in pieces of 0.1 s, each when it would have been heard."""
    step = round(_BLOCK_S * len(waveform.samples) / max(waveform.duration_s, 1e-9)) or 1
    began_s = time.monotonic()
    for at in range(0, len(waveform.samples), step):
        block = waveform.samples[at : at + step]
        if speed > 0:
            due_s = (at + len(block)) / len(waveform.samples) * waveform.duration_s / speed
            time.sleep(max(0.0, due_s - (time.monotonic() - began_s)))
        yield block


def read_raw(stream: BinaryIO) -> Iterator[NDArray[np.int16]]:
    """Yield 16-bit little-endian mono samples as they come.

    Raises:
        InputError: ``stdin_not_raw`` for an audio file, whose header would be heard as noise.
    """
    from voxid.containers import sniff

    read = getattr(stream, "read1", stream.read)
    rest, first = b"", True
    while data := read(6_400):
        data = rest + data
        if first and len(data) >= 12:
            kind = sniff(data[:64])
            if kind is not None:
                raise InputError(
                    "stdin_not_raw",
                    f"stdin begins like {kind.name}; expected raw samples (16 bit, mono, no header); give the file "
                    "itself, or add -f s16le to ffmpeg.",
                )
            first = False
        whole = len(data) // 2 * 2
        rest = data[whole:]
        yield np.frombuffer(data[:whole], "<i2").astype(np.int16)


def read_microphone(rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Yield what the default microphone hears, until interrupted.

    Raises:
        ConfigError: ``microphone_extra_missing``; ``microphone_unusable`` when there is none, or it stops.
    """
    try:
        import sounddevice
    except ImportError:
        raise ConfigError(
            "microphone_extra_missing",
            "listening to a microphone needs sounddevice; run: pip install 'voxid[microphone]', or give a file, or - "
            "for stdin.",
        ) from None
    except OSError as error:
        raise ConfigError(
            "microphone_unusable",
            f"sounddevice finds no PortAudio ({error}); install it (Debian: apt install libportaudio2).",
        ) from None
    heard: queue.Queue[NDArray[np.float32]] = queue.Queue(_WAITING_BLOCKS)

    def on_block(block: NDArray[np.float32], frames: int, at: object, status: object) -> None:
        heard.put_nowait(block[:, 0].copy())

    try:
        with sounddevice.InputStream(
            samplerate=rate_hz,
            channels=1,
            dtype="float32",
            blocksize=round(rate_hz * _BLOCK_S),
            callback=on_block,
        ) as stream:
            while stream.active:
                try:
                    yield heard.get(timeout=1.0)
                except queue.Empty:
                    continue
    except sounddevice.PortAudioError as error:
        raise ConfigError(
            "microphone_unusable", f"the microphone cannot be used: {error}; check it, or give a file."
        ) from None
