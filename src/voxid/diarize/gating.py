"""Where there is speech at all: detection has the first word, the network may add what touches it.

The segmentation network was trained on conversations made up in the log-Mel domain, and takes some rooms' noise for
voices; speech detection is careful and cuts words off. Only next to detected speech is the network believed.

Shapes: C chunks, S steps of 20 ms in one, F steps of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from voxid.audio import Waveform
from voxid.diarize.local import STEP_S
from voxid.diarize.options import DiarizeOptions
from voxid.diarize.progress import Progress, part_of
from voxid.diarize.segmentation import STEP_FRAMES, LocalActivity, chunk_weights, default_segmenter
from voxid.diarize.windows import check_long_enough
from voxid.segments import Segment
from voxid.speech import detect_speech, speech_mask

_NETWORK_SHARE: Final = 0.75  # of the time that hearing the chunks and finding speech takes


def count_voices(activity: LocalActivity) -> NDArray[np.float32]:
    """Return (F,) how many voices are heard in each step: the mean over the chunks, their middles counting most."""
    n_steps = -(-activity.n_frames // STEP_FRAMES)
    total, cover = np.zeros(n_steps, np.float32), np.zeros(n_steps, np.float32)
    window = chunk_weights(activity.probability.shape[1])
    for chunk in range(len(activity)):
        start = int(activity.start_frames[chunk]) // STEP_FRAMES
        weight = window[: max(0, n_steps - start)]
        own = slice(start, start + len(weight))
        total[own] += weight * activity.probability[chunk, : len(weight)].sum(axis=1, dtype=np.float32)
        cover[own] += weight
    return np.asarray(total / np.maximum(cover, 1e-6), np.float32)


def hear_chunks(
    waveform: Waveform, options: DiarizeOptions, progress: Progress | None = None
) -> tuple[LocalActivity, NDArray[np.bool_]]:
    """Return who is heard in each chunk, and (F,) where somebody speaks.

    Raises:
        InputError: ``audio_too_short``.
    """
    check_long_enough(waveform)
    segmenter = default_segmenter(options.threads)
    activity = segmenter.segment(waveform.samples, progress=part_of(progress, 0.0, _NETWORK_SHARE))
    return activity, find_speech(waveform, activity, options, part_of(progress, _NETWORK_SHARE, 1.0))


def find_speech(
    waveform: Waveform,
    activity: LocalActivity,
    options: DiarizeOptions,
    progress: Progress | None = None,
) -> NDArray[np.bool_]:
    """Return (F,) where somebody speaks: where detection says so, and beside that where the network is sure."""
    return near_speech(detect_speech(waveform, progress=progress), activity, options)


def near_speech(
    regions: Sequence[Segment], activity: LocalActivity, options: DiarizeOptions
) -> NDArray[np.bool_]:
    """Return (F,) where somebody speaks, from the regions that detection gave."""
    detected = speech_mask(regions, activity.n_frames)[::STEP_FRAMES] > 0
    reach = round(options.sure_within_s / STEP_S)
    near = binary_dilation(detected, iterations=reach) if reach else detected
    return np.asarray(detected | (near & (count_voices(activity) >= options.sure_count)))


def gate(activity: LocalActivity, speech: NDArray[np.bool_]) -> LocalActivity:
    """Return what is heard with silence wherever there is no speech.

    Args:
        speech: (F,).
    """
    probability = activity.probability.copy()
    for chunk, start in enumerate((activity.start_frames // STEP_FRAMES).tolist()):
        inside = speech[start : start + probability.shape[1]]
        probability[chunk, : len(inside)][~inside] = 0.0
        probability[chunk, len(inside) :] = 0.0
    return LocalActivity(probability, activity.start_frames, activity.n_frames)
