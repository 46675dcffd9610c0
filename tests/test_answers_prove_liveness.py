"""An answer to a challenge passes when voice, words, time, newness and sameness hold together; what fails is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pocketsphinx", reason="the extra challenge is not installed")
pytest.importorskip("onnx", reason="the detector of these tests is made by onnx")

from level_detector import SPOOF_GAIN, SUSPICIOUS_GAIN, write_detector
from voices import encode
from voxid.audio import load
from voxid.errors import InputError
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.recognize.challenges import CHALLENGE, MOST_OPEN, keep_challenge
from voxid.recognize.earlier import PLAYED
from voxid.recognize.liveness import AnswerOptions, LivenessResult, answer_challenge, issue_challenge
from voxid.spoof.challenge import Challenge
from voxid.spoof.detector import SpoofDetector
from voxid.spoof.fusion import SpoofPolicy

VOICES = Path(str(files("voxid") / "data" / "voices"))
ANSWERS = Path(__file__).parent / "fixtures" / "answers"


@dataclass
class House:
    """A gallery in which ada and bruno are enrolled, at a time that tests set."""

    gallery: Gallery
    detector: SpoofDetector
    now: datetime

    def ask(self, words: str, name: str = "ada") -> str:
        """Keep a challenge to say these digits; return its id."""
        store, _ = self.gallery.stored()
        digits = words.isdigit()
        chance = Challenge.issue(self.now, lifetime_s=60)
        said = tuple(words if digits else words.split("-"))
        challenge = Challenge(chance.id, said, chance.expires_at, "digits" if digits else "words")
        keep_challenge(store, str(store.find(name)), challenge, self.now)
        return challenge.id

    def forget(self) -> None:
        """Make it as if nobody had ever answered."""
        store, _ = self.gallery.stored()
        with store.changing() as change:
            for kind in (CHALLENGE, PLAYED):
                for document in store.documents(kind):
                    change.delete_document(kind, document.id)

    def answer(self, challenge_id: str, source: Any, name: str = "ada", **options: Any) -> LivenessResult:
        """Return what came of an answer."""
        chosen = AnswerOptions(detector=self.detector, **options)
        return answer_challenge(self.gallery, name, challenge_id, source, chosen)


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("liveness")
    made = House.__new__(House)
    made.now, made.detector = (
        datetime(2027, 1, 1, 9, tzinfo=UTC),
        SpoofDetector.load(write_detector(folder / "level")),
    )
    with Gallery.open(folder / "people.voxid", clock=lambda: made.now) as gallery:
        made.gallery = gallery
        consent = Consent({"verify"}, evidence="synthetic voice")
        for name in ("ada", "bruno"):
            gallery.enroll(name, [VOICES / name / "01.opus", VOICES / name / "02.opus"], consent)
        gallery.stored()[0].start_audit()
        yield made


@pytest.fixture
def house(enrolled: House) -> House:
    """The gallery, in which no answer was heard yet."""
    enrolled.forget()
    return enrolled


def said(voice: str, words: str) -> np.ndarray:
    return np.asarray(load(ANSWERS / f"{voice}_{words}.opus").samples)


@pytest.mark.parametrize("words", ["634986", "chimney-finger-honey-rabbit"])
def test_the_person_who_says_it_now_passes(house: House, words: str) -> None:
    """Digits or words: all seven parts hold; the voice was compared, the words heard, and it is written down."""
    result = house.answer(house.ask(words), ANSWERS / f"ada_{words}.opus")
    assert result, result.to_dict()
    assert [part.name for part in result.parts] == [
        *("once", "in_time", "new", "speaker", "live", "content", "one_voice")
    ]
    assert result.decision
    assert result.to_dict()["passed"] is True
    store, _ = house.gallery.stored()
    acts = [one.entry.act for one in store.audit().events(limit=1000)]
    assert acts[-5:] == [
        *("challenge.issued", "challenge.taken", "answer.heard", "verify.decided", "liveness.decided")
    ]


def test_a_challenge_has_one_answer(house: House) -> None:
    """Answered, it is gone: a second answer is not even opened. Nor does it serve somebody else."""
    id_ = house.ask("634986")
    assert house.answer(id_, said_bytes("bruno", "634986"), name="bruno").failed == ("once",)
    assert house.answer(id_, said_bytes("ada", "634986"))
    again = house.answer(id_, Path("there is no such file.wav"))
    assert again.failed == ("once",)
    assert "answered before, or has expired" in again.parts[0].reason
    assert [part.holds for part in again.parts[1:]] == [None] * 6


def said_bytes(voice: str, words: str) -> bytes:
    return (ANSWERS / f"{voice}_{words}.opus").read_bytes()


def test_a_late_answer_is_not_heard(house: House) -> None:
    id_ = house.ask("634986")
    house.now += timedelta(seconds=60)
    late = house.answer(id_, Path("there is no such file.wav"))
    assert late.failed == ("in_time",)
    assert "after the challenge had expired; ask for a new one" in late.parts[1].reason


def test_other_words_do_not_answer(house: House) -> None:
    """What was said to an earlier challenge is the person's voice, live as far as can be told, and no answer."""
    result = house.answer(house.ask("634986"), ANSWERS / "ada_170296.opus")
    assert not result
    assert result.failed == ("content",)
    assert "Other digits were heard than those asked for" in result.parts[5].reason
    assert result.decision


def test_a_recording_played_again_is_known(house: House) -> None:
    """Also softer, cut at its start, and to a challenge that happens to ask for the same."""
    assert house.answer(house.ask("634986"), ANSWERS / "ada_634986.opus")
    again = house.answer(house.ask("634986"), encode(0.8 * said("ada", "634986")[1_500:]))
    assert again.failed == ("new",)
    assert "heard before, or nearly one; speak anew" in again.parts[2].reason
    store, _ = house.gallery.stored()
    assert [one.person_id for one in store.documents(PLAYED)] == [store.find("ada")]


def test_another_voice_does_not_pass(house: House) -> None:
    """Nor one that finishes what the person began."""
    other = house.answer(house.ask("634986"), ANSWERS / "bruno_634986.opus")
    assert other.failed == ("speaker",)
    ada, clara = said("ada", "634986"), load(VOICES / "clara" / "04.opus").samples
    joined = np.concatenate([ada[: len(ada) // 2], clara[:32_000]])
    both = house.answer(house.ask("634986"), encode(joined))
    assert "one_voice" in both.failed
    assert "not the same from beginning to end" in both.parts[6].reason


def test_what_the_detector_says_counts_by_policy(house: House) -> None:
    """A spoof and a suspicious voice do not pass; with the detector off nobody asks."""
    ada = said("ada", "634986")
    for gain in (SPOOF_GAIN, SUSPICIOUS_GAIN):
        result = house.answer(house.ask("634986"), encode(gain * ada))
        assert "live" in result.failed
        house.forget()
    off = house.answer(house.ask("634986"), encode(SPOOF_GAIN * ada), spoof=SpoofPolicy("off"))
    assert [part.name for part in off.parts] == [
        *("once", "in_time", "new", "speaker", "content", "one_voice")
    ]
    assert off.spoof is None


def test_silence_is_no_answer(house: House) -> None:
    """Too little speech: the speaker decision says so, and nothing is listened to."""
    result = house.answer(house.ask("634986"), encode(np.zeros(32_000, np.float32)))
    assert result.failed == ("speaker",)
    assert result.decision is not None
    assert result.decision.outcome == "not_enough_speech"
    assert [part.holds for part in result.parts[4:]] == [None] * 3


def test_challenges_are_kept_sealed_and_few(house: House) -> None:
    """Five of a person at most, none beyond its time, gone with the person; nobody unknown is asked."""
    store, _ = house.gallery.stored()
    ids = []
    for _ in range(MOST_OPEN + 2):
        house.now += timedelta(seconds=1)
        ids.append(issue_challenge(house.gallery, "bruno").id)
    assert sorted(one.id for one in store.documents(CHALLENGE)) == sorted(ids[2:])
    house.now += timedelta(seconds=61)
    last = issue_challenge(house.gallery, "bruno", kind="words")
    assert [one.id for one in store.documents(CHALLENGE)] == [last.id]
    house.gallery.delete("bruno")
    assert store.documents(CHALLENGE) == []
    with pytest.raises(InputError, match="Nobody called 'eve'"):
        issue_challenge(house.gallery, "eve")
