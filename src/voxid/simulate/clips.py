"""Single-speaker recordings as material for conversations: where in them is speech, and how loud it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.simulate.distortions import Samples
from voxid.simulate.fitting import BRIDGE_S
from voxid.simulate.turntaking import FRAMES_PER_S
from voxid.speech import VadOptions, detect_speech

__all__ = ["HOP_SAMPLES", "Clip", "Library", "Voice", "listen", "loudness", "spans_of"]

HOP_SAMPLES: Final = SAMPLE_RATE_HZ // FRAMES_PER_S

# The detector ends speech late, and a simulated pause must be one: what lies this far below the loud speech at the
# edges of a region is taken off, up to a limit that spares soft consonants.
_QUIET_DB = 32.0
_TIGHTEN_FRAMES = 15
_SHORTEST_SPAN_FRAMES = 12
_FLOOR_DB = -120.0
_DETECTOR = VadOptions(min_speech_s=0.1, min_silence_s=0.1, pad_s=0.03)


@dataclass(frozen=True, eq=False)
class Clip:
    """One recording of one speaker, heard through.

    Attributes:
        key: its number in its library.
        spans: (P, 2) first frame and first after it, in frames of 10 ms, of stretches of speech; pauses of up to
            ``BRIDGE_S`` stay inside.
        loudness_db: (T,) of each frame, against full scale, rounded.
        level: root mean square of the samples inside the spans.
    """

    key: int
    spans: NDArray[np.int32]
    loudness_db: NDArray[np.int8]
    level: float

    @property
    def speech_frames(self) -> int:
        """Frames inside the spans."""
        return int((self.spans[:, 1] - self.spans[:, 0]).sum())


@dataclass(frozen=True, eq=False)
class Voice:
    """A speaker as heard in one session."""

    name: str
    clips: tuple[Clip, ...]
    group: str = ""

    @property
    def speech_s(self) -> float:
        """Seconds of speech in all clips."""
        return sum(clip.speech_frames for clip in self.clips) / FRAMES_PER_S


class Library(Protocol):
    """Where speech comes from."""

    @property
    def names(self) -> Sequence[str]:
        """The speakers."""
        ...

    @property
    def groups(self) -> Sequence[str]:
        """For each speaker the corpus or kind of recording: what may tell people apart besides their voices."""
        ...

    def open_voice(self, number: int, rng: np.random.Generator, enough_s: float) -> Voice:
        """Return speaker ``number`` in one session drawn by ``rng``, with no more clips than ``enough_s`` takes."""
        ...

    def samples(self, clip: Clip) -> Samples:
        """Return (N,) at 16 kHz of a clip of this library."""
        ...


def listen(samples: Samples, key: int = 0) -> Clip:
    """Return the clip of some samples at 16 kHz; it has no spans where no speech is found."""
    regions = detect_speech(Waveform(samples, "clip", "", SAMPLE_RATE_HZ), _DETECTOR) if samples.size else []
    bounds = np.array([(region.start_s, region.end_s) for region in regions]).reshape(-1, 2)
    heard_db = loudness(samples)
    spans = spans_of(np.rint(bounds * FRAMES_PER_S).astype(np.int32), heard_db)
    inside = [samples[a * HOP_SAMPLES : b * HOP_SAMPLES] for a, b in spans]
    power = float(np.mean(np.square(np.concatenate(inside), dtype=np.float64))) if inside else 0.0
    return Clip(key, spans, heard_db, float(np.sqrt(power)))


def loudness(samples: Samples) -> NDArray[np.int8]:
    """Return (T,) mean power of each whole frame of 10 ms in dB against full scale, -120 to 20."""
    n_frames = len(samples) // HOP_SAMPLES
    framed = samples[: n_frames * HOP_SAMPLES].reshape(n_frames, HOP_SAMPLES)
    power = np.mean(np.square(framed, dtype=np.float64), axis=1)
    heard_db = 10.0 * np.log10(power + 10.0 ** (_FLOOR_DB / 10.0))
    return np.asarray(np.rint(heard_db).clip(_FLOOR_DB, 20.0), dtype=np.int8)


def spans_of(regions: NDArray[np.int32], loudness_db: NDArray[np.int8]) -> NDArray[np.int32]:
    """Return (P, 2) regions of speech made tight by loudness, with short pauses closed and crumbs left out.

    Args:
        regions: (R, 2) first frame and first after it, sorted.
        loudness_db: (T,) of the frames.
    """
    n_frames = loudness_db.size
    inside = np.zeros(n_frames, np.bool_)
    for first, last in regions:
        inside[first:last] = True
    if not inside.any():
        return np.zeros((0, 2), np.int32)
    least_db = float(np.percentile(loudness_db[inside], 95)) - _QUIET_DB
    kept: list[list[int]] = []
    for first, last in regions:
        last = min(int(last), n_frames)
        loud = np.flatnonzero(loudness_db[first:last] > least_db)
        if not loud.size:
            continue
        start = max(int(first), min(int(first) + int(loud[0]), int(first) + _TIGHTEN_FRAMES))
        end = min(last, max(int(first) + int(loud[-1]) + 1, last - _TIGHTEN_FRAMES))
        if kept and start - kept[-1][1] <= BRIDGE_S * FRAMES_PER_S:
            kept[-1][1] = end
        else:
            kept.append([start, end])
    long_enough = [span for span in kept if span[1] - span[0] >= _SHORTEST_SPAN_FRAMES]
    return np.asarray(long_enough, np.int32).reshape(-1, 2)
