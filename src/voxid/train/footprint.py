"""What a bundle costs and how well it tells voices apart, beside another, measured in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.bundle import BACKEND_FILE, GRAPH_FILE, Bundle
from voxid.embedding import Embedder
from voxid.score import center
from voxid.train.graph_embedder import Floats, GraphEmbedder, open_session, voice_inputs
from voxid.train.shards import Shard
from voxid.train.validation import eer_by_corpus

DURATIONS_S: Final = (2.0, 5.0, 15.0)
_REPETITIONS: Final = 15

Share = Callable[[float], None]


@dataclass(frozen=True)
class Speed:
    """Real-time factors on one thread, medians: processor seconds per second of speech.

    Attributes:
        speech_s: length of the recording.
        network: of the graph alone.
        embedding: from samples to embedding, features included.
    """

    speech_s: float
    network: float
    embedding: float


@dataclass(frozen=True)
class Footprint:
    """One bundle: bytes on disk, speed, and errors where there was speech to measure them on.

    Attributes:
        eer_percent: by corpus of held-out speakers, with their mean, or by trial list; empty if not measured.
    """

    id: str
    path: str
    graph_bytes: int
    backend_bytes: int
    speed: tuple[Speed, ...]
    eer_percent: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints; where the bundle lies is left out, since a card keeps it too."""
        facts = {**asdict(self), "eer_percent": dict(self.eer_percent)}
        return {name: value for name, value in facts.items() if name != "path"}


@dataclass(frozen=True)
class Comparison:
    """A bundle and what was made of it.

    Attributes:
        cosine: mean between the embeddings of both on the same speech; None where their spaces differ.
    """

    before: Footprint
    after: Footprint
    cosine: float | None = None

    @property
    def smaller(self) -> float:
        """How many times smaller the graph has become."""
        return self.before.graph_bytes / self.after.graph_bytes

    @property
    def faster(self) -> float:
        """How many times faster the network has become, the geometric mean over the durations."""
        ratios = [
            old.network / new.network for old, new in zip(self.before.speed, self.after.speed, strict=True)
        ]
        return float(np.exp(np.mean(np.log(ratios))))

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints and the new bundle's card keeps."""
        lost = {
            name: round(value - self.before.eer_percent[name], 3)
            for name, value in self.after.eer_percent.items()
            if name in self.before.eer_percent
        }
        return {
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "times_smaller": round(self.smaller, 2),
            "times_faster": round(self.faster, 2),
            "eer_lost_percent": lost,
            **({} if self.cosine is None else {"mean_cosine": round(self.cosine, 4)}),
        }


def measure(
    bundles: Sequence[Bundle], eers: Sequence[Mapping[str, float]], progress: Share = lambda share: None
) -> list[Footprint]:
    """Return the footprint of each bundle; their speeds are measured in turns, in one run."""
    speeds = measure_speed(bundles, progress=progress)
    return [
        Footprint(
            bundle.id,
            str(bundle.path),
            (bundle.path / GRAPH_FILE).stat().st_size,
            (bundle.path / BACKEND_FILE).stat().st_size,
            speed,
            eer,
        )
        for bundle, speed, eer in zip(bundles, speeds, eers, strict=True)
    ]


def measure_speed(
    bundles: Sequence[Bundle],
    durations_s: Sequence[float] = DURATIONS_S,
    repetitions: int = _REPETITIONS,
    progress: Share = lambda share: None,
) -> list[tuple[Speed, ...]]:
    """Return each bundle's speeds. All take turns in every repetition, so that a busy machine slows them alike."""
    rng = np.random.default_rng(0)
    found: list[list[Speed]] = [[] for _ in bundles]
    # Embedder does the features; the graph alone runs in a session of the same options.
    embedders = [Embedder(bundle, threads=1) for bundle in bundles]
    sessions = [open_session(bundle.graph) for bundle in bundles]
    for done, speech_s in enumerate(durations_s):
        samples = 0.1 * rng.standard_normal(int(speech_s * SAMPLE_RATE_HZ))
        waveform = load((samples.astype(np.float32), SAMPLE_RATE_HZ))
        acts: list[Callable[[], object]] = []
        for embedder, session in zip(embedders, sessions, strict=True):
            front_end = embedder.front_end
            name = front_end.input or session.get_inputs()[0].name
            inputs = voice_inputs(front_end, front_end.features_of(waveform.samples), name)
            acts += [partial(session.run, None, inputs), partial(embedder.embed, waveform)]
        medians = _medians_in_turns(acts, repetitions)
        for at, speeds in enumerate(found):
            speeds.append(Speed(speech_s, *(round(medians[2 * at + k] / speech_s, 6) for k in (0, 1))))
        progress((done + 1) / len(durations_s))
    return [tuple(speeds) for speeds in found]


def held_out_eer(
    graph: GraphEmbedder, held_out: Shard, progress: Share = lambda share: None
) -> dict[str, float]:
    """Return the EERs in percent of :func:`voxid.train.validation.validate`, for a graph."""
    vectors = graph.embed_shard(held_out, progress)
    return eer_of(vectors, held_out)


def eer_of(vectors: Floats, held_out: Shard) -> dict[str, float]:
    """Return EERs in percent by corpus and their mean, of raw embeddings (U, D)."""
    return eer_by_corpus(center(vectors, vectors.mean(axis=0)), held_out)


def _medians_in_turns(acts: Sequence[Callable[[], object]], repetitions: int) -> list[float]:
    """Return the median processor seconds of each act; the first, warming turn does not count.

    Not those of a clock on the wall: what else the machine does at the moment is no cost of the act.
    """
    seconds: list[list[float]] = [[] for _ in acts]
    for turn in range(repetitions + 1):
        for act, own in zip(acts, seconds, strict=True):
            began = time.process_time()
            act()
            if turn:
                own.append(time.process_time() - began)
    return [float(np.median(own)) for own in seconds]
