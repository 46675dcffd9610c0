"""The middle of the pipeline on the segmentation network: chunks -> local voices -> speakers -> overlapping turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import Waveform
from voxid.diarize.clustering import Clustering, ClusterOptions, Voices, cluster
from voxid.diarize.gating import gate, hear_chunks
from voxid.diarize.local import LocalVoices, embed_voices, find_voices
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.progress import Progress, part_of
from voxid.diarize.segmentation import LocalActivity
from voxid.diarize.stitching import decide, draw, stitch
from voxid.diarize.turns import DrawnTurn
from voxid.diarize.windows import no_speech_in
from voxid.embedding import Embedder

_HEARD: Final = 0.4  # share of the work that is done when the chunks are heard, by time
_EMBEDDED: Final = 0.97  # and when the voices are embedded

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
    progress: Progress | None = None,
) -> list[DrawnTurn]:
    """Return turns of numbered speakers, in order of time; they may overlap.

    Raises:
        InputError: ``no_speech``, ``audio_too_short``, ``speaker_count_invalid``.
    """
    activity, speech = hear_chunks(waveform, options, part_of(progress, 0.0, _HEARD))
    heard = hear(waveform, gate(activity, speech), embedder, part_of(progress, _HEARD, _EMBEDDED))
    turns = join(heard, embedder, count, options).turns
    part_of(progress, _EMBEDDED, 1.0)(1.0)
    return turns


def hear(
    waveform: Waveform,
    activity: LocalActivity,
    embedder: Embedder,
    progress: Progress | None = None,
) -> HeardVoices:
    """Return the local voices of a recording with their embeddings.

    Raises:
        InputError: ``no_speech``.
    """
    found = find_voices(activity)
    if len(found) == 0:
        raise no_speech_in(waveform)
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
