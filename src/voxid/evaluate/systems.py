"""Systems of diarization measured beside each other: the pipeline, the one before it, parts known or left out.

A recording is heard once for each kind of hearing; what differs afterwards costs a moment.

    name                 what it is                                                      hearing
    network              the pipeline                                                    network
    vad                  the first pipeline: speech detection, windows, one at a time    its own
    chunks               voices told apart in the network's chunks, not by windows       chunks
    oracle-vad           true speech, ours for the rest                                  network, pooled anew
    oracle-count         the number of speakers is given                                 network
    oracle-segmentation  who is heard in each chunk is true, ours for the rest           truth
    no-overlap-mask      embeddings pooled over overlap too                              overlapped
    ahc                  AHC for every recording                                         network
    vbx                  VBx for every recording                                         network
    no-merge             minor clusters stay                                             network
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import Waveform
from voxid.diarize import combined, segmented, windowed
from voxid.diarize.combined import HeardWindows
from voxid.diarize.gating import find_speech, gate
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.segmentation import STEP_FRAMES, LocalActivity, default_segmenter
from voxid.diarize.segmented import HeardVoices
from voxid.diarize.turns import DrawnTurn
from voxid.embedding import Embedder
from voxid.errors import InputError
from voxid.features import frame_count
from voxid.timeline import Timeline

__all__ = ["SYSTEMS", "Listening", "System", "choose_systems", "true_activity"]

Segment = Callable[[Waveform], LocalActivity]
_FRAMES_PER_S: Final = 100
_NEVER: Final = 1e9  # so many are never heard at once: nothing is left out of the windows as overlap


def _segment(waveform: Waveform) -> LocalActivity:
    return default_segmenter().segment(waveform.samples)


class Listening:
    """One recording with its truth; each kind of hearing is done when it is first asked for, and timed.

    Args:
        waveform: the recording.
        truth: who really speaks when.
        embedder: of the bundle.
        options: of the pipeline.
        segment: hears who is active in each chunk; None takes the model that comes with voxid.
    """

    def __init__(
        self,
        waveform: Waveform,
        truth: Timeline,
        embedder: Embedder,
        options: DiarizeOptions,
        segment: Segment | None = None,
    ) -> None:
        self.waveform, self.truth, self.embedder, self.options = waveform, truth, embedder, options
        self._segment = segment or _segment
        self._activity: LocalActivity | None = None
        self._heard: dict[str, HeardWindows | HeardVoices | InputError] = {}
        self._seconds: dict[str, float] = {}

    def windows(self, kind: str) -> HeardWindows:
        """Return the windows of ``network``, ``truth``, ``true-speech`` or ``overlapped`` hearing.

        Raises:
            InputError: ``no_speech``.
        """
        found = self._once(kind)
        if not isinstance(found, HeardWindows):
            raise TypeError(f"{kind} hears no windows")
        return found

    def voices(self) -> HeardVoices:
        """Return the voices of the network's chunks.

        Raises:
            InputError: ``no_speech``.
        """
        found = self._once("chunks")
        if not isinstance(found, HeardVoices):
            raise TypeError("chunks hear local voices")
        return found

    def seconds(self, kind: str) -> float:
        """Return the processor seconds a kind of hearing took, segmentation included."""
        return self._seconds[kind] + (0.0 if kind == "truth" else self._seconds["activity"])

    def activity(self) -> LocalActivity:
        """Return who the segmentation hears in each chunk."""
        if self._activity is None:
            started = time.process_time()
            self._activity = self._segment(self.waveform)
            self._seconds["activity"] = time.process_time() - started
        return self._activity

    def true_speakers(self) -> NDArray[np.bool_]:
        """Return (T, R) who speaks in each frame of 10 ms."""
        return speaking(self.truth, self.truth.speakers, frame_count(len(self.waveform.samples)))

    def _once(self, kind: str) -> HeardWindows | HeardVoices:
        if kind not in self._heard:
            activity = true_activity(self.true_speakers()) if kind == "truth" else self.activity()
            started = time.process_time()
            try:
                self._heard[kind] = self._hear(kind, activity)
            except InputError as error:
                if error.code != "no_speech":
                    raise
                self._heard[kind] = error
            self._seconds[kind] = time.process_time() - started
        found = self._heard[kind]
        if isinstance(found, InputError):
            raise found
        return found

    def _hear(self, kind: str, activity: LocalActivity) -> HeardWindows | HeardVoices:
        if kind == "chunks":
            heard = gate(activity, find_speech(self.waveform, activity, self.options))
            return segmented.hear(self.waveform, heard, self.embedder)
        options = replace(self.options, overlap_count=_NEVER) if kind == "overlapped" else self.options
        speech = find_speech(self.waveform, activity, options)
        if kind in ("truth", "true-speech"):
            speech = self._true_speech(len(speech))
        return combined.hear(self.waveform, activity, speech, self.embedder, options)

    def _true_speech(self, n_steps: int) -> NDArray[np.bool_]:
        speech = np.zeros(n_steps, np.bool_)
        true = self.true_speakers()[::STEP_FRAMES][:n_steps]
        speech[: len(true)] = true.any(axis=1)
        return speech


@dataclass(frozen=True)
class System:
    """A row of the report.

    Attributes:
        name, title: for gates and JSON; for people.
        hearing: kind that is done before ``draw``, whose time counts; None where ``draw`` does all.
        draw: from a recording to turns of numbered speakers.
        needs_plda: whether the bundle must bring a PLDA.
        timed: whether the seconds are those of something one could use.
    """

    name: str
    title: str
    hearing: str | None
    draw: Callable[[Listening], list[DrawnTurn]]
    needs_plda: bool = False
    timed: bool = True

    def run(self, listening: Listening) -> tuple[list[DrawnTurn], float]:
        """Return the turns and the seconds they took, hearing included; no turns where no speech is found."""
        started = time.process_time()
        shared_s = 0.0
        try:
            if self.hearing is not None:
                _ = listening.voices() if self.hearing == "chunks" else listening.windows(self.hearing)
                shared_s = listening.seconds(self.hearing)
                started = time.process_time()
            turns = self.draw(listening)
        except InputError as error:
            if error.code != "no_speech":
                raise
            turns = []
        return turns, shared_s + time.process_time() - started


def true_activity(
    truth: NDArray[np.bool_], chunk_frames: int = 1_000, hop_frames: int = 500, voices: int = 4
) -> LocalActivity:
    """Return what a network that never errs would hear.

    Args:
        truth: (T, R) who of R people is heard in each frame of 10 ms. Of more than ``voices`` in a chunk those who
            speak most are heard.
    """
    n_frames = len(truth)
    starts = np.arange(0, max(1, n_frames - chunk_frames + hop_frames), hop_frames, dtype=np.int64)
    probability = np.zeros((len(starts), chunk_frames // STEP_FRAMES, voices), np.float16)
    for row, start in enumerate(starts.tolist()):
        part = truth[start : start + chunk_frames : STEP_FRAMES]
        most = np.argsort(-part.sum(axis=0), kind="stable")[:voices]
        probability[row, : len(part), : most.size] = part[:, most]
    return LocalActivity(probability, starts, n_frames)


def speaking(timeline: Timeline, names: Sequence[str], n_frames: int) -> NDArray[np.bool_]:
    """Return (T, R) in which frames of 10 ms each of R speakers has a turn."""
    active = np.zeros((n_frames, len(names)), np.bool_)
    column = {name: at for at, name in enumerate(names)}
    for turn in timeline.turns:
        if turn.speaker in column:
            first, last = round(_FRAMES_PER_S * turn.start_s), round(_FRAMES_PER_S * turn.end_s)
            active[first:last, column[turn.speaker]] = True
    return active


def choose_systems(names: str) -> tuple[System, ...]:
    """Return the systems of a list with commas, in its order; empty takes all.

    Raises:
        InputError: ``system_unknown``.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {system.name: system for system in SYSTEMS}
    for name in wanted:
        if name not in known:
            raise InputError(
                "system_unknown",
                f"There is no system {name!r}; expected some of {', '.join(known)}; correct the list.",
            )
    return tuple(known[name] for name in dict.fromkeys(wanted)) or SYSTEMS


def _joined(kind: str, **changes: object) -> Callable[[Listening], list[DrawnTurn]]:
    def turns_of(listening: Listening) -> list[DrawnTurn]:
        options = replace(listening.options, **changes)  # type: ignore[arg-type]  # names are tested
        return combined.join(listening.windows(kind), listening.embedder, SpeakerCount(), options).turns

    return turns_of


def _first_pipeline(listening: Listening) -> list[DrawnTurn]:
    return windowed.find_turns(listening.waveform, listening.embedder, SpeakerCount(), listening.options)


def _chunks(listening: Listening) -> list[DrawnTurn]:
    return segmented.join(listening.voices(), listening.embedder, SpeakerCount(), listening.options).turns


def _count_given(listening: Listening) -> list[DrawnTurn]:
    heard = listening.windows("network")
    count = SpeakerCount.checked(min(len(listening.truth.speakers), len(heard.windows)))
    return combined.join(heard, listening.embedder, count, listening.options).turns


SYSTEMS: Final = (
    System("network", "this pipeline", "network", _joined("network")),
    System("vad", "the first pipeline", None, _first_pipeline),
    System("chunks", "voices told apart in chunks", "chunks", _chunks),
    System(
        "oracle-vad", "true speech, ours for the rest", "true-speech", _joined("true-speech"), timed=False
    ),
    System("oracle-count", "number of speakers given", "network", _count_given),
    System(
        "oracle-segmentation",
        "true local activity, ours for the rest",
        "truth",
        _joined("truth"),
        timed=False,
    ),
    System(
        "no-overlap-mask", "embeddings over overlap too", "overlapped", _joined("overlapped"), timed=False
    ),
    System("ahc", "AHC for every recording", "network", _joined("network", clustering="ahc")),
    System(
        "vbx", "VBx for every recording", "network", _joined("network", clustering="vbx"), needs_plda=True
    ),
    System(
        "no-merge",
        "minor clusters stay",
        "network",
        _joined("network", min_cluster_s=0.0, min_cluster_share=0.0),
    ),
)
"""All of them, the pipeline first."""
