"""A stranger's graph run for the first time: in a process of its own, with little memory, little time and no files.

What a graph does cannot be read from its file: it may want longer speech than it says, return NaN, ask for a terabyte,
or give another answer every time. It is found out before the model is put beside the others.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.errors import CompatibilityError
from voxid.frontend import FrontEnd

MEMORY_BYTES: Final = 6 * 2**30
"""Address space the graph may use besides its own weights."""

TIME_S: Final = 300
LENGTHS_FRAMES: Final = (20, 50, 100, 200, 301)
DIMENSIONS: Final = (16, 4_096)
"""Fewest and most values an embedding may have."""

_HOP_SAMPLES: Final = 160
_WEIGHTS_IN_MEMORY: Final = 4  # the bytes, the parsed graph, the optimised one and what is copied between
_ALIKE: Final = 1e-3

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Probe:
    """What a graph was found to do.

    Attributes:
        dim: values per embedding.
        min_frames: shortest input, of those tried, from which on it works.
        batch: voices it takes at once.
        real_time_factor: seconds one core needs for a second of speech, once, here.
    """

    dim: int
    min_frames: int
    batch: int
    real_time_factor: float


def probe_graph(path: Path, front_end: FrontEnd, time_s: float = TIME_S) -> Probe:
    """Return what a plain graph does, found out in another process.

    Raises:
        CompatibilityError: ``model_fails`` when it does not load or run, ``model_too_hungry`` when it takes more time
            or memory than a speaker model has any need for, ``model_not_finite``, ``model_not_repeatable``,
            ``model_ignores_input``, ``model_output_unknown``.
    """
    request = json.dumps({"graph": str(path), "input": front_end.to_card(), "time_s": time_s})
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from voxid.zoo.probing import answer; answer()"],
            input=request,
            capture_output=True,
            text=True,
            timeout=time_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _hungry(f"did not finish in {time_s:g} s") from error
    try:
        reply = json.loads(done.stdout)
    except ValueError as error:
        if done.returncode < 0:
            raise _hungry(f"ended with signal {-done.returncode}") from error
        raise CompatibilityError(
            "model_fails", f"the graph could not be tried: {done.stderr.strip()[-300:]}. Get the file again."
        ) from error
    if "refused" in reply:
        raise CompatibilityError(*reply["refused"])
    return Probe(**reply["found"])


def answer() -> None:
    """Read a request from stdin, try the graph it names under limits, and write what was found to stdout."""
    request = json.load(sys.stdin)
    path = Path(request["graph"])
    _limit(MEMORY_BYTES + _WEIGHTS_IN_MEMORY * path.stat().st_size, int(request["time_s"]))
    reply: dict[str, Any]
    try:
        reply = {"found": asdict(_try(path, FrontEnd.from_card(request["input"])))}
    except CompatibilityError as error:
        reply = {"refused": [error.code, error.message]}
    except MemoryError:
        hungry = _hungry(f"asks for more than {MEMORY_BYTES // 2**30} GB")
        reply = {"refused": [hungry.code, hungry.message]}
    sys.stdout.write(json.dumps(reply))


def _limit(memory_bytes: int, time_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (time_s, time_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _try(path: Path, front_end: FrontEnd) -> Probe:
    run = _session(path, front_end)
    works: list[int] = []
    trouble = ""
    for length in reversed(LENGTHS_FRAMES):
        try:
            _embedding(run, _voice(front_end, length, seed=0))
        except CompatibilityError as error:
            if error.code != "model_fails" or not works:
                raise
            trouble = error.message
            break
        works.append(length)
    shortest = max(front_end.min_frames, works[-1] if trouble else 0)
    front_end = replace(front_end, min_frames=shortest)
    first, other = (_voice(front_end, 301, seed) for seed in (1, 2))
    begin = time.perf_counter()
    embedding = _embedding(run, first)
    spent_s = time.perf_counter() - begin
    _check_sense(embedding, _embedding(run, first), _embedding(run, other))
    batch = front_end.batch if _takes_two(run, first, other) else 1
    return Probe(embedding.size, shortest, batch, round(spent_s / 3.01, 4))


def _session(path: Path, front_end: FrontEnd) -> Callable[[Floats], Floats]:
    """Return the graph as a function, on the CPU with one thread."""
    import onnxruntime as ort  # loaded under the limits

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    try:
        session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime raises its own unrelated classes
        raise _failure("does not load", error) from error

    def run(x: Floats) -> Floats:
        try:
            return np.asarray(session.run([front_end.output], {front_end.input: x})[0])
        except Exception as error:
            raise _failure(f"fails on an input of shape {x.shape}", error) from error

    return run


def _voice(front_end: FrontEnd, n_frames: int, seed: int) -> Floats:
    """Return noise as loud as speech, as the graph's input."""
    rng = np.random.default_rng(seed)
    if front_end.features == "waveform":
        loudness = 3_000.0 if front_end.scale == "int16" else 0.1
        x = loudness * rng.standard_normal(n_frames * _HOP_SAMPLES)
    else:
        x = 3.0 * rng.standard_normal((n_frames, front_end.mels))
    longest = front_end.max_frames or n_frames
    return front_end.arranged(front_end.pieces(np.asarray(x, dtype=np.float32), longest)[0])


def _embedding(run: Callable[[Floats], Floats], x: Floats) -> Floats:
    """Return (D,) of a batch of one."""
    out = run(x)
    low, high = DIMENSIONS
    if out.dtype != np.float32 or out.ndim < 2 or max(out.shape) != out.size or not low <= out.size <= high:
        raise CompatibilityError(
            "model_output_unknown",
            f"the graph returns {out.dtype} of shape {out.shape} for one voice; expected {low} to {high} float32 "
            "values. Export the embedding, not its classifier or its frames.",
        )
    if not np.isfinite(out).all():
        raise CompatibilityError(
            "model_not_finite",
            "the graph returns NaN or infinity for ordinary input; it is broken or was exported wrongly. Get it again.",
        )
    return out.ravel()


def _check_sense(embedding: Floats, again: Floats, other: Floats) -> None:
    if _apart(embedding, again) > _ALIKE:
        raise CompatibilityError(
            "model_not_repeatable",
            "the graph gives one input two embeddings: it draws random numbers. Export it after model.eval().",
        )
    if _apart(embedding, other) < 1e-5:
        raise CompatibilityError(
            "model_ignores_input", "the graph gives two inputs one embedding; it cannot tell anybody apart."
        )


def _takes_two(run: Callable[[Floats], Floats], one: Floats, two: Floats) -> bool:
    try:
        both = run(np.concatenate([one, two])).reshape(2, -1)
    except (CompatibilityError, ValueError):
        return False
    alone = _embedding(run, one), _embedding(run, two)
    return both.shape[1] == alone[0].size and max(map(_apart, both, alone)) < _ALIKE


def _apart(a: Floats, b: Floats) -> float:
    """Return how far apart two directions are, 0 to 2."""
    lengths = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b))) if lengths > 0.0 else 0.0


def _failure(what: str, error: Exception) -> CompatibilityError:
    reason = " ".join(str(error).split())[:300]
    if "bad_alloc" in reason or "Failed to allocate" in reason:
        return _hungry(f"asks for more than {MEMORY_BYTES // 2**30} GB ({reason[:120]})")
    return CompatibilityError(
        "model_fails",
        f"the graph {what}: {reason}. Name another --format or --front-end, or export it again.",
    )


def _hungry(what: str) -> CompatibilityError:
    return CompatibilityError(
        "model_too_hungry",
        f"the graph {what} when it was tried on a few seconds of noise; no speaker model needs that. It is not added.",
    )
