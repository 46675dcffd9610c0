"""Spoof checks at the service: by themselves, within verify and identify as the tenant's policy has it, counted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

pytest.importorskip("onnx", reason="needs the train extra: pip install 'voxid[train]'")

from level_detector import SPOOF_GAIN, SUSPICIOUS_GAIN, write_detector
from served import Served, clip, serving
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.client import Client
from voxid.service.settings import Limits


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Replays are let through, so that one recording serves many tests."""
    folder = tmp_path_factory.mktemp("served")
    detector = write_detector(folder / "detector")
    with serving(folder, limits=Limits(replay_days=0, lockout_failures=3), detector=detector) as running:
        yield running


@pytest.fixture(scope="module")
def ada(served: Served) -> str:
    return served.enroll("Ada", "ada", 1, 2, 3)


def flac(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_24")
    return file.getvalue()


def said(gain: float = 1.0, seconds: float | None = None) -> bytes:
    """Ada's voice, at a level the detector of these tests takes for genuine, suspicious, or a spoof."""
    samples = load(clip("ada", 4)).samples
    return flac(gain * samples[: None if seconds is None else round(seconds * SAMPLE_RATE_HZ)])


def policy(served: Served, **changes: str) -> None:
    now = served.call("GET", "/policies")
    served.call("PUT", "/policies", json={**now, **changes})


def verified(served: Served, person: str, body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = served.call("POST", f"/people/{person}/verifications", content=body)
    return found


def acts(served: Served, act: str) -> list[Any]:
    return [one.entry for one in served.tenant.store.audit().events() if one.entry.act == act]


@pytest.mark.parametrize(
    ("gain", "seconds", "outcome"),
    [
        (1.0, None, "genuine"),
        (SUSPICIOUS_GAIN, None, "suspicious"),
        (SPOOF_GAIN, None, "spoof"),
        (1.0, 0.6, "cannot_tell"),
    ],
)
def test_a_recording_is_checked(served: Served, gain: float, seconds: float | None, outcome: str) -> None:
    """Each outcome with its reason, its pieces over time, and an entry in the audit log that names nobody."""
    body = said(gain, seconds)
    found = served.call("POST", "/spoof-checks", content=body)
    assert found["outcome"] == outcome
    assert found["reason"]
    assert found["model_id"].startswith("level@")
    assert (found["llr"] is None) == (outcome == "cannot_tell") == (found["pieces"] == [])
    assert all(0 <= one["start_s"] < one["end_s"] <= found["duration_s"] + 0.01 for one in found["pieces"])
    entry = acts(served, "spoof.checked")[-1]
    assert entry.outcome == outcome
    assert entry.facts["audio_sha256"] == found["audio_sha256"]
    assert entry.person is None


def test_a_check_is_done_once_and_needs_its_scope(served: Served) -> None:
    """The same key gives the same answer without another entry; a key that may only verify is refused."""
    sent = {"content": said(), "headers": {"Idempotency-Key": "checked-once"}}
    before = len(acts(served, "spoof.checked"))
    first, again = (served.call("POST", "/spoof-checks", **sent) for _ in range(2))
    assert first == again
    assert len(acts(served, "spoof.checked")) == before + 1
    code, sentence = served.refusal(
        "POST", "/spoof-checks", 403, content=said(), headers=served.key("verify")
    )
    assert (code, "scope 'spoof'" in sentence) == ("scope_missing", True)


def test_what_is_no_audio_is_refused_with_a_code(served: Served) -> None:
    assert served.refusal("POST", "/spoof-checks", 415, content=b"no audio")[0] == "audio_unknown_format"
    assert served.refusal("POST", "/spoof-checks", 422, content=b"")[0] == "audio_empty"


def test_nobody_is_asked_unless_the_policy_says_so(served: Served) -> None:
    """A new tenant's verify and identify ask nobody; live calls tell, and decide nothing by it."""
    fresh = served.service.tenants.create("fresh").policy
    assert (fresh.verify_spoof, fresh.identify_spoof, fresh.live_spoof) == ("off", "off", "check")


def test_no_spoof_is_accepted(served: Served, ada: str) -> None:
    """Ada's voice, taken for a spoof: suspected, kept to be disputed, and after three such tries she is locked."""
    policy(served, verify_spoof="check")
    assert verified(served, ada, said())["outcome"] == "accept"
    found = verified(served, ada, said(SPOOF_GAIN))
    assert (found["outcome"], found["accepted"], found["spoof"]["outcome"]) == (
        "spoof_suspected",
        False,
        "spoof",
    )
    assert {"speaker", "spoof"} <= {part["name"] for part in found["parts"]}
    assert "pieces" not in found["spoof"]
    entry = acts(served, "verify.decided")[-1]
    assert (entry.outcome, entry.facts["spoof"]) == ("spoof_suspected", "spoof")
    assert served.call("GET", f"/decisions/{found['id']}")["outcome"] == "spoof_suspected"
    for _ in range(2):
        verified(served, ada, said(SPOOF_GAIN))
    assert served.refusal("POST", f"/people/{ada}/verifications", 429, content=said())[0] == "person_locked"
    served.call("DELETE", f"/people/{ada}/lock", 204)


def test_a_suspicious_voice_waits_for_a_person(served: Served, ada: str) -> None:
    """It is an item to review that says why; a reviewer's word holds from then on."""
    policy(served, verify_spoof="check")
    found = verified(served, ada, said(SUSPICIOUS_GAIN))
    assert (found["outcome"], found["spoof"]["outcome"]) == ("review", "suspicious")
    (item,) = served.call("GET", "/reviews", params={"state": "open"})["reviews"]
    assert item["about"]["decision_id"] == found["id"]
    assert item["about"]["spoof"]["outcome"] == "suspicious"
    assert "not sure that the voice is a live one" in item["reason"]
    served.call("POST", f"/reviews/{item['id']}/decide", json={"outcome": "confirmed", "note": "Called her."})
    assert served.call("GET", f"/decisions/{found['id']}")["standing"] == "accept"
    served.call("DELETE", f"/people/{ada}/lock", 204)


@pytest.mark.parametrize(
    ("wanted", "outcome", "asked"),
    [("off", "accept", False), ("check", "accept", True), ("strict", "review", True)],
)
def test_the_policy_says_what_becomes_of_what_cannot_be_told(
    served: Served, ada: str, wanted: str, outcome: str, asked: bool
) -> None:
    """A telephone's band: let in by the voice alone, flagged, or left to a person."""
    policy(served, verify_spoof=wanted)
    samples = load(clip("ada", 5)).samples
    narrow = soxr.resample(soxr.resample(samples, SAMPLE_RATE_HZ, 8_000), 8_000, SAMPLE_RATE_HZ)
    found = verified(served, ada, flac(narrow))
    assert found["outcome"] == outcome
    assert (found["spoof"] is not None) == asked
    if asked:
        assert found["spoof"]["outcome"] == "cannot_tell"
        assert "live" in found["reason"]
    served.call("DELETE", f"/people/{ada}/lock", 204)


def test_only_a_live_voice_is_named_where_the_policy_is_strict(served: Served, ada: str) -> None:
    """Else nobody is looked for, and the answer and the audit log say so; with `check` the verdict stands beside."""
    stated = {"identify_purpose": "Greeting members who called before"}
    policy(served, identify_spoof="strict", **stated)
    found = served.call("POST", "/identifications", content=said(SPOOF_GAIN))
    assert (found["candidates"], found["withheld"], found["spoof"]["outcome"]) == ([], True, "spoof")
    assert acts(served, "identify.searched")[-1].outcome == "refused:spoof_suspected"
    assert [
        one["person_id"] for one in served.call("POST", "/identifications", content=said())["candidates"]
    ] == [ada]
    policy(served, identify_spoof="check")
    found = served.call("POST", "/identifications", content=said(SPOOF_GAIN))
    assert ([one["person_id"] for one in found["candidates"]], found["spoof"]["outcome"]) == ([ada], "spoof")
    policy(served, identify_spoof="off")
    assert served.call("POST", "/identifications", content=said())["spoof"] is None


def test_verdicts_are_counted_by_purpose(served: Served) -> None:
    """Which fills the indicator of voices that pass."""
    served.call("POST", "/spoof-checks", content=said())
    text = served.http.get("/metrics").text
    assert 'voxid_indicator_available{indicator="spoof_pass_rate"} 1.0' in text
    assert 'voxid_spoof_verdicts_total{outcome="genuine",purpose="spoof-check"}' in text
    assert 'voxid_stage_seconds_count{stage="spoof"}' in text


def test_the_client_gives_verdicts_and_decisions_with_them(served: Served, ada: str) -> None:
    client = Client("http://testserver", served.key(roles=["admin"])["Authorization"][7:], http=served.http)
    check = client.check_spoof(said())
    assert (check.outcome, check.pieces[0].start_s < check.pieces[0].end_s) == ("genuine", True)
    with pytest.raises(TypeError, match="not true or false"):
        bool(check)
    client.change_policy(verify_spoof="check")
    decision = client.verify(ada, said(SUSPICIOUS_GAIN))
    assert decision.spoof is not None
    assert (bool(decision), decision.spoof.outcome) == (False, "suspicious")
