"""Speech a back-end is set on: recordings as they are, cut short and distorted, embedded as users' recordings are.

Nothing here is specific to a network: audio goes through the same detector, quality measures and embedder as in
`voxid verify`, so what is fitted on it holds there. Embeddings are kept by the hash of graph, audio and distortion.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxid import audio
from voxid.audio import Waveform
from voxid.backend import Quality
from voxid.bundle import Bundle
from voxid.embedding import Embedder
from voxid.errors import InputError
from voxid.evaluate.embeddings import EmbeddingCache
from voxid.segments import Segment
from voxid.simulate.distortions import Samples, add_at_snr, babble, coloured_noise
from voxid.speech import VadOptions, detect_speech, measure_quality
from voxid.train.augment import SAMPLE_RATE_HZ, codec, telephone

Progress = Callable[[int, int], None]


class Recording(Protocol):
    """An audio file, and what is known of it (:class:`voxid.train.corpora.Utterance`)."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def corpus(self) -> str:
        """Name of the corpus."""

    @property
    def speaker(self) -> str:
        """Who is speaking."""

    @property
    def session(self) -> str:
        """Tells recordings made on different occasions apart."""


_CUT_SLACK_S = 0.5  # a cut of a recording hardly longer would be the recording
_CUT_RANGE_S = (1.0, 6.0)
_SNR_RANGE_DB = (5.0, 20.0)
_VOICE_S = 8
_SAVE_EVERY = 200  # recordings
_VERSION = "1"  # of the distortions below: another one, other embeddings


@dataclass(frozen=True)
class View:
    """One way a recording is heard.

    Args:
        name: of the condition.
        cut_s: seconds of speech left; 0 leaves all, a negative number a random 1 to 6 s.
        distortion: "", "noise", "babble", "telephone", "codec", or "any" of these.
    """

    name: str
    cut_s: float = 0.0
    distortion: str = ""


WHOLE = View("whole")
VIEWS = (
    WHOLE,
    *(View(f"{cut_s:g} s", cut_s=cut_s) for cut_s in (1.0, 1.5, 2.0, 3.0, 5.0)),
    *(View(name, distortion=name) for name in ("noise", "babble", "telephone", "codec")),
    View("short and distorted", cut_s=-1.0, distortion="any"),
)
"""How held-out speech is heard: noise and babble at 5 to 20 dB, an 8 kHz telephone, Opus or MP3."""


@dataclass(frozen=True, eq=False)
class HeardSpeech:
    """N embeddings of utterances under views.

    Args:
        utterances: what was listened to.
        utterance: (N,) index into ``utterances``.
        view: (N,) name of the view.
        vectors: (N, D) raw, unit length.
        qualities: N, of the speech behind each.
        left_out: why utterances are not among them, counted.
    """

    utterances: Sequence[Recording]
    utterance: NDArray[np.int64]
    view: NDArray[np.str_]
    vectors: NDArray[np.float32]
    qualities: tuple[Quality, ...]
    left_out: dict[str, int]


@dataclass(frozen=True)
class Listener:
    """How development speech is embedded.

    Args:
        bundle: whose graph and front end; its back-end plays no part.
        voices: recordings babble is made of.
        seed: of the distortions.
        cache: folder for embeddings kept between runs; None computes every time.
        workers: processes; None: one per core.
    """

    bundle: Bundle
    voices: Sequence[Path] = ()
    seed: int = 17
    cache: Path | None = None
    workers: int | None = None

    def hear(
        self, utterances: Sequence[Recording], views: Sequence[View], progress: Progress | None = None
    ) -> HeardSpeech:
        """Return the embeddings of utterances under views; what holds no speech is left out and counted.

        Args:
            views: the first must be :data:`WHOLE`, which says how much speech there is to cut.
            progress: called with utterances done and in all.
        """
        graph = hashlib.sha256(self.bundle.graph + repr(sorted(self.bundle.card["input"].items())).encode())
        if self.bundle.narrow_band is not None:
            graph.update(self.bundle.narrow_band.sha256.encode())
        folder = self.cache or Path(os.devnull)
        store = EmbeddingCache(folder, f"graph-{graph.hexdigest()[:16]}", self.bundle.dim)
        salt = hashlib.sha256(
            repr([VadOptions(), self.seed, _VERSION, [v.name for v in self.voices]]).encode()
        )
        keys = [f"{_file_hash(u.path)}:{salt.hexdigest()[:12]}" for u in utterances]
        jobs = [(at, u.path, key) for at, (u, key) in enumerate(zip(utterances, keys, strict=True))]
        jobs = [job for job in jobs if not _complete(store, job[2], views)]
        problems: dict[str, int] = {}
        context = multiprocessing.get_context("fork")
        with context.Pool(self.workers, _start_worker, (self, tuple(views))) as pool:
            for done, (key, found, problem) in enumerate(pool.imap_unordered(_hear, jobs, chunksize=8), 1):
                for name, vector, quality in found:
                    store.put(f"{key}:{name}", vector, quality)
                if problem:
                    problems[problem] = problems.get(problem, 0) + 1
                if self.cache is not None and done % _SAVE_EVERY == 0:
                    store.save()  # an interrupted run goes on from here
                if progress is not None:
                    progress(done, len(jobs))
        if self.cache is not None:
            store.save()
        return _collect(store, utterances, keys, views, problems)


def _collect(
    store: EmbeddingCache,
    utterances: Sequence[Recording],
    keys: Sequence[str],
    views: Sequence[View],
    problems: dict[str, int],
) -> HeardSpeech:
    rows = [
        (at, view.name, vector, store.quality(f"{key}:{view.name}"))
        for at, key in enumerate(keys)
        for view in views
        if (vector := store.get(f"{key}:{view.name}")) is not None
    ]
    if not rows:
        raise InputError(
            "no_development_speech",
            f"none of {len(utterances)} recordings holds speech the detector finds: {problems}; check the corpora.",
        )
    return HeardSpeech(
        utterances,
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows]),
        np.stack([row[2] for row in rows]),
        tuple(row[3] for row in rows),
        problems,
    )


def _complete(store: EmbeddingCache, key: str, views: Sequence[View]) -> bool:
    """Return whether every view this recording is long enough for is in the store."""
    if store.get(f"{key}:{WHOLE.name}") is None:
        return False
    speech_s = store.quality(f"{key}:{WHOLE.name}").net_speech_s or 0.0
    wanted = [view for view in views if _long_enough(view, speech_s)]
    return all(store.get(f"{key}:{view.name}") is not None for view in wanted)


def _long_enough(view: View, speech_s: float) -> bool:
    if view.cut_s == 0.0:
        return True
    return speech_s >= (view.cut_s if view.cut_s > 0.0 else _CUT_RANGE_S[0]) + _CUT_SLACK_S


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- in the worker processes ------------------------------------------------------------------------

Found = list[tuple[str, NDArray[np.float32], Quality]]
_worker: tuple[Embedder, tuple[View, ...], list[Samples], int] | None = None


def _start_worker(listener: Listener, views: tuple[View, ...]) -> None:
    global _worker
    voices = []
    for path in listener.voices:
        try:
            voices.append(audio.load(path).samples[: _VOICE_S * SAMPLE_RATE_HZ])
        except InputError:
            continue
    _worker = Embedder(listener.bundle, threads=1), views, voices, listener.seed


def _hear(job: tuple[int, Path, str]) -> tuple[str, Found, str]:
    """Return the key, the embedding of every view, and why there is none."""
    if _worker is None:
        raise InputError("no_development_speech", "a worker process was not started; start the run again.")
    embedder, views, voices, seed = _worker
    _, path, key = job
    found: Found = []
    try:
        waveform = audio.load(path)
        regions = detect_speech(waveform)
        speech_s = measure_quality(waveform, regions).net_speech_s
        if not regions:
            return key, [], "no_speech"
        for view in views:
            if not _long_enough(view, speech_s):
                continue
            words = hashlib.sha256(f"{seed}:{waveform.sha256}:{view.name}".encode()).digest()
            rng = np.random.default_rng(list(words))
            one = _embedded(altered(waveform, regions, view, voices, rng), embedder)
            if one is not None:
                found.append((view.name, *one))
    except InputError as error:
        return key, found, error.code
    return key, found, ""


def _embedded(waveform: Waveform, embedder: Embedder) -> tuple[NDArray[np.float32], Quality] | None:
    regions = detect_speech(waveform)
    if not regions:
        return None
    try:
        return embedder.embed(waveform, regions), Quality.of(measure_quality(waveform, regions))
    except InputError:  # too little of it left
        return None


def altered(
    waveform: Waveform,
    regions: Sequence[Segment],
    view: View,
    voices: Sequence[Samples],
    rng: np.random.Generator,
) -> Waveform:
    """Return the recording under a view; babble without voices to make it of is noise.

    Args:
        waveform: as recorded.
        regions: where speech is in it, at least one.
        view: how it is heard.
        voices: (N,) float32 each.
        rng: all chance in it.
    """
    samples = waveform.samples
    if view.cut_s:
        speech_s = sum(region.duration_s for region in regions)
        low_s, high_s = _CUT_RANGE_S
        cut_s = view.cut_s if view.cut_s > 0.0 else float(rng.uniform(low_s, min(high_s, speech_s)))
        samples = _cut(samples, regions, cut_s, float(rng.uniform(0.0, max(0.0, speech_s - cut_s))))
    kind = view.distortion
    if kind == "any":
        kind = str(rng.choice(["noise", "babble", "telephone", "codec"]))
    if kind == "babble" and voices:
        others = [voices[int(i)] for i in rng.integers(len(voices), size=int(rng.integers(3, 7)))]
        samples = add_at_snr(samples, babble(others, samples.size, rng), float(rng.uniform(*_SNR_RANGE_DB)))
    elif kind in ("noise", "babble"):
        samples = add_at_snr(samples, coloured_noise(samples.size, rng), float(rng.uniform(*_SNR_RANGE_DB)))
    elif kind == "telephone":
        samples = telephone(samples, rng)
    elif kind == "codec":
        samples = codec(samples, rng)
    peak = float(np.abs(samples).max())
    return Waveform(samples / max(1.0, peak), waveform.uri, waveform.sha256, waveform.source_rate_hz)


def _cut(samples: Samples, regions: Sequence[Segment], cut_s: float, after_s: float) -> Samples:
    """Return the stretch that begins after ``after_s`` of speech and holds ``cut_s`` of it, pauses kept."""
    spoken = np.cumsum([0.0, *(region.duration_s for region in regions)])

    def at(speech_s: float) -> float:
        region = min(int(np.searchsorted(spoken, speech_s, side="right")) - 1, len(regions) - 1)
        return regions[region].start_s + speech_s - float(spoken[region])

    first, last = (round(at(speech_s) * SAMPLE_RATE_HZ) for speech_s in (after_s, after_s + cut_s))
    return samples[first : max(last, first + 1)]
