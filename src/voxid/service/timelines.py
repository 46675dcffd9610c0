"""Timelines as the service keeps them: people by their ids, names looked up whenever somebody reads.

A person who is renamed has the new name on every timeline at once; one who is deleted, or withdraws the consent to be
named, is a stranger on all of them, and nothing has to be found and rewritten for it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from voxid.gallery.records import PersonRecord
from voxid.recognize.gallery import Gallery
from voxid.recognize.unknown import NAMING_PURPOSE
from voxid.service.consenting import check_consent
from voxid.timeline import Timeline, Turn
from voxid.timeline.document import JSON_VERSION

__all__ = ["Edit", "KeptTimeline", "Shown", "check_nameable", "free_label", "names_of_people", "shown"]

_KEPT_EDITS = 200
"""Those longest ago can no longer be undone; they stay in the history."""


@dataclass(frozen=True)
class Edit:
    """One change by hand, as it is undone.

    Args:
        at: when, with time zone.
        by: who, e.g. "key:0198f0a2".
        act: "rename", "split" or "merge".
        removed, added: the turns before and after.
        revisions: entries it added to the timeline's history.
    """

    at: datetime
    by: str
    act: str
    removed: tuple[Turn, ...]
    added: tuple[Turn, ...]
    revisions: int

    def to_dict(self, duration_s: float) -> dict[str, Any]:
        """Return the edit as a document holds it."""
        return {
            "at": self.at.isoformat(),
            "by": self.by,
            "act": self.act,
            "removed": _plain(Timeline(self.removed, duration_s))["turns"],
            "added": _plain(Timeline(self.added, duration_s))["turns"],
            "revisions": self.revisions,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], duration_s: float) -> Edit:
        """Return what `to_dict` wrote."""
        removed, added = (_turns(fields[name], duration_s) for name in ("removed", "added"))
        at = datetime.fromisoformat(fields["at"])
        return cls(at, fields["by"], fields["act"], removed, added, int(fields["revisions"]))


@dataclass(frozen=True)
class KeptTimeline:
    """A timeline whose named speakers are person ids.

    Args:
        timeline: the turns.
        labels: person id -> what the person is called where they may not be named; no speaker's own label.
        edits: changes by hand that can be undone, oldest first.
    """

    timeline: Timeline
    labels: Mapping[str, str]
    edits: tuple[Edit, ...] = ()

    @classmethod
    def of(cls, timeline: Timeline, ids: Mapping[str, str]) -> KeptTimeline:
        """Return a timeline of `voxid.diarize` as it is kept.

        Args:
            timeline: with names.
            ids: name -> person id; whoever is not in it (deleted meanwhile) is a stranger.
        """
        taken = set(timeline.speakers)
        strangers: dict[str, str] = {}
        turns = []
        for turn in timeline.turns:
            hint = turn.suggestion
            if hint is not None:
                hint = replace(hint, person=ids[hint.person]) if hint.person in ids else None
            turn = replace(turn, suggestion=hint)
            if turn.named and turn.speaker in ids:
                turn = replace(turn, speaker=ids[turn.speaker])
            elif turn.named:
                label = strangers.setdefault(turn.speaker, free_label(taken))
                taken.add(label)
                turn = replace(turn, speaker=label, named=False, llr=None)
            turns.append(turn)
        # Through JSON once, so that times are in whole milliseconds from the start and edits find their turns.
        rounded = Timeline.from_json(json.dumps(_plain(replace(timeline, turns=tuple(turns)))))
        return cls(rounded, {}).settled()

    def people(self) -> set[str]:
        """Return the ids of the people on it, those suggested and those of its history among them."""
        hinted = {turn.suggestion.person for turn in self.timeline.turns if turn.suggestion is not None}
        return {turn.speaker for turn in self.timeline.turns if turn.named} | hinted | set(self.labels)

    def named(self, names: Mapping[str, str | None], unknown: Mapping[str, str | None]) -> list[Turn]:
        """Return each turn as it is shown, in the order they are kept.

        Args:
            names: person id -> name, None where the person is gone or may not be named.
            unknown: what ids of unknown people are called by now, as `voxid.recognize.unknown` says.
        """
        shown = self.shown_labels(names)
        alone = replace(self.timeline, history=())
        known = (replace(alone, turns=(turn,)).relabel(unknown).turns[0] for turn in self.timeline.turns)
        return [_shown(turn, names, shown) for turn in known]

    def shown_labels(self, names: Mapping[str, str | None]) -> dict[str, str]:
        """Return what each person on it is called: the name, or the label in its place."""
        return {id_: names.get(id_) or label for id_, label in self.labels.items()}

    def edited(self, after: Timeline, at: datetime, by: str, act: str) -> KeptTimeline:
        """Return the timeline with this change, which can be undone."""
        before = self.timeline
        gone, new = Counter(before.turns), Counter(after.turns)
        edit = Edit(
            at,
            by,
            act,
            tuple((gone - new).elements()),
            tuple((new - gone).elements()),
            len(after.history) - len(before.history),
        )
        return replace(self, timeline=after, edits=(*self.edits, edit)[-_KEPT_EDITS:]).settled()

    def undone(self) -> KeptTimeline:
        """Return the timeline before its last edit; there must be one."""
        *earlier, last = self.edits
        turns = Counter(self.timeline.turns) - Counter(last.added) + Counter(last.removed)
        history = self.timeline.history[: len(self.timeline.history) - last.revisions]
        before = replace(self.timeline, turns=tuple(turns.elements()), history=history)
        return replace(self, timeline=before, edits=tuple(earlier)).settled()

    def handed_on(self, gone: str, heir: str) -> KeptTimeline:
        """Return the timeline with one person's id in place of another's, who is the same person."""

        def turn_of(turn: Turn) -> Turn:
            hint = turn.suggestion
            if hint is not None and hint.person == gone:
                turn = replace(turn, suggestion=replace(hint, person=heir))
            return replace(turn, speaker=heir) if turn.named and turn.speaker == gone else turn

        history = tuple(
            replace(
                entry,
                old_label=heir if entry.old_label == gone else entry.old_label,
                new_name=heir if entry.new_name == gone else entry.new_name,
            )
            for entry in self.timeline.history
        )
        turns = tuple(turn_of(turn) for turn in self.timeline.turns)
        edits = tuple(
            replace(
                edit,
                removed=tuple(turn_of(turn) for turn in edit.removed),
                added=tuple(turn_of(turn) for turn in edit.added),
            )
            for edit in self.edits
        )
        labels = {heir if id_ == gone else id_: label for id_, label in self.labels.items()}
        timeline = replace(self.timeline, turns=turns, history=history)
        return replace(self, timeline=timeline, labels=labels, edits=edits).settled()

    def settled(self) -> KeptTimeline:
        """Return the timeline with a label of its own for everybody who is named on it, was, or may be."""
        labels: dict[str, str] = {}
        taken = set(self.timeline.speakers)
        turns = self.timeline.turns
        named = [turn.speaker for turn in turns if turn.named]
        hinted = [turn.suggestion.person for turn in turns if turn.suggestion is not None]
        for id_ in dict.fromkeys([*self.labels, *named, *hinted]):
            former = self.labels.get(id_)
            labels[id_] = free_label(taken) if former is None or former in taken else former
            taken.add(labels[id_])
        return replace(self, labels=labels)

    def to_dict(self) -> dict[str, Any]:
        """Return the body of the document it is kept in."""
        duration_s = self.timeline.duration_s
        return {
            "timeline": _plain(self.timeline),
            "labels": dict(self.labels),
            "edits": [edit.to_dict(duration_s) for edit in self.edits],
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> KeptTimeline:
        """Return what `to_dict` wrote."""
        timeline = Timeline.from_json(json.dumps(fields["timeline"]))
        edits = tuple(Edit.from_dict(one, timeline.duration_s) for one in fields["edits"])
        return cls(timeline, dict(fields["labels"]), edits)


@dataclass(frozen=True)
class Shown:
    """A kept timeline as it is read now.

    Args:
        timeline: with names.
        numbers: of each of its turns, from 1 as they are kept: whom two are shown for may change their order.
        people: name -> person id.
        speakers: as shown -> as kept.
    """

    timeline: Timeline
    numbers: tuple[int, ...]
    people: Mapping[str, str]
    speakers: Mapping[str, frozenset[str]]


def shown(gallery: Gallery, kept: KeptTimeline) -> Shown:
    """Return a kept timeline with the names of this moment.

    Raises:
        StoreError: store_damaged.
    """
    names = names_of_people(gallery, kept.people())
    unknown = gallery.unknown.names(kept.timeline.voice_ids)
    people = {name: id_ for id_, name in names.items() if name is not None}
    store, _ = gallery.stored()
    people |= {name: id_ for name in unknown.values() if name is not None and (id_ := store.find(name))}
    turns = kept.named(names, unknown)
    labels = kept.shown_labels(names)
    speakers: dict[str, set[str]] = {}
    for turn, former in zip(turns, kept.timeline.turns, strict=True):
        speakers.setdefault(turn.speaker, set()).add(former.speaker)
    order = sorted(range(len(turns)), key=lambda at: (turns[at].start_s, turns[at].end_s, turns[at].speaker))
    history = tuple(
        replace(
            entry,
            old_label=labels.get(entry.old_label, entry.old_label),
            new_name=labels.get(entry.new_name, entry.new_name),
        )
        for entry in kept.timeline.history
    )
    return Shown(
        replace(kept.timeline, turns=tuple(turns), history=history),
        tuple(at + 1 for at in order),
        people,
        {name: frozenset(formers) for name, formers in speakers.items()},
    )


def check_nameable(person: PersonRecord, now: datetime) -> None:
    """Refuse to give somebody's name to a turn who does not consent to it.

    Raises:
        PolicyError: consent_missing, consent_expired.
    """
    check_consent(person, NAMING_PURPOSE, now, "no turn was given their name")


def names_of_people(gallery: Gallery, ids: Iterable[str]) -> dict[str, str | None]:
    """Return the name of each person of a gallery who consents, now, to be named on timelines; None for others.

    Raises:
        StoreError: store_damaged.
    """
    wanted = sorted(set(ids))
    now = gallery.now()
    found: dict[str, str | None] = dict.fromkeys(wanted)
    for person in gallery.stored()[0].read_many(wanted):
        consent = person.consent
        if consent is not None and NAMING_PURPOSE in consent.purposes and not consent.expired(now):
            found[person.id] = person.name
    return found


def _shown(turn: Turn, names: Mapping[str, str | None], shown: Mapping[str, str]) -> Turn:
    hint = turn.suggestion
    if hint is not None:
        name = names.get(hint.person)
        turn = replace(turn, suggestion=None if name is None else replace(hint, person=name))
    if turn.named and turn.speaker in shown:
        name = names.get(turn.speaker)
        found = turn.llr if name is not None else None
        turn = replace(turn, speaker=shown[turn.speaker], named=name is not None, llr=found)
    return turn


def _plain(timeline: Timeline) -> dict[str, Any]:
    """Return the timeline's JSON without what follows from the turns."""
    whole = timeline.to_dict()
    kept = ("version", "uri", "audio_sha256", "duration_s", "naming", "turns", "history")
    return {name: whole[name] for name in kept}


def _turns(plain: Sequence[Mapping[str, Any]], duration_s: float) -> tuple[Turn, ...]:
    document = {
        "version": JSON_VERSION,
        "uri": "audio",
        "audio_sha256": None,
        "duration_s": duration_s,
        "naming": None,
        "turns": plain,
        "history": [],
    }
    return Timeline.from_json(json.dumps(document)).turns


def free_label(taken: Iterable[str]) -> str:
    """Return the first label of a stranger that nobody has."""
    used = set(taken)
    return next(
        label for label in (f"SPEAKER_{number:02d}" for number in range(len(used) + 1)) if label not in used
    )
