"""Genuine and spoofed speech packed once for many epochs: trimmed, as it came and as it would come by another way.

A pack is ``samples.i16`` (all pieces one after another, 16 kHz) with ``index.npz`` beside it. What is packed is known
by a hash of the file names and options. Genuine speech comes from the corpora of the embedding recipe, without the
people it reserves, and from the folders' manifests, where pages of generators give recordings beside their copies.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from voxid import audio
from voxid.errors import ConfigError, InputError
from voxid.simulate.distortions import Samples
from voxid.simulate.fakes import Generator, generators
from voxid.simulate.replay import record, replay
from voxid.simulate.rooms import random_response
from voxid.train.corpora import Utterance
from voxid.train.recipe import Recipe
from voxid.train.shards import split, trim
from voxid.train.spoof.distortion import carried
from voxid.train.spoof.recipe import ClipFolder, SpoofRecipe

__all__ = [
    "GENUINE",
    "REPLAYED",
    "SPOOFED",
    "Clip",
    "Pack",
    "family_of",
    "gather",
    "of_folder",
    "parted",
    "prepare",
]

GENUINE, SPOOFED, REPLAYED = 0, 1, 2
MANIFEST = "manifest.csv"
_MAX_SAMPLES = 6 * 16_000
_MIN_SAMPLES = 16_000
_ROOMS = 60
_SCALE = 32_767.0

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Clip:
    """One recording; genuine ones have no generator and no family, and of ``held_out`` people nothing is learnt."""

    path: Path
    genuine: bool
    generator: str
    family: str
    corpus: str
    held_out: bool


@dataclass(frozen=True, eq=False)
class Pack:
    """Packed pieces.

    Attributes:
        samples: (total N,) int16, a memory map.
        start, length: (U,) int64, of each piece.
        kind: (U,) GENUINE, SPOOFED or REPLAYED.
        carried: (U,) bool, distorted on its way.
        of_held_out: (U,) bool, of people that are not trained on.
        generator, family, corpus: (U,) str.
    """

    samples: NDArray[np.int16]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    kind: NDArray[np.int64]
    carried: NDArray[np.bool_]
    of_held_out: NDArray[np.bool_]
    generator: NDArray[np.str_]
    family: NDArray[np.str_]
    corpus: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.start)

    def piece(self, u: int, n_samples: int, place: float) -> NDArray[np.float32]:
        """Return (n_samples,) of recording ``u``, from ``place`` in [0, 1) of what can be chosen; short ones repeat."""
        whole = self.samples[self.start[u] : self.start[u] + self.length[u]]
        first = int(place * max(1, len(whole) - n_samples + 1))
        cut = whole[first : first + n_samples].astype(np.float32) / _SCALE
        return np.resize(cut, n_samples)

    def subset(self, rows: NDArray[np.int64]) -> Pack:
        """Return the pack with only these recordings."""
        columns = [name for name in self.__dataclass_fields__ if name != "samples"]
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def joined(self, other: Pack) -> Pack:
        """Return the recordings of both, which must be of the same file."""
        columns = [name for name in self.__dataclass_fields__ if name != "samples"]
        return replace(
            self, **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in columns}
        )


def family_of(generator: str) -> str:
    """Return the letters a generator's name begins with.

    >>> family_of("hifigan(maum-ai)"), family_of("tacotron2+hifigan"), family_of("lyra-v2-3200")
    ('hifigan', 'tacotron', 'lyra')
    """
    found = re.match("[a-z]+", generator.casefold())
    return found.group() if found else generator


def gather(recipe: SpoofRecipe, speech: Recipe, corpora_root: Path, beside: Path) -> list[Clip]:
    """Return every recording of a recipe, in an order that depends on nothing but names.

    Args:
        recipe, speech: of the detector, and of the embedding whose corpora are used.
        corpora_root: folder that holds corpora and clip folders.
        beside: folder of the recipe, for its lists.

    Raises:
        ConfigError: ``corpus_missing``, ``clips_missing``, ``manifest_invalid``.
    """
    training, held_out = split(speech, corpora_root)
    rng = np.random.default_rng(recipe.seed)
    clips = [*_of_people(training, recipe, rng, False), *_of_people(held_out, recipe, rng, True)]
    for entry in recipe.clips:
        clips += of_folder(entry, corpora_root, beside, rng)
    return clips


def _of_people(
    rows: Sequence[Utterance], recipe: SpoofRecipe, rng: np.random.Generator, held_out: bool
) -> Iterator[Clip]:
    by_corpus: dict[str, dict[str, list[Utterance]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_corpus[row.corpus][row.speaker].append(row)
    for corpus in sorted(by_corpus):
        people = by_corpus[corpus]
        chosen = [
            row
            for speaker in sorted(people)
            for row in _drawn(people[speaker], recipe.genuine_per_speaker, rng)
        ]
        for row in _drawn(chosen, recipe.genuine_per_corpus, rng):
            yield Clip(row.path, True, "", "", corpus, held_out)


def of_folder(entry: ClipFolder, root: Path, beside: Path, rng: np.random.Generator) -> list[Clip]:
    """Return the recordings of one folder of clips, at most so many of a generator or of a page's genuine ones.

    Args:
        entry: the recipe's row.
        root, beside: folders of the corpora and of the recipe.
        rng: which clips, where there are more.

    Raises:
        ConfigError: ``clips_missing``, ``manifest_invalid``.
    """
    folder = root / entry.folder
    manifest = beside / entry.manifest if entry.manifest else folder / MANIFEST
    if not manifest.is_file() or not folder.is_dir():
        raise ConfigError(
            "clips_missing",
            f"there is no {manifest} or no folder {folder}; gather or make the clips first: docs/spoof.md says how.",
        )
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = {"path", "label", "generator", "family", "source"}
    if not rows or not wanted <= rows[0].keys():
        raise ConfigError(
            "manifest_invalid",
            f"{manifest} lacks rows or some of the columns {', '.join(sorted(wanted))}; make it again.",
        )
    by_generator: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["path"]):
        clip = _clip(row, folder)
        by_generator[clip.generator, "" if clip.generator else clip.corpus].append(clip)
    return [
        clip for name in sorted(by_generator) for clip in _drawn(by_generator[name], entry.per_generator, rng)
    ]


def _clip(row: dict[str, str], folder: Path) -> Clip:
    genuine = row["label"] == "genuine"
    generator = "" if genuine else row["generator"]
    corpus = row["source"].split("@")[0]
    return Clip(
        folder / row["path"],
        genuine,
        generator,
        "" if genuine else row["family"],
        corpus,
        False,
    )


def _drawn(rows: Sequence[Kind], at_most: int, rng: np.random.Generator) -> list[Kind]:
    return [rows[int(i)] for i in sorted(rng.permutation(len(rows))[:at_most])]


def parted(pack: Pack, recipe: SpoofRecipe) -> tuple[Pack, Pack, Pack]:
    """Return what is learnt from, what thresholds are set on, and what was left out altogether.

    Held out are people the embedding recipe holds out, with all that was made of them, and the held-out generators.
    What is made of held-out people by generators that are trained on tells nothing of the unseen and stays out of both.
    """
    spoofed = pack.kind == SPOOFED
    known = np.array([family_of(str(name)) for name in pack.generator])
    unseen = spoofed & np.isin(known, recipe.held_out_families)
    left_out = spoofed & (np.isin(known, recipe.left_out) | np.isin(pack.family, recipe.left_out))
    training = ~pack.of_held_out & ~unseen & ~left_out
    held_out = np.where(spoofed, unseen, pack.of_held_out) & ~left_out
    first, second, third = (pack.subset(np.flatnonzero(rows)) for rows in (training, held_out, left_out))
    return first, second, third


def prepare(
    clips: Sequence[Clip], recipe: SpoofRecipe, cache: Path, progress: Callable[[int, int], None]
) -> Pack:
    """Return the recordings packed; packs them first unless the cache has these very ones.

    Raises:
        InputError: ``no_training_speech``.
    """
    made = [recipe.seed, recipe.made, recipe.made_share, recipe.replayed_share]
    what = [made, [(str(clip.path), clip.generator) for clip in clips]]
    folder = cache / f"spoof-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]}"
    if not (folder / "index.npz").is_file():
        _pack(clips, recipe, folder, progress)
    with np.load(folder / "index.npz", allow_pickle=False) as index:
        columns = {name: index[name] for name in index.files}
    return Pack(samples=np.memmap(folder / "samples.i16", dtype=np.int16, mode="r"), **columns)


def _pack(
    clips: Sequence[Clip], recipe: SpoofRecipe, folder: Path, progress: Callable[[int, int], None]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[Clip, Piece]] = []
    jobs = [(clip, recipe.seed + number) for number, clip in enumerate(clips)]
    context = multiprocessing.get_context("fork")
    with (
        (folder / "samples.i16.part").open("wb") as out,
        context.Pool(os.cpu_count() or 1, _start_worker, (recipe,)) as pool,
    ):
        for done, (clip, pieces) in enumerate(
            zip(clips, pool.imap(_heard, jobs, chunksize=16), strict=True), 1
        ):
            for piece in pieces:
                out.write(piece.samples.tobytes())
                rows.append((clip, replace(piece, samples=piece.samples[:0], length=len(piece.samples))))
            progress(done, len(jobs))
    if not {piece.kind for _, piece in rows} >= {GENUINE, SPOOFED}:
        raise InputError(
            "no_training_speech",
            f"of {len(clips)} recordings, none that are genuine or none that are spoofed could be used; add clips.",
        )
    (folder / "samples.i16.part").replace(folder / "samples.i16")
    lengths = np.array([piece.length for _, piece in rows], np.int64)
    np.savez(
        folder / "index.npz",
        start=np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        length=lengths,
        kind=np.array([piece.kind for _, piece in rows], np.int64),
        carried=np.array([piece.carried for _, piece in rows], np.bool_),
        of_held_out=np.array([clip.held_out for clip, _ in rows], np.bool_),
        generator=np.array([piece.generator for _, piece in rows], np.str_),
        family=np.array([piece.family for _, piece in rows], np.str_),
        corpus=np.array([clip.corpus for clip, _ in rows], np.str_),
    )


@dataclass(frozen=True)
class Piece:
    """One packed piece before it is written; ``length`` is told when it was."""

    kind: int
    carried: bool
    generator: str
    family: str
    samples: NDArray[np.int16]
    length: int = 0


@dataclass
class _Worker:
    responses: list[Samples]
    made: list[Generator]
    recipe: SpoofRecipe | None = None


_worker = _Worker([], [])


def _start_worker(recipe: SpoofRecipe) -> None:
    rng = np.random.default_rng(recipe.seed)
    _worker.responses = [random_response(rng) for _ in range(_ROOMS)]
    _worker.made = generators(recipe.made) if recipe.made else []
    _worker.recipe = recipe


def _heard(job: tuple[Clip, int]) -> list[Piece]:
    """Return what is packed of one recording; nothing where it is no use."""
    (clip, seed), recipe = job, _worker.recipe
    rng = np.random.default_rng(seed)
    try:
        samples = trim(audio.load(clip.path).samples)
    except InputError:
        return []
    if recipe is None or samples.size < _MIN_SAMPLES or float(np.abs(samples).max()) < 1e-3:
        return []
    first = int(rng.integers(max(1, samples.size - _MAX_SAMPLES + 1)))
    samples = samples[first : first + _MAX_SAMPLES]
    if not clip.genuine:
        return _twice(SPOOFED, clip.generator, clip.family, samples, rng)
    found = _twice(GENUINE, "", "", samples, rng)
    if rng.random() < recipe.replayed_share:
        found += _twice(REPLAYED, "replay", "replay", replay(samples, rng), rng)
        found.append(Piece(GENUINE, True, "", "", _stored(record(samples, rng))))
    if _worker.made and rng.random() < recipe.made_share:
        generator = _worker.made[int(rng.integers(len(_worker.made)))]
        try:
            fake = generator.make(samples, rng)
        except InputError:
            return found
        found += _twice(SPOOFED, generator.name, generator.family, fake, rng)
    return found


def _twice(kind: int, generator: str, family: str, samples: Samples, rng: np.random.Generator) -> list[Piece]:
    """Return the samples as they are and as they would come by another way."""
    return [
        Piece(kind, distorted, generator, family, _stored(heard))
        for distorted, heard in ((False, samples), (True, carried(samples, _worker.responses, rng)))
    ]


def _stored(samples: Samples) -> NDArray[np.int16]:
    """Return the samples as int16, at half of full scale."""
    peak = float(np.abs(samples).max()) + 1e-9
    return np.rint(samples * (0.5 * _SCALE / peak)).astype(np.int16)
