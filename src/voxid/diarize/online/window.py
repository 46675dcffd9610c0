"""The last seconds of a call: samples in, in pieces of any size; every hop what the networks hear.

Shapes: N samples, T frames of 10 ms, M Mel bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ
from voxid.diarize.segmentation import quiet_to
from voxid.features import FRAME_HOP_S, FRAME_LENGTH_S, N_MELS, fbank, frame_count
from voxid.segments import Segment
from voxid.silero import CHUNK_SAMPLES, SpeechStream
from voxid.speech import speech_regions

_HOP_SAMPLES: Final = round(FRAME_HOP_S * SAMPLE_RATE_HZ)
_FRAME_SAMPLES: Final = round(FRAME_LENGTH_S * SAMPLE_RATE_HZ)


@dataclass(frozen=True, eq=False)
class Window:
    """What was heard last.

    Attributes:
        start_frame: first frame, counted from the start of the call; even.
        n_frames: frames heard; the features go on, as quiet as the quietest frame, to the length the network knows.
        features: (T, M) float32, T the chunk of the segmentation network.
        samples: (N,) float32 under the frames heard.
        speech: where detection hears speech, in seconds from the first frame.
        hop_frames: frames since the window before.
    """

    start_frame: int
    n_frames: int
    features: NDArray[np.float32]
    samples: NDArray[np.float32]
    speech: tuple[Segment, ...]
    hop_frames: int

    @property
    def end_frame(self) -> int:
        """Frame after the last that was heard."""
        return self.start_frame + self.n_frames


class RollingWindow:
    """A buffer of one chunk; features are made once, and speech is looked for once.

    Args:
        chunk_frames: frames the segmentation network hears at once.
        hop_s: from one window to the next.
    """

    def __init__(self, chunk_frames: int, hop_s: float) -> None:
        self.chunk_frames = chunk_frames
        self.hop_frames = round(hop_s / FRAME_HOP_S)
        self.heard_frames = 0
        self.heard_samples = 0
        self._samples = np.zeros(0, np.float32)  # from the first sample of the oldest frame kept
        self._features = np.zeros((0, N_MELS), np.float32)
        self._detector = SpeechStream()
        self._undetected: list[
            NDArray[np.float32]
        ] = []  # looked at once a hop: many small pieces would cost twice
        self._probability = np.zeros(0, np.float32)  # of the last chunks of 32 ms that are whole
        self._n_detected = 0

    def push(self, samples: NDArray[np.float32]) -> Iterator[Window]:
        """Yield the window at every hop that ``samples`` (N,), 16 kHz, completes."""
        self.heard_samples += samples.size
        waiting = samples
        while True:
            due = self.hop_frames - self.heard_frames % self.hop_frames
            needed = (len(self._features) + due - 1) * _HOP_SAMPLES + _FRAME_SAMPLES - self._samples.size
            taken, waiting = waiting[:needed], waiting[max(needed, 0) :]
            self._samples = np.concatenate([self._samples, taken])
            self._undetected.append(taken)
            if taken.size < needed:
                return
            self._detect(last=False)
            self._extend(due)
            yield self.last(self.chunk_frames)

    def flush(self) -> Window | None:
        """Return the window at the very end of the call; None when the last one reached it."""
        self._detect(last=True)
        due = frame_count(self._samples.size) - len(self._features)
        if due <= 0:
            return None
        self._extend(due)
        return self.last(self.chunk_frames)

    def last(self, n_frames: int) -> Window:
        """Return the last ``n_frames`` or a frame less, at most a chunk, as a window."""
        n_frames = min(n_frames, len(self._features))
        start = self.heard_frames - n_frames
        if start % 2:
            start, n_frames = start + 1, n_frames - 1
        first = len(self._features) - n_frames
        begin = first * _HOP_SAMPLES
        end = begin + (n_frames - 1) * _HOP_SAMPLES + _FRAME_SAMPLES
        return Window(
            start,
            n_frames,
            quiet_to(self._features[first:], self.chunk_frames),
            self._samples[begin:end],
            self._speech(start * FRAME_HOP_S, (end - begin) / SAMPLE_RATE_HZ),
            min(self.hop_frames, n_frames),
        )

    def _detect(self, last: bool) -> None:
        samples = np.concatenate([np.zeros(0, np.float32), *self._undetected])
        self._undetected.clear()
        probability = self._detector.push(samples)
        if last:
            probability = np.concatenate([probability, self._detector.finish()])
        self._n_detected += len(probability)
        reach = self.chunk_frames * _HOP_SAMPLES // CHUNK_SAMPLES + 2
        self._probability = np.concatenate([self._probability, probability])[-reach:]

    def _speech(self, start_s: float, duration_s: float) -> tuple[Segment, ...]:
        """Return where speech is, in seconds from ``start_s`` of the call."""
        chunk_s = CHUNK_SAMPLES / SAMPLE_RATE_HZ
        held_from = self._n_detected - len(self._probability)
        first = max(held_from, int(start_s / chunk_s))
        ahead_s = first * chunk_s - start_s
        found = speech_regions(self._probability[first - held_from :], duration_s - ahead_s)
        return tuple(Segment(max(0.0, one.start_s + ahead_s), one.end_s + ahead_s) for one in found)

    def _extend(self, due: int) -> None:
        at = len(self._features) * _HOP_SAMPLES
        fresh = fbank(self._samples[at : at + (due - 1) * _HOP_SAMPLES + _FRAME_SAMPLES])
        self._features = np.concatenate([self._features, fresh])
        self.heard_frames += due
        surplus = len(self._features) - self.chunk_frames
        if surplus > 0:
            self._features = self._features[surplus:]
            self._samples = self._samples[surplus * _HOP_SAMPLES :]
