"""Embeddings of other people's public models, for comparisons under one scorer.

    python bench/peers.py --list files.txt --root DIR --out resemblyzer.npz
    python bench/verification.py --lists DIR_OF_LISTS --out REPORT_DIR        (ours and the peer, one scorer)

The peer lives in a virtual environment of its own (made on first use, kept in the cache folder), because
its dependencies are not ours. It is called by subprocess and leaves an ``.npz`` with ``paths`` (N,) and
``embeddings`` (N, D), which ``voxid.evaluate.load_embeddings`` reads. Nothing of the peer is copied here.

Resemblyzer 0.1.4 (Apache-2.0, GE2E, 1.4 million parameters, weights inside its wheel) is used as its
README shows: ``VoiceEncoder().embed_utterance(preprocess_wav(path))``, compared by the raw cosine.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid.evaluate.utterances import file_sha256

PEER_SCRIPT = """
import sys, time
from pathlib import Path
import librosa
import numpy as np
import torch
from resemblyzer import VoiceEncoder, preprocess_wav
from resemblyzer.audio import audio_norm_target_dBFS, normalize_volume

torch.set_num_threads(1)
root, listing, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
encoder = VoiceEncoder("cpu", verbose=False)
paths = [line for line in listing.read_text().splitlines() if line]
vectors, untrimmed, spent_s = [], [], 0.0
for number, path in enumerate(paths, 1):
    start = time.perf_counter()
    waveform = preprocess_wav(root / path)
    # Its own voice detector leaves nothing of some noisy or short files; every trial needs a score, as with ours.
    untrimmed.append(len(waveform) == 0)
    if untrimmed[-1]:
        samples, _ = librosa.load(str(root / path), sr=16000)
        waveform = normalize_volume(samples, audio_norm_target_dBFS, increase_only=True)
    vectors.append(encoder.embed_utterance(waveform))
    spent_s += time.perf_counter() - start
    if number % 25 == 0 or number == len(paths):
        each_ms = 1000 * spent_s / number
        print(f"\\r{number}/{len(paths)}, {each_ms:.0f} ms each", end="", file=sys.stderr, flush=True)
print(file=sys.stderr)
with open(out, "wb") as file:
    np.savez(file, embeddings=np.stack(vectors).astype(np.float32), untrimmed=np.asarray(untrimmed))
"""
BATCH_FILES = 250
"""Files embedded between two writes of the cache: what an interruption costs at most."""


@dataclass(frozen=True)
class Peer:
    """A public model in an environment of its own.

    Attributes:
        name: as given on the command line.
        requirements: installed with their dependencies.
        bare: installed without dependencies.
        script: program run in that environment with arguments root, list, output.
    """

    name: str
    requirements: tuple[str, ...]
    bare: tuple[str, ...]
    script: str


PEERS = {
    "resemblyzer": Peer(
        name="resemblyzer",
        # Its wheel asks for `webrtcvad`, which has no wheel and needs a compiler, and for the 2015
        # back-port `typing`; webrtcvad-wheels is the same module built, so Resemblyzer goes in bare.
        # scipy below 2 keeps `scipy.ndimage.morphology`, which it imports.
        requirements=("torch==2.13.0", "librosa", "numpy", "scipy<2", "webrtcvad-wheels"),
        bare=("Resemblyzer==0.1.4",),
        script=PEER_SCRIPT,
    )
}


def default_cache() -> Path:
    """Return the folder for environments and results, outside any repository."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "voxid-bench"


def peer_python(peer: Peer, cache: Path) -> Path:
    """Return the interpreter of the peer's environment, installing it first where it is missing."""
    wanted = hashlib.sha256("\n".join([*peer.requirements, *peer.bare, sys.version]).encode()).hexdigest()
    folder = cache / f"{peer.name}-venv"
    stamp = folder / "installed.txt"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        print(f"installing {peer.name} in {folder} (once)", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *peer.requirements], check=True)
        subprocess.run([*install, "--no-deps", *peer.bare], check=True)
        stamp.write_text(wanted)
    return python


@dataclass(frozen=True)
class PeerEmbeddings:
    """A peer's embeddings by the hash of the audio, kept in one file per version of the peer.

    Attributes:
        vectors: SHA-256 of a file -> embedding (D,).
        untrimmed: hashes of the files its own voice detector left nothing of; they were embedded whole.
    """

    vectors: dict[str, NDArray[np.float32]]
    untrimmed: set[str]

    @classmethod
    def read(cls, path: Path) -> PeerEmbeddings:
        """Return what an earlier run kept; nothing when there is no such file."""
        if not path.is_file():
            return cls({}, set())
        with np.load(path, allow_pickle=False) as stored:
            keys, vectors, untrimmed = stored["keys"].tolist(), stored["vectors"], stored["untrimmed"]
        return cls(
            dict(zip(keys, vectors, strict=True)),
            {key for key, flag in zip(keys, untrimmed, strict=True) if flag},
        )

    def joined(self, other: PeerEmbeddings) -> PeerEmbeddings:
        """Return what either holds."""
        return PeerEmbeddings(other.vectors | self.vectors, other.untrimmed | self.untrimmed)

    def write(self, path: Path) -> None:
        """Keep everything, whole or not at all."""
        keys = sorted(self.vectors)
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(
                file,
                keys=np.asarray(keys),
                vectors=np.stack([self.vectors[key] for key in keys]),
                untrimmed=np.asarray([key in self.untrimmed for key in keys]),
            )
        unfinished.replace(path)


def embed_with_peer(
    name: str, paths: Sequence[str], root: Path, cache: Path
) -> tuple[dict[str, NDArray[np.float32]], list[str]]:
    """Return path -> the peer's embedding of ``root / path``, and the paths it embedded without its voice detector.

    Results are kept in the cache folder by the content of the files, so the same audio is never embedded twice.

    Raises:
        subprocess.CalledProcessError: when installing or running the peer fails.
    """
    peer = PEERS[name]
    version = hashlib.sha256("\n".join([*peer.requirements, *peer.bare, peer.script]).encode()).hexdigest()[
        :12
    ]
    kept_at = cache / "embeddings" / f"{name}-{version}.npz"
    kept = PeerEmbeddings.read(kept_at)
    digests = {path: file_sha256(root / path) for path in paths}
    missing = {digest: path for path, digest in digests.items() if digest not in kept.vectors}
    waiting = list(missing.items())
    for start in range(0, len(waiting), BATCH_FILES):
        batch = dict(waiting[start : start + BATCH_FILES])
        kept_at.parent.mkdir(parents=True, exist_ok=True)
        vectors, untrimmed = _run_peer(peer, [str((root / path).resolve()) for path in batch.values()], cache)
        kept.vectors.update(zip(batch, vectors, strict=True))
        kept.untrimmed.update(digest for digest, flag in zip(batch, untrimmed, strict=True) if flag)
        kept = kept.joined(PeerEmbeddings.read(kept_at))  # another run may have written meanwhile
        kept.write(kept_at)
    found = {path: kept.vectors[digest] for path, digest in digests.items()}
    return found, [path for path, digest in digests.items() if digest in kept.untrimmed]


def _run_peer(peer: Peer, paths: list[str], cache: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as work:
        listing, out = Path(work) / "paths.txt", Path(work) / "embeddings.npz"
        listing.write_text("\n".join(paths) + "\n", encoding="utf-8")
        command = [str(peer_python(peer, cache)), "-W", "ignore", "-c", peer.script]
        subprocess.run([*command, "/", str(listing), str(out)], check=True, env=environment)
        with np.load(out, allow_pickle=False) as made:
            return made["embeddings"], made["untrimmed"]


def write_peer_embeddings(name: str, paths: list[str], root: Path, out: Path, cache: Path) -> Path:
    """Write the peer's embeddings of ``root / path`` for every path to ``out`` and return it."""
    vectors, _ = embed_with_peer(name, paths, root, cache)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        np.savez(file, paths=np.asarray(paths), embeddings=np.stack([vectors[path] for path in paths]))
    return out


def main() -> None:
    """Parse the command line and write the embeddings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=sorted(PEERS), default="resemblyzer")
    parser.add_argument("--list", required=True, type=Path, help="text file, one audio path per line")
    parser.add_argument("--root", required=True, type=Path, help="folder the paths are relative to")
    parser.add_argument("--out", required=True, type=Path, help="npz to write")
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="environment and results (%(default)s)"
    )
    arguments = parser.parse_args()
    paths = [line for line in arguments.list.read_text().splitlines() if line]
    write_peer_embeddings(arguments.peer, paths, arguments.root, arguments.out, arguments.cache)
    print(f"{len(paths)} embeddings in {arguments.out}")


if __name__ == "__main__":
    main()
