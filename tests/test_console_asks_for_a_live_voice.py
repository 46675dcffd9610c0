"""The console's pages about live voices in a browser: a recording's verdict, and the proof of life."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="the detector of these tests is made by onnx")

import numpy as np
import soundfile
from scipy.signal import resample_poly

from console_pages import Console, running_console
from level_detector import write_detector
from served import clip
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.gallery import Consent
from voxid.recognize.challenges import keep_challenge
from voxid.service.policy import write_policy
from voxid.service.state import DEFAULT_TENANT, Tenant
from voxid.spoof.challenge import Challenge

MICROPHONE_HZ = 48_000
ANSWERS = Path(__file__).parent / "fixtures" / "answers"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Ada is enrolled; the microphone hears her say six digits, and then nothing for a while."""
    folder = tmp_path_factory.mktemp("live-voice")
    speech = load(ANSWERS / "ada_170296.opus").samples
    heard = np.concatenate([speech, np.zeros(20 * SAMPLE_RATE_HZ, np.float32)])
    wide = resample_poly(heard, MICROPHONE_HZ // SAMPLE_RATE_HZ, 1)
    soundfile.write(folder / "microphone.wav", wide, MICROPHONE_HZ, subtype="PCM_16")
    with running_console(folder, folder / "microphone.wav", write_detector(folder / "level")) as opened:
        clips: list[Any] = [clip("ada", 1), clip("ada", 2)]
        tenant_of(opened).gallery.enroll("Ada", clips, Consent({"verify"}, evidence="synthetic voice"))
        yield opened


def tenant_of(console: Console) -> Tenant:
    return console.service.tenants.get(DEFAULT_TENANT)


def asked_for(console: Console, page: Any, digits: str) -> str:
    """Ask Ada on the page, for these digits, as if chance had drawn them; return the id of the challenge."""
    ids: list[str] = []

    def draw(route: Any) -> None:
        asked = route.fetch().json()
        tenant, now = tenant_of(console), console.service.clock()
        with tenant.store.changing() as change:
            change.delete_document("challenge", asked["id"])
        drawn = Challenge(asked["id"], tuple(digits), Challenge.issue(now).expires_at)
        keep_challenge(tenant.store, asked["person_id"], drawn, now)
        ids.append(asked["id"])
        route.fulfill(status=201, json={**asked, "words": list(digits), "text": drawn.text})

    page.route("**/v1/challenges", draw)
    page.goto("/console/liveness")
    page.fill("#who", "ada")
    page.press("#who", "Enter")
    page.wait_for_selector("#challenge:not([hidden])")
    return ids[-1]


def test_a_recording_is_asked_whether_it_is_live(console: Console, tmp_path: Path) -> None:
    """The verdict with its sign, words, and pieces over time: of files, and of what the microphone hears."""
    soft = tmp_path / "soft.flac"
    soundfile.write(soft, 0.05 * load(clip("ada", 4)).samples, SAMPLE_RATE_HZ, subtype="PCM_24")
    with console.opened() as page:
        page.goto("/console/spoof")
        page.set_input_files("#file", str(clip("ada", 4)))
        page.wait_for_selector(".verdict.good:has(.mark:text('✓')) >> text=Sounds like a live human voice")
        assert page.locator("#result svg[role=img] rect.target").count() >= 1
        assert "LLR of each piece over time" in page.get_attribute("#result svg", "aria-label")
        page.set_input_files("#file", str(soft))
        page.wait_for_selector(".verdict.bad >> text=Suspected to be no live voice")
        assert page.locator("#result rect.spoofed").count() >= 1
        page.click(".record")
        page.wait_for_selector("text=about 2 s of speech")
        page.click("[aria-label='Stop recording']")
        page.wait_for_selector("#result .verdict:not(.bad)")
        assert page.locator("#result svg rect").count() >= 1


def test_a_verification_shows_the_verdict_once_it_is_asked_for(console: Console, tmp_path: Path) -> None:
    """Turned on in the settings; a fake voice is not let in, and a badge says why."""
    soft, tenant = tmp_path / "soft.flac", tenant_of(console)
    before = tenant.policy
    soundfile.write(soft, 0.05 * load(clip("ada", 3)).samples, SAMPLE_RATE_HZ, subtype="PCM_24")
    with console.opened() as page:
        page.goto("/console/settings")
        page.wait_for_selector("#policy:not([inert])")
        page.select_option("#verify-spoof", "check")
        page.click("#save")
        page.wait_for_selector("text=The policy was saved.")
        assert tenant.policy.verify_spoof == "check"
        page.goto("/console/check")
        page.wait_for_selector("#voice:not([inert])")
        page.fill("#who", "Ada")
        page.set_input_files("#file", str(soft))
        page.wait_for_selector(".verdict.bad >> text=Suspected to be no live voice")
        page.wait_for_selector(".badge.bad >> text=Suspected fake")
    kept = replace(before, version=tenant.policy.version)
    write_policy(tenant.store, kept, console.service.clock())


def test_a_person_proves_to_be_here(console: Console) -> None:
    """What is asked for stands large, a clock runs, the cursor is at the recorder; each part of the answer is named."""
    pytest.importorskip("pocketsphinx", reason="the extra challenge is not installed")
    with console.opened(width=400) as page:
        asked_for(console, page, "634986")
        assert page.inner_text("#text").split() == list("634986")
        assert re.fullmatch(r"1:00|0:[345]\d", page.inner_text("#clock"))
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Record the answer"
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.set_input_files("#file", str(ANSWERS / "ada_634986.opus"))
        page.wait_for_selector(".verdict.good >> text=Ada is here")
        assert page.locator(".parts li:has(.badge.good:text('holds'))").count() == 7
        assert page.is_visible("#asking")

        asked_for(console, page, "634986")
        page.set_input_files("#file", str(ANSWERS / "ada_634986.opus"))
        page.wait_for_selector(".verdict.bad >> text=Not proved")
        assert "does not hold" in page.inner_text("li:has-text('Not heard before')")

        drawn = asked_for(console, page, "634986")
        with tenant_of(console).store.changing() as change:
            change.delete_document("challenge", drawn)
        page.set_input_files("#file", str(ANSWERS / "ada_634986.opus"))
        page.wait_for_selector("li:has-text('First answer') >> text=does not hold")
        assert "not looked at" in page.inner_text("li:has-text('What was asked for')")


def test_an_answer_is_spoken_into_the_microphone(console: Console) -> None:
    """Started by a key where the cursor is, and looked at in every way."""
    pytest.importorskip("pocketsphinx", reason="the extra challenge is not installed")
    with console.opened() as page:
        asked_for(console, page, "170296")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=about 2 s of speech")
        page.wait_for_timeout(1500)
        page.keyboard.press("Enter")
        page.wait_for_selector(".parts li >> nth=6")
        for part in ("First answer", "In time", "Not heard before"):
            assert page.locator(f"li:has-text('{part}') .badge.good").count() == 1, part


def test_a_challenge_that_nobody_answers_ends(console: Console) -> None:
    """Its time is told, then it is over; so it is when it is cancelled, and nothing was sent."""
    pytest.importorskip("pocketsphinx", reason="the extra challenge is not installed")
    with console.opened() as page:
        page.clock.install()
        asked_for(console, page, "634986")
        page.clock.fast_forward(30_100)
        page.wait_for_selector("#warning:has-text('seconds left')", state="attached")
        page.clock.fast_forward(30_100)
        page.wait_for_selector(".verdict.warn >> text=The time is up")
        assert not page.is_visible("#challenge")
        page.click("#begin")
        page.click("#give-up")
        page.wait_for_selector(".verdict.warn >> text=Cancelled")
        page.fill("#who", "Nobody Known")
        page.click("#begin")
        page.wait_for_selector("text=Nobody called Nobody Known is enrolled.")
        assert page.get_attribute("#who", "aria-invalid") == "true"
