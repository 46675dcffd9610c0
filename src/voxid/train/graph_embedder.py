"""A bundle's graph heard on packed speech: fbank frames in, embeddings out, without audio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from voxid.bundle import Bundle
from voxid.errors import CompatibilityError
from voxid.features import INT16_SCALE, N_MELS
from voxid.frontend import FrontEnd
from voxid.train.shards import Shard

Floats = NDArray[np.float32]
Inputs = dict[str, Floats]

_MAX_FRAMES: Final = 1_000  # as in validation
# Log power of samples in [-1, 1] lies this far below that of 16-bit ones, which packed speech holds.
_UNIT_SCALE_OFFSET: Final = np.float32(2.0 * np.log(INT16_SCALE))


class GraphEmbedder:
    """One ONNX session on one thread, fed with fbank.

    Args:
        graph: ONNX bytes.
        front_end: what the graph is fed.

    Raises:
        CompatibilityError: ``not_for_packed_speech`` for a graph that listens to anything but Kaldi's 80 bands.
    """

    def __init__(self, graph: bytes, front_end: FrontEnd) -> None:
        hears = (front_end.features, front_end.mels, front_end.window)
        if hears != ("fbank", N_MELS, "povey"):
            raise CompatibilityError(
                "not_for_packed_speech",
                f"the model listens to {hears[1]} bands of {hears[0]} ({hears[2]} window), packed speech holds "
                f"{N_MELS} of fbank (povey window); give audio instead of a recipe, or another model.",
            )
        self.front_end = front_end
        self.session = open_session(graph)
        self._input = front_end.input or self.session.get_inputs()[0].name
        self._output = [front_end.output] if front_end.output else None

    @classmethod
    def of(cls, bundle: Bundle) -> GraphEmbedder:
        """Return the embedder of a bundle."""
        return cls(bundle.graph, FrontEnd.from_card(bundle.card["input"]))

    def inputs(self, crops: Floats) -> Inputs:
        """Return what the graph is fed for crops (B, T, 80) as packed, mean included."""
        if self.front_end.scale == "unit":
            crops = crops - _UNIT_SCALE_OFFSET
        voices = [voice_inputs(self.front_end, crop, self._input) for crop in crops]
        return {name: np.concatenate([voice[name] for voice in voices]) for name in voices[0]}

    def embed(self, crops: Floats) -> Floats:
        """Return (B, D) unit embeddings of crops (B, T, 80) as packed."""
        size = len(crops) if self.front_end.layout == "masks" else self.front_end.batch
        parts = [self.run(self.inputs(crops[first : first + size])) for first in range(0, len(crops), size)]
        return np.concatenate(parts)

    def run(self, inputs: Inputs) -> Floats:
        """Return (B, D) unit embeddings of one voice each; inputs as :meth:`inputs` makes them."""
        found = self.session.run(self._output, inputs)[0]
        return unit(found.reshape(len(next(iter(inputs.values()))), -1))

    def embed_shard(self, shard: Shard, progress: Callable[[float], None] = lambda share: None) -> Floats:
        """Return (U, D) unit embeddings of every utterance, at most its first 10 s."""
        count = shard.start.size
        out = []
        for u in range(count):
            out.append(self.embed(shard.frames_of(u)[None, :_MAX_FRAMES].astype(np.float32))[0])
            progress((u + 1) / count)
        return np.stack(out)


def voice_inputs(front_end: FrontEnd, voice: Floats, name: str) -> Inputs:
    """Return what a graph is fed for one voice cut out of its recording.

    Args:
        front_end: the graph's.
        voice: (T', F) frames or (N,) samples, as :meth:`voxid.frontend.FrontEnd.select` returns them.
        name: of a plain graph's input.
    """
    if front_end.layout == "masks":
        ones = np.ones((1, 1, len(voice)), np.float32)
        return {"fbank": front_end.normalised(voice, ones[0, 0])[None], "weights": ones}
    return {name: front_end.arranged(voice)}


def open_session(graph: bytes) -> ort.InferenceSession:
    """Return a session on one thread of the CPU.

    Raises:
        CompatibilityError: ``bundle_invalid`` when ONNX Runtime refuses the graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own unrelated classes
        raise CompatibilityError("bundle_invalid", f"the graph does not load: {error}") from error


def unit(vectors: Floats) -> Floats:
    """Return the vectors with a last axis of length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), dtype=np.float32)


def random_crops(shard: Shard, lengths: Sequence[int], count: int, seed: int) -> list[Floats]:
    """Return ``count`` crops (T, 80) as packed, of random utterances and, in turn, of these lengths in frames.

    Speakers come one after another as far as they last; an utterance shorter than its crop is taken whole.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(shard.start.size)
    _, first = np.unique(shard.speaker[order], return_index=True)
    rest = np.setdiff1d(np.arange(order.size), first)
    chosen = order[np.concatenate([rng.permutation(first), rest])][:count]
    crops = []
    for at, u in enumerate(chosen):
        frames, length = shard.frames_of(int(u)), lengths[at % len(lengths)]
        begin = int(rng.integers(max(1, len(frames) - length + 1)))
        crops.append(frames[begin : begin + length].astype(np.float32))
    return crops
