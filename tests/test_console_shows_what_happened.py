"""The console's other pages in a browser: unknown people, reviews, audit, scores, live, operations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from console_pages import Console, running_console
from served import clip, talk_of
from synthetic_people import person, put
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.gallery import Consent
from voxid.service.state import DEFAULT_TENANT, Tenant

MICROPHONE_HZ = 48_000
PEOPLE = ("ada", "bruno", "clara", "dev")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("console")
    speech = load(clip("bruno", 3)).samples
    wide = resample_poly(speech / np.abs(speech).max() * 0.6, MICROPHONE_HZ // SAMPLE_RATE_HZ, 1)
    soundfile.write(folder / "microphone.wav", wide, MICROPHONE_HZ, subtype="PCM_16")
    with running_console(folder, folder / "microphone.wav") as opened:
        for name in PEOPLE:
            clips: list[Any] = [clip(name, 1), clip(name, 2)]
            consent = Consent({"verify", "identify", "diarize-name"}, evidence="synthetic voice")
            tenant_of(opened).gallery.enroll(name.capitalize(), clips, consent)
        bundle = tenant_of(opened).gallery.bundle
        put(tenant_of(opened).store, person("Zoe", 7, bundle_id=bundle.id, dim=bundle.dim))
        yield opened


def tenant_of(console: Console) -> Tenant:
    return console.service.tenants.get(DEFAULT_TENANT)


def test_a_voice_kept_without_a_name_is_named(console: Console, tmp_path: Path) -> None:
    """A recording sent with grounds leaves a voice; naming it puts the name on the timeline as well."""
    talk = tmp_path / "Interview.flac"
    talk.write_bytes(talk_of(("ada", 3), ("stranger", 1), ("stranger", 2), ("ada", 4)))
    with console.opened() as page:
        page.click("nav >> text=Recordings")
        page.click("summary")
        page.fill("#basis", "Minutes of the board, legitimate interest")
        page.set_input_files("#file", str(talk))
        page.click("#begin")
        page.wait_for_selector("a:has-text('Interview')")
        page.click("nav >> text=Unknown people")
        page.click("button:has-text('This is')")
        page.fill("#name", "Gast Muster")
        page.fill("#evidence", "signed form 3")
        page.press("#evidence", "Enter")
        page.wait_for_selector("#notes >> text=is Gast Muster now")
        page.click("nav >> text=Recordings")
        page.click("a:has-text('Interview')")
        page.wait_for_selector("#names >> text=Gast Muster")


def test_a_voice_is_identified_once_a_purpose_is_stated(console: Console) -> None:
    """Before, the page says that it is off; after, the best candidate stands above."""
    with console.opened() as page:
        page.goto("/console/check")
        page.click("text=Identify >> nth=-1")
        page.wait_for_selector("#identify-off >> text=no purpose was stated")
        page.click("nav >> text=Settings")
        page.wait_for_selector("#verify-profile option >> nth=0", state="attached")
        page.fill("#purpose", "Greeting members who called before")
        page.click("#save")
        page.wait_for_selector("#notes >> text=saved")
        page.click("nav >> text=Verify and identify")
        page.wait_for_selector("#profile option >> nth=0", state="attached")
        page.click("text=Identify >> nth=-1")
        page.set_input_files("#file", str(clip("bruno", 4)))
        page.wait_for_selector(".verdict.good >> text=Bruno")


def test_a_dispute_is_raised_and_decided(console: Console) -> None:
    """From the decision's own page into the queue, and out of it with a reason."""
    with console.opened() as page:
        page.goto("/console/check")
        page.wait_for_selector("#profile option >> nth=0", state="attached")
        page.fill("#who", "ada")
        page.set_input_files("#file", str(clip("ada", 5)))
        page.click("button:has-text('Dispute this result')")
        page.fill("#statement", "That was not me.")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("#notes >> text=under review")
        page.click("nav >> text=Reviews")
        page.wait_for_selector("text=“That was not me.”")
        page.click("button:has-text('Uphold the result')")
        page.fill("#note", "Listened to it with her.")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("text=Nothing is waiting")


def test_an_entry_of_the_log_is_proved_in_the_browser(console: Console) -> None:
    """Path and signature of an entry are checked by the page; the whole log by the service."""
    with console.opened() as page:
        page.goto(f"/console/people/{tenant_of(console).gallery.get('Ada').id}")
        page.click("text=What was done")
        page.wait_for_selector("#list >> text=consent.given")
        page.click("text=show all")
        page.fill("#find", "person.enrolled")
        page.click("button:has-text('Details') >> nth=-1")
        page.wait_for_selector("dialog >> text=Proved")
        assert page.locator("dialog >> text=Wrong").count() == 0
        page.click("dialog button[type=submit]")
        page.click("#verify")
        page.wait_for_selector("#verified >> text=Whole")
        broken = page.evaluate(
            """async () => {
              const { isIn, isSigned } = await import('/console/static/proof.js');
              const proof = await (await fetch('/v1/audit/events/2/proof')).json();
              const other = { ...proof, entry: proof.entry.replace('done', 'DONE') };
              const longer = { ...proof.head, size: proof.head.size + 1 };
              return [await isIn(proof), await isIn(other), await isSigned(longer)];
            }"""
        )
        assert broken[:2] == [True, False]
        assert broken[2] in (False, None)


def test_a_call_is_followed_from_the_microphone(console: Console) -> None:
    """Somebody who agreed to be named is named while speaking; at the end the turns are told as a whole."""
    with console.opened() as page:
        page.click("nav >> text=Live call")
        page.click("#start")
        page.wait_for_selector("#turns td >> text=Bruno")
        page.click("#stop")
        page.wait_for_selector("#state >> text=Ended")
        assert page.locator("#turns >> text=final").count() >= 1


def test_a_key_is_made_and_revoked(console: Console) -> None:
    """Its text is shown once; afterwards it stands in the list as revoked."""
    with console.opened() as page:
        page.click("nav >> text=Settings")
        page.click("#make")
        page.fill("#label", "Gateway")
        page.check("dialog input[name=operator]")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("#key-text:has-text('vxk_default_')")
        page.click("tr:has-text('Gateway') >> button:has-text('Revoke')")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("tr:has-text('Gateway') >> text=Revoked")


def test_a_call_goes_on_after_its_connection_broke(console: Console) -> None:
    """What was not received is sent again: the timeline is as long as everything that was said."""
    script = """async () => {
      const { Call } = await import('/console/static/socket.js');
      const states = [], until = (test) => new Promise((done) => {
        const timer = setInterval(() => { if (test()) { clearInterval(timer); done(); } }, 20);
      });
      let whole = null;
      const take = (message) => { if (message.type === 'timeline') whole = message.duration_s; };
      const call = new Call({ names: false }, take, (word) => states.push(word));
      const say = (seconds) => { for (let n = 0; n < seconds * 10; n++) call.put(new Float32Array(1600)); };
      await until(() => call.live);
      say(2);
      call.socket.close();
      await until(() => !call.live);
      say(2);
      await until(() => call.live);
      say(1);
      call.end();
      await until(() => states.includes('over'));
      return [states, whole];
    }"""
    with console.opened() as page:
        states, whole_s = page.evaluate(script)
        assert states == ["connecting", "live", "broken", "connecting", "live", "ending", "over"]
        assert whole_s == pytest.approx(5.0, abs=0.05)


def test_a_list_is_made_and_a_recording_gone_through(console: Console) -> None:
    """Who does not consent is not put on it; a hit leads to the reviews, which are told who."""
    gallery = tenant_of(console).gallery
    gallery.renew_consent("Dev", Consent({"verify", "watchlist"}, evidence="synthetic voice"))
    with console.opened() as page:
        page.click("nav >> text=Watchlists")
        page.wait_for_selector("text=No watchlist")
        page.fill("#title", "Call back")
        page.fill("#purpose", "Calling back, on their own wish (form 9)")
        page.click("#make")
        for name in ("Clara", "dev"):
            page.click("button:has-text('Put somebody on it')")
            page.fill("#person-name", name)
            page.fill("#reason", "asked for a call back")
            page.click("dialog button[type=submit]")
            page.wait_for_selector("#alerts >> text=no consent" if name == "Clara" else "td >> text=Dev")
        page.expected("403")
        page.set_input_files("#list input[type=file]", str(clip("dev", 4)))
        page.wait_for_selector("text=1 hit among 1 person")
        page.click("text=to the reviews")
        page.wait_for_selector("h2:has-text('Hit of a watchlist')")
        page.click("button:has-text('It is not Dev')")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("text=Nothing is waiting")
        page.click("nav >> text=Recordings")
        page.wait_for_selector("#watchlist option >> text=Call back", state="attached")
        page.click("nav >> text=Watchlists")
        page.click("[aria-label='Take off Dev']")
        page.wait_for_selector("text=Nobody is on it")
        page.click("[aria-label='Delete Call back']")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("text=No watchlist")


def test_what_was_given_is_written_into_the_ledger(console: Console) -> None:
    """On the page of everybody and on a person's own; each shows what the other wrote."""
    with console.opened() as page:
        page.click("nav >> text=Disclosures")
        page.wait_for_selector("text=Nothing was given to anybody")
        page.click("#write")
        page.fill("#person-name", "clara")
        page.fill("#recipient", "Police of Cork")
        page.fill("#what", "timeline of 3 May")
        page.fill("#basis", "warrant 4711")
        page.click("dialog button[type=submit]")
        page.click("#list a:has-text('Clara')")
        page.wait_for_selector("#disclosures >> text=warrant 4711")
        page.click("#disclose")
        page.fill("#recipient", "City Court")
        page.fill("#what", "voiceprints")
        page.fill("#basis", "order 12/26")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("#disclosures >> text=City Court")


def test_two_records_are_joined_after_a_look_and_a_warning(console: Console) -> None:
    """What would be left is shown first; it takes typing the name of the one that goes."""
    gallery = tenant_of(console).gallery
    clips: list[Any] = [clip("bruno", 3), clip("bruno", 5)]
    consent = Consent({"verify", "watchlist"}, evidence="synthetic voice")
    gallery.enroll("B. Rossi", clips, consent, allow_duplicate=True)
    with console.opened() as page:
        page.goto(f"/console/people/{gallery.get('Bruno').id}")
        page.click("button:has-text('Same person as')")
        page.fill("#person-name", "B. Rossi")
        page.press("#person-name", "Enter")
        page.wait_for_selector("dialog >> text=This cannot be undone")
        page.wait_for_selector("#left >> text=Sound alike")
        assert "Identify among all, Name in recordings, Watchlist" in page.inner_text("#left")
        assert gallery.get("B. Rossi").voiceprints
        assert page.is_disabled("dialog button[type=submit]")
        page.fill("#typed", "B. Rossi")
        page.press("#typed", "Enter")
        page.wait_for_selector("#notes >> text=is part of Bruno now")
        page.wait_for_selector("#history >> text=Merged")
    assert len(gallery.get("Bruno").voiceprints) == 4


def test_figures_of_the_gallery_and_the_service_are_shown(console: Console) -> None:
    """Distributions once there are enough people; rates, stages and readiness as Prometheus reads them."""
    with console.opened() as page:
        page.click("nav >> text=Scores")
        page.wait_for_selector("#own svg[role=img] path.nontarget")
        assert page.locator("#thresholds tbody tr").count() >= 1
        page.click("nav >> text=Operations")
        page.wait_for_selector(".tiles >> text=Ready")
        page.wait_for_selector("td >> text=embed")
