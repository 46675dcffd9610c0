"""Speech packed once for many epochs: trimmed, deduplicated, sped up, distorted, as fbank on disk.

A packed corpus is ``features.f16`` (all frames one after another, (total T, 80) float16) with ``index.npz`` beside it:
where each utterance begins, how long it is, whose it is. Training reads memory maps; the page cache does the rest. What
is packed is known by a hash of the file names and options, so that a further corpus does not pack the others again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid import audio
from voxid.errors import ConfigError, InputError
from voxid.features import N_MELS, fbank
from voxid.train.augment import SAMPLE_RATE_HZ, Augmenter, change_speed, shift_formants
from voxid.train.corpora import Utterance, read_corpus
from voxid.train.recipe import Copy, Data, Recipe, Teacher

Progress = Callable[[str, int, int], None]
_BABBLE_VOICES = 400


@dataclass(frozen=True)
class Shard:
    """Packed fbank. ``speaker`` numbers base speakers, ``copy`` the altered copies (0 = as recorded).

    Every unlabelled utterance counts as a speaker of its own. ``teacher`` has no columns without a teacher.
    """

    features: tuple[NDArray[np.float16], ...]  # each (total T, 80), a memory map
    file: NDArray[np.int64]  # (U,) index into ``features``
    start: NDArray[np.int64]  # (U,) first frame
    frames: NDArray[np.int64]  # (U,) length
    speaker: NDArray[np.int64]  # (U,) index into ``speakers``
    copy: NDArray[np.int64]  # (U,) index into the recipe's copies
    augmented: NDArray[np.bool_]  # (U,)
    session: NDArray[np.str_]  # (U,)
    corpus: NDArray[np.str_]  # (U,)
    text: NDArray[np.int64]  # (U,) alike for the same words
    labelled: NDArray[np.bool_]  # (U,)
    teacher: NDArray[np.float16]  # (U, 256) or (U, 0)
    speakers: tuple[str, ...]

    def subset(self, rows: NDArray[np.int64]) -> Shard:
        """Return the shard with only these utterances; speakers keep their numbers."""
        columns = [name for name in self.__dataclass_fields__ if name not in ("features", "speakers")]
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def frames_of(self, u: int) -> NDArray[np.float16]:
        """Return (T, 80) of utterance ``u``."""
        return self.features[self.file[u]][self.start[u] : self.start[u] + self.frames[u]]


def prepare(
    recipe: Recipe, corpora_root: Path, cache: Path, progress: Progress, teacher: Path | None = None
) -> tuple[Shard, Shard]:
    """Return (training shard, held-out shard), packing them first unless the cache already has this very recipe's.

    Raises:
        ConfigError: a corpus is missing, or the recipe's teacher (``teacher_missing``).
        InputError: ``no_training_speech`` when nothing usable is left.
    """
    training, held_out = split(recipe, corpora_root)
    if not training or not held_out:
        raise InputError(
            "no_training_speech",
            "no speaker has enough speech for this recipe; lower data.min_utterances or add corpora.",
        )
    plain = Data(corpora=recipe.data.corpora, max_utterance_s=30.0, copies=(Copy(),), augmented_share=0.0)
    return (
        _prepare_part(training, recipe.data, recipe.seed, corpora_root, cache, progress, teacher),
        _prepare_part(held_out, plain, recipe.seed + 1, corpora_root, cache, progress, None),
    )


def _prepare_part(
    rows: list[Utterance],
    data: Data,
    seed: int,
    root: Path,
    cache: Path,
    progress: Progress,
    teacher: Path | None,
) -> Shard:
    """Return one shard over corpora that are packed each for itself; a speaker of several belongs to the first."""
    home: dict[str, str] = {}
    for entry in data.corpora:
        for row in rows:
            if row.corpus == entry.name:
                home.setdefault(row.speaker, entry.name)
    options = {key: value for key, value in asdict(data).items() if key not in ("corpora", "reserved")}
    folders = []
    for entry in data.corpora:
        own = [row for row in rows if home[row.speaker] == entry.name]
        what = [options, seed, [(str(row.path.relative_to(root)), row.speaker, row.session) for row in own]]
        folder = cache / f"{entry.name}-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]}"
        if own and not (folder / "index.npz").is_file():
            if data.teacher.name and teacher is None:
                raise ConfigError(
                    "teacher_missing", f"the recipe learns from {data.teacher.name}; give it by --teacher."
                )
            pack(own, data, seed, folder, partial(progress, entry.name), teacher)
        if own:
            folders.append(folder)
    return open_shards(folders)


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
    rows: list[Utterance],
    data: Data,
    seed: int,
    folder: Path,
    progress: Callable[[int, int], None],
    teacher: Path | None = None,
) -> None:
    """Write one packed corpus; duplicates, unreadable, too short and surplus utterances are left out and counted."""
    folder.mkdir(parents=True, exist_ok=True)
    by_speaker: dict[str, list[Utterance]] = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker].append(row)
    jobs = [(by_speaker[s], data, seed + i) for i, s in enumerate(sorted(by_speaker))]
    voices = _babble_pool(rows, seed) if data.augmented_share else []
    packed: list[Packed] = []
    left_out: Counter[str] = Counter()
    context = multiprocessing.get_context("fork")
    with (
        (folder / "features.f16.part").open("wb") as out,
        context.Pool(os.cpu_count() or 1, _start_worker, (voices, seed, data.teacher, teacher)) as pool,
    ):
        for done, (items, frames, skipped) in enumerate(pool.imap(_pack_speaker, jobs, chunksize=4), start=1):
            left_out.update(skipped)
            packed.extend(items)
            for block in frames:
                out.write(block.tobytes())
            progress(done, len(jobs))
    if not packed:
        raise InputError(
            "no_training_speech",
            f"none of the {len(rows)} utterances of {rows[0].corpus} was usable: {dict(left_out)}.",
        )
    (folder / "features.f16.part").replace(folder / "features.f16")
    (folder / "left_out.json").write_text(
        json.dumps(dict(sorted(left_out.items())), indent=1) + "\n", encoding="utf-8"
    )
    _write_index(packed, folder)


def _write_index(packed: list[Packed], folder: Path) -> None:
    speakers = sorted({item.row.speaker for item in packed})
    number = {name: i for i, name in enumerate(speakers)}
    texts = {text: zlib.crc32(text.casefold().encode()) for text in {item.row.text for item in packed}}
    frames = np.array([item.frames for item in packed], np.int64)
    np.savez(
        folder / "index.npz",
        start=np.concatenate([[0], np.cumsum(frames)[:-1]]),
        frames=frames,
        speaker=np.array([number[item.row.speaker] for item in packed], np.int64),
        copy=np.array([item.copy for item in packed], np.int64),
        augmented=np.array([item.augmented for item in packed], np.bool_),
        session=np.array([item.row.session for item in packed], np.str_),
        corpus=np.array([item.row.corpus for item in packed], np.str_),
        text=np.array([texts[item.row.text] for item in packed], np.int64),
        labelled=np.array([item.row.labelled for item in packed], np.bool_),
        teacher=np.stack([item.teacher for item in packed]),
        speakers=np.array(speakers, np.str_),
    )


def open_shards(folders: Sequence[Path]) -> Shard:
    """Return packed corpora as one shard of memory maps; no speaker may be in two of them."""
    parts = []
    for folder in folders:
        with np.load(folder / "index.npz", allow_pickle=False) as index:
            parts.append({name: index[name] for name in index.files})
    speakers = [part.pop("speakers") for part in parts]
    for number, part in enumerate(parts):
        part["file"] = np.full(part["start"].size, number)
        part["speaker"] = part["speaker"] + sum(names.size for names in speakers[:number])
    return Shard(
        features=tuple(
            np.memmap(folder / "features.f16", dtype=np.float16, mode="r").reshape(-1, N_MELS)
            for folder in folders
        ),
        speakers=tuple(str(name) for names in speakers for name in names),
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
    )


@dataclass(frozen=True)
class Packed:
    """What the index keeps of one packed utterance."""

    row: Utterance
    frames: int
    copy: int
    augmented: bool
    teacher: NDArray[np.float16]  # (256,) or (0,)


_worker_augmenter: Augmenter | None = None
_worker_teach: Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float32]] | None = None


def _start_worker(voices: list[NDArray[np.float32]], seed: int, teacher: Teacher, file: Path | None) -> None:
    global _worker_augmenter, _worker_teach
    _worker_augmenter = Augmenter.simulate(voices, np.random.default_rng(seed)) if voices else None
    if teacher.name and file is not None:
        import torch

        from voxid.train.teacher import load_teacher, teach

        torch.set_num_threads(1)
        _worker_teach = partial(teach, load_teacher(file, teacher.sha256))


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


def _pack_speaker(
    job: tuple[list[Utterance], Data, int],
) -> tuple[list[Packed], list[NDArray[np.float16]], Counter[str]]:
    """Return the packed utterances of one speaker, their frames and why others were left out."""
    rows, data, seed = job
    rng = np.random.default_rng(seed)
    skipped: Counter[str] = Counter()
    kept = list(_usable(rows, data, rng, skipped))
    if not kept:
        return [], [], skipped
    speech_s = sum(samples.size for _, samples in kept) / SAMPLE_RATE_HZ
    if rows[0].labelled and len(kept) < data.min_utterances and speech_s < data.single_utterance_min_s:
        skipped["kept_without_label"] += len(kept)  # too little to be a class of its own
        kept = [(replace(row, labelled=False), samples) for row, samples in kept]
    copies = data.copies if kept[0][0].labelled else data.copies[:1]
    voices = [
        (row, number, shift_formants(change_speed(samples, copy.speed), copy.formant))
        for row, samples in kept
        for number, copy in enumerate(copies)
    ]
    taught = np.zeros((len(voices), 0)) if _worker_teach is None else _worker_teach([v for *_, v in voices])
    items: list[Packed] = []
    frames: list[NDArray[np.float16]] = []
    for (row, number, voice), target in zip(voices, taught.astype(np.float16), strict=True):
        heard = [voice]
        if _worker_augmenter is not None and rng.random() < data.augmented_share:
            heard.append(_worker_augmenter(voice, rng))
        for augmented, samples in enumerate(heard):
            frames.append(fbank(samples).astype(np.float16))
            items.append(Packed(row, frames[-1].shape[0], number, bool(augmented), target))
    return items, frames, skipped


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
