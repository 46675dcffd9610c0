"""Stages are told to whoever watches, and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from voxid.audit.events import Event
from voxid.audit.written import listen_to_written, tell_written
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.stages import STAGES, stage, watch_stages

ADA = Path(str(files("voxid") / "data" / "voices")) / "ada"


class Seen:
    """A watcher that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.told.append(name)
        yield
        self.told.append(f"{name} ended")


def test_stages_lie_inside_each_other() -> None:
    """Begins and ends come in the order they happen."""
    seen = Seen()
    done = watch_stages(seen)
    with stage("embed"), stage("decode"):
        pass
    done()
    assert seen.told == ["embed", "decode", "decode ended", "embed ended"]


def test_an_error_ends_the_stage_and_goes_on() -> None:
    """What fails inside a stage fails as it would without."""
    seen = Seen()
    done = watch_stages(seen)
    with pytest.raises(ValueError, match="broken"), stage("decode"):
        raise ValueError("broken")
    done()
    assert seen.told == ["decode"]


def test_nobody_is_told_after_the_end() -> None:
    """Two watchers come and go on their own."""
    first, second = Seen(), Seen()
    end_first, end_second = watch_stages(first), watch_stages(second)
    end_first()
    with stage("write"):
        pass
    end_second()
    assert (first.told, second.told) == ([], ["write", "write ended"])


def test_written_events_are_told_by_act_and_outcome_only() -> None:
    """Whom an event is about is not told to those who count."""
    told: list[tuple[str, str]] = []
    done = listen_to_written(lambda act, outcome: told.append((act, outcome)))
    tell_written([Event("verify.decided", "accept", "person-1", {"profile": "far_1pct"})])
    done()
    tell_written([Event("verify.decided", "reject")])
    assert told == [("verify.decided", "accept")]


def test_the_verbs_tell_their_stages(tmp_path: Path) -> None:
    """A verification decodes, finds speech, embeds and scores; a search searches; all names are known ones."""
    seen = Seen()
    with Gallery.open(tmp_path / "people.voxid") as gallery:
        gallery.enroll("Ada", [ADA / "01.opus"], Consent({"verify", "identify"}, evidence="form 1"))
        done = watch_stages(seen)
        gallery.verify("Ada", ADA / "04.opus")
        verified, seen.told = [name for name in seen.told if name in STAGES], []
        gallery.identify(ADA / "04.opus")
        done()
    assert verified == ["decode", "speech", "embed", "score"]
    assert [name for name in seen.told if name in STAGES] == ["decode", "speech", "embed", "search"]
