"""Speech packed once for many epochs: trimmed, deduplicated, sped up, distorted, as fbank on disk.

A shard is ``features.f16`` (all frames one after another, (total T, 80) float16) with ``index.npz`` beside it: where
each utterance begins, how long it is, whose it is. Training reads it as a memory map; the page cache does the rest.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid import audio
from voxid.errors import InputError
from voxid.features import N_MELS, fbank
from voxid.train.augment import SAMPLE_RATE_HZ, Augmenter, change_speed
from voxid.train.corpora import Utterance, read_corpus
from voxid.train.recipe import Data, Recipe

Progress = Callable[[str, int, int], None]
_BABBLE_VOICES = 400


@dataclass(frozen=True)
class Shard:
    """Packed fbank. ``speaker`` numbers base speakers, ``copy`` numbers speed copies (0 = as recorded)."""

    features: NDArray[np.float16]  # (total T, 80), a memory map
    start: NDArray[np.int64]  # (U,) first frame
    frames: NDArray[np.int64]  # (U,) length
    speaker: NDArray[np.int64]  # (U,) index into ``speakers``
    copy: NDArray[np.int64]  # (U,) index into the recipe's speeds
    augmented: NDArray[np.bool_]  # (U,)
    session: NDArray[np.str_]  # (U,)
    corpus: NDArray[np.str_]  # (U,)
    speakers: tuple[str, ...]

    def subset(self, rows: NDArray[np.int64]) -> Shard:
        """Return the shard with only these utterances; speakers keep their numbers."""
        columns = ("start", "frames", "speaker", "copy", "augmented", "session", "corpus")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def frames_of(self, u: int) -> NDArray[np.float16]:
        """Return (T, 80) of utterance ``u``."""
        return self.features[self.start[u] : self.start[u] + self.frames[u]]


def prepare(
    recipe: Recipe, corpora_root: Path, cache: Path, progress: Progress, workers: int | None = None
) -> tuple[Shard, Shard]:
    """Return (training shard, held-out shard), packing them first unless the cache already has this very recipe's.

    Raises:
        ConfigError: a corpus is missing.
        InputError: ``no_training_speech`` when nothing usable is left.
    """
    key = hashlib.sha256(json.dumps([asdict(recipe.data), recipe.seed], sort_keys=True).encode()).hexdigest()[
        :12
    ]
    folder = cache / key
    if not (folder / "held_out" / "index.npz").is_file():
        training, held_out = split(recipe, corpora_root)
        if not training or not held_out:
            raise InputError(
                "no_training_speech",
                "no speaker has enough speech for this recipe; lower data.min_utterances or add corpora.",
            )
        workers = workers or os.cpu_count() or 1
        pack(training, recipe.data, recipe.seed, folder / "train", progress, workers)
        plain = Data(corpora=recipe.data.corpora, max_utterance_s=30.0, speeds=(1.0,), augmented_copies=0)
        pack(held_out, plain, recipe.seed + 1, folder / "held_out", progress, workers)
    return open_shard(folder / "train"), open_shard(folder / "held_out")


def split(recipe: Recipe, corpora_root: Path) -> tuple[list[Utterance], list[Utterance]]:
    """Return (training, held-out) utterances: held-out speakers are drawn per corpus and never trained on.

    Speakers with several sessions are preferred for holding out, so that validation sees a change of channel.
    """
    reserved = frozenset(recipe.data.reserved)
    rng = np.random.default_rng(recipe.seed)
    by_speaker: dict[str, list[Utterance]] = defaultdict(list)
    held: set[str] = set()
    for entry in recipe.data.corpora:
        count: Counter[str] = Counter()
        sessions: dict[str, set[str]] = defaultdict(set)
        for row in read_corpus(entry, corpora_root, reserved):
            by_speaker[row.speaker].append(row)
            count[row.speaker] += 1
            sessions[row.speaker].add(row.session)
        able = sorted(s for s, n in count.items() if n >= 3 and s not in held)
        order = rng.permutation(len(able))
        ranked = sorted((able[i] for i in order), key=lambda s: -min(len(sessions[s]), 2))
        held.update(ranked[: entry.held_out_speakers])
    training = [row for s in sorted(by_speaker) if s not in held for row in by_speaker[s]]
    held_out = [row for s in sorted(held) for row in by_speaker[s][:10]]
    return training, held_out


def trim(samples: NDArray[np.float32], floor_db: float = 35.0) -> NDArray[np.float32]:
    """Return the samples without the leading and trailing 20 ms blocks that lie ``floor_db`` below the loudest."""
    block = SAMPLE_RATE_HZ // 50
    n = samples.size // block
    if n == 0:
        return samples
    power = (samples[: n * block].reshape(n, block).astype(np.float64) ** 2).mean(1)
    loud = np.flatnonzero(power > np.percentile(power, 98) * 10.0 ** (-floor_db / 10.0))
    if loud.size == 0:
        return samples
    return samples[max(0, loud[0] - 3) * block : (loud[-1] + 4) * block]


def pack(
    rows: list[Utterance], data: Data, seed: int, folder: Path, progress: Progress, workers: int
) -> None:
    """Write one shard; duplicates, unreadable, too short and surplus utterances are left out and counted."""
    folder.mkdir(parents=True, exist_ok=True)
    voices = _babble_pool(rows, seed) if data.augmented_copies else []
    by_speaker: dict[str, list[Utterance]] = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker].append(row)
    jobs = [(by_speaker[s], data, seed + i) for i, s in enumerate(sorted(by_speaker))]
    meta: list[tuple[int, int, str, int, bool, str, str]] = []
    left_out: Counter[str] = Counter()
    position = 0
    context = multiprocessing.get_context("fork")
    with (
        (folder / "features.f16.part").open("wb") as out,
        context.Pool(workers, _start_worker, (voices, seed)) as pool,
    ):
        for done, (items, skipped) in enumerate(pool.imap(_pack_speaker, jobs, chunksize=4), start=1):
            left_out.update(skipped)
            for frames, speaker, copy, augmented, session, corpus in items:
                out.write(frames.tobytes())
                meta.append((position, frames.shape[0], speaker, copy, augmented, session, corpus))
                position += frames.shape[0]
            progress(folder.name, done, len(jobs))
    if not meta:
        raise InputError(
            "no_training_speech", f"none of {len(rows)} utterances was usable: {dict(left_out)}."
        )
    (folder / "features.f16.part").replace(folder / "features.f16")
    columns = list(zip(*meta, strict=True))
    speakers = sorted(set(columns[2]))
    number = {name: i for i, name in enumerate(speakers)}
    (folder / "left_out.json").write_text(
        json.dumps(dict(sorted(left_out.items())), indent=1) + "\n", encoding="utf-8"
    )
    np.savez(
        folder / "index.npz",
        start=np.array(columns[0], np.int64),
        frames=np.array(columns[1], np.int64),
        speaker=np.array([number[s] for s in columns[2]], np.int64),
        copy=np.array(columns[3], np.int64),
        augmented=np.array(columns[4], np.bool_),
        session=np.array(columns[5], np.str_),
        corpus=np.array(columns[6], np.str_),
        speakers=np.array(speakers, np.str_),
    )


def open_shard(folder: Path) -> Shard:
    """Return a packed shard as a memory map."""
    with np.load(folder / "index.npz", allow_pickle=False) as index:
        columns = {name: index[name] for name in index.files}
    speakers = tuple(str(s) for s in columns.pop("speakers"))
    features = np.memmap(folder / "features.f16", dtype=np.float16, mode="r").reshape(-1, N_MELS)
    return Shard(features=features, speakers=speakers, **columns)


_worker_augmenter: Augmenter | None = None


def _start_worker(voices: list[NDArray[np.float32]], seed: int) -> None:
    global _worker_augmenter
    _worker_augmenter = Augmenter.simulate(voices, np.random.default_rng(seed)) if voices else None


def _babble_pool(rows: list[Utterance], seed: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    pool: list[NDArray[np.float32]] = []
    for i in rng.permutation(len(rows)):
        if len(pool) == _BABBLE_VOICES:
            break
        try:
            pool.append(trim(audio.load(rows[int(i)].path).samples)[: 8 * SAMPLE_RATE_HZ])
        except InputError:
            continue
    return [voice for voice in pool if voice.size > SAMPLE_RATE_HZ // 2]


Packed = tuple[NDArray[np.float16], str, int, bool, str, str]


def _pack_speaker(job: tuple[list[Utterance], Data, int]) -> tuple[list[Packed], Counter[str]]:
    """Return the packed utterances of one speaker and why others were left out."""
    rows, data, seed = job
    rng = np.random.default_rng(seed)
    kept: list[tuple[Utterance, NDArray[np.float32]]] = []
    skipped: Counter[str] = Counter()
    for row, samples in _usable(rows, data, rng, skipped):
        kept.append((row, samples))
    speech_s = sum(samples.size for _, samples in kept) / SAMPLE_RATE_HZ
    if len(kept) < data.min_utterances and speech_s < data.single_utterance_min_s:
        skipped["speaker_with_too_little_speech"] += len(kept)
        return [], skipped
    items: list[Packed] = []
    for row, samples in kept:
        for copy, speed in enumerate(data.speeds):
            fast = change_speed(samples, speed)
            items.append((fbank(fast).astype(np.float16), row.speaker, copy, False, row.session, row.corpus))
            for _ in range(data.augmented_copies):
                if _worker_augmenter is None:
                    raise InputError(
                        "no_training_speech", "there is no speech to make babble from; check the corpora."
                    )
                heard = fbank(_worker_augmenter(fast, rng)).astype(np.float16)
                items.append((heard, row.speaker, copy, True, row.session, row.corpus))
    return items, skipped


def _usable(
    rows: list[Utterance], data: Data, rng: np.random.Generator, skipped: Counter[str]
) -> Iterator[tuple[Utterance, NDArray[np.float32]]]:
    """Yield trimmed speech in random order until the speaker's share is full."""
    seen: set[str] = set()
    total_s = 0.0
    for i in rng.permutation(len(rows)):
        row = rows[int(i)]
        if total_s >= data.max_speaker_s:
            skipped["over_the_speaker_cap"] += 1
            continue
        try:
            waveform = audio.load(row.path)
        except InputError as error:
            skipped[error.code] += 1
            continue
        samples = trim(waveform.samples)[: int(data.max_utterance_s * SAMPLE_RATE_HZ)]
        digest = hashlib.sha256(samples.tobytes()).hexdigest()
        if digest in seen:
            skipped["duplicate"] += 1
        elif samples.size < data.min_utterance_s * SAMPLE_RATE_HZ or float(np.abs(samples).max()) < 1e-3:
            skipped["too_short_or_silent"] += 1
        else:
            seen.add(digest)
            total_s += samples.size / SAMPLE_RATE_HZ
            yield row, samples
