"""From a path, bytes, a stream or an array to blocks of samples; nothing is trusted, nothing is kept.

Every block is small, so a file that unpacks to hours costs no memory before a cap can stop it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from voxid import containers
from voxid.errors import ConfigError, InputError

__all__ = [
    "Decoder",
    "SeekableAudio",
    "check_size_and_hash",
    "open_array",
    "open_bytes",
    "open_encoded",
    "short_error",
]

_BLOCK_SAMPLES = 1 << 18  # over all channels: 1 MiB of float32 per decoded block, whatever the file claims
_COPY_BYTES = 1 << 20
_IN_MEMORY_BYTES = 32 << 20  # a stream longer than this is kept in a temporary file while it is decoded
_UNKNOWN_FRAMES = 1 << 62  # libsndfile answers 2**63 - 1 when a header does not tell


class SeekableAudio(io.BufferedReader):
    """Encoded audio that is read where it lies and closed afterwards; unlike other streams it is never copied."""


@dataclass
class Decoder:
    """An opened source: what it declares, and its samples as float32 blocks (N, C)."""

    name: str
    kind: str  # of the container, for messages
    rate_hz: int
    channels: int
    declared_frames: int | None  # None: the header does not tell
    exact: bool  # decoding fewer frames than declared means that the file was cut
    blocks: Iterator[NDArray[np.float32]]


def open_bytes(source: str | Path | bytes | BinaryIO, max_bytes: int) -> tuple[BinaryIO, str]:
    """Return a seekable binary file over the encoded bytes, and its name for messages.

    Raises:
        InputError: audio_missing, audio_unreadable, audio_too_large.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source), "audio"
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source), max_bytes)
    if isinstance(source, SeekableAudio):
        source.seek(0)
        return source, str(source.name)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return _spool(source, max_bytes, name if isinstance(name, str) else "audio")
    raise InputError(
        "audio_unreadable",
        f"A {type(source).__name__} is not audio; give a path, bytes, a binary stream, "
        "(samples, rate_hz) or a Waveform.",
    )


def _open_path(path: Path, max_bytes: int) -> tuple[BinaryIO, str]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            with path.open("rb") as pipe:
                return _spool(pipe, max_bytes, path.name)
        if not stat.S_ISREG(mode):
            raise InputError("audio_unreadable", f"{path} is not a file; give an audio file.")
        return path.open("rb"), path.name
    except FileNotFoundError:
        raise InputError("audio_missing", f"There is no file {path}; check the path.") from None
    except (OSError, ValueError) as error:
        raise InputError(
            "audio_unreadable", f"{path} cannot be opened ({error}); check the path and its permissions."
        ) from None


def _spool(stream: BinaryIO, max_bytes: int, name: str) -> tuple[BinaryIO, str]:
    """Copy a stream, from where it stands, to memory or (when long) to a temporary file."""
    # A callers' file object is copied, not used: its position and its lifetime are the caller's.
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - handed to the caller
    copied = 0
    while chunk := stream.read(_COPY_BYTES):
        if not isinstance(chunk, bytes):
            raise InputError("audio_unreadable", f"{name} is a text stream; open it in binary mode ('rb').")
        copied += len(chunk)
        if copied > max_bytes:
            raise _too_large(name, max_bytes)
        spool.write(chunk)
    spool.seek(0)
    return spool, name  # type: ignore[return-value]  # has every method of BinaryIO, says typeshed otherwise


def check_size_and_hash(file: BinaryIO, name: str, max_bytes: int) -> str:
    """Return the SHA-256 of a file, in hex. Raises: InputError: audio_empty, audio_too_large."""
    size_bytes = containers.size_of(file)
    if size_bytes == 0:
        raise InputError("audio_empty", f"{name} has 0 bytes; give a file with speech in it.")
    if size_bytes > max_bytes:
        raise _too_large(name, max_bytes)
    digest = hashlib.sha256()
    while chunk := file.read(_COPY_BYTES):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _too_large(name: str, max_bytes: int) -> InputError:
    return InputError(
        "audio_too_large",
        f"{name} is longer than {max_bytes:,} bytes, the most that is read; split it.",
    )


def open_encoded(file: BinaryIO, name: str) -> Decoder:
    """Return a decoder for the format the content is in.

    Raises:
        InputError: audio_unknown_format, audio_truncated, audio_unreadable.
        ConfigError: media_extra_missing.
    """
    head = file.read(64)
    file.seek(0)
    container = containers.sniff(head)
    if container is None:
        looks = "text" if all(byte in b"\t\n\r\f\b\x1b" or byte >= 0x20 for byte in head) else "other data"
        raise InputError(
            "audio_unknown_format",
            f"{name} holds {looks}, not audio; "
            "give WAV, FLAC, Ogg, Opus, MP3, AIFF, AU, SPHERE, M4A, MP4, WebM or AMR.",
        )
    missing = containers.missing_bytes(file, container, containers.size_of(file))
    if missing > 0:
        raise InputError(
            "audio_truncated",
            f"{name} is cut: its {container.name} header declares at least {missing:,} bytes more than "
            "there are; transfer or record it again.",
        )
    if missing < 0:
        raise InputError(
            "audio_truncated",
            f"{name} declares less than it holds: {-missing:,} bytes lie behind the end its "
            f"{container.name} header declares; repair the header or export it again.",
        )
    if container.media is not None:
        return _open_media(file, name, container)
    return _open_sound(file, name, container)


class _ForSoundfile:
    """A file as libsndfile may see it: `prefix` in place of its first `skip_bytes`, a field set to unknown.

    No seek fails: an exception in a callback cannot be caught and would be printed for every hostile file.
    """

    def __init__(
        self, file: BinaryIO, unknown_at: int | None = None, prefix: bytes = b"", skip_bytes: int = 0
    ) -> None:
        self._file, self._unknown_at, self._prefix = file, unknown_at, prefix
        self._shift_bytes = skip_bytes - len(prefix)
        self._size_bytes = containers.size_of(file) - self._shift_bytes
        self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = max(0, self._size_bytes - self._at if size < 0 else size)
        data = self._prefix[self._at : self._at + size]
        start = self._shift_bytes + max(self._at, len(self._prefix))  # in the real file
        self._file.seek(start)
        data += self._file.read(size - len(data))
        self._at += len(data)
        if self._unknown_at is None or not start < self._unknown_at + 4 <= start + len(data) + 3:
            return data
        patched = bytearray(data)
        for at in range(self._unknown_at, self._unknown_at + 4):
            if start <= at < start + len(data):
                patched[at - start] = 0xFF
        return bytes(patched)

    def write(self, data: bytes) -> int:
        return 0  # never called on a file opened for reading, but asked for


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile publishes no types
    """A SoundFile that only reads on.

    The plain one seeks to where it stands after every read; at each block's edge this would make an MP3
    decoder forget the bits it has saved up, and garble some frames.
    """

    def seekable(self) -> bool:
        return False


def _open_sound(file: BinaryIO, name: str, container: containers.Container) -> Decoder:
    """WAV, FLAC, Ogg, MP3 and their kin, by libsndfile."""
    unset_at = containers.unset_size_at(file) if container.kind == "riff" else None
    try:
        sound = _Forward(_ForSoundfile(file, unset_at))
        if container.kind == "mp3" and (declaring := containers.mp3_declaration(file, sound.frames)):
            sound.close()
            sound = _Forward(_ForSoundfile(file, None, *declaring))
    except (soundfile.SoundFileError, RuntimeError, OSError) as error:
        raise _unreadable(name, container.name, error) from None
    frames = sound.frames if 0 < sound.frames < _UNKNOWN_FRAMES else None

    def blocks() -> Iterator[NDArray[np.float32]]:
        block_frames = max(1, _BLOCK_SAMPLES // sound.channels)
        with sound:
            while True:
                try:
                    block = sound.read(block_frames, dtype="float32", always_2d=True)
                except (soundfile.SoundFileError, RuntimeError, OSError) as error:
                    if container.kind == "flac":  # libsndfile reports a FLAC file's early end as lost sync
                        raise short_error(name, container.name) from None
                    raise _unreadable(name, container.name, error) from None
                if len(block) == 0:
                    return
                yield block

    # For Ogg and MP3 libsndfile's count is an estimate; `containers` has looked at what they declare.
    exact = container.kind not in ("ogg", "mp3")
    return Decoder(name, container.name, sound.samplerate, sound.channels, frames, exact, blocks())


def _open_media(file: BinaryIO, name: str, container: containers.Container) -> Decoder:
    """M4A, MP4, WebM, AMR and AAC, by PyAV."""
    try:
        import av
    except ImportError:
        raise ConfigError(
            "media_extra_missing",
            f"{name} is {container.name}, which needs PyAV; run: pip install 'voxid[media]'",
        ) from None
    # The demuxer is fixed by content and only local protocols are open, so no playlist or reference inside
    # a file can make this machine fetch another one.
    try:
        media = av.open(
            file,
            mode="r",
            format=container.media,
            options={"protocol_whitelist": "file,pipe"},
            metadata_errors="ignore",
        )
        stream = next(iter(media.streams.audio), None)
        if stream is None:
            media.close()
            raise InputError("audio_unreadable", f"{name} has no audio track; give a file with speech in it.")
        rate_hz, channels = int(stream.rate or 0), int(stream.channels or 0)
    except InputError:
        raise
    except Exception as error:  # on damaged files PyAV raises many kinds, AttributeError among them
        raise _unreadable(name, container.name, error) from None

    def blocks() -> Iterator[NDArray[np.float32]]:
        to_float = av.AudioResampler(format="fltp")
        try:
            with media:
                for frame in media.decode(stream):
                    if frame.sample_rate != rate_hz or frame.layout.nb_channels != channels:
                        raise InputError(
                            "audio_unreadable",
                            f"{name} changes its rate or channels midway; export it again as WAV.",
                        )
                    for part in to_float.resample(frame):
                        yield part.to_ndarray().T.astype(np.float32, copy=False)
        except InputError:
            raise
        except Exception as error:  # as above
            raise _unreadable(name, container.name, error) from None

    return Decoder(name, container.name, rate_hz, channels, None, False, blocks())


def _unreadable(name: str, container_name: str, error: BaseException) -> InputError:
    reason = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
    return InputError(
        "audio_unreadable",
        f"{name} begins like {container_name} but cannot be decoded ({reason}); export or record it again.",
    )


def short_error(name: str, container_name: str) -> InputError:
    """Return the error for a file that ends before the length it declares."""
    return InputError(
        "audio_truncated",
        f"{name} is cut or damaged: less can be decoded than its {container_name} header declares; "
        "transfer or record it again.",
    )


def open_array(source: tuple[NDArray[Any], int]) -> Decoder:
    """Return a decoder over ``(samples, rate_hz)`` that scales integers to [-1, 1].

    Raises:
        InputError: audio_unreadable, audio_empty.
    """
    pair = len(source) == 2 and isinstance(source[0], np.ndarray)
    if not pair or not isinstance(source[1], (int, np.integer)):
        raise InputError("audio_unreadable", "Expected (samples, rate_hz): a numpy array and a whole number.")
    array, rate_hz = source[0], int(source[1])
    if array.ndim not in (1, 2):
        raise InputError("audio_unreadable", f"The array has {array.ndim} dimensions; give (N,) or (N, C).")
    if array.size == 0:
        raise InputError("audio_empty", "The array holds no samples; give one with speech in it.")
    if array.dtype.kind == "f":
        scale, offset = 1.0, 0.0
    elif array.dtype in (np.int16, np.int32):
        scale, offset = 1.0 / -float(np.iinfo(array.dtype).min), 0.0
    elif array.dtype == np.uint8:
        scale, offset = 1.0 / 128, -128.0
    else:
        raise InputError(
            "audio_unreadable",
            f"Samples of type {array.dtype} have no known full scale; give float32, int16, int32 or uint8.",
        )
    frames = array.reshape(len(array), -1)
    block_frames = max(1, _BLOCK_SAMPLES // frames.shape[1])

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(frames), block_frames):
            block = frames[start : start + block_frames]
            if scale != 1.0:
                block = (block.astype(np.float64) + offset) * scale
            with np.errstate(over="ignore"):  # float64 beyond float32 becomes Inf, refused as such
                samples = block.astype(np.float32)
            yield samples

    return Decoder("audio", "array", rate_hz, frames.shape[1], len(frames), True, blocks())
