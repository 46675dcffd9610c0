"""A model in a folder: ``model.onnx`` and the ``card.json`` written for it, checked against each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from voxid.allocation import give_back_freed_memory
from voxid.errors import CompatibilityError, InputError

__all__ = ["CARD_FILE", "GRAPH_FILE", "GraphRuns", "OpenModel", "open_model", "release_memory"]

GRAPH_FILE: Final = "model.onnx"
CARD_FILE: Final = "card.json"


class GraphRuns(Protocol):
    """What runs a graph: an ONNX session, or something that stands in front of one."""

    def run(self, wanted: Sequence[str] | None, inputs: dict[str, NDArray[np.float32]]) -> list[Any]:
        """Return the outputs named, or all."""

    def get_inputs(self) -> Sequence[Any]:
        """Return what the graph takes."""


@dataclass(frozen=True, eq=False)
class OpenModel:
    """A model whose graph is the one its card was written for; ``id`` is its name and the beginning of the hash."""

    name: str
    id: str
    card: dict[str, Any] = field(repr=False)
    session: ort.InferenceSession = field(repr=False)


def open_model(folder: str | Path, code: str, kind: str, threads: int = 1) -> OpenModel:
    """Return the model in a folder.

    Args:
        code: what the codes of errors begin with.
        kind: what sentences call it.
        threads: of one run.

    Raises:
        InputError: ``<code>_missing``. CompatibilityError: ``<code>_hash_mismatch``, ``<code>_invalid``.
    """
    folder = Path(folder)
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        graph = (folder / GRAPH_FILE).read_bytes()
    except OSError as error:
        raise InputError(
            f"{code}_missing", f"there is no {kind} at {folder}: {error}. Give its folder."
        ) from error
    except ValueError as error:
        raise CompatibilityError(
            f"{code}_invalid", f"{folder / CARD_FILE} is not a model card: {error}. Get the model again."
        ) from error
    digest = hashlib.sha256(graph).hexdigest()
    if not isinstance(card, dict) or digest not in _digests(card) or "name" not in card:
        raise CompatibilityError(
            f"{code}_hash_mismatch",
            f"{folder / GRAPH_FILE} is not the file its card was written for; get the model again.",
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return OpenModel(str(card["name"]), f"{card['name']}@{digest[:12]}", card, session)


def release_memory(session: GraphRuns, inputs: dict[str, NDArray[np.float32]]) -> None:
    """Run a graph on little, after which its session holds no memory of longer runs.

    ONNX Runtime keeps what a run took for the next one: 150 MB after windows of two minutes on two threads. What
    stands in front of a session serves others too, and is left as it is. Where the C library can be asked to, it gives
    back what it keeps as well: 140 MiB more after two hours of audio.
    """
    if isinstance(session, ort.InferenceSession):
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        # A build of ONNX Runtime without an arena refuses, by classes of its own: it keeps nothing to give back.
        with suppress(Exception):
            session.run(None, inputs, options)
        give_back_freed_memory()


def _digests(card: dict[str, Any]) -> tuple[Any, ...]:
    """Return the hash of the graph as the card has it: alone, or by the name of the file."""
    entry = card.get("sha256")
    return (entry.get(GRAPH_FILE),) if isinstance(entry, dict) else (entry,)
