"""The usual middle of the pipeline: when somebody speaks, and how many, by the segmentation network; who, by windows.

The network is sure of speech, overlap and changes within its ten seconds; the embeddings of windows tell voices apart
over the whole recording. Windows are pooled over what one person says alone, clustered and smoothed into a path of
speakers; each voice of each chunk then takes the speaker whose path it follows, and the voices, stitched together, say
who else speaks in overlaps and where exactly turns begin and end.

Shapes: K windows, C chunks, F steps of 20 ms of the recording, V local voices, G speakers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.audio import Waveform
from voxid.diarize.apart import keep_apart
from voxid.diarize.clustering import Clustering, ClusterOptions, cluster
from voxid.diarize.clustering.confidence import FITTED
from voxid.diarize.gating import count_voices, hear_chunks
from voxid.diarize.local import STEP_S, LocalVoices, find_voices
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.progress import Progress, part_of
from voxid.diarize.segmentation import STEP_FRAMES, LocalActivity
from voxid.diarize.smoothing import CELL_S, decide_cells
from voxid.diarize.stitching import SpeakerActivity, decide, draw, stitch
from voxid.diarize.turns import CountedTurns, DrawnTurn
from voxid.diarize.windows import Windows, embed_windows, no_speech_in, plan_windows, window_voices
from voxid.embedding import Embedder, with_margin
from voxid.timeline import CountedSpeakers

_HEARD: Final = 0.4  # share of the work that is done when the chunks are heard, by time
_EMBEDDED: Final = 0.97  # and when the voices are embedded

_CELL_STEPS: Final = round(CELL_S / STEP_S)
_TALKED_OVER: Final = 0.3  # weight of a step in which others speak too, when a voice is given its speaker


@dataclass(frozen=True, eq=False)
class HeardWindows:
    """A recording after the costly part: joining it again, with another count, takes a moment.

    Attributes:
        activity: who is heard in each chunk.
        found: those voices.
        speech: (F,) bool, whether anybody speaks.
        count: (F,) float32, how many voices the network hears.
        windows: over what is said alone.
        pure: (K,) float32, share of a window's speech that is one local voice.
        embeddings: (K, D) unit rows, centred.
        duration_s: of the recording.
    """

    activity: LocalActivity
    found: LocalVoices
    speech: NDArray[np.bool_]
    count: NDArray[np.float32]
    windows: Windows
    pure: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    duration_s: float


@dataclass(frozen=True, eq=False)
class JoinedWindows:
    """Turns, which may overlap, and how the speakers in them were found.

    Attributes:
        turns: of speakers numbered by first appearance.
        clustering: of the windows that were clustered.
        given: whether the number of speakers was.
    """

    turns: list[DrawnTurn]
    clustering: Clustering
    given: bool

    def count(self) -> CountedTurns:
        """Return the turns with how sure the number of their speakers is.

        Nothing is measured where the number was given, a speaker who was found has no turn, or the method is one for
        which it was never tried.
        """
        found = self.clustering
        drawn = len({turn.speaker for turn in self.turns})
        if self.given or drawn != found.n_speakers or found.method not in FITTED:
            return CountedTurns(self.turns)
        return CountedTurns(self.turns, CountedSpeakers(drawn, round(found.confidence, 3)))


def find_turns(
    waveform: Waveform,
    embedder: Embedder,
    count: SpeakerCount,
    options: DiarizeOptions,
    progress: Progress | None = None,
) -> JoinedWindows:
    """Return turns of numbered speakers, in order of time; they may overlap.

    Raises:
        InputError: ``no_speech``, ``audio_too_short``, ``speaker_count_invalid``.
    """
    heard = listen(waveform, embedder, options, progress)
    joined = join(heard, embedder, count, options)
    part_of(progress, _EMBEDDED, 1.0)(1.0)
    return joined


def listen(
    waveform: Waveform,
    embedder: Embedder,
    options: DiarizeOptions,
    progress: Progress | None = None,
) -> HeardWindows:
    """Return what the costly part finds; progress ends where the joining begins.

    Raises:
        InputError: ``no_speech``, ``audio_too_short``.
    """
    activity, speech = hear_chunks(waveform, options, part_of(progress, 0.0, _HEARD))
    return hear(waveform, activity, speech, embedder, options, part_of(progress, _HEARD, _EMBEDDED))


def hear(
    waveform: Waveform,
    activity: LocalActivity,
    speech: NDArray[np.bool_],
    embedder: Embedder,
    options: DiarizeOptions,
    progress: Progress | None = None,
) -> HeardWindows:
    """Return the windows of a recording with their embeddings.

    Args:
        activity: of the segmentation network.
        speech: (F,) where somebody speaks.

    Raises:
        InputError: ``no_speech``.
    """
    if not speech.any():
        raise no_speech_in(waveform)
    found, count = find_voices(activity), count_voices(activity)
    overlap = _frames(speech & (count >= options.overlap_count), activity.n_frames)
    alone = with_margin(_frames(speech, activity.n_frames)) * (1.0 - overlap)
    pooled = alone if alone.any() else overlap
    windows = plan_windows(pooled, options)
    embeddings = embed_windows(waveform, pooled, windows, embedder, options, progress)
    return HeardWindows(
        activity,
        found,
        speech,
        count,
        windows,
        purity(activity, windows),
        embeddings,
        waveform.duration_s,
    )


def purity(activity: LocalActivity, windows: Windows) -> NDArray[np.float32]:
    """Return (K,) the share of each window's speech that is its main voice, in the chunk whose middle is nearest."""
    middles = activity.start_frames + activity.chunk_frames / 2
    centres = windows.bounds.mean(axis=1)
    after = np.minimum(np.searchsorted(middles, centres), len(middles) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(middles[before] - centres) <= np.abs(middles[after] - centres), before, after)
    shares = np.ones(len(windows), np.float32)
    for row, ((start, end), chunk) in enumerate(zip(windows.bounds.tolist(), nearest.tolist(), strict=True)):
        first = max(0, (start - int(activity.start_frames[chunk])) // STEP_FRAMES)
        last = (end - int(activity.start_frames[chunk])) // STEP_FRAMES
        spoken = activity.probability[chunk, first:last].sum(axis=0, dtype=np.float32)
        if spoken.sum() > 0:
            shares[row] = spoken.max() / spoken.sum()
    return shares


def join(
    heard: HeardWindows, embedder: Embedder, count: SpeakerCount, options: DiarizeOptions
) -> JoinedWindows:
    """Return the turns of numbered speakers.

    Raises:
        InputError: ``speaker_count_invalid``.
        CompatibilityError: ``plda_missing``.
    """
    clustering, labels = _cluster(heard, embedder, count, options)
    speech = _frames(heard.speech, heard.activity.n_frames)
    cells, speakers = decide_cells(heard.windows, heard.embeddings, labels, speech, options, count.least)
    path = _path(cells, speakers, heard.speech)
    if options.apart_margin > 0:
        path = keep_apart(
            heard.activity, heard.found, heard.windows, heard.embeddings, path, options.apart_margin
        )
    voices = follow(heard.activity, heard.found, path, int(speakers.max()) + 1)
    whole = stitch(heard.activity, heard.found, voices)
    turns = _draw(_with_path(whole, path, heard.count, options), heard, options)
    if len({turn.speaker for turn in turns}) < count.least:  # the path alone keeps everybody it has
        alone = replace(options, path_share=1.0)
        turns = _draw(_with_path(whole, path, np.ones_like(heard.count), alone), heard, options)
    number = {one: at for at, one in enumerate(dict.fromkeys(turn.speaker for turn in turns))}
    renamed = [DrawnTurn(turn.segment, number[turn.speaker], turn.confidence) for turn in turns]
    return JoinedWindows(renamed, clustering, given=count.least == count.most)


def _draw(whole: SpeakerActivity, heard: HeardWindows, options: DiarizeOptions) -> list[DrawnTurn]:
    shortest_s = min(options.min_turn_s, 0.1)
    return draw(decide(whole), whole, heard.duration_s, options.max_gap_s, shortest_s)


def follow(
    activity: LocalActivity, found: LocalVoices, path: NDArray[np.int64], n_speakers: int
) -> NDArray[np.int64]:
    """Return (V,) the speaker whose path each local voice follows; two voices of a chunk never follow the same.

    Args:
        path: (F,) who speaks, mainly; -1 where nobody does.
        n_speakers: G.
    """
    labels = np.full(len(found), -1, np.int64)
    first = np.searchsorted(found.chunk, np.arange(len(activity) + 1))
    for chunk in np.flatnonzero(np.diff(first)).tolist():
        rows = slice(int(first[chunk]), int(first[chunk + 1]))
        start = int(activity.start_frames[chunk]) // STEP_FRAMES
        walked = path[start : start + activity.probability.shape[1]]
        heard = activity.probability[chunk, : len(walked)] > 0.5
        weight = np.where(heard.sum(axis=1) == 1, 1.0, _TALKED_OVER)
        voices = heard[:, found.voice[rows]] * weight[:, None]
        shared = np.stack([voices[walked == speaker].sum(axis=0) for speaker in range(n_speakers)], axis=1)
        voice, speaker = linear_sum_assignment(shared, maximize=True)
        kept = shared[voice, speaker] > 0
        labels[rows.start + voice[kept]] = speaker[kept]
    return labels


def _cluster(
    heard: HeardWindows, embedder: Embedder, count: SpeakerCount, options: DiarizeOptions
) -> tuple[Clustering, NDArray[np.int64]]:
    """Return the clustering and (K,) the cluster of each window, -1 where it was not clustered."""
    windows = heard.windows
    clustered = np.flatnonzero(windows.clustered & (heard.pure >= options.min_purity))
    if len(clustered) < max(count.least, 2):
        clustered = np.flatnonzero(windows.clustered)
    if len(clustered) < count.least:
        clustered = np.arange(len(windows))
    voices = window_voices(windows, heard.embeddings, clustered, options)
    chosen = ClusterOptions.of(options, options.threshold_for(embedder.bundle))
    clustering = cluster(voices, count, chosen, embedder.bundle.plda)
    labels = np.full(len(windows), -1, np.int64)
    labels[clustered] = clustering.labels
    return clustering, labels


def _frames(steps: NDArray[np.bool_], n_frames: int) -> NDArray[np.float32]:
    """Return (T,) frames of 10 ms from (F,) steps of 20 ms."""
    return np.repeat(steps.astype(np.float32), STEP_FRAMES)[:n_frames]


def _path(
    cells: NDArray[np.int64], speakers: NDArray[np.int64], speech: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return (F,) the main speaker of every step of speech, -1 elsewhere, from those of cells of 0.1 s."""
    whole = np.full(-(-len(speech) // _CELL_STEPS), -1, np.int64)
    whole[cells] = speakers
    path = np.repeat(whole, _CELL_STEPS)[: len(speech)]
    path[~speech] = -1
    return path


def _with_path(
    whole: SpeakerActivity, path: NDArray[np.int64], count: NDArray[np.float32], options: DiarizeOptions
) -> SpeakerActivity:
    """Return the activity of the voices with the path of the windows believed beside it; ``whole`` is overwritten."""
    share, believed = options.path_share, whole.probability
    unheard = int(path.max()) + 1 - believed.shape[1]  # speakers whom only windows know
    if unheard > 0:
        believed = np.pad(believed, ((0, 0), (0, unheard)))
    believed *= np.float32(1.0 - share)
    spoken = np.flatnonzero(path >= 0)
    believed[spoken, path[spoken]] += share
    wanted = np.where(count >= options.overlap_count, np.maximum(np.round(count), 2.0), 1.0)
    return SpeakerActivity(believed, np.where(path >= 0, wanted, 0.0).astype(np.float32))
