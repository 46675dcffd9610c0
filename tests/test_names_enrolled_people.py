"""A timeline names enrolled people who consented to it, once each, and numbers everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.diarize import DiarizeOptions, diarize
from voxid.errors import InputError
from voxid.gallery import Consent
from voxid.recognize import Gallery

VOICES = Path(str(files("voxid") / "data" / "voices"))
NAMING = Consent(purposes={"verify", "diarize-name"}, evidence="synthetic voice")
VERIFY_ONLY = Consent(purposes={"verify"}, evidence="synthetic voice")


def clips(speaker: str, *numbers: int) -> list[Path]:
    return [VOICES / speaker / f"{number:02d}.opus" for number in numbers]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """Ada may be named, Bruno only verified, Dev may be named but is not in the conversation."""
    with Gallery.open(tmp_path_factory.mktemp("gallery") / "people.voxid") as opened:
        opened.enroll("Ada", clips("ada", 1, 2), NAMING)
        opened.enroll("Bruno", clips("bruno", 1, 2), VERIFY_ONLY)
        opened.enroll("Dev", clips("dev", 1, 2), NAMING)
        yield opened


@pytest.fixture(scope="module")
def talk() -> tuple[np.ndarray, int]:
    """Bruno, Ada, Bruno, Ada: clips that were not used to enroll them."""
    pause = np.zeros(6400, dtype=np.float32)
    paths = [*clips("bruno", 3, 4), *clips("ada", 3, 4), *clips("bruno", 5), *clips("ada", 5)]
    return np.concatenate([part for path in paths for part in (load(path).samples, pause)]), SAMPLE_RATE_HZ


def test_names_who_consented_and_nobody_else(gallery: Gallery, talk: tuple[np.ndarray, int]) -> None:
    """Ada is Ada with her evidence; Bruno, who consented to verification only, is a stranger."""
    timeline = diarize(talk, gallery=gallery, speakers=2)
    assert timeline.speakers == ("SPEAKER_00", "Ada")
    limit = gallery.bundle.profile("far_1pct").threshold_llr
    for turn in timeline.turns:
        assert turn.named == (turn.speaker == "Ada")
        assert turn.llr is None or turn.llr >= limit
        assert (turn.llr is not None) == turn.named


def test_one_person_names_one_cluster(gallery: Gallery, talk: tuple[np.ndarray, int]) -> None:
    """Cut into too many speakers, Ada still is only one of them."""
    timeline = diarize(talk, gallery=gallery, speakers=4)
    assert len(timeline.speakers) == 4
    assert sum(speaker == "Ada" for speaker in timeline.speakers) == 1


def test_a_name_short_of_the_threshold_is_only_suggested(
    gallery: Gallery, talk: tuple[np.ndarray, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a name to take far more evidence, Ada would be a suggestion to review; who did not consent is not one."""
    strict = replace(gallery.bundle.profile("far_1pct"), threshold_llr=99.0, review_llr=-5.0)
    monkeypatch.setattr(type(gallery.bundle), "profile", lambda bundle, name: strict)
    timeline = diarize(talk, gallery=gallery, speakers=2)
    assert timeline.speakers == ("SPEAKER_00", "SPEAKER_01")
    suggested = {turn.speaker: turn.suggestion for turn in timeline.turns}
    assert suggested["SPEAKER_01"] is not None
    assert suggested["SPEAKER_01"].person == "Ada"
    assert suggested["SPEAKER_01"].threshold_llr == 99.0
    assert all(one is None or one.person != "Bruno" for one in suggested.values())
    reasons = [item.reason for item in timeline.review() if item.speaker == "SPEAKER_01"]
    assert reasons[0].startswith("SPEAKER_01 may be Ada: the LLR is ")


def test_without_a_gallery_nobody_is_named(talk: tuple[np.ndarray, int]) -> None:
    timeline = diarize(talk, speakers=2)
    assert timeline.speakers == ("SPEAKER_00", "SPEAKER_01")


def test_naming_stores_nothing(gallery: Gallery, talk: tuple[np.ndarray, int]) -> None:
    """The gallery has the same people with the same voiceprints after a diarization."""
    before = gallery.people()
    diarize(talk, gallery=gallery)
    assert gallery.people() == before


def test_an_unknown_profile_is_refused_before_the_audio(gallery: Gallery) -> None:
    with pytest.raises(InputError, match="no threshold profile 'far_9pct'") as caught:
        diarize("no such file.wav", gallery=gallery, options=DiarizeOptions(profile="far_9pct"))
    assert caught.value.code == "profile_unknown"
