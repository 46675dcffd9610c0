"""The middle of the pipeline on the segmentation network: chunks -> local voices -> speakers -> overlapping turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import Waveform
from voxid.diarize.clustering import Clustering, ClusterOptions, Voices, cluster
from voxid.diarize.gating import find_speech, gate
from voxid.diarize.local import LocalVoices, embed_voices, find_voices
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.segmentation import LocalActivity, default_segmenter
from voxid.diarize.stitching import decide, draw, stitch
from voxid.diarize.turns import DrawnTurn
from voxid.diarize.windows import check_long_enough
from voxid.embedding import Embedder
from voxid.errors import InputError

_STAGES: Final = {"hearing": (0.0, 0.3), "speech": (0.3, 0.4), "voices": (0.4, 0.97), "speakers": (0.97, 1.0)}
"""Where each stage begins and ends in what progress tells: roughly its share of the time."""

_CLEAR_S: Final = 1.0  # a voice of a chunk heard for less may be a mistake of the network


@dataclass(frozen=True, eq=False)
class HeardVoices:
    """A recording after the costly part: clustering it again, with another count, takes a moment.

    Attributes:
        activity: who is heard in each chunk.
        found: those voices.
        voices: with their embeddings.
        duration_s: of the recording.
    """

    activity: LocalActivity
    found: LocalVoices
    voices: Voices
    duration_s: float


@dataclass(frozen=True, eq=False)
class DrawnTurns:
    """Turns, which may overlap, and how the speakers in them were found.

    Attributes:
        turns: of speakers numbered by first appearance.
        clustering: of the local voices, by numbers of its own.
        labels: (V,) the turns' speaker of each local voice; -1 of one whose speaker has no turn.
    """

    turns: list[DrawnTurn]
    clustering: Clustering
    labels: NDArray[np.int64]


def find_turns(
    waveform: Waveform,
    embedder: Embedder,
    count: SpeakerCount,
    options: DiarizeOptions,
    progress: Callable[[float], None] | None = None,
) -> list[DrawnTurn]:
    """Return turns of numbered speakers, in order of time; they may overlap.

    Raises:
        InputError: ``no_speech``, ``audio_too_short``, ``speaker_count_invalid``.
    """

    def within(stage: str) -> Callable[[float], None]:
        begin, end = _STAGES[stage]
        return lambda share: progress(begin + (end - begin) * share) if progress is not None else None

    check_long_enough(waveform)
    activity = default_segmenter(options.threads).segment(waveform.samples, progress=within("hearing"))
    speech = find_speech(waveform, activity, options, within("speech"))
    heard = hear(waveform, gate(activity, speech), embedder, within("voices"))
    turns = join(heard, embedder, count, options).turns
    within("speakers")(1.0)
    return turns


def hear(
    waveform: Waveform,
    activity: LocalActivity,
    embedder: Embedder,
    progress: Callable[[float], None] | None = None,
) -> HeardVoices:
    """Return the local voices of a recording with their embeddings.

    Raises:
        InputError: ``no_speech``.
    """
    found = find_voices(activity)
    if len(found) == 0:
        raise InputError(
            "no_speech",
            f"{waveform.uri} has {waveform.duration_s:.1f} s of audio and no speech in it; expected at least "
            "one voice; check the channel and the level.",
        )
    voices = embed_voices(waveform.samples, activity, found, embedder, progress=progress)
    return HeardVoices(activity, found, voices, waveform.duration_s)


def join(heard: HeardVoices, embedder: Embedder, count: SpeakerCount, options: DiarizeOptions) -> DrawnTurns:
    """Return the turns of numbered speakers.

    Raises:
        InputError: ``speaker_count_invalid``.
        CompatibilityError: ``plda_missing``.
    """
    chosen = ClusterOptions.of(options, options.threshold_for(embedder.bundle))
    clustering = cluster(heard.voices, at_least_heard(heard, count), chosen, embedder.bundle.plda)
    turns, labels = draw_voices(heard, clustering.labels, options)
    return DrawnTurns(turns, clustering, labels)


def draw_voices(
    heard: HeardVoices, labels: NDArray[np.int64], options: DiarizeOptions
) -> tuple[list[DrawnTurn], NDArray[np.int64]]:
    """Return turns of speakers numbered by first appearance, and (V,) these numbers; -1 of one who has no turn.

    Args:
        labels: (V,) the speaker of each local voice, by any numbers; -1 leaves it out.
    """
    whole = stitch(heard.activity, heard.found, labels)
    turns = draw(decide(whole), whole, heard.duration_s, options.max_gap_s, _shortest(options))
    number = {one: at for at, one in enumerate(dict.fromkeys(turn.speaker for turn in turns))}
    renumbered = np.asarray([number.get(label, -1) for label in labels.tolist()], np.int64)
    renamed = [DrawnTurn(turn.segment, number[turn.speaker], turn.confidence) for turn in turns]
    return renamed, renumbered


def at_least_heard(heard: HeardVoices, count: SpeakerCount) -> SpeakerCount:
    """Return the bounds with at least as many speakers as one chunk has voices of a second or more each."""
    clear = heard.found.chunk[heard.found.spoken_s >= _CLEAR_S]
    most_at_once = int(np.bincount(clear).max()) if clear.size else 1
    least = max(count.least, most_at_once)
    return SpeakerCount(least if count.most is None else min(least, count.most), count.most)


def _shortest(options: DiarizeOptions) -> float:
    return min(options.min_turn_s, 0.1)
