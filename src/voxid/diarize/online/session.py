"""`LiveSession`: one call, followed while it goes on. Samples go in, events come out; nothing is opened or stored."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ
from voxid.bundle import Bundle, default_bundle
from voxid.diarize.local import STEP_S
from voxid.diarize.online.book import Book
from voxid.diarize.online.closing import draw_whole
from voxid.diarize.online.events import Event, SpoofEvent
from voxid.diarize.online.hearing import Hearing, LocalSegmenter, hear
from voxid.diarize.online.inlet import Inlet
from voxid.diarize.online.names import Names
from voxid.diarize.online.options import LiveOptions
from voxid.diarize.online.recall import Recall
from voxid.diarize.online.speakers import Assignment, Speakers, VoiceSoFar, voices_of
from voxid.diarize.online.tracks import Tracks
from voxid.diarize.online.verdicts import PieceDetector, SpoofWatch, Stretch, find_stretch, speech_of
from voxid.diarize.online.window import RollingWindow, Window
from voxid.diarize.options import SpeakerCount
from voxid.diarize.segmentation import STEP_FRAMES
from voxid.embedding import Embedder, get_embedder
from voxid.errors import InputError
from voxid.timeline import Timeline

if TYPE_CHECKING:
    from voxid.recognize import Gallery

JOIN_FACTOR = 1.2
MERGE_SHARE = 0.5
"""Where ``LiveOptions`` name no thresholds: the cosine with a mean is about the root of that between two of its pieces,
so a voice joins above ``JOIN_FACTOR`` times the root of the bundle's threshold; two speakers are one where their means
are nearer by ``MERGE_SHARE`` of what is left up to 1."""

_STEP_SAMPLES = round(STEP_S * SAMPLE_RATE_HZ)
_SHORTEST_S = 0.1  # a turn, as in the pipeline for recordings


class LiveSession:
    """A call that is being listened to.

    Feed it what a microphone, a line or a socket brings, in pieces of any size; each call returns what is to be told.
    It holds the last ten seconds of audio, and of everything before only who was heard and what they sounded like, so
    that a whole day takes about 40 MB. ``close`` hears all of that once more, as a whole, and gives the timeline.

    One session is one call. A lock makes its methods safe to call from several threads; samples must come in order,
    so feed it from one. Sessions share nothing that changes: run as many side by side as there is time for, with one
    segmenter and one bundle for all.

    Args:
        segmenter: who of a few voices speaks when in ten seconds; `voxid.diarize.segmentation.Segmenter`.
        gallery: people to name; only those whose consent covers ``diarize-name`` are compared. None names nobody.
        bundle: of the embeddings; None takes the gallery's, else the default one.
        embedder: of that bundle; None: one thread of this process's own.
        count: how many speakers are possible; a least number is passed over where fewer voices are heard.
        options: latency and thresholds.
        rate_hz: of the samples that will come.
        uri: short name of the call.
        spoof: what tells whether a speaker is a live human voice; None: nobody asks.

    Raises:
        CompatibilityError: ``model_mismatch``, the gallery is of another bundle.
        InputError: ``audio_rate_out_of_range``, ``profile_unknown``.
    """

    def __init__(
        self,
        segmenter: LocalSegmenter,
        *,
        gallery: Gallery | None = None,
        bundle: Bundle | None = None,
        embedder: Embedder | None = None,
        count: SpeakerCount | None = None,
        options: LiveOptions | None = None,
        rate_hz: int = SAMPLE_RATE_HZ,
        uri: str = "call",
        spoof: PieceDetector | None = None,
    ) -> None:
        self.options = options or LiveOptions()
        self.count = count or SpeakerCount()
        self.bundle = bundle or (gallery.bundle if gallery is not None else default_bundle())
        self.uri = uri
        self.closing_events: tuple[Event, ...] = ()
        self.kept_speakers = False
        self.closing_verdicts: tuple[SpoofEvent, ...] = ()
        self._inlet = Inlet(rate_hz)
        self._names = Names(gallery, self.bundle, self.options.final.profile)
        self._embedder = embedder or get_embedder(self.bundle, threads=1)
        self._segmenter = segmenter
        self._window = RollingWindow(segmenter.chunk_frames, self.options.hop_s)
        self._speakers = make_speakers(self.options, self.bundle, self.count)
        self._tracks = Tracks(segmenter.chunk_frames // STEP_FRAMES)
        self._book = Book(self.options.max_gap_s)
        self._recall = Recall(segmenter.chunk_frames, self.options.keep_s, self._window.hop_frames)
        self._spoof = None if spoof is None else SpoofWatch(spoof, rate_hz)
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._closed: Timeline | None = None

    @property
    def heard_s(self) -> float:
        """How much of the call came in, in seconds."""
        return self._window.heard_samples / SAMPLE_RATE_HZ

    def feed(self, samples: NDArray[np.float32] | NDArray[np.int16]) -> list[Event]:
        """Return what is to be told after these samples.

        Args:
            samples: (N,) the next ones: float32 in about [-1, 1], or int16; N is any number.

        Raises:
            InputError: ``session_closed``; ``audio_not_finite``, ``audio_out_of_scale``, ``audio_not_mono``,
                ``audio_unreadable``: these samples are left out and the session goes on.
            StoreError: the gallery is damaged.
        """
        with self._lock:
            if self._closed is not None:
                raise InputError(
                    "session_closed", f"{self.uri} was closed; expected no more samples; open a new session."
                )
            return self._take(self._inlet.take(samples))

    def judge(self) -> list[SpoofEvent]:
        """Return what the spoof detector makes of those who said enough since the last time.

        It runs here, not in ``feed``: whoever follows many calls asks when there is time. Of each speaker only the
        newest piece waits.
        """
        with self._lock:
            if self._spoof is None or self._closed is not None:
                return []
            return self._spoof.judge(self._names.label, self.heard_s)

    def voices(self) -> dict[int, VoiceSoFar]:
        """Return what everybody heard so far sounds like, by number."""
        with self._lock:
            return voices_of(self._speakers.alive)

    def timeline(self) -> Timeline:
        """Return what is known of the call so far; after ``close`` the final timeline."""
        with self._lock:
            return self._closed or self._timeline()

    def close(self) -> Timeline:
        """End the call and return its timeline, drawn with everything heard; called again, it returns the same.

        Where it differs from what was told, ``closing_events`` say so. ``kept_speakers`` says whether the
        speakers told were kept: the call is short, or was clustered into another number of them. ``closing_verdicts``
        are the last word on who is a live human voice. A call without speech has no turns.

        Raises:
            StoreError: the gallery is damaged.
        """
        with self._lock:
            if self._closed is None:
                events = self._take(self._inlet.finish())
                rest = self._window.flush()
                if rest is not None:
                    events += self._step(rest, last=True)
                self.closing_events = (*events, *self._close())
                if self._spoof is not None:
                    told = self._spoof.finish(self._book.runs(), self._names.label, self.heard_s)
                    self.closing_verdicts = tuple(told)
                self._closed = self._timeline()
            return self._closed

    def _take(self, samples: NDArray[np.float32]) -> list[Event]:
        self._digest.update(samples.astype("<f4", copy=False).tobytes())
        return [event for window in self._window.push(samples) for event in self._step(window)]

    def _step(self, window: Window, last: bool = False) -> list[Event]:
        """Hear the last seconds again and return what changes."""
        keep = self._recall.wants(window.start_frame, window.n_frames)
        heard = hear(window, self._segmenter, self._embedder, embed=keep)
        if keep:
            self._recall.keep(heard)
        return self._follow(window, heard, last)

    def _follow(self, window: Window, heard: Hearing, last: bool) -> list[Event]:
        """Tell who is heard."""
        told = self._tracks.shares(heard, self._speakers.made)
        assigned = self._speakers.assign(heard, told, self._names.holder)
        if self._spoof is not None:
            _watch(self._spoof, window, heard, assigned)
        ahead = 0 if last else round((self.options.latency_s - self.options.hop_s) / STEP_S)
        self._tracks.tell(heard, assigned, heard.end_step - ahead, self._speakers.made)
        self._names.ask(self._speakers.alive)
        self._merge()
        now_s = self._tracks.told_step * STEP_S
        runs = self._tracks.runs(self.options.max_gap_s, _SHORTEST_S)
        events = self._book.renew(runs, self._tracks.start_step * STEP_S, now_s, self._names.label)
        return events + self._book.relabel(self._names.label, now_s)

    def _merge(self) -> None:
        """Join speakers who are one, by voice or because a person's name reaches for both."""
        merged = self._speakers.merges()
        for gone, kept in self._names.rivals():
            if {gone, kept} <= set(self._speakers.alive) and self._speakers.joinable(gone, kept):
                self._speakers.merge(gone, kept)
                merged.append((gone, kept))
        for gone, kept in merged:
            self._tracks.merge(gone, kept)
            self._book.merge(gone, kept)
            self._names.merge(gone, kept)
            if self._spoof is not None:
                self._spoof.merge(gone, kept)

    def _close(self) -> list[Event]:
        """Hear the end of the last chunk, then the whole call once more."""
        start = self._recall.last_start(self._window.heard_frames)
        if start is not None and self._window.heard_frames > start:
            tail = self._window.last(self._window.heard_frames - start)
            self._recall.keep(hear(tail, self._segmenter, self._embedder))
        told, unused = self._book.runs(), self._speakers.made
        frames = self._window.heard_frames
        whole = draw_whole(self._recall, frames, self._embedder, self.count, self.options, told, unused)
        if whole is None:
            return self._book.close(self._book.runs(), 0.0, self.heard_s, self._names.label)
        self.kept_speakers = whole.kept_speakers
        self._names.compare(whole.numbers, whole.raw, whole.seconds)
        return self._book.close(whole.runs, whole.since_s, self.heard_s, self._names.label)

    def _timeline(self) -> Timeline:
        turns, digest = self._book.turns(self._names.label), self._digest.hexdigest()
        return Timeline(turns, self.heard_s, self.uri, digest, naming=self._names.naming)


def _watch(watch: SpoofWatch, window: Window, heard: Hearing, assigned: Assignment) -> None:
    """Let those be watched of whom it is sure who they are, over what they say alone."""
    active = heard.probability > 0.5
    fresh, most = round(heard.hop_s / STEP_S), round(watch.piece_s / STEP_S)
    for voice in np.flatnonzero(assigned.sure & (heard.fresh_s > 0)).tolist():
        own = active[:, heard.column[voice]]
        other = np.asarray(np.delete(active, heard.column[voice], axis=1).any(axis=1))
        found = find_stretch(own & ~other, other, fresh, most)
        stretch = None
        if found is not None:
            first, end = (step * _STEP_SAMPLES for step in found)
            start_s = (heard.start_step + found[0]) * STEP_S
            stretch = Stretch(
                window.samples[first:end].copy(), start_s, speech_of(own[slice(*found)], STEP_S)
            )
        watch.take(int(assigned.speaker[voice]), float(heard.fresh_s[voice]), stretch)


def make_speakers(options: LiveOptions, bundle: Bundle, count: SpeakerCount) -> Speakers:
    """Return an empty room of speakers with the thresholds that options and bundle mean together."""
    join = options.join_above
    if join is None:
        join = min(JOIN_FACTOR * max(options.final.threshold_for(bundle), 0.01) ** 0.5, 0.95)
    merge = options.merge_above if options.merge_above is not None else join + MERGE_SHARE * (1.0 - join)
    most = count.most if count.most is not None else options.final.max_automatic_speakers
    return Speakers(join, merge, options.new_speaker_s, options.continuity, most)
