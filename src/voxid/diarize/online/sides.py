"""`SideSession`: a call with one speaker per channel, followed while it goes on, without a segmentation network.

Shapes: N samples, C channels, T frames of 10 ms, D embedding dimension.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.bundle import Bundle, default_bundle
from voxid.diarize.online.book import Book, Label
from voxid.diarize.online.events import Event, SpoofEvent
from voxid.diarize.online.inlet import Inlet
from voxid.diarize.online.names import Names
from voxid.diarize.online.options import LiveOptions
from voxid.diarize.online.speakers import Speaker, VoiceSoFar, voices_of
from voxid.diarize.online.tracks import delayed
from voxid.diarize.online.verdicts import PieceDetector, SpoofWatch, Stretch, find_stretch, speech_of
from voxid.diarize.telephone import draw_sides, find_leaks, frame_levels
from voxid.embedding import Embedder, get_embedder
from voxid.errors import InputError
from voxid.features import FRAME_HOP_S
from voxid.silero import CHUNK_SAMPLES, SpeechStream
from voxid.speech import speech_mask, speech_regions
from voxid.timeline import Timeline

if TYPE_CHECKING:
    from voxid.recognize import Gallery

_HOP: Final = round(FRAME_HOP_S * SAMPLE_RATE_HZ)
_CHUNK_FRAMES: Final = CHUNK_SAMPLES / _HOP  # 3.2 frames of 10 ms in a chunk of speech detection
_REVISED_S: Final = 10.0  # how far back turns may still move
_HEARD_S: Final = 20.0  # how far back levels are compared, to tell what leaks over from the other side
_SETTLED_S: Final = 1.0  # so old is speech when it is embedded
_FIRST_VOICE_S: Final = 1.0
_VOICE_GROWTH: Final = 0.4  # a voice is embedded again when it has said so much more of what it had said
_ENOUGH_VOICE_S: Final = 60.0  # more speech of one side hardly changes its embedding


@dataclass(frozen=True, eq=False)
class _Block:
    """A hop of the call: all that the last pass needs of it."""

    levels: NDArray[np.float16]  # (C, T) dB
    probability: list[NDArray[np.float32]]  # (K,) each: of the detection chunks that ended in this hop


class SideSession:
    """A call that comes with a channel for each side.

    Nobody has to be told apart: speech is found on each channel, what leaks over from the others is left out as
    ``voxid who --channels`` does, and a side's voice is embedded only when its name is asked for. It has the methods,
    events and guarantees of :class:`LiveSession` and takes a fraction of the processor; of sound it holds the last
    second, and what is to be embedded next.

    Args:
        channels: what the sides are called, in order, until a gallery knows better; at least one.
        gallery, bundle, embedder, options, rate_hz, uri, spoof: as for :class:`LiveSession`.
        voices: embed them also where nobody is to be named.

    Raises:
        CompatibilityError: ``model_mismatch``.
        InputError: ``channels_invalid``, ``audio_rate_out_of_range``, ``profile_unknown``.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        gallery: Gallery | None = None,
        bundle: Bundle | None = None,
        embedder: Embedder | None = None,
        options: LiveOptions | None = None,
        rate_hz: int = SAMPLE_RATE_HZ,
        uri: str = "call",
        spoof: PieceDetector | None = None,
        voices: bool = False,
    ) -> None:
        if not channels or len(set(channels)) < len(channels) or not all(name.strip() for name in channels):
            raise InputError(
                "channels_invalid",
                f"the channels are called {', '.join(map(repr, channels)) or 'nothing'}; expected a name of its own "
                "for each, such as agent and customer.",
            )
        self.options = options or LiveOptions()
        self.channels = tuple(channels)
        self.bundle = bundle or (gallery.bundle if gallery is not None else default_bundle())
        self.uri = uri
        self.closing_events: tuple[Event, ...] = ()
        self.closing_verdicts: tuple[SpoofEvent, ...] = ()
        self._embedded = voices or gallery is not None
        self._names = Names(gallery, self.bundle, self.options.final.profile)
        self._embedder = embedder or get_embedder(self.bundle, threads=1)
        self._sides = [_Side(rate_hz, self.bundle.dim, self._embedded) for _ in channels]
        self._blocks: deque[_Block] = deque(maxlen=max(1, round(self.options.keep_s / self.options.hop_s)))
        self._hop_samples = round(self.options.hop_s * SAMPLE_RATE_HZ)
        self._hops = 0
        self._book = Book(self.options.max_gap_s)
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._closed: Timeline | None = None
        self._spoof = None if spoof is None else SpoofWatch(spoof, rate_hz)
        self._watched_frames = 0

    @property
    def heard_s(self) -> float:
        """How much of the call came in, in seconds."""
        return self._sides[0].heard_samples / SAMPLE_RATE_HZ

    def feed(self, samples: NDArray[np.float32] | NDArray[np.int16]) -> list[Event]:
        """Return what is to be told after these samples.

        Args:
            samples: (N, C) the next ones: float32 in about [-1, 1], or int16; N is any number.

        Raises:
            InputError: ``session_closed``, ``channels_invalid``, and those of :meth:`LiveSession.feed`.
            StoreError: the gallery is damaged.
        """
        if samples.ndim != 2 or samples.shape[1] != len(self.channels):
            raise InputError(
                "channels_invalid",
                f"the call has {len(self.channels)} channels and samples of shape {samples.shape} came; expected "
                f"(N, {len(self.channels)}).",
            )
        with self._lock:
            if self._closed is not None:
                raise InputError(
                    "session_closed", f"{self.uri} was closed; expected no more samples; open a new session."
                )
            # All channels are looked at before one of them is taken: a refusal leaves the sides as long as each other.
            Inlet(SAMPLE_RATE_HZ).take(samples.reshape(-1))
            each = (np.ascontiguousarray(column) for column in samples.T)
            return self._take([side.inlet.take(part) for side, part in zip(self._sides, each, strict=True)])

    def judge(self) -> list[SpoofEvent]:
        """Return what :meth:`LiveSession.judge` does."""
        with self._lock:
            if self._spoof is None or self._closed is not None:
                return []
            return self._spoof.judge(self._label, self.heard_s)

    def voices(self) -> dict[int, VoiceSoFar]:
        """Return what everybody heard so far sounds like, by number; only where ``voices`` were wanted."""
        with self._lock:
            return voices_of({at: side.voice for at, side in enumerate(self._sides)})

    def timeline(self) -> Timeline:
        """Return what is known of the call so far; after ``close`` the final timeline."""
        with self._lock:
            return self._closed or self._timeline()

    def close(self) -> Timeline:
        """End the call and return its timeline, drawn with everything heard; called again, it returns the same.

        Raises:
            StoreError: the gallery is damaged.
        """
        with self._lock:
            if self._closed is None:
                events = self._take([side.inlet.finish() for side in self._sides])
                self._hear(min(len(side.waiting) for side in self._sides) // _HOP * _HOP, last=True)
                events += self._draw_whole()
                self.closing_events = tuple(events)
                if self._spoof is not None:
                    self.closing_verdicts = tuple(
                        self._spoof.finish(self._book.runs(), self._label, self.heard_s)
                    )
                self._closed = self._timeline()
            return self._closed

    def _take(self, parts: Sequence[NDArray[np.float32]]) -> list[Event]:
        for side, part in zip(self._sides, parts, strict=True):
            side.push(part)
        self._digest.update(np.stack(parts, axis=1).astype("<f4", copy=False).tobytes())
        events: list[Event] = []
        while min(len(side.waiting) for side in self._sides) >= self._hop_samples:
            self._hear(self._hop_samples)
            events += self._draw()
        return events

    def _hear(self, n_samples: int, last: bool = False) -> None:
        """Take in one hop, or what is left at the end: how loud each side is, and where detection hears speech."""
        parts = [side.shift(n_samples) for side in self._sides]
        levels = np.stack([frame_levels(part, n_samples // _HOP) for part in parts])
        probability = [side.detector.push(part) for side, part in zip(self._sides, parts, strict=True)]
        if last:
            ends = [side.detector.finish() for side in self._sides]
            probability = [np.concatenate(both) for both in zip(probability, ends, strict=True)]
        if self._spoof is not None:
            keep_s = self._spoof.piece_s + self.options.hop_s + _SETTLED_S
            for side, part in zip(self._sides, parts, strict=True):
                side.remember(part, round(keep_s * SAMPLE_RATE_HZ))
        self._blocks.append(_Block(levels.astype(np.float16), probability))
        self._hops += 1

    def _draw(self) -> list[Event]:
        """Return what is to be told of the last seconds."""
        blocks = list(self._blocks)[-round(_HEARD_S / self.options.hop_s) :]
        first_frame = self._first_frame(len(blocks))
        own = self._own_speech(blocks, first_frame)
        if self._embedded:
            self._embed(own, first_frame)
            self._names.ask({at: one.voice for at, one in enumerate(self._sides) if one.voice.clean_s > 0})
        self._watch(own, first_frame, own.shape[1] - round(_SETTLED_S / FRAME_HOP_S))
        n_told = own.shape[1] - round((self.options.latency_s - self.options.hop_s) / FRAME_HOP_S)
        start = max(0, n_told - round(_REVISED_S / FRAME_HOP_S))
        if n_told <= start:
            return []
        since_s, told_s = (first_frame + start) * FRAME_HOP_S, (first_frame + n_told) * FRAME_HOP_S
        runs = delayed(draw_sides(own[:, start:n_told]), since_s)
        events = self._book.renew(runs, since_s, told_s, self._label)
        return events + self._book.relabel(self._label, told_s)

    def _draw_whole(self) -> list[Event]:
        """Return what is to be told at the end: of everything that is kept."""
        first_frame = self._first_frame(len(self._blocks))
        own = self._own_speech(self._blocks, first_frame)
        self._watch(own, first_frame, own.shape[1])
        asked = [at for at, side in enumerate(self._sides) if side.voice.clean_s >= _FIRST_VOICE_S]
        if asked:
            voices = [self._sides[at].voice for at in asked]
            raw = np.stack([one.raw for one in voices]).astype(np.float32)
            self._names.compare(asked, raw, [one.clean_s for one in voices])
        since_s = first_frame * FRAME_HOP_S
        return self._book.close(delayed(draw_sides(own), since_s), since_s, self.heard_s, self._label)

    def _first_frame(self, n_blocks: int) -> int:
        return (self._hops - n_blocks) * (self._hop_samples // _HOP)

    def _own_speech(self, blocks: Collection[_Block], first_frame: int) -> NDArray[np.bool_]:
        """Return (C, T) where each side speaks and does not only leak over."""
        levels = np.concatenate([one.levels for one in blocks], axis=1).astype(np.float64)
        n_frames = levels.shape[1]
        speech = np.zeros(levels.shape, np.bool_)
        if n_frames == 0:
            return speech
        for at in range(len(self._sides)):
            probability = np.concatenate([one.probability[at] for one in blocks])
            # The first chunk of these ended in the first block: it may have begun before it.
            first_chunk = int(first_frame / _CHUNK_FRAMES)
            ahead = round(first_chunk * _CHUNK_FRAMES) - first_frame
            regions = speech_regions(probability, (n_frames - ahead) * FRAME_HOP_S)
            mask = speech_mask(regions, n_frames - ahead) > 0
            speech[at] = mask[-n_frames:]
        return np.asarray(speech & ~find_leaks(levels, speech))

    def _embed(self, own: NDArray[np.bool_], first_frame: int) -> None:
        """Let each side's voice be what it has said since, where that is enough to ask again who it is."""
        settled = own.shape[1] - round(_SETTLED_S / FRAME_HOP_S)
        for side, speech in zip(self._sides, own, strict=True):
            side.collect(speech[: max(settled, 0)], first_frame)
            if side.collected_s >= max(_FIRST_VOICE_S, _VOICE_GROWTH * side.voice.clean_s):
                side.embed(self._embedder)

    def _watch(self, own: NDArray[np.bool_], first_frame: int, settled: int) -> None:
        """Let the sides be watched over what each says alone, as far as it is settled.

        Args:
            own: (C, T) where each side speaks, from ``first_frame`` of the call on.
        """
        if self._spoof is None:
            return
        fresh = first_frame + settled - self._watched_frames
        if fresh <= 0:
            return
        self._watched_frames += fresh
        most = round(self._spoof.piece_s / FRAME_HOP_S)
        reach = max(0, settled - most - fresh)
        for at, side in enumerate(self._sides):
            other = np.asarray(np.delete(own, at, axis=0).any(axis=0))[reach:settled]
            alone = own[at, reach:settled] & ~other
            fresh_s = float(alone[-fresh:].sum()) * FRAME_HOP_S
            found = find_stretch(alone, other, fresh, most)
            if found is None:
                continue
            first, end = (own.shape[1] - reach - frame for frame in found)  # counted from the end
            samples = side.last(first * _HOP, end * _HOP)
            start_s = (first_frame + reach + found[0]) * FRAME_HOP_S
            speech = speech_of(alone[slice(*found)], FRAME_HOP_S)
            self._spoof.take(at, fresh_s, Stretch(samples, start_s, speech))

    def _label(self, number: int) -> Label:
        label = self._names.label(number)
        if label.named or label.voice_id is not None:
            return label
        return replace(label, speaker=self.channels[number])

    def _timeline(self) -> Timeline:
        turns, digest = self._book.turns(self._label), self._digest.hexdigest()
        return Timeline(turns, self.heard_s, self.uri, digest, naming=self._names.naming)


class _Side:
    """One channel: what came in, its speech detection, and the voice on it so far."""

    def __init__(self, rate_hz: int, dim: int, holding: bool) -> None:
        self._holding = holding  # whether the voice is wanted at all
        self.inlet = Inlet(rate_hz)
        self.detector = SpeechStream()
        self.voice = Speaker(np.zeros(dim), np.zeros(dim))
        self.heard_samples = 0
        self.waiting = np.zeros(0, np.float32)
        self._held = np.zeros(0, np.float32)  # heard, and not yet known to be this side's own speech
        self._held_from = 0  # frames
        self._recent = np.zeros(0, np.float32)
        self._collected: list[NDArray[np.float32]] = []

    @property
    def collected_s(self) -> float:
        """Speech of this side's own that is not embedded yet."""
        return sum(len(part) for part in self._collected) / SAMPLE_RATE_HZ

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take in the next samples."""
        self.heard_samples += len(samples)
        self.waiting = np.concatenate([self.waiting, samples])

    def shift(self, n_samples: int) -> NDArray[np.float32]:
        """Return the next samples, which are held until it is known whose they are."""
        part, self.waiting = self.waiting[:n_samples], self.waiting[n_samples:]
        if self._holding:
            self._held = np.concatenate([self._held, part])
        return part

    def remember(self, part: NDArray[np.float32], n_samples: int) -> None:
        """Keep the last samples heard."""
        self._recent = np.concatenate([self._recent, part])[-n_samples:]

    def last(self, first: int, end: int) -> NDArray[np.float32]:
        """Return the samples between two places counted from the end, the first one the larger."""
        n_samples = len(self._recent)
        return self._recent[max(0, n_samples - first) : n_samples - end].copy()

    def collect(self, speech: NDArray[np.bool_], first_frame: int) -> None:
        """Keep what is this side's own speech of the samples held, for its embedding; forget the rest.

        Args:
            speech: (T,) from ``first_frame`` of the call on.
        """
        fresh = speech[self._held_from - first_frame :] if self._held_from > first_frame else speech
        frames = len(fresh)
        if frames == 0:
            return
        samples, self._held = self._held[: frames * _HOP], self._held[frames * _HOP :]
        self._held_from += frames
        if self.voice.clean_s < _ENOUGH_VOICE_S and fresh.any():
            self._collected.append(samples.reshape(frames, _HOP)[fresh].reshape(-1))

    def embed(self, embedder: Embedder) -> None:
        """Add what was collected to the voice."""
        samples = np.concatenate(self._collected)
        self._collected.clear()
        raw = embedder.embed(Waveform(samples, "side", "", SAMPLE_RATE_HZ))
        self.voice.add(raw, raw, len(samples) / SAMPLE_RATE_HZ)
