"""Embeddings of other people's public models, for comparisons under one scorer.

    python bench/peers.py --list files.txt --root DIR --out resemblyzer.npz
    python bench/verification.py --lists DIR_OF_LISTS --out REPORT_DIR        (ours and the peer, one scorer)

The peer lives in a virtual environment of its own (made on first use, kept in the cache folder), because
its dependencies are not ours. It is called by subprocess and leaves an ``.npz`` with ``paths`` (N,) and
``embeddings`` (N, D), which ``voxid.evaluate.load_embeddings`` reads. Nothing of the peer is copied here.

Resemblyzer 0.1.4 (Apache-2.0, GE2E, 1.4 million parameters, weights inside its wheel) is used as its
README shows: ``VoiceEncoder().embed_utterance(preprocess_wav(path))``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

PEER_SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
import torch
from resemblyzer import VoiceEncoder, preprocess_wav

torch.set_num_threads(1)
root, listing, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
encoder = VoiceEncoder("cpu", verbose=False)
paths = [line for line in listing.read_text().splitlines() if line]
vectors, spent_s = [], 0.0
for number, path in enumerate(paths, 1):
    start = time.perf_counter()
    waveform = preprocess_wav(root / path)
    if len(waveform) == 0:
        sys.exit(f"{path}: the peer's own voice detector left nothing of this file")
    vectors.append(encoder.embed_utterance(waveform))
    spent_s += time.perf_counter() - start
    if number % 25 == 0 or number == len(paths):
        each_ms = 1000 * spent_s / number
        print(f"\\r{number}/{len(paths)}, {each_ms:.0f} ms each", end="", file=sys.stderr, flush=True)
print(file=sys.stderr)
with open(out, "wb") as file:
    np.savez(file, paths=np.asarray(paths), embeddings=np.stack(vectors).astype(np.float32))
"""


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


def write_peer_embeddings(name: str, paths: list[str], root: Path, out: Path, cache: Path) -> Path:
    """Write the peer's embeddings of ``root / path`` for every path to ``out`` and return it.

    Results are kept in the cache folder by peer, file names, sizes and times, so that a second run with
    the same files costs nothing.

    Raises:
        subprocess.CalledProcessError: when installing or running the peer fails.
    """
    peer = PEERS[name]
    key = hashlib.sha256("\n".join([*peer.requirements, *peer.bare, peer.script]).encode())
    for path in paths:
        status = (root / path).stat()
        key.update(f"\n{path} {status.st_size} {status.st_mtime_ns}".encode())
    kept = cache / "embeddings" / f"{name}-{key.hexdigest()[:24]}.npz"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        listing = kept.with_suffix(".txt")
        listing.write_text("\n".join(paths) + "\n")
        unfinished = kept.with_suffix(".part")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        command = [str(peer_python(peer, cache)), "-W", "ignore", "-c", peer.script]
        subprocess.run([*command, str(root), str(listing), str(unfinished)], check=True, env=environment)
        unfinished.replace(kept)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(kept.read_bytes())
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
