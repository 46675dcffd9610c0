"""Challenges and answers over the API: one answer each, tries counted as those of a verification are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pocketsphinx", reason="the extra challenge is not installed")
pytest.importorskip("onnx", reason="the detector of these tests is made by onnx")

from fastapi.testclient import TestClient

from level_detector import write_detector
from service_app import Clock, clips
from voxid.client import Client
from voxid.client.liveness import Challenge as Asked
from voxid.errors import InputError, PolicyError
from voxid.gallery import Consent
from voxid.recognize.challenges import keep_challenge
from voxid.service.app import create_app
from voxid.service.settings import Limits, ServiceSettings
from voxid.service.state import Service
from voxid.spoof.challenge import Challenge

ANSWERS = Path(__file__).parent / "fixtures" / "answers"
ADDRESS = "http://testserver"


class House:
    """A service with a detector, in which ada is enrolled."""

    def __init__(self, http: TestClient, service: Service, clock: Clock) -> None:
        self.http, self.service, self.clock = http, service, clock
        self.tenant = service.tenants.create("default")
        self.tenant.gallery.enroll(
            "Ada", list(clips("ada", 1, 2)), Consent({"verify"}, evidence="synthetic voice")
        )
        self.ada = self.tenant.gallery.get("Ada").id

    def client(self, *roles: str, scopes: tuple[str, ...] = ()) -> Client:
        """Return a client with a new key."""
        key = self.tenant.keys.create("test", self.clock(), roles=roles, scopes=scopes)[1]
        return Client(ADDRESS, key, http=self.http)

    def asked(self, client: Client, digits: str) -> Asked:
        """Return a challenge of the service, as if chance had drawn these digits."""
        asked = client.challenge(self.ada, length=len(digits))
        store, now = self.tenant.store, self.clock()
        with store.changing() as change:
            change.delete_document("challenge", asked.id)
        drawn = Challenge(asked.id, tuple(digits), Challenge.issue(now).expires_at)
        keep_challenge(store, self.ada, drawn, now)
        return replace(asked, words=tuple(digits))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, clock = tmp_path_factory.mktemp("liveness"), Clock()
    settings = ServiceSettings(
        data=folder / "data",
        detector=write_detector(folder / "level"),
        limits=replace(Limits(), lockout_failures=2),
    )
    app = create_app(settings, clock)
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as http:
        yield House(http, app.state.service, clock)


def test_what_is_asked_is_shown_and_drawn_anew(house: House) -> None:
    """Digits or words, for a minute; another time others; nobody without the scope, nobody unknown, nothing endless."""
    client = house.client("operator")
    first, second = client.challenge(house.ada), client.challenge(house.ada, kind="words", length=5)
    assert first.text == " ".join(first.words)
    assert (first.kind, len(first.words), second.kind, len(second.words)) == ("digits", 6, "words", 5)
    with pytest.raises(PolicyError, match="needs the scope 'verify'"):
        house.client("auditor").challenge(house.ada)
    with pytest.raises(InputError, match="There is no person of this id"):
        client.challenge("3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50")
    bea = house.client("admin").add_person("Bea", {"identify"}, "signed form 18").id
    with pytest.raises(InputError, match="There is no person of this id"):
        house.client(scopes=("verify",)).challenge(bea)
    with pytest.raises(InputError, match="expected 4 to 12 digits") as refused:
        client.challenge(house.ada, length=20)
    assert refused.value.code == "challenge_invalid"


def test_the_person_passes_once(house: House) -> None:
    """All parts hold; the decision is kept; the challenge is spent, and its recording known to verifications too."""
    client = house.client("operator")
    asked = house.asked(client, "634986")
    passed = client.answer(asked, ANSWERS / "ada_634986.opus")
    assert passed, passed
    assert {part.holds for part in passed.parts} == {True}
    assert passed.decision is not None
    assert passed.decision.id is not None
    assert passed.spoof is not None
    assert passed.spoof.outcome == "genuine"
    again = client.answer(asked, ANSWERS / "ada_170296.opus")
    assert [part.name for part in again.parts if part.holds is False] == ["once"]
    assert again.decision is None
    replayed = client.answer(house.asked(client, "634986"), ANSWERS / "ada_634986.opus")
    assert [part.name for part in replayed.parts if part.holds is False] == ["new"]
    client = house.client("admin")
    client.unlock_person(house.ada)
    acts = [event["act"] for event in client.audit_events()]
    assert {"challenge.issued", "challenge.taken", "liveness.decided"} <= set(acts)


def test_a_wrong_answer_is_no_acceptance_and_locks_in_time(house: House) -> None:
    """Two of them, and nobody is heard for a while; the voice alone, which was the person's, counts for nothing."""
    client = house.client("operator")
    house.client("admin").unlock_person(house.ada)
    wrong = client.answer(house.asked(client, "555555"), ANSWERS / "ada_170296.opus")
    assert not wrong
    assert [part.name for part in wrong.parts if part.holds is False] == ["content"]
    assert wrong.decision is not None
    assert wrong.decision.outcome == "spoof_suspected"
    assert "The voice is alike, but: Other digits were heard" in wrong.decision.reason
    client.answer(house.asked(client, "555555"), ANSWERS / "bruno_634986.opus")
    asked = house.asked(client, "634986")
    with pytest.raises(PolicyError, match="Too many tries at this person failed"):
        client.answer(asked, ANSWERS / "ada_634986.opus")
    house.clock.pass_s(901)
    late = client.answer(asked, ANSWERS / "ada_634986.opus")
    assert [part.name for part in late.parts if part.holds is False] == ["in_time"]
