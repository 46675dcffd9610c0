"""One live call: audio that waits to be heard, the session that hears it, and what was told."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voxid.audit.actors import Actor, acting_as
from voxid.audit.events import Event as AuditEvent
from voxid.diarize.naming import PURPOSE
from voxid.diarize.online import Event, LiveSession, SideSession, SpoofEvent
from voxid.errors import InputError, VoxidError
from voxid.service.inference import Inference
from voxid.service.live.journal import Journal, Message
from voxid.service.live.messages import Start, decode
from voxid.service.live.quality import QualityMeter
from voxid.service.live.watching import CallWatch
from voxid.service.state import Tenant
from voxid.spoof.verdict import SpoofVerdict
from voxid.timeline import Timeline, Turn

__all__ = ["LiveCall", "Place"]

_PIECE_S: Final = 1.0  # heard at once at most, so that calls take turns
_LEAST_S: Final = 0.25  # worth waking a thread for
_UNHURRIED_S: Final = 1.0  # of audio waiting: who is further behind is heard before anybody is judged
_UNJUDGED_S: Final = 20.0  # at most: also where there is never time, a voice is judged so often


@dataclass(frozen=True)
class Place:
    """Whose call it is, and what it is called.

    Args:
        tenant: the gallery whose people may be named.
        actor: who started it: what it writes into the audit log is their act.
        id: of the call.
        token: whoever shows it may go on with the call.
    """

    tenant: Tenant
    actor: Actor
    id: str
    token: str


class LiveCall:
    """A call between its start and its end; connections may come and go.

    Audio is put in from the event loop, and heard by `hear`, which a pool of threads calls as long as `put` says that
    something waits. `told` is called, from any thread, whenever there is news in the journal; `judged` is told the last
    verdict on each voice. The spoof detector runs when neither this call nor another waits to be heard, or when it did
    not for 20 s: hearing comes first. What it does not come to meanwhile is judged at the end of the call.
    """

    def __init__(
        self,
        place: Place,
        start: Start,
        inference: Inference,
        told: Callable[[], None],
        judged: Callable[[SpoofVerdict], None],
    ) -> None:
        self.place = place
        self.start = start
        self.journal = Journal()
        self.received_frames = 0
        self.timeline: Timeline | None = None
        self._told = told
        self._judged = judged
        self._session = _session_of(place.tenant, start, inference, f"live-{place.id}")
        self._watch = None if start.watchlist is None else CallWatch(place.tenant, start.watchlist, place.id)
        self._meter = QualityMeter(start.sample_rate_hz, start.channels)
        self._persons: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._piece = round(_PIECE_S * start.sample_rate_hz) * start.frame_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._hearing = False
        self._judged_s = 0.0
        self._ending: str | None = None

    @property
    def behind_s(self) -> float:
        """Audio that came and was not heard yet, in seconds."""
        return self._waiting_bytes / self.start.frame_bytes / self.start.sample_rate_hz

    @property
    def heard_s(self) -> float:
        """How much of the call was heard."""
        return self._session.heard_s

    def put(self, data: bytes) -> bool:
        """Take in audio; return whether somebody has to call `hear` now.

        Raises:
            InputError: live_audio_invalid; then nothing was taken.
        """
        decode(data, self.start)
        with self._lock:
            self._waiting.extend(data[at : at + self._piece] for at in range(0, len(data), self._piece))
            self._waiting_bytes += len(data)
            self.received_frames += len(data) // self.start.frame_bytes
            return self.behind_s >= _LEAST_S and self._claim()

    def end(self, outcome: str) -> bool:
        """Let the call end when all that came is heard; return whether somebody has to call `hear` now."""
        with self._lock:
            if self._ending is None:
                self._ending = outcome
            return self.timeline is None and self._claim()

    def hear(self, others_wait: Callable[[], bool] = lambda: False) -> bool:
        """Hear about a second of what waits; return whether more waits, so that it is to be called again.

        Args:
            others_wait: whether other calls wait to be heard by this thread.
        """
        data = self._next()
        try:
            with acting_as(self.place.actor):
                messages = self._heard(data, others_wait) if data else self._ended()
        except VoxidError as error:
            messages = [problem(error)]
            if not data:  # the last pass failed: what was told while the call went on is all there is
                self.timeline = self._session.timeline()
        except Exception:
            self._give_up()
            raise
        if messages:
            self.journal.add(messages)
        with self._lock:
            ending = self._ending is not None and self.timeline is None
            more = self._hearing = ending or self.behind_s >= _LEAST_S
        self._told()
        return more

    def _claim(self) -> bool:
        claimed = not self._hearing
        self._hearing = True
        return claimed

    def _next(self) -> bytes:
        taken, room = [], self._piece
        with self._lock:
            while self._waiting and len(self._waiting[0]) <= room:
                taken.append(self._waiting.popleft())
                room -= len(taken[-1])
            self._waiting_bytes -= self._piece - room
        return b"".join(taken)

    def _heard(self, data: bytes, others_wait: Callable[[], bool]) -> list[Message]:
        samples = decode(data, self.start)
        quality = self._meter.add(samples)
        if isinstance(self._session, SideSession):
            events = self._session.feed(samples)
        elif self.start.channels == 1:
            events = self._session.feed(samples[:, 0])
        else:
            scale = 32_768.0 if samples.dtype.kind == "i" else 1.0
            events = self._session.feed((samples.mean(axis=1) / scale).astype("f4"))
        judged = self._verdicts(others_wait)
        told = [*self._messages(events), *self._watched(), *map(self._verdict, judged)]
        return [*told, *({**one, "behind_s": round(self.behind_s, 2)} for one in quality)]

    def _verdicts(self, others_wait: Callable[[], bool]) -> list[SpoofEvent]:
        """Return what the spoof detector finds, where there is time to ask it."""
        overdue = self.heard_s - self._judged_s >= _UNJUDGED_S
        if (self.behind_s > _UNHURRIED_S or others_wait()) and not overdue:
            return []
        self._judged_s = self.heard_s
        return self._session.judge()

    def _ended(self) -> list[Message]:
        """Hear the call once more as a whole, and write down that it was."""
        timeline = self._session.close()
        messages = [*self._messages(self._session.closing_events), *self._watched()]
        verdicts = self._session.closing_verdicts
        messages += map(self._verdict, verdicts)
        for event in verdicts:
            self._judged(event.verdict)
        self._record(timeline)
        messages.append(self._whole(timeline))
        with self._lock:
            self.timeline = timeline
        return messages

    def _watched(self) -> list[Message]:
        """Return what is to be told of the watchlist."""
        return [] if self._watch is None else self._watch.look(self._session.voices(), self.heard_s)

    def _give_up(self) -> None:
        """After a defect: tell it, and let nothing wait for what will not come."""
        failed = VoxidError(
            "defect", "The call could not be heard because of a defect here; start a new one."
        )
        self.journal.add([problem(failed)])
        with self._lock:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._ending = self._ending or "refused:defect"
            self.timeline = self._session.timeline()
        self._told()

    def _messages(self, events: Sequence[Event]) -> list[Message]:
        messages = []
        for event in events:
            told = event.to_dict()
            kind = told.pop("event")
            messages.append({"type": kind, **told, **self._of_turn(event.turn)})
        return messages

    def _of_turn(self, turn: Turn) -> Message:
        """Return what the service tells of a turn: scores rounded, and the person's id beside a name."""
        return {
            "start_s": round(turn.start_s, 2),
            "end_s": round(turn.end_s, 2),
            "speaker": turn.speaker,
            "named": turn.named,
            "person_id": self._person(turn.speaker) if turn.named else None,
            "llr": None if turn.llr is None else round(turn.llr, 2),
            "confidence": None if turn.confidence is None else round(turn.confidence, 2),
        }

    def _verdict(self, event: SpoofEvent) -> Message:
        """Return what the service tells of a voice; the pieces only when the call is over."""
        told = event.to_dict()
        told["type"] = told.pop("event")
        if not event.final:
            del told["pieces"]
        return {**told, "person_id": self._person(event.speaker) if event.named else None}

    def _person(self, name: str) -> str | None:
        if name not in self._persons:
            try:
                self._persons[name] = self.place.tenant.gallery.get(name).id
            except InputError:  # deleted or renamed since
                self._persons[name] = None
        return self._persons[name]

    def _whole(self, timeline: Timeline) -> Message:
        naming = timeline.naming
        return {
            "type": "timeline",
            "duration_s": round(timeline.duration_s, 2),
            "audio_sha256": timeline.audio_sha256,
            "turns": [self._of_turn(turn) for turn in timeline.turns],
            "naming": None if naming is None else {"profile": naming.profile, "people": naming.people},
        }

    def _record(self, timeline: Timeline) -> None:
        """Write the use down; that people were named is written by the gallery when it is asked."""
        naming = timeline.naming
        self.place.tenant.store.record(
            [
                AuditEvent(
                    "live.ended",
                    self._ending or "done",
                    facts={
                        "call": self.place.id,
                        "purpose": PURPOSE if self.start.names else None,
                        "layout": "sides" if self.start.by_sides else "mixed",
                        "seconds": round(timeline.duration_s, 1),
                        "audio_sha256": timeline.audio_sha256,
                        "turns": len(timeline.turns),
                        "speakers": len(timeline.speakers),
                        "profile": None if naming is None else naming.profile,
                        "compared": None if naming is None else naming.people,
                        "watchlist": self.start.watchlist,
                        "hits": None if self._watch is None else len(self._watch.review_ids),
                        "spoof": [one.verdict.outcome.value for one in self._session.closing_verdicts],
                    },
                )
            ]
        )


def _session_of(tenant: Tenant, start: Start, inference: Inference, uri: str) -> LiveSession | SideSession:
    gallery = tenant.gallery if start.names else None
    bundle, embedder = inference.embedder.bundle, inference.embedder
    wanted = start.spoof if start.spoof is not None else tenant.policy.live_spoof == "check"
    spoof = inference.detector if wanted else None
    if start.by_sides:
        return SideSession(
            start.sides,
            gallery=gallery,
            bundle=bundle,
            embedder=embedder,
            options=start.options,
            rate_hz=start.sample_rate_hz,
            uri=uri,
            spoof=spoof,
            voices=start.watchlist is not None,
        )
    return LiveSession(
        inference.segmenter,
        gallery=gallery,
        bundle=bundle,
        embedder=embedder,
        options=start.options,
        rate_hz=start.sample_rate_hz,
        uri=uri,
        spoof=spoof,
    )


def problem(error: VoxidError) -> dict[str, Any]:
    """Return the message that tells an error."""
    return {"type": "problem", "code": error.code, "detail": error.message}
