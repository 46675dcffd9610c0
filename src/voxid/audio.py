"""The audio door: a file, bytes, a stream or an array becomes a `Waveform`, or a coded error.

Nothing behind this door checks again: a waveform is mono, 16 kHz, finite and of bounded length.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voxid import containers
from voxid.errors import ConfigError, InputError
from voxid.timeline import Segment

__all__ = ["SAMPLE_RATE_HZ", "AudioLimits", "AudioSource", "Waveform", "load"]

SAMPLE_RATE_HZ = 16_000
_BLOCK_SAMPLES = 1 << 18  # over all channels: 1 MiB of float32 per decoded block, whatever the file claims
_COPY_BYTES = 1 << 20
_IN_MEMORY_BYTES = 32 << 20  # a stream longer than this is kept in a temporary file while it is decoded
_MAX_PEAK = 64.0  # 36 dB over full scale: no float recording gets there, int16 values in floats do
_UNKNOWN_FRAMES = 1 << 62  # libsndfile answers 2**63 - 1 when a header does not tell


@dataclass(frozen=True)
class AudioLimits:
    """What the door lets in.

    Args:
        max_duration_s: longer audio is refused; decoding stops there, so this bounds memory too
            (64 kB per second).
        min_duration_s: shorter audio is refused.
        min_rate_hz: lowest source sampling rate; below it, speech loses what tells people apart.
        max_rate_hz: highest source sampling rate.
        max_channels: most channels in the source.
        max_encoded_bytes: a longer file or stream is refused before it is decoded.
    """

    max_duration_s: float = 12 * 3600.0
    min_duration_s: float = 0.1
    min_rate_hz: int = 6_000
    max_rate_hz: int = 192_000
    max_channels: int = 8
    max_encoded_bytes: int = 16 << 30


@dataclass(frozen=True, eq=False)
class Waveform:
    """Mono audio at 16 kHz.

    Args:
        samples: float32 (N,), read-only, finite, in about [-1, 1].
        uri: a short name of the recording (a file's name without its ending).
        sha256: hex hash of the encoded bytes; of the little-endian float32 samples when an array was given.
        source_rate_hz: sampling rate before resampling: 8,000 says "telephone band".
    """

    samples: NDArray[np.float32] = field(repr=False)
    uri: str
    sha256: str
    source_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ

    def slice(self, segment: Segment) -> Waveform:
        """Return the part inside `segment`, cut at the end of the recording; no samples are copied.

        The hash stays that of the whole recording: it is what a reviewer has in hand.

        Raises:
            InputError: segment_invalid when no sample lies inside.
        """
        start = max(0, round(segment.start_s * SAMPLE_RATE_HZ))
        end = min(len(self.samples), round(segment.end_s * SAMPLE_RATE_HZ))
        if end <= start:
            raise InputError(
                "segment_invalid",
                f"{segment.start_s:.3f} to {segment.end_s:.3f} s holds no sample of {self.uri}, "
                f"which lasts {self.duration_s:.3f} s; give a segment inside it.",
            )
        return Waveform(self.samples[start:end], self.uri, self.sha256, self.source_rate_hz)


AudioSource: TypeAlias = str | Path | bytes | BinaryIO | tuple[NDArray[Any], int] | Waveform


@dataclass
class _Decoder:
    """An opened source: what it declares, and its samples as float32 blocks (N, C)."""

    name: str
    kind: str  # of the container, for messages
    rate_hz: int
    channels: int
    declared_frames: int | None  # None: the header does not tell
    exact: bool  # decoding fewer frames than declared means that the file was cut
    blocks: Iterator[NDArray[np.float32]]


def load(source: AudioSource, *, channel: int | None = None, limits: AudioLimits | None = None) -> Waveform:
    """Return the audio of `source` as a mono 16 kHz waveform.

    Decoding goes block by block under the caps of `limits`, so a small file that unpacks to hours costs
    no more memory than the longest recording allowed.

    Args:
        source: a path; encoded bytes; a binary stream; ``(samples, rate_hz)`` with samples (N,) or (N, C)
            as float in about [-1, 1] or as int16, int32 or uint8; or a waveform, which passes through.
        channel: 0-based channel to take; None averages all channels.
        limits: what to let in; `AudioLimits()` when None.

    Raises:
        InputError: audio_missing, audio_empty, audio_unreadable, audio_unknown_format, audio_not_finite,
            audio_out_of_scale, audio_rate_out_of_range, audio_too_many_channels, audio_channel_missing,
            audio_too_long, audio_too_short, audio_too_large, audio_truncated.
        ConfigError: media_extra_missing (m4a, mp4, webm, amr, aac without PyAV).
    """
    limits = limits or AudioLimits()
    if isinstance(source, Waveform):
        _check_channel(source.uri, channel, 1)
        _check_duration(source.uri, source.duration_s, limits)
        return source
    if isinstance(source, tuple):
        decoder = _open_array(source)
        samples = _read(decoder, channel, limits)
        digest = hashlib.sha256(samples.astype("<f4", copy=False).tobytes()).hexdigest()
        return Waveform(samples, decoder.name, digest, decoder.rate_hz)
    file, name = _open_bytes(source, limits)
    with file:
        digest = _check_size_and_hash(file, name, limits)
        decoder = _open_encoded(file, name)
        samples = _read(decoder, channel, limits)
    return Waveform(samples, Path(name).stem or "audio", digest, decoder.rate_hz)


# --- from a source to bytes -------------------------------------------------------------------------


def _open_bytes(source: str | Path | bytes | BinaryIO, limits: AudioLimits) -> tuple[BinaryIO, str]:
    """A seekable binary file over the encoded bytes, and its name for messages."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source), "audio"
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source), limits)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return _spool(source, limits, name if isinstance(name, str) else "audio")
    raise InputError(
        "audio_unreadable",
        f"A {type(source).__name__} is not audio; give a path, bytes, a binary stream, "
        "(samples, rate_hz) or a Waveform.",
    )


def _open_path(path: Path, limits: AudioLimits) -> tuple[BinaryIO, str]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            with path.open("rb") as pipe:
                return _spool(pipe, limits, path.name)
        if not stat.S_ISREG(mode):
            raise InputError("audio_unreadable", f"{path} is not a file; give an audio file.")
        return path.open("rb"), path.name
    except FileNotFoundError:
        raise InputError("audio_missing", f"There is no file {path}; check the path.") from None
    except (OSError, ValueError) as error:
        raise InputError(
            "audio_unreadable", f"{path} cannot be opened ({error}); check the path and its permissions."
        ) from None


def _spool(stream: BinaryIO, limits: AudioLimits, name: str) -> tuple[BinaryIO, str]:
    """Copy a stream, from where it stands, to memory or (when long) to a temporary file."""
    # A callers' file object is copied, not used: its position and its lifetime are the caller's.
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - handed to the caller
    copied = 0
    while chunk := stream.read(_COPY_BYTES):
        if not isinstance(chunk, bytes):
            raise InputError("audio_unreadable", f"{name} is a text stream; open it in binary mode ('rb').")
        copied += len(chunk)
        if copied > limits.max_encoded_bytes:
            raise _too_large(name, limits)
        spool.write(chunk)
    spool.seek(0)
    return spool, name  # type: ignore[return-value]  # has every method of BinaryIO, says typeshed otherwise


def _check_size_and_hash(file: BinaryIO, name: str, limits: AudioLimits) -> str:
    size_bytes = containers.size_of(file)
    if size_bytes == 0:
        raise InputError("audio_empty", f"{name} has 0 bytes; give a file with speech in it.")
    if size_bytes > limits.max_encoded_bytes:
        raise _too_large(name, limits)
    digest = hashlib.sha256()
    while chunk := file.read(_COPY_BYTES):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _too_large(name: str, limits: AudioLimits) -> InputError:
    return InputError(
        "audio_too_large",
        f"{name} is longer than {limits.max_encoded_bytes:,} bytes, the most that is read; split it.",
    )


# --- from bytes to blocks of samples ----------------------------------------------------------------


def _open_encoded(file: BinaryIO, name: str) -> _Decoder:
    head = file.read(64)
    file.seek(0)
    container = containers.sniff(head)
    if container is None:
        looks = "text" if all(byte in b"\t\n\r\f\b\x1b" or byte >= 0x20 for byte in head) else "other data"
        raise InputError(
            "audio_unknown_format",
            f"{name} holds {looks}, not audio; give WAV, FLAC, Ogg, Opus, MP3, AIFF, M4A, MP4, WebM or AMR.",
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


def _open_sound(file: BinaryIO, name: str, container: containers.Container) -> _Decoder:
    """WAV, FLAC, Ogg, MP3 and their kin, by libsndfile."""
    try:
        sound = soundfile.SoundFile(file)
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
                        raise _short(name, container.name) from None
                    raise _unreadable(name, container.name, error) from None
                if len(block) == 0:
                    return
                yield block

    # For Ogg and MP3 libsndfile's count is an estimate; `containers` has looked at what they declare.
    exact = container.kind not in ("ogg", "mp3")
    return _Decoder(name, container.name, sound.samplerate, sound.channels, frames, exact, blocks())


def _open_media(file: BinaryIO, name: str, container: containers.Container) -> _Decoder:
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
    except (av.FFmpegError, ValueError, OSError) as error:
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
        except (av.FFmpegError, ValueError, OSError) as error:
            raise _unreadable(name, container.name, error) from None

    return _Decoder(name, container.name, rate_hz, channels, None, False, blocks())


def _unreadable(name: str, container_name: str, error: BaseException) -> InputError:
    reason = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
    return InputError(
        "audio_unreadable",
        f"{name} begins like {container_name} but cannot be decoded ({reason}); export or record it again.",
    )


def _short(name: str, container_name: str) -> InputError:
    return InputError(
        "audio_truncated",
        f"{name} is cut or damaged: less can be decoded than its {container_name} header declares; "
        "transfer or record it again.",
    )


def _open_array(source: tuple[NDArray[Any], int]) -> _Decoder:
    """``(samples, rate_hz)``, integers scaled to [-1, 1]."""
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
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes Inf, refused as such
            for start in range(0, len(frames), block_frames):
                block = frames[start : start + block_frames]
                if scale != 1.0:
                    block = (block.astype(np.float64) + offset) * scale
                yield block.astype(np.float32)

    return _Decoder("audio", "array", rate_hz, frames.shape[1], len(frames), True, blocks())


# --- from blocks to one waveform --------------------------------------------------------------------


def _read(decoder: _Decoder, channel: int | None, limits: AudioLimits) -> NDArray[np.float32]:
    """Decode, mix, resample; check everything that can be wrong with the samples."""
    _check_declared(decoder, channel, limits)
    name, rate_hz = decoder.name, decoder.rate_hz
    max_frames = int(limits.max_duration_s * rate_hz)
    expected = min(decoder.declared_frames or 0, max_frames)
    buffer = _Buffer(expected * SAMPLE_RATE_HZ // rate_hz + 1)
    resample = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    decoded_frames = 0
    for block in decoder.blocks:
        decoded_frames += len(block)
        if decoded_frames > max_frames:
            _check_duration(name, decoded_frames / rate_hz, limits)
        _check_samples(name, block, (decoded_frames - len(block)) / rate_hz)
        mono = _mix(block, channel)
        buffer.append(mono if rate_hz == SAMPLE_RATE_HZ else resample.resample_chunk(mono))
    if rate_hz != SAMPLE_RATE_HZ and decoded_frames:
        buffer.append(resample.resample_chunk(np.zeros(0, np.float32), last=True))
    if decoded_frames == 0:
        raise InputError("audio_empty", f"{name} holds no samples; give a file with speech in it.")
    if decoder.exact and decoder.declared_frames is not None and decoded_frames < decoder.declared_frames:
        raise _short(name, decoder.kind)
    _check_duration(name, decoded_frames / rate_hz, limits)
    samples = buffer.finish()
    samples.flags.writeable = False
    return samples


class _Buffer:
    """Float32 samples that grow by appending; sized by what was declared, so a true header costs no copy."""

    def __init__(self, capacity_samples: int) -> None:
        # np.empty takes no memory until it is written: a lying header costs address space only.
        self._samples: NDArray[np.float32] = np.empty(max(capacity_samples, SAMPLE_RATE_HZ), np.float32)
        self._length = 0

    def append(self, block: NDArray[np.float32]) -> None:
        end = self._length + len(block)
        if end > len(self._samples):
            grown = np.empty(max(end, len(self._samples) * 3 // 2), np.float32)
            grown[: self._length] = self._samples[: self._length]
            self._samples = grown
        self._samples[self._length : end] = block
        self._length = end

    def finish(self) -> NDArray[np.float32]:
        self._samples.resize(self._length, refcheck=False)  # gives the unused end back
        return self._samples


def _mix(block: NDArray[np.float32], channel: int | None) -> NDArray[np.float32]:
    if block.shape[1] == 1:
        return block[:, 0]
    if channel is not None:
        return np.ascontiguousarray(block[:, channel])
    mono: NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)
    return mono


def _check_declared(decoder: _Decoder, channel: int | None, limits: AudioLimits) -> None:
    name, rate_hz = decoder.name, decoder.rate_hz
    if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        raise InputError(
            "audio_rate_out_of_range",
            f"{name} has a sampling rate of {rate_hz:,} Hz; expected {limits.min_rate_hz:,} to "
            f"{limits.max_rate_hz:,} Hz; resample it or correct its header.",
        )
    if not 1 <= decoder.channels <= limits.max_channels:
        raise InputError(
            "audio_too_many_channels",
            f"{name} has {decoder.channels} channels; expected 1 to {limits.max_channels}"
            f"{' with samples as (N, C)' if decoder.name == 'audio' else ''}; export fewer.",
        )
    _check_channel(name, channel, decoder.channels)
    if decoder.declared_frames is not None and decoder.declared_frames / rate_hz > limits.max_duration_s:
        _check_duration(name, decoder.declared_frames / rate_hz, limits)


def _check_channel(name: str, channel: int | None, channels: int) -> None:
    if channel is not None and not 0 <= channel < channels:
        has = "only channel 0 (it is mono)" if channels == 1 else f"channels 0 to {channels - 1}"
        raise InputError("audio_channel_missing", f"{name} has no channel {channel}; it has {has}.")


def _check_duration(name: str, duration_s: float, limits: AudioLimits) -> None:
    if duration_s > limits.max_duration_s:
        raise InputError(
            "audio_too_long",
            f"{name} lasts over {limits.max_duration_s:,.0f} s, the most that is read; split it.",
        )
    if duration_s < limits.min_duration_s:
        raise InputError(
            "audio_too_short",
            f"{name} lasts {duration_s:.3f} s; expected at least {limits.min_duration_s:g} s.",
        )


def _check_samples(name: str, block: NDArray[np.float32], at_s: float) -> None:
    peak = float(np.abs(block).max())  # NaN and Inf both come through max
    if not np.isfinite(peak):
        raise InputError(
            "audio_not_finite",
            f"{name} holds NaN or infinite samples near {at_s:.1f} s; record or export it again.",
        )
    if peak > _MAX_PEAK:
        raise InputError(
            "audio_out_of_scale",
            f"{name} holds samples up to {peak:,.0f}; expected floats in about [-1, 1]; "
            "divide by full scale (32,768 for 16 bit).",
        )
