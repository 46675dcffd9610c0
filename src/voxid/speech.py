"""Where there is speech in a waveform, how much, and how good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.errors import ConfigError, InputError
from voxid.segments import Segment, merge_segments
from voxid.silero import CHUNK_SAMPLES, speech_probabilities

__all__ = [
    "QualityPolicy",
    "SpeechQuality",
    "VadOptions",
    "detect_speech",
    "measure_quality",
    "speech_mask",
    "speech_regions",
]

_FRAME_SAMPLES, _HOP_SAMPLES = 400, 160  # 25 ms every 10 ms, the frames of the features
_CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE_HZ

# Noise is measured in the pauses; a few of them are needed, and not their edges, where speech rings out.
_MIN_PAUSE_FRAMES = 20
_PAUSE_EDGE_FRAMES = 5
_QUIET_SHARE_PCT = 10  # the quietest frames within speech: closures, breaths
_SNR_RANGE_DB = (-10.0, 60.0)
_SILENT_POWER = 1e-10  # -100 dB: below 16-bit rounding, so digital silence that tells nothing of the noise
_CLIP_SHARE_OF_LEVEL = 0.95

# Above the telephone band, and inside it; the edges of both are left out, where filters are soft.
_HIGH_BAND_HZ, _LOW_BAND_HZ = (4_200, 7_600), (300, 3_400)
_HIGH_BAND_RANGE_DB = (-60.0, 0.0)
_SPECTRUM_FRAMES = 300  # 3 s of speech from everywhere tell the band; an hour need not be transformed


@dataclass(frozen=True)
class VadOptions:
    """How probabilities of speech become regions.

    Args:
        threshold: speech begins at this probability. Lower finds quieter speech and takes in more noise.
        release: speech ends below this probability. The gap to `threshold` keeps regions from flickering.
        min_speech_s: shorter regions are dropped. Longer loses short answers, shorter lets clicks in.
        min_silence_s: shorter pauses stay inside a region. Longer gives fewer, longer regions.
        pad_s: added on both sides, so that soft onsets are not cut; neighbours share a pause evenly.

    Raises:
        ConfigError: vad_options_invalid.
    """

    threshold: float = 0.5
    release: float = 0.35
    min_speech_s: float = 0.25
    min_silence_s: float = 0.1
    pad_s: float = 0.03

    def __post_init__(self) -> None:
        lengths = (self.min_speech_s, self.min_silence_s, self.pad_s)
        if not 0 < self.release <= self.threshold < 1 or not all(0 <= length < 60 for length in lengths):
            raise ConfigError(
                "vad_options_invalid",
                f"{self} cannot be used; expected 0 < release <= threshold < 1 and lengths from 0 to 60 s.",
            )


def detect_speech(
    waveform: Waveform,
    options: VadOptions | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Segment]:
    """Return the regions of speech, sorted and disjoint; an empty list when there is none.

    Args:
        waveform: any length.
        options: `VadOptions()` when None.
        progress: called with the share done, 0 to 1.
    """
    return speech_regions(speech_probabilities(waveform.samples, progress), waveform.duration_s, options)


def speech_regions(
    probabilities: NDArray[np.float32], end_s: float, options: VadOptions | None = None
) -> list[Segment]:
    """Return the regions of speech that probabilities of chunks mean, sorted and disjoint.

    Args:
        probabilities: (C,) of chunks of 32 ms from second 0 on, as `voxid.silero.speech_probabilities` gives them.
        end_s: no region ends later.
        options: `VadOptions()` when None.
    """
    options = options or VadOptions()
    spans = _spans(probabilities, options)
    bounds = [
        (first * _CHUNK_S, min(last * _CHUNK_S, end_s))
        for first, last in spans
        if min(last * _CHUNK_S, end_s) - first * _CHUNK_S >= options.min_speech_s
    ]
    regions = []
    for at, (start_s, stop_s) in enumerate(bounds):
        room_before_s = (start_s - bounds[at - 1][1]) / 2 if at else start_s
        room_after_s = (bounds[at + 1][0] - stop_s) / 2 if at + 1 < len(bounds) else end_s - stop_s
        start_s -= min(options.pad_s, room_before_s)
        stop_s += min(options.pad_s, room_after_s)
        regions.append(Segment(start_s, stop_s))
    return merge_segments(regions)


def _spans(probabilities: NDArray[np.float32], options: VadOptions) -> list[tuple[int, int]]:
    """Runs of speech chunks as (first, last + 1), before short ones are dropped.

    A run begins at `threshold`; it ends where the probability fell below `release`, once it has stayed
    under `threshold` for `min_silence_s`.
    """
    spans: list[tuple[int, int]] = []
    patience_chunks = options.min_silence_s / _CHUNK_S
    first = fell = -1
    for at, probability in enumerate(probabilities.tolist()):
        if probability >= options.threshold:
            if first < 0:
                first = at
            fell = -1
        elif first >= 0:
            if fell < 0 and probability < options.release:
                fell = at
            if fell >= 0 and at + 1 - fell >= patience_chunks:
                spans.append((first, fell))
                first = fell = -1
    if first >= 0:
        spans.append((first, fell if fell >= 0 else len(probabilities)))
    return spans


def speech_mask(regions: Sequence[Segment], n_frames: int) -> NDArray[np.float32]:
    """Return float32 (T,): 1 for frames whose centre lies inside a region, else 0.

    Args:
        regions: any order; overlaps count once.
        n_frames: T; frame t covers 10 t to 10 t + 25 ms.
    """
    mask = np.zeros(n_frames, np.float32)
    hop_s = _HOP_SAMPLES / SAMPLE_RATE_HZ
    centre_s = np.arange(n_frames) * hop_s + _FRAME_SAMPLES / SAMPLE_RATE_HZ / 2
    for region in regions:
        first, last = np.searchsorted(centre_s, (region.start_s, region.end_s))
        mask[first:last] = 1.0
    return mask


@dataclass(frozen=True)
class SpeechQuality:
    """What a recording offers to a speaker model.

    Args:
        duration_s: whole length.
        net_speech_s: speech in it, the detector's padding included.
        snr_db: speech over noise, -10 to 60, higher is better; an estimate. None without speech.
        clipping_share: share of the speech samples at the level where the recording saturates, 0 to 1.
            Clean speech lies under 0.005.
        high_band_db: power of the speech from 4.2 to 7.6 kHz over that from 0.3 to 3.4 kHz, -60 to 0: how wide the
            channel is. Speech off a telephone (8 kHz) lies under -45, wide-band speech mostly above -30. None
            without speech.
    """

    duration_s: float
    net_speech_s: float
    snr_db: float | None
    clipping_share: float
    high_band_db: float | None = None


def measure_quality(waveform: Waveform, regions: Sequence[Segment]) -> SpeechQuality:
    """Return how much speech there is and how good it is.

    The noise power is the median power of the frames outside all regions (50 ms off their edges; 0.2 s of
    them at least), but no more than the 10th percentile of the frames inside, for noise lies under speech
    too and a passing car does not; the speech power is the mean inside minus the noise. This tells stationary
    noise; a second talker, music or an echo counts as speech. Measured on 119 clean clips with white noise
    added at 0 to 20 dB: 90 % of the estimates lie within 0.6 dB; at 30 dB the clips' own noise counts, and
    they lie up to 2.4 dB low.

    Clipped samples are those within 5 % of the highest level, or of full scale when that is lower: a filter
    or codec after the clipping lets a flat top ripple by about that much. Measured on 160 clips: 0.0001 as
    they are, 0.07 after 14 dB too much gain, 0.25 after 24 dB (medians). A recording that was clipped,
    turned down and then filtered is not recognised.
    """
    merged = merge_segments(regions)
    net_speech_s = sum(region.duration_s for region in merged)
    if not merged:
        return SpeechQuality(waveform.duration_s, 0.0, None, 0.0)
    return SpeechQuality(
        waveform.duration_s,
        net_speech_s,
        _snr_db(waveform.samples, merged),
        _clipping(waveform, merged),
        _high_band_db(waveform.samples, merged),
    )


def _snr_db(samples: NDArray[np.float32], regions: Sequence[Segment]) -> float | None:
    power = _frame_power(samples)
    if len(power) == 0:
        return None
    inside = speech_mask(regions, len(power)) > 0
    if not inside.any():
        return None
    near = np.convolve(inside, np.ones(2 * _PAUSE_EDGE_FRAMES + 1), mode="same") > 0
    pauses = power[~near & (power > _SILENT_POWER)]
    audible = power[inside & (power > _SILENT_POWER)]
    if len(audible) == 0:
        return _SNR_RANGE_DB[0]
    noise = float(np.percentile(audible, _QUIET_SHARE_PCT))
    if len(pauses) >= _MIN_PAUSE_FRAMES:
        noise = min(noise, float(np.median(pauses)))
    speech = float(power[inside].mean()) - noise
    if speech <= 0:
        return _SNR_RANGE_DB[0]
    return float(np.clip(10 * np.log10(speech / noise), *_SNR_RANGE_DB))


def _high_band_db(samples: NDArray[np.float32], regions: Sequence[Segment]) -> float | None:
    n_frames = max(0, (len(samples) - _FRAME_SAMPLES) // _HOP_SAMPLES + 1)
    spoken = np.flatnonzero(speech_mask(regions, n_frames))
    if not spoken.size:
        return None
    chosen = spoken[np.linspace(0, spoken.size - 1, min(spoken.size, _SPECTRUM_FRAMES)).astype(np.int64)]
    frames = samples[chosen[:, None] * _HOP_SAMPLES + np.arange(_FRAME_SAMPLES)]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_FRAME_SAMPLES), axis=1))).sum(axis=0)
    at_hz = np.fft.rfftfreq(_FRAME_SAMPLES, 1 / SAMPLE_RATE_HZ)

    def band(low_hz: float, high_hz: float) -> float:
        return float(power[(at_hz >= low_hz) & (at_hz <= high_hz)].mean()) + 1e-20

    ratio_db = 10 * np.log10(band(*_HIGH_BAND_HZ) / band(*_LOW_BAND_HZ))
    return float(np.clip(ratio_db, *_HIGH_BAND_RANGE_DB))


def _frame_power(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean square of each 25 ms frame, without its offset: float64 (T,)."""
    total = np.concatenate([[0.0], np.cumsum(samples, dtype=np.float64)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - _FRAME_SAMPLES + 1, _HOP_SAMPLES)
    mean = (total[starts + _FRAME_SAMPLES] - total[starts]) / _FRAME_SAMPLES
    mean_square = (squares[starts + _FRAME_SAMPLES] - squares[starts]) / _FRAME_SAMPLES
    power: NDArray[np.float64] = np.maximum(mean_square - np.square(mean), 0.0)
    return power


def _clipping(waveform: Waveform, regions: Sequence[Segment]) -> float:
    parts = [
        waveform.samples[int(region.start_s * SAMPLE_RATE_HZ) : int(region.end_s * SAMPLE_RATE_HZ)]
        for region in regions
    ]
    size = sum(len(part) for part in parts)
    peak = max((float(np.abs(part).max()) for part in parts if len(part)), default=0.0)
    if size == 0 or peak == 0:
        return 0.0
    limit = _CLIP_SHARE_OF_LEVEL * min(peak, 1.0)
    return sum(int(np.count_nonzero(np.abs(part) >= limit)) for part in parts) / size


@dataclass(frozen=True)
class QualityPolicy:
    """What speech is good enough for.

    Args:
        min_enroll_speech_s: net speech to enroll, over all clips of one call. A voiceprint is used for
            years, so it asks for more than a probe.
        min_probe_speech_s: net speech to verify or identify.
        max_clipping_share: more of the speech samples saturated is "clipped beyond use".
        min_snr_db: a lower estimated SNR is poor quality.
    """

    min_enroll_speech_s: float = 2.0
    min_probe_speech_s: float = 1.0
    max_clipping_share: float = 0.1
    min_snr_db: float = 0.0

    def check(
        self, quality: SpeechQuality, for_enroll: bool
    ) -> Literal["ok", "not_enough_speech", "poor_quality"]:
        """Return the verdict that feeds the decision."""
        needed_s = self.min_enroll_speech_s if for_enroll else self.min_probe_speech_s
        if quality.net_speech_s < needed_s or quality.net_speech_s == 0:
            return "not_enough_speech"
        too_noisy = quality.snr_db is None or quality.snr_db < self.min_snr_db
        return "poor_quality" if too_noisy or quality.clipping_share > self.max_clipping_share else "ok"

    def require(self, quality: SpeechQuality, name: str) -> None:
        """Refuse speech that no decision could stand on.

        Args:
            quality: as measured.
            name: of the recording, for the sentence.

        Raises:
            InputError: no_speech, or audio_clipped (clipped beyond use).
        """
        if quality.net_speech_s == 0:
            raise InputError(
                "no_speech",
                f"No speech was found in the {quality.duration_s:.1f} s of {name}; "
                "give a recording in which someone speaks.",
            )
        if quality.clipping_share > self.max_clipping_share:
            raise InputError(
                "audio_clipped",
                f"{name} is clipped beyond use: {quality.clipping_share:.0%} of its speech is at full level; "
                f"expected at most {self.max_clipping_share:.0%}; record it again with less gain.",
            )
