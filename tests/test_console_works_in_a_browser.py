"""The console in a real browser: sign in, enroll by microphone, verify, correct a turn, erase; keys, narrow, dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from console_pages import Console, running_console
from served import clip, talk_of
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.audit.statements import SignedStatement
from voxid.gallery import Consent
from voxid.service.state import DEFAULT_TENANT

MICROPHONE_HZ = 48_000
ALL = {"verify", "identify", "diarize-name"}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("console")
    pause = np.zeros(SAMPLE_RATE_HZ // 4, np.float32)
    speech = np.concatenate(
        [part for number in (1, 2) for part in (load(clip("clara", number)).samples, pause)]
    )
    wide = resample_poly(speech / np.abs(speech).max() * 0.6, MICROPHONE_HZ // SAMPLE_RATE_HZ, 1)
    soundfile.write(folder / "microphone.wav", wide, MICROPHONE_HZ, subtype="PCM_16")
    with running_console(folder, folder / "microphone.wav") as opened:
        gallery = opened.service.tenants.get(DEFAULT_TENANT).gallery
        clips: list[Any] = [clip("ada", 1), clip("ada", 2)]
        gallery.enroll("Ada", clips, Consent(ALL, evidence="synthetic voice"))
        yield opened


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ada, then somebody nobody knows, then Ada again."""
    path = tmp_path_factory.mktemp("talk") / "Weekly call.flac"
    path.write_bytes(talk_of(("ada", 3), ("bruno", 1), ("ada", 4)))
    return path


def test_a_wrong_key_is_refused_in_words(console: Console) -> None:
    """The sentence of the service stands beside the field, and the field is marked."""
    with console.opened(signed_in=False) as page:
        page.goto("/console/people")
        page.fill("#key", "vxk_default_0123456789ab_wrong")
        page.press("#key", "Enter")
        page.wait_for_selector("#refused:not([hidden])")
        assert "not valid here" in page.inner_text("#refused")
        assert page.get_attribute("#key", "aria-invalid") == "true"
        page.expected("401")


def test_nothing_can_be_used_before_its_script_listens(console: Console) -> None:
    """However late the script comes: no click is lost, no form goes off by itself; then the field has the cursor."""
    with console.opened(signed_in=False) as page:
        held: list[Any] = []
        page.route("**/static/sign_in.js", lambda route: held.append(route))
        page.goto("/console/sign-in", wait_until="commit")
        page.wait_for_selector("main[inert] #go")
        place = page.locator("#go").bounding_box()
        page.mouse.click(place["x"] + 5, place["y"] + 5)
        page.keyboard.press("Enter")
        page.wait_for_timeout(100)
        assert page.url.endswith("/console/sign-in")
        assert page.evaluate("document.activeElement === document.body")
        held[0].continue_()
        page.wait_for_selector("main:not([inert])")
        assert page.evaluate("document.activeElement.id") == "key"


def test_a_page_that_did_not_arrive_whole_says_so(console: Console) -> None:
    """A script that is missing leaves nothing that looks as if it worked."""
    with console.opened() as page:
        page.route("**/static/health.js", lambda route: route.abort())
        page.goto("/console/people")
        page.wait_for_selector("#unloaded:has-text('Reload it')")
        assert page.locator("main[inert]").count() == 1
        page.expected("ERR_FAILED")


def test_without_scripts_the_page_says_that_it_needs_them(console: Console) -> None:
    """And what needs none can still be followed."""
    with console.opened(signed_in=False, scripts=False) as page:
        page.goto("/console/people")
        assert "needs JavaScript" in page.inner_text("noscript")
        assert page.locator("main[inert]").count() == 1


def test_a_person_is_enrolled_by_microphone_and_verified(console: Console) -> None:
    """Consent, sentences spoken and sent as files, voiceprint, verified; what was heard before is not taken again."""
    with console.opened() as page:
        page.click("text=Enroll a person")
        page.fill("#name", "Clara Beispiel")
        page.fill("#signer", "Clara Beispiel")
        page.check("#agreed")
        page.click("#begin")
        page.wait_for_selector("#step-speech:not([hidden])")
        assert page.is_disabled("#finish")
        page.click(".record")
        page.wait_for_selector(".badge.good:has-text('Sounds good')")
        page.wait_for_selector("text=about 6 s of speech")
        page.click("[aria-label='Stop recording']")
        page.wait_for_selector("#utterances tr:nth-child(1) >> text=Clear")
        page.set_input_files("#file", [str(clip("clara", 3)), str(clip("clara", 4))])
        page.wait_for_selector("#finish:enabled")
        page.click("#finish")
        page.wait_for_selector("#enrolled")
        page.click("text=See the person")
        page.wait_for_selector("#references td >> nth=8")
        assert "electronic signature" in page.inner_text("#consent")

        page.click("text=Verify and identify")
        page.wait_for_selector("#profile option >> nth=0", state="attached")
        page.fill("#who", "Clara Beispiel")
        page.set_input_files("#file", str(clip("clara", 5)))
        page.wait_for_selector(".verdict.good >> text=Accepted")
        page.click(".record")
        page.wait_for_selector("text=about 4 s of speech")
        page.click("[aria-label='Stop recording']")
        page.wait_for_selector(".verdict >> text=heard before")
        page.expected("409")


def test_a_turn_is_corrected_on_its_timeline(console: Console, talk: Path) -> None:
    """Sent, heard, listened to from the user's own file, then corrected, cut, joined and undone by keyboard."""
    with console.opened() as page:
        page.click("nav >> text=Recordings")
        page.set_input_files("#file", str(talk))
        page.click("#begin")
        page.click("a:has-text('Weekly call')")
        page.wait_for_selector("#acts a >> nth=5")
        assert page.inner_text("h1") == "Weekly call"
        first = page.locator(".turn").count()

        page.set_input_files("#recording", str(talk))
        page.wait_for_selector("#given >> text=is the recording this timeline was made from")
        page.wait_for_selector("#board:not(.bare)")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#which").startswith("SPEAKER_00")
        page.keyboard.press("e")
        page.keyboard.type("Ada")
        page.keyboard.press("Enter")
        page.wait_for_selector("#which:has-text('Ada')")
        assert page.inner_text("#status") == "This turn is Ada now."

        page.locator(".turn.selected").focus()
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowLeft")
        page.evaluate("viewer.go(viewer.selected().start + 1, false)")
        page.keyboard.press("s")
        page.wait_for_selector("#status:has-text('cut in two')")
        assert page.locator(".turn").count() == first + 1
        page.keyboard.press("m")
        page.wait_for_selector("#status:has-text('are one')")
        assert page.locator(".turn").count() == first
        for _ in range(3):
            page.locator(".turn").first.focus()
            page.keyboard.press("u")
            page.wait_for_selector("#status:has-text('Undone')")
            page.evaluate("document.getElementById('status').textContent = ''")
        page.wait_for_selector("#names >> text=SPEAKER_00")
        assert page.is_disabled("#undo")

        page.keyboard.press(" ")
        page.wait_for_selector("#play[aria-label='Pause']")
        page.keyboard.press(" ")
        page.wait_for_selector("#play[aria-label='Play']")


def test_a_person_is_erased_after_typing_the_name(console: Console) -> None:
    """The button works only when the name is typed; then the person is gone and a signed receipt is left."""
    gallery = console.service.tenants.get(DEFAULT_TENANT).gallery
    clips: list[Any] = [clip("dev", 1), clip("dev", 2)]
    gallery.enroll("Dev Muster", clips, Consent(ALL, evidence="synthetic voice"))
    with console.opened() as page:
        page.fill("#search", "muster")
        page.click("a.name:has-text('Dev Muster')")
        page.wait_for_selector("#history td")
        page.click("button:has-text('Erase this person')")
        page.fill("#typed", "Dev")
        assert page.is_disabled("dialog button[type=submit]")
        page.fill("#typed", "Dev Muster")
        page.press("#typed", "Enter")
        page.wait_for_selector("#erased")
        with page.expect_download() as taken:
            page.click("text=Save the receipt")
        receipt = SignedStatement.from_dict(json.loads(Path(taken.value.path()).read_text(encoding="utf-8")))
        assert receipt.holds(gallery.stored()[0].audit().public_key)
        page.click("text=Back to the people")
        page.wait_for_selector("td >> text=Ada")
        assert page.locator("text=Dev Muster").count() == 0
    assert gallery.stored()[0].find("Dev Muster") is None


def test_consent_is_withdrawn_as_easily_as_given(console: Console) -> None:
    """One purpose, then everything: the voiceprint is gone, the history says so."""
    gallery = console.service.tenants.get(DEFAULT_TENANT).gallery
    clips: list[Any] = [clip("stranger", 1)]
    gallery.enroll("Gast", clips, Consent(ALL, evidence="synthetic voice"))
    with console.opened() as page:
        page.goto(f"/console/people/{gallery.get('Gast').id}")
        page.click("[aria-label='Withdraw: Identify among all']")
        page.click("dialog >> text=Withdraw >> nth=-1")
        page.wait_for_selector("#history tr:nth-child(2)")
        page.wait_for_selector("#consent:not(:has-text('Identify among all'))")
        with page.expect_download() as taken:
            page.click("text=Signed receipt")
        receipt = json.loads(Path(taken.value.path()).read_text(encoding="utf-8"))
        assert SignedStatement.from_dict(receipt).holds(gallery.stored()[0].audit().public_key)
        page.click("text=Withdraw everything")
        page.click("dialog >> text=Withdraw >> nth=-1")
        page.wait_for_selector("#health >> text=No voiceprint")
    assert gallery.get("Gast").voiceprints == ()


def test_pages_fit_a_phone_and_name_every_control(console: Console) -> None:
    """At 360 pixels nothing is wider than the screen; every field and button says what it is; one main heading each."""
    nameless = """Array.from(document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea'))
      .filter((one) => one.checkVisibility() && one.getAttribute('aria-hidden') !== 'true')
      .filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim() || (one.labels && one.labels.length)))
      .map((one) => one.outerHTML.slice(0, 120))"""
    with console.opened(width=360, dark=True) as page:
        paths = page.eval_on_selector_all(
            "nav a", "links => links.map((link) => new URL(link.href).pathname)"
        )
        assert len(paths) >= 5
        for path in paths:
            page.goto(path)
            page.wait_for_selector("main:not([inert])")
            page.wait_for_timeout(250)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
            assert page.locator("h1").count() == 1, path
            assert page.evaluate(nameless) == [], path
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 22)", path


def test_the_keyboard_reaches_content_and_menu(console: Console) -> None:
    """The first tab stop leads past the navigation; the menu of narrow screens opens and closes by key."""
    with console.opened(width=500) as page:
        page.reload()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#page"
        page.focus("#menu")
        page.keyboard.press("Enter")
        assert page.is_visible("nav")
        page.keyboard.press("Escape")
        assert not page.is_visible("nav")
        assert page.evaluate("document.activeElement.id") == "menu"


def test_the_microphone_is_resampled_without_seams(console: Console) -> None:
    """Block by block, a tone within the band comes out as it went in; one above it is gone (below -60 dB)."""
    script = """async ([from, hz]) => {
      const { Resampler } = await import('/console/static/resample.js');
      const resampler = new Resampler(from), given = [];
      for (let block = 0; block < 20; block++) {
        const phase = (n) => (2 * Math.PI * hz * (block * 1024 + n)) / from;
        const input = Float32Array.from({ length: 1024 }, (_, n) => Math.sin(phase(n)));
        given.push(...resampler.push(input));
      }
      given.push(...resampler.flush());
      return given;
    }"""
    with console.opened() as page:
        for rate_hz in (48_000, 44_100):
            tone = np.array(page.evaluate(script, [rate_hz, 1_000]))
            wanted = np.sin(2 * np.pi * 1_000 * np.arange(len(tone)) / SAMPLE_RATE_HZ)
            assert abs(len(tone) - 20 * 1024 * SAMPLE_RATE_HZ / rate_hz) < 2
            np.testing.assert_allclose(tone[200:-200], wanted[200:-200], atol=2e-3)
            beyond = np.array(page.evaluate(script, [rate_hz, 9_500]))
            assert np.abs(beyond[200:-200]).max() < 1e-3
