"""Recordings over the network: diarized as jobs, corrected; unknown people, watchlists."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from voxid.client.answers import Enrolled, read
from voxid.client.result_answers import Hits, Job, TimelineRead, UnknownVoice, Watchlist
from voxid.client.transport import Recording, Transport
from voxid.errors import InputError

__all__ = ["ResultCalls"]

_ASK_EVERY_S = 0.5


class ResultCalls(Transport):
    """Diarizations and corrections, unknown people, watchlists."""

    def begin_diarization(self, recording: Recording, *, name: str | None = None, **options: Any) -> Job:
        """Return the job that will work on a recording.

        Args:
            recording: of one or more people.
            name: short name of the recording; it is sent in a header and stands in no address.
            options: channel, speakers, min_speakers, max_speakers, name_people, profile, basis, remember_days,
                watchlist, keep_days, channels, agent_id, as the API has them.
        """
        headers = {}
        if name is not None:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name + '.audio')}"
        return read(Job, self.send("/diarizations", recording, query=options, headers=headers))

    def diarize(
        self, recording: Recording, *, name: str | None = None, wait_s: float = 3600.0, **options: Any
    ) -> TimelineRead:
        """Return who speaks when in a recording: all steps in one call.

        Raises:
            InputError: with the code of the failed job; job_cancelled; job_unfinished after `wait_s` seconds.
        """
        job = self.begin_diarization(recording, name=name, **options)
        end_s = time.monotonic() + wait_s
        while not job.ended and time.monotonic() < end_s:
            time.sleep(_ASK_EVERY_S)
            job = self.job(job.id)
        if job.state == "done":
            return self.timeline(job.id)
        if job.error is not None:
            raise InputError(str(job.error["code"]), str(job.error["message"]))
        what = "cancelled" if job.state == "cancelled" else "unfinished"
        raise InputError(
            f"job_{what}", f"The job {job.id} is {job.state}; ask for it again, or begin another."
        )

    def job(self, job_id: str) -> Job:
        """Return a job. Raises: InputError: job_missing."""
        return read(Job, self.call("GET", f"/diarizations/{job_id}"))

    def jobs(self, state: str | None = None) -> Iterator[Job]:
        """Yield the jobs, in the order they were made."""
        for fields in self.pages("/diarizations", "jobs", {"state": state}):
            yield read(Job, fields)

    def cancel_job(self, job_id: str) -> Job:
        """Return a job, cancelled or about to be."""
        return read(Job, self.call("POST", f"/diarizations/{job_id}/cancel"))

    def delete_job(self, job_id: str) -> None:
        """Delete a job that has ended, and its timeline. Raises: CompatibilityError: job_running."""
        self.call("DELETE", f"/diarizations/{job_id}")

    def timeline(self, job_id: str) -> TimelineRead:
        """Return the timeline of a job, with the names of this moment. Raises: InputError: timeline_missing."""
        return read(TimelineRead, self.call("GET", f"/diarizations/{job_id}/timeline"))

    def timeline_as(self, job_id: str, form: str) -> str:
        """Return the timeline of a job as json, rttm, uem, srt, vtt, csv or textgrid."""
        return self.download("GET", f"/diarizations/{job_id}/timeline.{form}").decode()

    def correct(
        self,
        job_id: str,
        to: Mapping[str, str],
        *,
        turns: Sequence[int] = (),
        speaker: str | None = None,
        revision: int | None = None,
    ) -> TimelineRead:
        """Return the timeline with turns given to another speaker.

        Args:
            job_id: whose timeline.
            to: one of {"person_id": ...}, {"name": ...}, {"label": "SPEAKER_01"}.
            turns: numbers of the turns; or
            speaker: all turns of this one, as the timeline shows them.
            revision: the change was made on; None: whatever is there.

        Raises:
            CompatibilityError: document_changed. PolicyError: consent_missing. InputError: turn_missing,
                person_missing.
        """
        body = {"to": dict(to), "turns": list(turns), "speaker": speaker, "revision": revision}
        return self._changed(job_id, "corrections", body)

    def apply_corrections(
        self, job_id: str, file: Mapping[str, Any], *, strangers: bool = False
    ) -> TimelineRead:
        """Return the timeline with all corrections of a file that a timeline's page saved, as one change.

        Args:
            job_id: whose timeline.
            file: its JSON; `voxid.timeline.Corrections.to_dict` gives one.
            strangers: a name nobody on record has becomes a label; without it, it is refused.

        Raises:
            InputError: corrections_of_other_audio, correction_unmatched, person_missing. PolicyError: consent_missing.
        """
        path, query = f"/diarizations/{job_id}/corrections/file", {"strangers": strangers}
        return read(TimelineRead, self.call("POST", path, json=dict(file), query=query))

    def split_turn(
        self, job_id: str, turn: int, at_s: float, to: Mapping[str, str] | None = None
    ) -> TimelineRead:
        """Return the timeline with a turn cut in two."""
        body = {"turn": turn, "at_s": at_s, "to": None if to is None else dict(to)}
        return self._changed(job_id, "split", body)

    def merge_turns(
        self, job_id: str, turns: Sequence[int], to: Mapping[str, str] | None = None
    ) -> TimelineRead:
        """Return the timeline with several turns made one."""
        return self._changed(job_id, "merge", {"turns": list(turns), "to": None if to is None else dict(to)})

    def undo(self, job_id: str) -> TimelineRead:
        """Return the timeline without its last change. Raises: CompatibilityError: nothing_to_undo."""
        return self._changed(job_id, "undo", {})

    def add_reference(self, job_id: str, person_id: str, recording: Recording) -> int:
        """Return how many voiceprints a person has after what they say in corrected turns was added."""
        path = f"/diarizations/{job_id}/references"
        return int(self.send(path, recording, query={"person_id": person_id})["voiceprints"])

    def unknown_people(self) -> Iterator[UnknownVoice]:
        """Yield the voices kept without a name."""
        for fields in self.pages("/unknown", "unknown"):
            yield read(UnknownVoice, fields)

    def name_unknown(
        self, unknown_id: str, name: str, consent: Mapping[str, Any] | None = None, **allow: bool
    ) -> Enrolled:
        """Return what naming a voice added to the person; `consent` as the API has it."""
        body = {"name": name, "consent": None if consent is None else dict(consent), **allow}
        return read(Enrolled, self.call("POST", f"/unknown/{unknown_id}/name", json=body))

    def merge_unknown(
        self, unknown_id: str, other_id: str, *, allow_inconsistent: bool = False
    ) -> UnknownVoice:
        """Return a voice with what was kept under another id of it."""
        body = {"other_id": other_id, "allow_inconsistent": allow_inconsistent}
        return read(UnknownVoice, self.call("POST", f"/unknown/{unknown_id}/merge", json=body))

    def forget_unknown(self, unknown_id: str) -> None:
        """Forget a voice."""
        self.call("DELETE", f"/unknown/{unknown_id}")

    def opt_out_unknown(self, unknown_id: str, evidence: str) -> UnknownVoice:
        """Return what stays of a voice that is never to be kept again."""
        return read(
            UnknownVoice, self.call("POST", f"/unknown/{unknown_id}/opt-out", json={"evidence": evidence})
        )

    def add_watchlist(self, title: str, purpose: str, *, keep_days: int = 90) -> Watchlist:
        """Return a new watchlist."""
        body = {"title": title, "purpose": purpose, "keep_days": keep_days}
        return read(Watchlist, self.call("POST", "/watchlists", json=body))

    def watch_for(self, watchlist_id: str, person_id: str, reason: str) -> None:
        """Put a person on a watchlist. Raises: PolicyError: consent_missing."""
        self.call("PUT", f"/watchlists/{watchlist_id}/entries/{person_id}", json={"reason": reason})

    def search_watchlist(self, watchlist_id: str, recording: Recording) -> Hits:
        """Return what came of looking for a list's people in a recording of one voice."""
        return read(Hits, self.send(f"/watchlists/{watchlist_id}/searches", recording))

    def _changed(self, job_id: str, change: str, body: Mapping[str, Any]) -> TimelineRead:
        return read(TimelineRead, self.call("POST", f"/diarizations/{job_id}/{change}", json=body))
