"""Where embeddings are taken: sliding windows over the speech, packed into chunks for the graph.

Frames are fbank frames (10 ms hop) counted from the start of the recording. Shapes: T frames, K windows,
D embedding dimension.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.diarize.clustering import Voices
from voxid.diarize.options import DiarizeOptions
from voxid.diarize.progress import Progress
from voxid.embedding import Embedder
from voxid.errors import InputError
from voxid.features import FRAME_HOP_S, FRAME_LENGTH_S, frame_count
from voxid.score import center

MIN_MASK_FRAMES = 20
"""Fewest frames the embedding graph pools over (0.2 s); shorter speech borrows frames around it."""

MAX_CHUNK_GAP_S = 10.0
"""A longer pause starts a new chunk, so that long silence is not sent through the graph."""

_MANY_CHUNKS = 15  # half an hour: a recording that needs the memory for other things
_HOP_SAMPLES = round(FRAME_HOP_S * SAMPLE_RATE_HZ)
_FRAME_SAMPLES = round(FRAME_LENGTH_S * SAMPLE_RATE_HZ)


@dataclass(frozen=True)
class Windows:
    """Windows in order of time.

    Attributes:
        bounds: (K, 2) int64, first frame and frame after the last.
        speech_frames: (K,) int64, frames of each window that are speech.
        clustered: (K,) bool, whether the window takes part in the clustering; never all False.
    """

    bounds: NDArray[np.int64]
    speech_frames: NDArray[np.int64]
    clustered: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.bounds)


def check_long_enough(waveform: Waveform) -> int:
    """Return the fbank frames of a recording.

    Raises:
        InputError: ``audio_too_short`` when it has fewer than 20.
    """
    n_frames = frame_count(len(waveform.samples))
    if n_frames < MIN_MASK_FRAMES:
        raise InputError(
            "audio_too_short",
            f"{waveform.uri} lasts {waveform.duration_s:.2f} s; expected more than "
            f"{MIN_MASK_FRAMES * FRAME_HOP_S:.1f} s of audio; give a longer recording.",
        )
    return n_frames


def no_speech_in(waveform: Waveform) -> InputError:
    """Return the error ``no_speech`` about a recording."""
    return InputError(
        "no_speech",
        f"{waveform.uri} has {waveform.duration_s:.1f} s of audio and no speech in it; expected at least one voice; "
        "check the channel and the level.",
    )


def frames_of(seconds: float) -> int:
    """Return how many frame hops a duration has, rounded."""
    return round(seconds / FRAME_HOP_S)


def find_runs(active: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (R, 2) starts and ends (exclusive) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def find_stretches(speech: NDArray[np.float32], bridge_frames: int) -> NDArray[np.int64]:
    """Return (R, 2) stretches of speech, pauses of up to ``bridge_frames`` included."""
    runs = find_runs(speech > 0)
    if len(runs) == 0:
        return runs
    apart = runs[1:, 0] - runs[:-1, 1] > bridge_frames
    starts = runs[np.concatenate([[True], apart]), 0]
    ends = runs[np.concatenate([apart, [True]]), 1]
    return np.stack([starts, ends], axis=1)


def window_voices(
    windows: Windows,
    embeddings: NDArray[np.float32],
    rows: NDArray[np.integer],
    options: DiarizeOptions,
) -> Voices:
    """Return some of the windows as voices to be clustered, each with the seconds it adds to those it overlaps.

    Args:
        embeddings: (K, D) unit rows, centred, of all windows.
        rows: which.
    """
    spoken_s = windows.speech_frames[rows] * FRAME_HOP_S
    step_share = options.step_s * options.cluster_every / options.window_s
    added_s = np.maximum(spoken_s * min(1.0, step_share), FRAME_HOP_S)
    return Voices.of_windows(embeddings[rows], added_s, windows.bounds[rows, 0] * FRAME_HOP_S)


def plan_windows(speech: NDArray[np.float32], options: DiarizeOptions) -> Windows:
    """Return the windows that cover every speech frame.

    A stretch longer than a window is covered by windows ``step_s`` apart, the last one flush with its end; a
    shorter one gets a single window, widened to 0.2 s where the recording allows.

    Args:
        speech: (T,) 1 where the frame is to be covered and pooled over; T >= 20.
    """
    window, step = frames_of(options.window_s), frames_of(options.step_s)
    bounds: list[tuple[int, int]] = []
    ordinal: list[int] = []
    for start, end in find_stretches(speech, frames_of(options.bridge_s)).tolist():
        if end - start <= window:
            bounds.append(_widen(start, end, len(speech)))
            ordinal.append(0)
            continue
        starts = [*range(start, end - window, step), end - window]
        bounds.extend((first, first + window) for first in starts)
        ordinal.extend(range(len(starts)))
    places = np.asarray(bounds, dtype=np.int64).reshape(-1, 2)
    spoken = np.concatenate([[0], np.cumsum(speech > 0)])
    speech_frames = spoken[places[:, 1]] - spoken[places[:, 0]]
    clustered = (np.asarray(ordinal) % options.cluster_every == 0) & (
        speech_frames >= frames_of(options.min_window_speech_s)
    )
    if not clustered.any():
        clustered = np.ones(len(places), dtype=np.bool_)
    return Windows(places, speech_frames.astype(np.int64), clustered)


def _widen(start: int, end: int, n_frames: int) -> tuple[int, int]:
    missing = max(0, MIN_MASK_FRAMES - (end - start))
    start = max(0, min(start - missing // 2, n_frames - MIN_MASK_FRAMES))
    return start, max(end, min(n_frames, start + MIN_MASK_FRAMES))


def pack_chunks(windows: Windows, options: DiarizeOptions) -> list[tuple[int, int]]:
    """Return (first, after last) window of each chunk: none spans more than ``chunk_s`` or a long pause."""
    chunk, gap = frames_of(options.chunk_s), frames_of(MAX_CHUNK_GAP_S)
    chunks: list[tuple[int, int]] = []
    first = 0
    for index in range(1, len(windows) + 1):
        if index < len(windows):
            start, end = windows.bounds[index]
            if end - windows.bounds[first, 0] <= chunk and start - windows.bounds[index - 1, 1] <= gap:
                continue
        chunks.append((first, index))
        first = index
    return chunks


def draw_masks(
    bounds: NDArray[np.int64], speech: NDArray[np.float32], chunk_start: int, n_frames: int
) -> NDArray[np.float32]:
    """Return (K, n_frames) masks of a chunk's windows: 1 on the speech frames inside the window.

    A window with fewer than 20 speech frames is pooled over all of its frames instead.
    """
    masks = np.zeros((len(bounds), n_frames), dtype=np.float32)
    for mask, (start, end) in zip(masks, bounds.tolist(), strict=True):
        inside = (speech[start:end] > 0).astype(np.float32)
        mask[start - chunk_start : end - chunk_start] = inside if inside.sum() >= MIN_MASK_FRAMES else 1.0
    return masks


def embed_windows(
    waveform: Waveform,
    speech: NDArray[np.float32],
    windows: Windows,
    embedder: Embedder,
    options: DiarizeOptions,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return (K, D) unit embeddings of the windows, centred on the bundle's mean, one graph pass per chunk.

    They are centred as they come: a second copy of those of ten hours would be 147 MB. At most
    ``options.threads`` + 1 chunks are in memory at a time. ``progress`` hears the share done; what it raises stops the
    work.
    """
    chunks = pack_chunks(windows, options)
    embeddings = np.empty((len(windows), embedder.dim), dtype=np.float32)

    def embed_chunk(first: int, last: int) -> NDArray[np.float32]:
        bounds = windows.bounds[first:last]
        start, end = int(bounds[:, 0].min()), int(bounds[:, 1].max())
        samples = waveform.samples[start * _HOP_SAMPLES : (end - 1) * _HOP_SAMPLES + _FRAME_SAMPLES]
        return embedder.embed_masks(samples, draw_masks(bounds, speech, start, end - start))

    for done, ((first, last), result) in enumerate(_in_order(chunks, embed_chunk, options.threads), start=1):
        embeddings[first:last] = center(result, embedder.bundle.mean)
        if progress is not None:
            progress(done / len(chunks))
    if len(chunks) > _MANY_CHUNKS:
        embedder.release_memory()
    return embeddings


def _in_order(
    chunks: list[tuple[int, int]], work: Callable[[int, int], NDArray[np.float32]], threads: int
) -> Iterator[tuple[tuple[int, int], NDArray[np.float32]]]:
    """Yield each chunk with its result, in order, with a short queue so that memory stays flat."""
    pool = ThreadPoolExecutor(max_workers=threads)
    pending: deque[tuple[tuple[int, int], Future[NDArray[np.float32]]]] = deque()
    try:
        for chunk in chunks:
            pending.append((chunk, pool.submit(work, *chunk)))
            if len(pending) > threads:
                place, future = pending.popleft()
                yield place, future.result()
        while pending:
            place, future = pending.popleft()
            yield place, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
