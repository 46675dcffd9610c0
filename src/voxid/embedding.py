"""Speech and masks to speaker embeddings, by ONNX Runtime and the front end the bundle asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from voxid.audio import Waveform
from voxid.bundle import Bundle
from voxid.errors import CompatibilityError, InputError, VoxidError
from voxid.features import frame_count
from voxid.frontend import FrontEnd
from voxid.graph import GraphRuns, release_memory
from voxid.narrowband import is_narrow, without_empty_bands
from voxid.speech import speech_mask
from voxid.timeline import Segment

MIN_EMBEDDING_S = 0.2
_MIN_MASK_FRAMES = 18  # 0.2 s
# Training speech was trimmed of silence and nothing more, so an utterance keeps its short pauses and the edges of its
# words. EER % of held-out speakers (speechocean762, Common Voice 6 and 13): pooled over the detected speech alone
# 7.3 / 15.8 / 16.2, with 0.15 s round it and longer pauses cut out 6.1 / 13.6 / 14.7. In diarization, confusion on 140
# tuning conversations fell from 9.9 to 8.4 % of speech.
MARGIN_FRAMES = 15
# Longer speech is embedded in pieces and averaged by length: memory stays flat and the mean stays local.
_PIECE_FRAMES = 3_000
# Frames on either side of a stretch that goes through a graph alone: what its convolutions and neighbourhoods see.
_CONTEXT_FRAMES = 200


class Embedder:
    """One ONNX session for one bundle; safe to share between threads.

    Args:
        bundle: what to run.
        threads: intra-op threads; None takes the machine's cores, at most 4.
        through: puts something in front of the session, such as what joins runs of several threads.

    Raises:
        CompatibilityError: ``bundle_invalid`` for a graph that does not load, ``front_end_invalid`` for a card that
            asks for features this version does not make, or that its map of narrow-band speech does not fit.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None = None,
        through: Callable[[GraphRuns], GraphRuns] | None = None,
    ) -> None:
        self.front_end = FrontEnd.from_card(bundle.card["input"])
        if bundle.narrow_band is not None and not self.front_end.is_kaldi:
            raise CompatibilityError(
                "front_end_invalid",
                f"bundle {bundle.id} has a map of narrow-band speech, which knows Kaldi's fbank of 80 bands, and hears "
                f"{self.front_end.features}. Take the map out of its folder.",
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or min(4, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session: GraphRuns = ort.InferenceSession(bundle.graph, options, providers=_providers())
        except Exception as error:  # onnxruntime raises its own unrelated classes
            raise CompatibilityError(
                "bundle_invalid", f"the graph of bundle {bundle.id} does not load: {error}"
            ) from error
        self._session = session if through is None else through(session)
        self.bundle = bundle
        self.dim = bundle.dim

    def embed(self, waveform: Waveform, regions: Sequence[Segment] | None = None) -> NDArray[np.float32]:
        """Return the embedding of one voice; that of telephone speech lies where wide-band speech of the voice does.

        Args:
            waveform: speech of one person.
            regions: where speech is; 0.15 s around it is kept, longer pauses are cut out. None pools over everything.

        Returns:
            (D,) float32 of unit length.

        Raises:
            InputError: ``audio_too_short`` with less than 0.2 s to pool over; ``embedding_not_finite``,
                ``graph_failed`` when the graph cannot take this audio.
        """
        n_frames = frame_count(waveform.samples.size)
        speech = np.ones(n_frames, np.float32) if regions is None else speech_mask(regions, n_frames)
        if speech.sum() < _MIN_MASK_FRAMES:
            raise InputError(
                "audio_too_short",
                f"{waveform.uri} has {speech.sum() / 100:.2f} s of speech to embed; at least "
                f"{MIN_EMBEDDING_S} s are needed. "
                "Give a longer recording.",
            )
        x = self.front_end.features_of(waveform.samples)
        kept = self.front_end.align(with_margin(speech)[None], x)[0] > 0
        voice, narrow = self.front_end.select(x, kept), self.bundle.narrow_band
        if narrow is None or not is_narrow(voice):
            return self.embed_frames(voice)
        return narrow.moved(self.embed_frames(without_empty_bands(voice)))

    def embed_frames(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding (D,) of the frames of one voice, as the front end gave them, wherever they come from."""
        return np.asarray(self._embed_voices([frames])[0])

    def embed_masks(
        self,
        samples: NDArray[np.float32],
        masks: NDArray[np.float32],
        fbank: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return one embedding per mask, from one pass of a ``masks`` graph or one run per mask of a ``plain`` one.

        Args:
            samples: (N,) float32 of a chunk, 16 kHz.
            masks: (K, T) in [0, 1] over the ``frame_count(N)`` frames of 10 ms; K voices or windows. A plain graph
                is given the frames above 0.5.
            fbank: (T, 80) what :func:`voxid.features.fbank` gives of the samples, where somebody has it already; a
                bundle that hears other features makes its own.

        Returns:
            (K, D) float32 of unit length.

        Raises:
            InputError: ``mask_shape`` when shapes disagree, ``mask_empty`` when a mask holds less than 0.2 s;
                ``embedding_not_finite``, ``graph_failed`` when the graph cannot take this audio.
        """
        x = fbank if fbank is not None and self.front_end.is_kaldi else self.front_end.features_of(samples)
        masks = self._checked(masks, frame_count(samples.size), x)
        if self.front_end.layout == "masks":
            return self._pool_masks(x, masks)
        # The mean of a second is the voice: where the model allows, that of the whole chunk is taken away instead.
        centred = self.front_end.mean == "pooled frames"
        if centred:
            x = self.front_end.normalised(x, masks.max(axis=0))
        return self._embed_voices([self.front_end.select(x, mask > 0.5) for mask in masks], centred=centred)

    def embed_chunks(
        self, chunks: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Return what :meth:`embed_masks` gives for each chunk, chunks of one length in one pass of a ``masks`` graph.

        Args:
            chunks: samples (N,) of each chunk.
            masks: (K, T) of each; K may differ.

        Raises:
            InputError: those of :meth:`embed_masks`.
        """
        alike = len({chunk.size for chunk in chunks}) == 1 and len(chunks) > 1
        if not alike or self.front_end.layout != "masks" or self.front_end.max_frames:
            return [self.embed_masks(chunk, own) for chunk, own in zip(chunks, masks, strict=True)]
        most = max(len(own) for own in masks)
        features, weights = [], []
        for chunk, own in zip(chunks, masks, strict=True):
            x = self.front_end.features_of(chunk)
            aligned = self._checked(own, frame_count(chunk.size), x)
            features.append(self.front_end.normalised(x, aligned.max(axis=0)))
            filler = np.repeat(aligned[:1], most - len(own), axis=0)  # pooled and thrown away
            weights.append(np.concatenate([aligned, filler]))
        found = self._run({"fbank": np.stack(features), "weights": np.stack(weights)})
        return [vectors[: len(own)] for vectors, own in zip(found, masks, strict=True)]

    def release_memory(self) -> None:
        """Give back what longer runs of a ``masks`` graph took; a plain one hears one voice at a time."""
        if self.front_end.layout == "masks":
            fbank = np.zeros((1, 2 * _MIN_MASK_FRAMES, self.front_end.mels), np.float32)
            release_memory(self._session, {"fbank": fbank, "weights": np.ones_like(fbank[:, None, :, 0])})

    def _checked(
        self, masks: NDArray[np.float32], n_frames: int, x: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return masks (K, T) over the frames of the front end, (K, T'), or refuse them."""
        if masks.ndim != 2 or masks.shape[0] == 0 or masks.shape[1] != n_frames:
            raise InputError(
                "mask_shape",
                f"masks of shape {masks.shape} do not fit {n_frames} frames; give (K, T), K > 0.",
            )
        spoken = masks if self.front_end.layout == "masks" else masks > 0.5
        weakest = int(spoken.sum(axis=1).argmin())
        if spoken[weakest].sum() < _MIN_MASK_FRAMES:
            raise InputError(
                "mask_empty",
                f"mask {weakest} holds {spoken[weakest].sum() / 100:.2f} s; an embedding needs {MIN_EMBEDDING_S} s.",
            )
        return self.front_end.align(masks, x)

    def _embed_voices(
        self, voices: Sequence[NDArray[np.float32]], *, centred: bool = False
    ) -> NDArray[np.float32]:
        """Return (K, D): each voice, cut out of its recording, in pieces that are averaged by length."""
        total = np.zeros((len(voices), self.dim), dtype=np.float64)
        pieces = [
            (row, part)
            for row, voice in enumerate(voices)
            for part in self.front_end.pieces(voice, _PIECE_FRAMES)
        ]
        if self.front_end.layout == "masks":
            vectors = [self._pool_masks(part, np.ones((1, len(part)), np.float32))[0] for _, part in pieces]
        else:
            vectors = self._run_plain([self.front_end.arranged(part, centred=centred) for _, part in pieces])
        for (row, part), vector in zip(pieces, vectors, strict=True):
            total[row] += part.shape[0] * vector.astype(np.float64)
        return _unit(total)

    def _pool_masks(self, x: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (K, D) of frames (T', F) under masks (K, T')."""
        # The spectrum's mean (the channel) is taken where somebody speaks, as in training, not over the pauses.
        x = self.front_end.normalised(x, masks.max(axis=0))
        longest = self.front_end.max_frames
        if not longest or len(x) <= longest:
            return np.asarray(self._run({"fbank": x[None], "weights": masks[None]})[0])
        out = np.empty((len(masks), self.dim), np.float32)
        for rows, start, end in _neighbours(masks, longest):
            part = {"fbank": x[None, start:end], "weights": masks[None, rows, start:end]}
            out[rows] = self._run(part)[0]
        return out

    def _run_plain(self, inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Return (D,) of each input of a plain graph; those of one shape share a run as far as the graph allows."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for row, one in enumerate(inputs):
            by_shape.setdefault(one.shape, []).append(row)
        out: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(inputs)
        name = self.front_end.input or self._session.get_inputs()[0].name
        for rows in by_shape.values():
            for first in range(0, len(rows), self.front_end.batch):
                chosen = rows[first : first + self.front_end.batch]
                found = self._run({name: np.concatenate([inputs[row] for row in chosen])})
                if found.size != len(chosen) * self.dim:
                    raise CompatibilityError(
                        "bundle_invalid",
                        f"the graph of bundle {self.bundle.id} returned shape {found.shape} for {len(chosen)} "
                        f"voice(s); its card says {self.dim} values each. Add the model again.",
                    )
                for row, vector in zip(chosen, found.reshape(len(chosen), self.dim), strict=True):
                    out[row] = vector
        return out

    def _run(self, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the graph's first, or named, output with its last axis brought to length 1."""
        wanted = [self.front_end.output] if self.front_end.output else None
        try:
            out = self._session.run(
                wanted, {name: np.ascontiguousarray(x, np.float32) for name, x in inputs.items()}
            )[0]
        except VoxidError:
            raise
        except Exception as error:  # onnxruntime raises its own unrelated classes
            shapes = ", ".join(f"{name} {x.shape}" for name, x in inputs.items())
            raise InputError(
                "graph_failed",
                f"the graph of {self.bundle.id} fails on {shapes}: {str(error)[:300]}. Give longer speech, or correct "
                "the front end in the card.",
            ) from error
        if not np.isfinite(out).all():
            raise InputError(
                "embedding_not_finite",
                "the network returned NaN or infinity for this audio; it cannot be compared.",
            )
        return _unit(out)


def _neighbours(masks: NDArray[np.float32], longest: int) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """Yield rows of ``masks`` that lie close together, and the frames (start, end) of them and what is around.

    No stretch is longer than ``longest`` unless one mask alone is.
    """
    active = masks > 0
    first = active.argmax(axis=1)
    last = masks.shape[1] - active[:, ::-1].argmax(axis=1)
    order = np.argsort(first, kind="stable")
    room = max(1, longest - 2 * _CONTEXT_FRAMES)
    begin = 0
    while begin < len(order):
        start, end, stop = int(first[order[begin]]), int(last[order[begin]]), begin + 1
        while stop < len(order) and max(end, int(last[order[stop]])) - start <= room:
            end, stop = max(end, int(last[order[stop]])), stop + 1
        yield (
            order[begin:stop],
            max(0, start - _CONTEXT_FRAMES),
            min(masks.shape[1], end + _CONTEXT_FRAMES),
        )
        begin = stop


def _providers() -> list[str]:
    """Return what may run the graph here: a GPU where present, the CPU, and nothing that could reach a network."""
    present = ort.get_available_providers()
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in present]


def with_margin(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (T,) 1 on speech frames and those within ``MARGIN_FRAMES`` of one: the frames worth pooling over.

    Args:
        speech: (T,) above 0 where the frame is speech.
    """
    spread = np.convolve(speech > 0, np.ones(2 * MARGIN_FRAMES + 1))
    return (spread[MARGIN_FRAMES : MARGIN_FRAMES + speech.size] > 0.5).astype(np.float32)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), dtype=np.float32)


_SESSIONS: dict[tuple[str, str, int | None], Embedder] = {}


def get_embedder(bundle: Bundle, threads: int | None = None) -> Embedder:
    """Return this process's embedder for a bundle, made on first use."""
    key = _key(bundle, threads)
    if key not in _SESSIONS:
        _SESSIONS[key] = Embedder(bundle, threads)
    return _SESSIONS[key]


def put_embedder(embedder: Embedder, threads: int | None = None) -> None:
    """Make this the process's embedder for its bundle: what :func:`get_embedder` returns from now on."""
    _SESSIONS[_key(embedder.bundle, threads)] = embedder


def drop_embedder(embedder: Embedder) -> None:
    """Forget an embedder; the next one asked for is made anew."""
    for key in [key for key, one in _SESSIONS.items() if one is embedder]:
        del _SESSIONS[key]


def _key(bundle: Bundle, threads: int | None) -> tuple[str, str, int | None]:
    return bundle.id, bundle.narrow_band.sha256 if bundle.narrow_band else "", threads
