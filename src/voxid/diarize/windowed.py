"""The first middle of the pipeline: regions -> windows -> embeddings -> clusters -> cells -> turns.

It hears one voice at a time and needs no segmentation model; :mod:`voxid.diarize.combined` is what ``diarize`` uses
unless told otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import Waveform
from voxid.diarize.clustering import ClusterOptions, cluster
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.progress import Progress, part_of
from voxid.diarize.smoothing import decide_cells, draw_turns
from voxid.diarize.turns import DrawnTurn
from voxid.diarize.vbx import resegment
from voxid.diarize.windows import (
    Windows,
    check_long_enough,
    embed_windows,
    no_speech_in,
    plan_windows,
    window_voices,
)
from voxid.embedding import Embedder, with_margin
from voxid.plda import Plda
from voxid.speech import detect_speech, speech_mask
from voxid.timeline import Segment

_DETECTED: Final = 0.16  # share of the work that is done when speech is found, measured on an hour of talk
_EMBEDDED: Final = 0.97  # and when the windows are embedded


@dataclass(frozen=True)
class Recording:
    """A recording and where it holds speech.

    Attributes:
        regions: speech regions, sorted, at least one.
        speech: (T,) float32, 1 where the fbank frame is speech.
    """

    waveform: Waveform
    regions: list[Segment]
    speech: NDArray[np.float32]


@dataclass(frozen=True)
class EmbeddedWindows:
    """The windows of a recording and their (K, D) unit embeddings, centred on the bundle's mean."""

    windows: Windows
    embeddings: NDArray[np.float32]


def find_speech(waveform: Waveform, progress: Progress | None = None) -> Recording:
    """Return the recording with its speech regions.

    Raises:
        InputError: ``no_speech``; ``audio_too_short`` when it has fewer than 20 frames.
    """
    n_frames = check_long_enough(waveform)
    regions = detect_speech(waveform, progress=part_of(progress, 0.0, _DETECTED))
    speech = speech_mask(regions, n_frames)
    if not regions or not (speech > 0).any():
        raise no_speech_in(waveform)
    return Recording(waveform, regions, speech)


def find_turns(
    waveform: Waveform,
    embedder: Embedder,
    count: SpeakerCount,
    options: DiarizeOptions,
    progress: Progress | None = None,
) -> list[DrawnTurn]:
    """Return turns of numbered speakers, in order of time; none overlap.

    Raises:
        InputError: ``no_speech``, ``audio_too_short``, ``speaker_count_invalid``.
    """
    recording = find_speech(waveform, progress)
    embedded = embed_recording(recording, embedder, options, progress)
    threshold = options.threshold_for(embedder.bundle)
    turns = join_windows(recording, embedded, count, threshold, options, embedder.bundle.plda)
    part_of(progress, _EMBEDDED, 1.0)(1.0)
    return turns


def embed_recording(
    recording: Recording,
    embedder: Embedder,
    options: DiarizeOptions,
    progress: Progress | None = None,
) -> EmbeddedWindows:
    """Return the windows over the speech with their centred embeddings."""
    pooled = with_margin(recording.speech)
    windows = plan_windows(pooled, options)
    embeddings = embed_windows(
        recording.waveform,
        pooled,
        windows,
        embedder,
        options,
        part_of(progress, _DETECTED, _EMBEDDED),
    )
    return EmbeddedWindows(windows, embeddings)


def join_windows(
    recording: Recording,
    embedded: EmbeddedWindows,
    count: SpeakerCount,
    threshold: float,
    options: DiarizeOptions,
    plda: Plda | None = None,
) -> list[DrawnTurn]:
    """Return turns of numbered speakers from embedded windows: clustering, then smoothing.

    Args:
        plda: the bundle's, for the methods that need one.
    """
    windows, embeddings = embedded.windows, embedded.embeddings
    clustered = np.flatnonzero(windows.clustered)
    if len(clustered) < count.least:
        clustered = np.arange(len(windows))
    labels = np.full(len(windows), -1, dtype=np.int64)
    voices = window_voices(windows, embeddings, clustered, options)
    labels[clustered] = cluster(voices, count, ClusterOptions.of(options, threshold), plda).labels
    if options.resegmentation == "vb" and plda is not None:
        # Posteriors are voted on as embeddings are: the centroid of a speaker is then nearly an axis of its own.
        believed = resegment(plda.project(embeddings), plda.between, labels)
        embeddings = believed.gamma.astype(np.float32)
    active, path = decide_cells(windows, embeddings, labels, recording.speech, options, count.least)
    drawn = draw_turns(recording.regions, active, path, options.max_gap_s)
    return [DrawnTurn(segment, speaker) for segment, speaker in drawn]
