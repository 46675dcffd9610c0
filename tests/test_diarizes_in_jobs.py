"""Diarization as a job: queued, running, done; cancelled, failed, resumed; nothing of the audio stays."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from served import Clock, Served, clip, serving, talk_of
from voxid.audio import load
from voxid.service import diarizing, jobs
from voxid.service.jobs import Task, WorkDone
from voxid.service.settings import Limits, ServiceSettings
from voxid.service.state import Tenants

TALK = talk_of(("ada", 3), ("bruno", 3), ("ada", 4), ("bruno", 4))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("data")) as running:
        running.enroll("Ada", "ada", 1, 2)
        yield running


@pytest.fixture(scope="module")
def done(served: Served) -> dict[str, Any]:
    """A job that has ended well."""
    job = served.call(
        "POST",
        "/diarizations?speakers=2",
        202,
        content=TALK,
        headers={"Content-Disposition": "attachment; filename*=UTF-8''Vorstand%20Mai.flac"},
    )
    assert job["state"] in ("queued", "running")
    return served.ended(job)


def silence() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(32_000, np.int16), 16_000, format="WAV")
    return file.getvalue()


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_recording_becomes_a_timeline_with_names(served: Served, done: dict[str, Any]) -> None:
    """The person who consents is named, the other one is a stranger; the job says how it went."""
    assert (done["state"], done["progress"], done["error"]) == ("done", 1.0, None)
    assert done["recording"] == "Vorstand Mai"
    assert done["summary"]["speakers"] == 2
    assert done["summary"]["named"] == 1
    timeline = served.call("GET", f"/diarizations/{done['id']}/timeline")
    by_name = {speaker["name"]: speaker for speaker in timeline["speakers"]}
    assert set(by_name) == {"Ada", "SPEAKER_00"}
    assert by_name["Ada"]["person_id"] == served.tenant.gallery.get("Ada").id
    assert by_name["SPEAKER_00"]["person_id"] is None
    assert timeline["audio_sha256"] == done["audio_sha256"]
    assert [turn["turn"] for turn in timeline["turns"]] == list(range(1, len(timeline["turns"]) + 1))


def test_other_tools_read_the_timeline(served: Served, done: dict[str, Any]) -> None:
    """RTTM, subtitles, tables: as `voxid who` writes them."""
    for form, found in (
        ("rttm", "SPEAKER Vorstand_Mai 1"),
        ("vtt", "WEBVTT"),
        ("srt", "-->"),
        ("csv", "start_s"),
    ):
        answer = served.call("GET", f"/diarizations/{done['id']}/timeline.{form}")
        assert found in answer.text, form
        assert "Ada" in answer.text or form == "uem"


def test_names_are_those_of_the_moment(served: Served, done: dict[str, Any]) -> None:
    """A renamed person has the new name on the old timeline; one who withdraws is a stranger on it."""

    def speakers() -> set[str]:
        shown = served.call("GET", f"/diarizations/{done['id']}/timeline")["speakers"]
        return {speaker["name"] for speaker in shown}

    gallery = served.tenant.gallery
    gallery.rename("Ada", "Countess Lovelace")
    assert speakers() == {"Countess Lovelace", "SPEAKER_00"}
    gallery.withdraw("Countess Lovelace", ["diarize-name"])
    assert speakers() == {"SPEAKER_01", "SPEAKER_00"}


def test_nothing_of_the_audio_stays(served: Served, done: dict[str, Any]) -> None:
    """The spool is empty, and the key of the audio is gone from the job."""
    assert served.service.jobs.spool.names() == set()
    document = served.tenant.store.document(jobs.JOB, done["id"])
    assert document is not None
    assert document.body["audio"] is None


def test_what_is_no_audio_is_refused_at_once(served: Served) -> None:
    """Nothing is queued, and nothing stays in the spool."""
    before = served.call("GET", "/diarizations")
    for content, status, code in (
        (b"", 422, "audio_empty"),
        (b"hello " * 100, 415, "audio_unknown_format"),
        (silence()[:1000], 422, "audio_truncated"),
    ):
        assert served.refusal("POST", "/diarizations", status, content=content)[0] == code, content[:10]
    assert served.call("GET", "/diarizations") == before
    assert served.service.jobs.spool.names() == set()


def test_what_cannot_be_asked_is_refused_before_the_upload(served: Served) -> None:
    """Contradicting numbers, an unknown profile, a name that cannot be seen, voices kept without the scope."""
    for query, status, code in (
        ("speakers=2&max_speakers=1", 422, "speaker_count_invalid"),
        ("profile=none", 422, "profile_unknown"),
        ("keep_days=0", 422, "request_invalid"),
        ("volume=11", 422, "request_invalid"),
    ):
        assert served.refusal("POST", f"/diarizations?{query}", status, content=TALK)[0] == code
    hidden = {"Content-Disposition": "attachment; filename*=UTF-8''a%00b.wav"}
    found = served.refusal("POST", "/diarizations", 422, content=TALK, headers=hidden)
    assert found[0] == "recording_name_invalid"
    only = served.key("diarize")
    code, sentence = served.refusal("POST", "/diarizations?basis=minutes", 403, content=TALK, headers=only)
    assert (code, sentence) == (
        "scope_missing",
        "Keeping voices without a name needs the scope 'unknown'; leave `basis` out.",
    )


def test_a_call_of_one_speaker_a_channel_verifies_the_agent(served: Served) -> None:
    """Channels have their names, the agent is verified on theirs, and the decision is kept."""
    ada = served.enroll("Clara", "clara", 1, 2)
    sides = [load(clip(voice, 3)).samples for voice in ("clara", "bruno")]
    length = sum(map(len, sides)) + 8000
    stereo = np.zeros((length, 2), np.float32)
    stereo[: len(sides[0]), 0] = sides[0]
    stereo[length - len(sides[1]) :, 1] = sides[1]
    file = io.BytesIO()
    soundfile.write(file, stereo, 16_000, format="FLAC", subtype="PCM_16")
    asked = f"/diarizations?channels=agent,customer&agent_id={ada}"
    job = served.ended(served.call("POST", asked, 202, content=file.getvalue()))
    assert job["state"] == "done", job["error"]
    assert job["summary"]["agent"]["outcome"] == "accept"
    served.call("GET", f"/decisions/{job['summary']['agent']['decision_id']}")
    shown = served.call("GET", f"/diarizations/{job['id']}/timeline")
    assert [speaker["name"] for speaker in shown["speakers"]] == ["Clara", "customer"]
    for query in ("channels=agent,customer&speakers=2", f"agent_id={ada}", "channels=a,a"):
        assert served.refusal("POST", f"/diarizations?{query}", 422, content=TALK)[0] == "channels_invalid"
    served.call("DELETE", f"/diarizations/{job['id']}", 204)


def test_silence_fails_the_job_with_a_sentence(served: Served) -> None:
    """Found only when it is heard: the code and the sentence stand in the job."""
    job = served.ended(served.call("POST", "/diarizations", 202, content=silence()))
    assert (job["state"], job["error"]["code"]) == ("failed", "no_speech")
    assert served.refusal("GET", f"/diarizations/{job['id']}/timeline", 404)[0] == "timeline_missing"


def test_jobs_are_listed_page_by_page_and_deleted(served: Served, done: dict[str, Any]) -> None:
    """In the order they were made; one that has ended can be deleted, timeline and all."""
    first = served.call("GET", "/diarizations?limit=1")
    assert [job["id"] for job in first["jobs"]] == [done["id"]]
    rest = served.call("GET", f"/diarizations?after={first['next']}")
    assert done["id"] not in [job["id"] for job in rest["jobs"]]
    assert [job["id"] for job in served.call("GET", "/diarizations?state=done")["jobs"]] == [done["id"]]
    served.call("DELETE", f"/diarizations/{done['id']}", 204)
    code, sentence = served.refusal("GET", f"/diarizations/{done['id']}", 404)
    assert (code, sentence) == (
        "job_missing",
        "There is no job of this id; list the jobs to see which there are.",
    )
    assert served.tenant.store.document(diarizing.TIMELINE, done["id"]) is None


# --- work that a test holds up, in place of diarization ---


class Held:
    """Work that reports as diarization does, until a test lets it go on."""

    def __init__(self) -> None:
        self.may_end = False
        self.begun = 0

    def __call__(self, task: Task) -> WorkDone:
        self.begun += 1
        with task.audio() as audio:
            assert audio.read() == TALK
        while not self.may_end:
            task.report(0.25)
            time.sleep(0.01)
        return WorkDone({"speakers": 2})


def hold(running: Served) -> Held:
    held = Held()
    running.service.jobs._works[diarizing.DIARIZATION] = held
    return held


def test_a_running_job_is_cancelled_within_a_second(tmp_path: Path) -> None:
    """Queued ones at once; the audio of both is gone, and the next job is done."""
    with serving(tmp_path) as running:
        held = hold(running)
        first, second, third = (running.call("POST", "/diarizations", 202, content=TALK) for _ in range(3))
        shown = running.until(first, lambda job: job["progress"] == 0.25)
        assert shown["state"] == "running"
        assert running.call("POST", f"/diarizations/{second['id']}/cancel")["state"] == "cancelled"
        assert running.refusal("DELETE", f"/diarizations/{first['id']}", 409)[0] == "job_running"
        began_s = time.monotonic()
        assert running.call("POST", f"/diarizations/{first['id']}/cancel")["state"] == "cancelling"
        assert running.ended(first)["state"] == "cancelled"
        assert time.monotonic() - began_s < 1.0
        held.may_end = True
        assert running.ended(third)["state"] == "done"
        assert running.call("POST", f"/diarizations/{third['id']}/cancel")["state"] == "done"
        assert running.service.jobs.spool.names() == set()
        assert held.begun == 2


def test_a_job_cancelled_by_another_process_ends(tmp_path: Path) -> None:
    """Which can only write it down: the worker looks."""
    with serving(tmp_path) as running:
        hold(running)
        job = running.call("POST", "/diarizations", 202, content=TALK)
        running.until(job, lambda now: now["state"] == "running")
        with running.tenant.store.changing() as change:
            stored = change.document(jobs.JOB, job["id"])
            assert stored is not None
            change.put_document(jobs.next_job(stored, state="cancelling"))
        assert running.ended(job, within_s=5)["state"] == "cancelled"


def test_jobs_survive_a_restart(tmp_path: Path) -> None:
    """The one in progress is begun again, the waiting ones keep their turn; orphaned audio is deleted."""
    clock = Clock()
    with serving(tmp_path, clock) as running:
        hold(running)
        first, second = (running.call("POST", "/diarizations", 202, content=TALK) for _ in range(2))
        running.until(first, lambda job: job["state"] == "running")
        with running.service.jobs.spool.create("nobody", max_bytes=100) as writer:
            writer.write(b"orphan")
            orphan = writer.finish().name
    on_disk = files_below(tmp_path)
    assert any(orphan in path for path in on_disk)
    assert not any(
        TALK[at : at + 32] in content for content in on_disk.values() for at in range(0, 9000, 500)
    )
    with serving(tmp_path, clock) as running:
        assert not any(orphan in path for path in files_below(tmp_path))
        held = hold(running)
        held.may_end = True
        assert [running.ended(job)["state"] for job in (first, second)] == ["done", "done"]
        assert running.service.jobs.spool.names() == set()


def test_a_recording_that_ends_the_service_is_not_begun_for_ever(tmp_path: Path) -> None:
    """Killed twice while it worked on it: begun again; three times: failed, with a sentence."""
    clock = Clock()
    with serving(tmp_path, clock) as running:
        hold(running)
        first, second = (running.call("POST", "/diarizations", 202, content=TALK) for _ in range(2))
        running.until(first, lambda now: now["state"] == "running")
    tenants = Tenants(ServiceSettings(data=tmp_path), clock)
    with tenants.get("default").store.changing() as change:  # as kill -9 leaves them behind
        for job, attempts in ((first, 3), (second, 2)):
            stored = change.document(jobs.JOB, job["id"])
            assert stored is not None
            change.put_document(jobs.next_job(stored, state="running", attempts=attempts))
    tenants.close()
    with serving(tmp_path, clock) as running:
        crashed = running.call("GET", f"/diarizations/{first['id']}")
        assert (crashed["state"], crashed["error"]["code"]) == ("failed", "job_crashed")
        assert crashed["error"]["message"].startswith(
            "The service ended 3 times while it worked on this recording"
        )
        assert running.ended(second)["state"] == "done"
        assert running.service.jobs.spool.names() == set()


KILLED = """
import sys, time
from pathlib import Path
from served import serving
from test_diarizes_in_jobs import TALK, hold
with serving(Path(sys.argv[1])) as running:
    hold(running)
    job = running.call("POST", "/diarizations", 202, content=TALK)
    running.until(job, lambda now: now["state"] == "running")
    print(job["id"], flush=True)
    time.sleep(300)
"""


def test_jobs_survive_kill_9(tmp_path: Path) -> None:
    """The process is gone in the middle of the work: the next one takes the folder over and begins the job again."""
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent / "src"), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdout is not None
        job_id = process.stdout.readline().decode().strip()
        process.kill()
    with serving(tmp_path) as running:
        held = hold(running)
        held.may_end = True
        job = running.ended({"id": job_id})
        assert (job["state"], job["attempts"]) == ("done", 2)
        assert running.service.jobs.spool.names() == set()


def test_one_request_is_one_job_however_often_it_is_sent(tmp_path: Path) -> None:
    """Under its Idempotency-Key; the audio of the second upload is gone; another request under the key is refused."""
    with serving(tmp_path) as running:
        held = hold(running)
        headers = {"Idempotency-Key": "0198f0a2-7d1e"}
        first, second = (
            running.call("POST", "/diarizations", 202, content=TALK, headers=headers) for _ in range(2)
        )
        assert first["id"] == second["id"]
        other = running.refusal("POST", "/diarizations?speakers=2", 409, content=TALK, headers=headers)
        assert other[0] == "idempotency_conflict"
        assert len(running.service.jobs.spool.names()) == 1
        held.may_end = True
        running.ended(first)
        assert running.service.jobs.spool.names() == set()


def test_a_job_whose_audio_is_lost_can_be_cancelled_and_deleted(tmp_path: Path) -> None:
    """The folder of waiting audio was lost with a disk: the job waits for nothing, and does not stay for ever."""
    with serving(tmp_path) as running:
        hold(running)
        jobs_made = [running.call("POST", "/diarizations", 202, content=TALK) for _ in range(2)]
        running.until(jobs_made[0], lambda job: job["state"] == "running")
    shutil.rmtree(tmp_path / "spool")
    with serving(tmp_path) as running:
        for job in jobs_made:
            assert running.call("POST", f"/diarizations/{job['id']}/cancel")["state"] == "cancelled"
            running.call("DELETE", f"/diarizations/{job['id']}", 204)


def test_what_is_due_is_deleted(tmp_path: Path) -> None:
    """After its days a job and its timeline are gone, and the log says how many; others stay."""
    clock = Clock()
    with serving(tmp_path, clock) as running:
        hold(running).may_end = True
        short, long = (
            running.ended(running.call("POST", f"/diarizations?keep_days={days}", 202, content=TALK))
            for days in (5, 60)
        )
        assert short["due_at"][:10] == "2026-11-26"
        clock.advance(6)
        running.service.jobs.purge()
        assert [job["id"] for job in running.call("GET", "/diarizations")["jobs"]] == [long["id"]]
        (event,) = running.call("GET", "/audit/events?act=documents.purged")["events"]
        assert event["facts"] == {"kind": "job", "count": 1}
        assert event["actor"] == {"kind": "system", "id": "retention", "request_id": None}


def test_audio_waits_sealed_until_it_is_too_large(tmp_path: Path) -> None:
    """A recording over the limit is refused, and nothing of it stays."""
    with serving(tmp_path, limits=Limits(max_recording_bytes=10_000)) as running:
        content = clip("ada", 1).read_bytes() * 4
        code, _ = running.refusal("POST", "/diarizations", 413, content=content)
        assert code in ("body_too_large", "audio_too_large")
        assert running.service.jobs.spool.names() == set()
