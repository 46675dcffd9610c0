"""Diarization as a job: a recording becomes a kept timeline, voices to be remembered, names to be reviewed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Final

from voxid.audio import Waveform, load
from voxid.audit.events import Event
from voxid.decision import DEFAULT_PROFILE, Decision
from voxid.diarize import DiarizeOptions, SpeakerCount, diarize, remember
from voxid.diarize.pipeline import PACK_BEYOND_S
from voxid.diarize.telephone import CallPlan, diarize_call
from voxid.errors import InputError
from voxid.gallery import Grounds
from voxid.gallery.documents import Document
from voxid.gallery.store import Store
from voxid.recognize.gallery import Gallery
from voxid.service.decisions import keep_decision
from voxid.service.jobs import Task, WorkDone
from voxid.service.reviewing import suggestion_reviews
from voxid.service.timelines import KeptTimeline
from voxid.service.watching import hit_reviews, watch_timeline
from voxid.timeline import Timeline

__all__ = ["DIARIZATION", "TIMELINE", "Wanted", "diarization", "hand_on_timelines", "read_kept", "rewritten"]

DIARIZATION: Final = "diarization"
"""The kind of the jobs."""
TIMELINE: Final = "timeline"
"""The kind of the documents."""

_MOST_CALL_BYTES: Final = 256 << 20
_HEARD_SHARE: Final = 0.9  # of the work; remembering voices takes the rest


@dataclass(frozen=True)
class Wanted:
    """What a diarization is asked for.

    Args:
        uri: short name of the recording.
        channel: 0-based channel; None averages all.
        speakers, min_speakers, max_speakers: how many voices, where it is known.
        name_people: look for people of the gallery who consent to be named.
        profile: threshold profile a name must pass.
        basis: purpose and legal basis on which voices without a name are kept; None: none is kept.
        remember_days: how long they are kept.
        watchlist: id of a list whose people are looked for as well; None: of none.
        keep_days: how long the job and its timeline are kept, 1 to 365.
        channels: each channel is one speaker: their names, e.g. "agent,customer"; None: voices are told apart.
        agent_id: person who should be on the channel called agent, else on the first; verified there.

    Raises:
        InputError: speaker_count_invalid, retention_invalid, basis_invalid, channels_invalid. PolicyError:
            basis_missing.
    """

    uri: str = "audio"
    channel: int | None = None
    speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    name_people: bool = True
    profile: str = DEFAULT_PROFILE
    basis: str | None = None
    remember_days: int = 30
    watchlist: str | None = None
    keep_days: int = 30
    channels: str | None = None
    agent_id: str | None = None

    def __post_init__(self) -> None:
        SpeakerCount.checked(self.speakers, self.min_speakers, self.max_speakers)
        counted = (self.channel, self.speakers, self.min_speakers, self.max_speakers, self.basis)
        if self.channels is None and self.agent_id is not None:
            raise InputError(
                "channels_invalid", "An agent is verified on a channel; name the channels of the call."
            )
        if self.channels is not None:
            CallPlan(tuple(self.channels.split(",")))
            if any(one is not None for one in counted):
                raise InputError(
                    "channels_invalid",
                    "Where each channel is one speaker, there is no channel to choose, no voices to count and none to "
                    "keep; leave channel, speakers and basis out.",
                )
        if not 1 <= self.keep_days <= 365:
            raise InputError(
                "retention_invalid",
                f"A timeline was to be kept for {self.keep_days} days; expected 1 to 365.",
            )
        self.grounds()

    def grounds(self) -> Grounds | None:
        """Return on which grounds voices without a name are kept."""
        return None if self.basis is None else Grounds(self.basis, self.remember_days)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the job keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Wanted:
        """Return what `to_dict` wrote."""
        return cls(**fields)


def diarization(task: Task) -> WorkDone:
    """Return the timeline of a recording, to be kept, and what of it needs review."""
    wanted = Wanted.from_dict(task.request)
    timeline, waveform, agent = _heard(task, wanted) if wanted.channels is None else _call(task, wanted)
    grounds = wanted.grounds()
    kept_voices = 0
    if grounds is not None:
        timeline, kept = remember(timeline, waveform, task.gallery, grounds, profile=wanted.profile)
        kept_voices = sum(one.id is not None for one in kept)
    kept_timeline = KeptTimeline.of(timeline, _ids(task.gallery, timeline))
    now = task.gallery.now()
    reviews = suggestion_reviews(task.id, kept_timeline.timeline, now)
    if wanted.watchlist is not None:
        hits = watch_timeline(task.gallery, wanted.watchlist, timeline, waveform, task.id)
        reviews += hit_reviews(hits, wanted.watchlist, now)
    done = _done(task, kept_timeline, wanted, reviews, kept_voices)
    if agent is None or wanted.agent_id is None:
        return done
    kept_as = keep_decision(task.gallery.stored()[0], agent, wanted.agent_id, now)
    told = {"outcome": agent.outcome.value, "decision_id": kept_as}
    return replace(done, summary={**done.summary, "agent": told})


def _heard(task: Task, wanted: Wanted) -> tuple[Timeline, Waveform, Decision | None]:
    """Return who speaks when in a recording whose voices are told apart."""
    with task.audio() as audio:
        waveform = load(audio, channel=wanted.channel, pack_beyond_s=PACK_BEYOND_S)
    task.report(0.0)
    timeline = diarize(
        waveform,
        gallery=task.gallery if wanted.name_people else None,
        bundle=task.gallery.bundle,
        speakers=wanted.speakers,
        min_speakers=wanted.min_speakers,
        max_speakers=wanted.max_speakers,
        options=DiarizeOptions(profile=wanted.profile),
        progress=lambda share: task.report(_HEARD_SHARE * share),
    )
    return timeline, waveform, None


def _call(task: Task, wanted: Wanted) -> tuple[Timeline, Waveform, Decision | None]:
    """Return who speaks when in a call of one speaker a channel, and whether the agent is who they should be.

    Raises:
        InputError: audio_too_large, person_missing, channels_missing, channels_invalid.
    """
    with task.audio() as audio:
        content = audio.read(_MOST_CALL_BYTES + 1)  # decoded once for each channel, from memory
    if len(content) > _MOST_CALL_BYTES:
        raise InputError(
            "audio_too_large",
            f"A call by channels has at most {_MOST_CALL_BYTES:,} bytes; compress or split it.",
        )
    agent = None
    if wanted.agent_id is not None:
        person = task.gallery.stored()[0].read(wanted.agent_id)
        if person is None:
            raise InputError("person_missing", "The agent is not on record; nothing was heard.")
        agent = person.name
    call = diarize_call(
        content,
        CallPlan(tuple((wanted.channels or "").split(",")), agent),
        gallery=task.gallery if wanted.name_people or agent is not None else None,
        bundle=task.gallery.bundle,
        options=DiarizeOptions(profile=wanted.profile),
        progress=lambda share: task.report(_HEARD_SHARE * share),
    )
    return replace(call.timeline, uri=wanted.uri), call.waveform, call.agent


def read_kept(store: Store, id_: str) -> tuple[Document, KeptTimeline]:
    """Return the kept timeline of a diarization, and the document it is in.

    Raises:
        InputError: timeline_missing.
    """
    document = store.document(TIMELINE, id_)
    if document is None:
        raise InputError(
            "timeline_missing",
            "There is no timeline of this id: the job is not done, failed, or was deleted; look at the job.",
        )
    return document, KeptTimeline.from_dict(document.body)


def rewritten(document: Document, kept: KeptTimeline) -> Document:
    """Return the next version of a kept timeline's document."""
    return replace(document, body=kept.to_dict(), version=document.version + 1)


def hand_on_timelines(store: Store, gone: str, heir: str) -> None:
    """Let everything said by one person on kept timelines be another's, after two records of one person became one.

    Args:
        store: of the tenant.
        gone, heir: person ids.
    """
    after = None
    while page := store.documents(TIMELINE, after_id=after, limit=100):
        after = page[-1].id
        for document in page:
            if gone in document.body["labels"]:
                with store.changing() as change:
                    now = change.document(TIMELINE, document.id)
                    if now is not None:
                        kept = KeptTimeline.from_dict(now.body).handed_on(gone, heir)
                        change.put_document(rewritten(now, kept))
                        facts = {
                            "timeline": document.id,
                            "edit": "person_merged",
                            "revision": now.version + 1,
                        }
                        change.record(Event("timeline.corrected", "done", heir, facts))


def _done(
    task: Task, kept: KeptTimeline, wanted: Wanted, reviews: Sequence[Document], kept_voices: int
) -> WorkDone:
    timeline, now = kept.timeline, task.gallery.now()
    document = Document(TIMELINE, task.id, kept.to_dict(), due_at=now + timedelta(days=wanted.keep_days))
    named = {turn.speaker for turn in timeline.turns if turn.named}
    summary = {
        "duration_s": round(timeline.duration_s, 3),
        "speakers": len(timeline.speakers),
        "named": len(named),
        "turns": len(timeline.turns),
        "kept_voices": kept_voices,
        "reviews": len(reviews),
    }
    event = Event(
        "diarize.kept", facts={"job": task.id, "audio_sha256": timeline.audio_sha256, **summary}, at=now
    )
    return WorkDone(summary, (document, *reviews), (event,))


def _ids(gallery: Gallery, timeline: Timeline) -> dict[str, str]:
    hinted = (turn.suggestion.person for turn in timeline.turns if turn.suggestion is not None)
    names = {turn.speaker for turn in timeline.turns if turn.named} | set(hinted)
    store, _ = gallery.stored()
    found = {name: store.find(name) for name in names}
    return {name: id_ for name, id_ in found.items() if id_ is not None}
