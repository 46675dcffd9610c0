"""The networks of the service: loaded and warm before the first request, and run by a few threads for everybody.

Whoever needs a network hands its input to a worker and waits. A worker takes the oldest input and with it those of the
same graph and the same shape that wait beside it, and runs them as one batch. Inputs of another length are never filled
up to be joined: a score must not depend on who else asked at the same moment. When too many wait, the next one is
refused at once, so that those who wait are still served in time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.bundle import Bundle
from voxid.diarize.segmentation import Segmenter, default_segmenter
from voxid.embedding import Embedder, drop_embedder, put_embedder
from voxid.graph import GraphRuns
from voxid.segments import Segment
from voxid.service.problems import TooOftenError
from voxid.service.settings import InferenceOptions
from voxid.spoof.detector import SpoofDetector

__all__ = ["Inference", "InferenceOptions", "Runs"]

_WARM_S: Final = (1.0, 3.0, 10.0)
_RETRY_S: Final = 1.0
_JOINED_INPUTS: Final = {"fbank", "weights", "samples"}

Inputs = dict[str, NDArray[np.float32]]


@dataclass
class Runs:
    """What was run so far: inputs, batches, and how many inputs were refused."""

    inputs: int = 0
    batches: int = 0
    refused: int = 0


@dataclass(eq=False)
class _Waiting:
    graph: _Graph
    wanted: tuple[str, ...] | None
    inputs: Inputs
    done: Future[list[Any]] = field(default_factory=Future)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Equal for inputs that may be joined along their first axis."""
        return (id(self.graph), self.wanted, *((name, x.shape[1:]) for name, x in self.inputs.items()))


class Inference:
    """Networks for every thread of the service.

    Args:
        bundle: of the embeddings.
        options: threads, batches and limits.
        detector: of spoofed voices; None: there is none, and nobody is asked for proof of life.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: InferenceOptions | None = None,
        detector: SpoofDetector | None = None,
    ) -> None:
        self.options = options or InferenceOptions()
        self.runs = Runs()
        self._bundle = bundle
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._embedder: Embedder | None = None
        self._segmenter: Segmenter | None = None
        self._detector = None if detector is None else detector.through(self._front)

    @property
    def embedder(self) -> Embedder:
        """The bundle's embedder, whose runs go through the workers."""
        if self._embedder is None:
            self._embedder = Embedder(self._bundle, threads=1, through=self._front)
        return self._embedder

    @property
    def segmenter(self) -> Segmenter:
        """The segmentation network, whose runs go through the workers."""
        if self._segmenter is None:
            self._segmenter = default_segmenter().through(self._front)
        return self._segmenter

    @property
    def detector(self) -> SpoofDetector | None:
        """What tells whether a voice is live and human, whose runs go through the workers."""
        return self._detector

    @property
    def waiting(self) -> int:
        """Inputs that wait now."""
        return len(self._queue)

    def start(self) -> None:
        """Load the networks, run each once for the lengths that are usual, and let every verb use them."""
        for number in range(self.options.workers or os.cpu_count() or 1):
            thread = threading.Thread(target=self._work, name=f"inference-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        quiet = np.random.default_rng(0)
        for seconds in _WARM_S:
            samples = (0.01 * quiet.standard_normal(round(seconds * SAMPLE_RATE_HZ))).astype(np.float32)
            self.voice(Waveform(samples, "warming", "", SAMPLE_RATE_HZ))
        self.segmenter.activity(np.zeros((1, self.segmenter.chunk_frames, 80), np.float32))
        if self._detector is not None:
            self._detector.scores(np.zeros((1, self._detector.measures.piece_samples), np.float32))
        put_embedder(self.embedder)

    def close(self) -> None:
        """End the workers; who still waits is refused."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        while self._queue:
            self._queue.popleft().done.set_exception(_overloaded(0))
        if self._embedder is not None:
            drop_embedder(self._embedder)

    def voice(self, waveform: Waveform, regions: Sequence[Segment] | None = None) -> NDArray[np.float32]:
        """Return the embedding (D,) of one voice, as :meth:`voxid.embedding.Embedder.embed` does.

        Raises:
            PolicyError: overloaded. InputError: audio_too_short, embedding_not_finite, graph_failed.
        """
        return self.embedder.embed(waveform, regions)

    def _front(self, graph: GraphRuns) -> GraphRuns:
        return _Graph(graph, self)

    def submit(self, waiting: _Waiting) -> list[Any]:
        """Return what a worker finds for one input.

        Raises:
            PolicyError: overloaded; and whatever the graph raises.
        """
        with self._changed:
            if self._closed or len(self._queue) >= self.options.most_waiting:
                self.runs.refused += 1
                raise _overloaded(len(self._queue))
            self._queue.append(waiting)
            self._changed.notify()
        return waiting.done.result()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            _run(batch)

    def _next(self) -> list[_Waiting] | None:
        """Return inputs that are run as one; None when the service ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._closed:
                return None
            batch = [self._queue.popleft()]
            until_s = time.monotonic() + self.options.gather_ms / 1000
            self._join(batch)
            while len(batch) < self.options.most_joined and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
                self._join(batch)
            if self._queue:
                self._changed.notify()  # what came while this worker gathered is for another one
            self.runs.inputs += len(batch)
            self.runs.batches += 1
            return batch

    def _join(self, batch: list[_Waiting]) -> None:
        alike = [one for one in self._queue if batch[0].graph.joins and one.shape == batch[0].shape]
        for one in alike[: self.options.most_joined - len(batch)]:
            self._queue.remove(one)
            batch.append(one)


class _Graph:
    """A graph whose runs go through the workers; graphs of voxid's own form take any number of rows."""

    def __init__(self, graph: GraphRuns, inference: Inference) -> None:
        self.graph = graph
        self.joins = {one.name for one in graph.get_inputs()} <= _JOINED_INPUTS
        self._inference = inference

    def run(self, wanted: Sequence[str] | None, inputs: Inputs) -> list[Any]:
        """Return the outputs for these inputs."""
        return self._inference.submit(_Waiting(self, tuple(wanted) if wanted else None, inputs))

    def get_inputs(self) -> Sequence[Any]:
        """Return what the graph takes."""
        return self.graph.get_inputs()


def _run(batch: Sequence[_Waiting]) -> None:
    """Run inputs as one batch and hand each its part; where that fails, each by itself, so that one harms no other."""
    first = batch[0]
    wanted = list(first.wanted) if first.wanted else None
    try:
        joined = {name: np.concatenate([one.inputs[name] for one in batch]) for name in first.inputs}
        found = first.graph.graph.run(wanted, joined if len(batch) > 1 else first.inputs)
    except Exception as error:  # onnxruntime raises its own unrelated classes; the embedder gives them a code
        if len(batch) == 1:
            first.done.set_exception(error)
        for one in batch if len(batch) > 1 else ():
            _run([one])
        return
    rows = np.cumsum([0, *(len(next(iter(one.inputs.values()))) for one in batch)]).tolist()
    for one, start, end in zip(batch, rows[:-1], rows[1:], strict=True):
        one.done.set_result([out[start:end] if len(batch) > 1 else out for out in found])


def _overloaded(waiting: int) -> TooOftenError:
    return TooOftenError(
        "overloaded",
        f"{waiting} requests wait for the networks already, as many as are let in; send this one again in a second.",
        _RETRY_S,
    )
