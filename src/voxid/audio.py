"""The audio door: a file, bytes, a stream or an array becomes a `Waveform`, or a coded error.

Nothing behind this door checks again: a waveform is mono, 16 kHz, finite and of bounded length.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
import soxr
from numpy.typing import NDArray

from voxid import decoding
from voxid.errors import InputError
from voxid.packed import PackedSamples, Packer
from voxid.segments import Segment

__all__ = ["SAMPLE_RATE_HZ", "AudioLimits", "AudioSource", "Waveform", "load"]

SAMPLE_RATE_HZ = 16_000
_MAX_PEAK = 64.0  # 36 dB over full scale: no float recording gets there, int16 values in floats do


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
        samples: float32 (N,), read-only, finite, in about [-1, 1]. Of long audio that was loaded packed, a stand-in
            for the array that is read by slices (:class:`voxid.packed.PackedSamples`).
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


def load(
    source: AudioSource,
    *,
    channel: int | None = None,
    limits: AudioLimits | None = None,
    pack_beyond_s: float | None = None,
) -> Waveform:
    """Return the audio of `source` as a mono 16 kHz waveform.

    Decoding goes block by block under the caps of `limits`, so a small file that unpacks to hours costs
    no more memory than the longest recording allowed.

    Args:
        source: a path; encoded bytes; a binary stream; ``(samples, rate_hz)`` with samples (N,) or (N, C)
            as float in about [-1, 1] or as int16, int32 or uint8; or a waveform, which passes through.
        channel: 0-based channel to take; None averages all channels.
        limits: what to let in; `AudioLimits()` when None.
        pack_beyond_s: encoded audio longer than this is held packed, in memory, at a third to half of the size:
            for work that reads it piece by piece. None: never. Arrays and waveforms stay as they are.

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
        decoder = decoding.open_array(source)
        samples = cast("NDArray[np.float32]", _read(decoder, channel, limits))
        digest = hashlib.sha256(samples.astype("<f4", copy=False).tobytes()).hexdigest()
        return Waveform(samples, decoder.name, digest, decoder.rate_hz)
    file, name = decoding.open_bytes(source, limits.max_encoded_bytes)
    with file:
        digest = decoding.check_size_and_hash(file, name, limits.max_encoded_bytes)
        decoder = decoding.open_encoded(file, name)
        most_plain = None if pack_beyond_s is None else int(pack_beyond_s * SAMPLE_RATE_HZ)
        # What is packed answers to slices and lengths as the array does: readers need not know which they have.
        samples = cast("NDArray[np.float32]", _read(decoder, channel, limits, most_plain))
    return Waveform(samples, Path(name).stem or "audio", digest, decoder.rate_hz)


# --- from blocks to one waveform --------------------------------------------------------------------


def _read(
    decoder: decoding.Decoder, channel: int | None, limits: AudioLimits, most_plain: int | None = None
) -> NDArray[np.float32] | PackedSamples:
    """Decode, mix, resample; check everything that can be wrong with the samples.

    More than ``most_plain`` samples come back packed.
    """
    _check_declared(decoder, channel, limits)
    name, rate_hz = decoder.name, decoder.rate_hz
    max_frames = int(limits.max_duration_s * rate_hz)
    expected = min(decoder.declared_frames or 0, max_frames)
    buffer = _Buffer(expected * SAMPLE_RATE_HZ // rate_hz + 1, most_plain)
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
        raise decoding.short_error(name, decoder.kind)
    _check_duration(name, decoded_frames / rate_hz, limits)
    return buffer.finish()


class _Buffer:
    """Float32 samples that grow by appending; sized by what was declared, so a true header costs no copy.

    Beyond ``most_plain`` samples they are packed.
    """

    def __init__(self, capacity_samples: int, most_plain: int | None = None) -> None:
        if most_plain is not None:
            capacity_samples = min(capacity_samples, most_plain)
        # np.empty takes no memory until it is written: a lying header costs address space only.
        self._samples: NDArray[np.float32] = np.empty(max(capacity_samples, SAMPLE_RATE_HZ), np.float32)
        self._length = 0
        self._most_plain = most_plain
        self._packer: Packer | None = None

    def append(self, block: NDArray[np.float32]) -> None:
        end = self._length + len(block)
        if self._packer is None and self._most_plain is not None and end > self._most_plain:
            self._packer = Packer()
            self._packer.append(self._samples[: self._length])
            self._samples = np.empty(0, np.float32)
        if self._packer is not None:
            self._packer.append(block)
            return
        if end > len(self._samples):
            grown = np.empty(max(end, len(self._samples) * 3 // 2), np.float32)
            grown[: self._length] = self._samples[: self._length]
            self._samples = grown
        self._samples[self._length : end] = block
        self._length = end

    def finish(self) -> NDArray[np.float32] | PackedSamples:
        if self._packer is not None:
            return self._packer.finish()
        self._samples.resize(self._length, refcheck=False)  # gives the unused end back
        self._samples.flags.writeable = False
        return self._samples


def _mix(block: NDArray[np.float32], channel: int | None) -> NDArray[np.float32]:
    if block.shape[1] == 1:
        return block[:, 0]
    if channel is not None:
        return np.ascontiguousarray(block[:, channel])
    mono: NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)
    return mono


def _check_declared(decoder: decoding.Decoder, channel: int | None, limits: AudioLimits) -> None:
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
