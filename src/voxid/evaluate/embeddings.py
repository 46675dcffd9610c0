"""Embeddings of the utterances of a trial list: computed once, cached, or read from a file.

The cache is one ``.npz`` per network, keyed by the hash of the audio and by how it was pooled: bundles that differ
only behind the embedding (cohort, calibration) share it. It is only a cache: a damaged or foreign file is thrown away
and rebuilt.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid.audio import load
from voxid.backend import NOT_MEASURED, Quality
from voxid.bundle import GRAPH_FILE, Bundle
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.evaluate.utterances import DETECTOR, FactsCache, UtteranceFacts, file_sha256

Vector = NDArray[np.float32]
Embed = Callable[[str], Vector]
"""Utterance path as the trial list writes it -> embedding (D,)."""

MAX_CACHE_BYTES = 4 << 30

# What an embedding was pooled over is part of its key: other options of the detector, other embeddings.
_SPEECH, _WHOLE = f"speech-{DETECTOR}", f"whole-{DETECTOR}"
_SURELY_WIDE_DB = -30.0  # speech with more than that in its high band is never taken for narrow-band


def network_id(bundle: Bundle) -> str:
    """Return ``name@hash`` of what a raw embedding depends on: the graph, its input and its size, nothing behind."""
    parts = [bundle.card["sha256"][GRAPH_FILE], bundle.card["input"], bundle.dim]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{bundle.name}@{digest[:12]}"


class EmbeddingCache:
    """Embeddings by audio hash, kept in ``<folder>/<model id>.npz``, beside each the quality of the speech behind it.

    Args:
        folder: made when missing.
        model_id: ``network_id`` of a bundle; embeddings of two networks never share a file.
        dim: D; vectors of another length are not accepted from the file.

    Attributes:
        rebuilt: true when a file was there and could not be used.
    """

    def __init__(self, folder: str | Path, model_id: str, dim: int) -> None:
        self.path = Path(folder) / f"{re.sub(r'[^A-Za-z0-9@._-]', '_', model_id)}.npz"
        self.dim = dim
        self.rebuilt = False
        self._changed = False
        self._qualities: dict[str, Quality] = {}
        self._vectors = self._read()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, key: str) -> Vector | None:
        """Return the embedding stored under ``key``, or None."""
        return self._vectors.get(key)

    def quality(self, key: str) -> Quality:
        """Return the quality of the speech behind the embedding stored under ``key``."""
        return self._qualities.get(key, NOT_MEASURED)

    def put(self, key: str, vector: Vector, quality: Quality = NOT_MEASURED) -> None:
        """Remember ``vector`` (D,) and the quality of its speech under ``key`` until ``save``."""
        self._vectors[key] = np.asarray(vector, dtype=np.float32)
        self._qualities[key] = quality
        self._changed = True

    def save(self) -> None:
        """Write the file whole or not at all.

        Raises:
            InputError: ``output_unwritable`` when the folder cannot be written.
        """
        if not self._changed:
            return
        keys = sorted(self._vectors)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(dir=self.path.parent, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(
                        file,
                        keys=np.asarray(keys),
                        vectors=np.stack([self._vectors[key] for key in keys]),
                        qualities=np.array([astuple(self._qualities[key]) for key in keys], dtype=np.float64),
                    )
                os.replace(unfinished, self.path)
            except BaseException:
                Path(unfinished).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise InputError(
                "output_unwritable",
                f"Cannot write the embedding cache {self.path} ({error}); expected a writable folder; "
                "give another cache folder or none.",
            ) from error
        self._changed = False

    def _read(self) -> dict[str, Vector]:
        if not self.path.is_file():
            return {}
        try:
            if self.path.stat().st_size > MAX_CACHE_BYTES:
                raise ValueError("too large")
            with np.load(self.path, allow_pickle=False) as stored:
                keys, vectors, qualities = stored["keys"], stored["vectors"], stored["qualities"]
            sound = (
                keys.ndim == 1
                and keys.dtype.kind == "U"
                and vectors.dtype == np.float32
                and vectors.shape == (len(keys), self.dim)
                and qualities.shape == (len(keys), len(fields(Quality)))
                and bool(np.all(np.isfinite(vectors)))
            )
            if not sound:
                raise ValueError("not a cache of this bundle")
            known = [[None if np.isnan(value) else value for value in row] for row in qualities.tolist()]
            self._qualities = {key: Quality(*row) for key, row in zip(keys.tolist(), known, strict=True)}
            return dict(zip(keys.tolist(), vectors, strict=True))
        except Exception:  # zipfile and numpy raise a dozen unrelated classes on damaged bytes
            self.rebuilt = True
            return {}


@dataclass
class BundleEmbedder:
    """Embeds utterances with a bundle, through optional caches.

    Attributes:
        bundle: the model.
        audio_root: folder the utterance paths are relative to.
        cache: where embeddings are kept between runs; None computes every time.
        known: where speech, quality and channel of the utterances are kept.
        facts: path -> what was measured of the utterance, of every one embedded so far.
    """

    bundle: Bundle
    audio_root: Path
    cache: EmbeddingCache | None = None
    known: FactsCache = field(default_factory=lambda: FactsCache(None))
    facts: dict[str, UtteranceFacts] = field(default_factory=dict)

    def __call__(self, path: str) -> Vector:
        """Return the embedding (D,) of the speech in ``audio_root / path``.

        An utterance without speech is embedded whole, because every trial of a list needs a score; the report
        counts them.

        Raises:
            InputError: what ``voxid.audio.load`` says of the file, or ``audio_too_short``.
        """
        source = self.audio_root / path
        facts = self.facts[path] = self.known.of(source, file_sha256(source))
        key = f"{facts.sha256}:{_SPEECH if facts.regions else _WHOLE}{self._map_of(facts)}"
        vector = self.cache.get(key) if self.cache is not None else None
        if vector is None:
            # Decoded a second time when the facts are new too: some ms, and the two caches stay apart.
            vector = get_embedder(self.bundle).embed(load(source), list(facts.regions) or None)
            if self.cache is not None:
                self.cache.put(key, vector, Quality.of(facts.quality))
        return vector

    def _map_of(self, facts: UtteranceFacts) -> str:
        """Return what tells the bundle's map apart that may move an embedding of this speech; nothing for wide-band."""
        high_band_db, narrow = facts.quality.high_band_db, self.bundle.narrow_band
        if narrow is None or (high_band_db is not None and high_band_db > _SURELY_WIDE_DB):
            return ""
        return f":narrow-{narrow.sha256[:12]}"

    @property
    def qualities(self) -> dict[str, Quality]:
        """Path -> quality of the speech in it, of every utterance embedded so far."""
        return {path: Quality.of(facts.quality) for path, facts in self.facts.items()}

    @property
    def without_speech(self) -> list[str]:
        """Paths in which no speech was found."""
        return [path for path, facts in self.facts.items() if not facts.regions]

    def save(self) -> None:
        """Write the caches.

        Raises:
            InputError: ``output_unwritable``.
        """
        self.known.save()
        if self.cache is not None:
            self.cache.save()


def embed_all(
    paths: Iterable[str], embed: Embed, progress: Callable[[float], None] | None = None
) -> dict[str, Vector]:
    """Return path -> embedding for every path, in order."""
    wanted = list(paths)
    vectors: dict[str, Vector] = {}
    for number, path in enumerate(wanted, 1):
        vectors[path] = embed(path)
        if progress is not None:
            progress(number / len(wanted))
    return vectors


def load_embeddings(path: str | Path) -> Mapping[str, Vector]:
    """Return utterance path -> embedding (D,) of an ``.npz`` with ``paths`` (N,) and ``embeddings`` (N, D).

    This is how another system's embeddings are scored by the same code as ours (``bench/peers.py`` writes
    such files).

    Raises:
        InputError: ``embeddings_invalid``.
    """
    source = Path(path)
    try:
        with np.load(source, allow_pickle=False) as stored:
            paths, embeddings = stored["paths"], stored["embeddings"]
    except Exception as error:  # zipfile and numpy raise a dozen unrelated classes on damaged bytes
        raise InputError(
            "embeddings_invalid",
            f"{source} cannot be read as embeddings ({error}); expected an npz with `paths` (N,) and "
            "`embeddings` (N, D); write it with bench/peers.py.",
        ) from error
    if paths.ndim != 1 or embeddings.ndim != 2 or len(paths) != len(embeddings):
        raise InputError(
            "embeddings_invalid",
            f"{source} holds paths {paths.shape} and embeddings {embeddings.shape}; expected (N,) and "
            "(N, D); write it again.",
        )
    vectors = np.asarray(embeddings, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    if not np.all(np.isfinite(norms)) or np.any(norms == 0):
        raise InputError(
            "embeddings_invalid",
            f"{source} holds embeddings that are zero or not finite; expected directions; "
            "compute them again.",
        )
    return dict(zip((str(item) for item in paths), vectors / norms[:, None], strict=True))


def look_up(embeddings: Mapping[str, Vector]) -> Embed:
    """Return an ``Embed`` that reads from ``embeddings``.

    Raises:
        InputError: ``embedding_missing``, when called with a path that is not there.
    """

    def embed(path: str) -> Vector:
        vector = embeddings.get(path)
        if vector is None:
            raise InputError(
                "embedding_missing",
                f"There is no embedding of {path}; expected one for every utterance of the trials; "
                "embed the whole list.",
            )
        return vector

    return embed
