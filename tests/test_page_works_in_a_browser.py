"""The page in a real browser: keys, zoom, sound, review, corrections the library reads, narrow, dark, ten hours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from browser import Browser
from voices import voice
from voxid.audio import Waveform, load
from voxid.picture import write_html
from voxid.segments import Segment
from voxid.timeline import Correction, Suggestion, Timeline, Turn, read_corrections

LONG = "Maximiliane-Theodora " * 8


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Waveform]:
    """Eight seconds of a voice, as a file and as it is loaded."""
    import soundfile

    path = tmp_path_factory.mktemp("recording") / "team meeting.wav"
    soundfile.write(path, voice(8.0), 16_000)
    return path, load(path)


@pytest.fixture(scope="module")
def talk(recording: tuple[Path, Waveform]) -> Timeline:
    """Three people; one unsure turn, one suggested name, one overlap."""
    maybe = Suggestion("Dora", 1.2, 1.94)
    turns = (
        Turn(Segment(0.2, 2.0), "Anna", True, 5.5, 0.97),
        Turn(Segment(1.5, 3.0), "SPEAKER_00", confidence=0.7, suggestion=maybe),
        Turn(Segment(3.2, 4.4), "Bob", True, 2.5, 0.4),
        Turn(Segment(5.0, 7.5), "SPEAKER_00", confidence=0.8, suggestion=maybe),
    )
    return Timeline(turns, 8.0, "team meeting", recording[1].sha256)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def page(
    browser: Browser, talk: Timeline, recording: tuple[Path, Waveform], tmp_path: Path
) -> Iterator[Browser]:
    """The page of the talk, with its sound; it must cause no error and ask for nothing."""
    write_html(talk, recording[1], tmp_path / "talk.html")
    browser.open(tmp_path / "talk.html")
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == []


def selected(page: Browser) -> str:
    return str(page.run("document.getElementById('which').textContent"))


def focused(page: Browser) -> str:
    return str(page.run("document.activeElement.getAttribute('aria-label') || document.activeElement.id"))


def status(page: Browser) -> str:
    return str(page.run("document.getElementById('status').textContent"))


def test_arrows_step_from_turn_to_turn(page: Browser) -> None:
    """The turn is selected, focused and where the sound stands; the ends hold; Shift moves five seconds."""
    page.press("ArrowRight")
    assert selected(page) == "Anna, 0:00.2 to 0:02.0"
    assert focused(page) == "Play Anna, 0:00.2 to 0:02.0, 97% sure"
    page.press("ArrowRight")
    assert focused(page) == "Play SPEAKER_00, 0:01.5 to 0:03.0, 70% sure, needs review"
    assert page.run("document.getElementById('about').textContent") == (
        "Turn 2 of 4. 70% sure · may be Dora (LLR 1.2, a name needs 1.9) · together with Anna · needs review."
    )
    assert page.run("document.getElementById('sound').currentTime") == pytest.approx(1.5, abs=0.05)
    page.press(*["ArrowRight"] * 9)
    assert selected(page) == "SPEAKER_00, 0:05.0 to 0:07.5"
    page.press(*["ArrowLeft"] * 9)
    assert selected(page) == "Anna, 0:00.2 to 0:02.0"
    page.press("ArrowRight", shift=True)
    assert page.run("document.getElementById('time').textContent") == "0:05 / 0:08"
    assert selected(page) == "Anna, 0:00.2 to 0:02.0"


def test_one_stop_of_the_tab_key_for_all_turns(page: Browser) -> None:
    """Tab reaches everything in order; among the turns only the selected one, or the first."""
    seen = []
    for _ in range(8):
        page.press("Tab")
        seen.append(focused(page))
    assert seen[:5] == ["Play", "Zoom out", "fit", "Zoom in", "Play Anna, 0:00.2 to 0:02.0, 97% sure"]
    assert not any(name.startswith("Play ") for name in seen[5:])


def test_space_plays_and_pauses(page: Browser) -> None:
    """Wherever the focus is but in a text field or on another button; Enter on a turn plays from it."""
    page.press(" ")
    page.until("!document.getElementById('sound').paused")
    page.until("document.getElementById('play').getAttribute('aria-label') === 'Pause'")
    page.press(" ")
    page.until("document.getElementById('sound').paused")
    page.press("ArrowRight", "ArrowRight", " ")
    page.until("!document.getElementById('sound').paused")
    page.press(" ", "ArrowRight", "Enter")
    page.until(
        "document.getElementById('sound').currentTime >= 3.2 && !document.getElementById('sound').paused"
    )
    page.press(" ", "e", " ")
    assert page.run("document.getElementById('sound').paused")


def test_zoom_keeps_the_moment_in_view(page: Browser) -> None:
    """By + and -, and back by 0; the track grows beyond its frame, the page does not."""
    whole = page.run("document.getElementById('track').clientWidth")
    page.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "+", "+")
    assert page.run("document.getElementById('track').clientWidth") == pytest.approx(whole * 2.56, abs=3)
    assert page.run(
        "(() => { const [a, b] = ['cursor', 'scroll'].map(i => document.getElementById(i).getBoundingClientRect());"
        " return a.left >= b.left && a.right <= b.right; })()"
    )
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")
    page.press("-")
    assert page.run("document.getElementById('track').clientWidth") == pytest.approx(whole * 1.6, abs=3)
    page.press("0")
    assert page.run("document.getElementById('track').clientWidth") == whole


def test_overlaps_and_doubts_are_drawn(page: Browser) -> None:
    """A lane of its own and hatching on both turns; doubtful turns are hollow."""
    assert page.run("document.querySelectorAll('#both span').length") == 1
    assert page.run("document.querySelector('#both span').title") == "Anna and SPEAKER_00, 0:01.5 to 0:02.0"
    assert page.run(
        "[...document.querySelectorAll('.turn')].map(t => t.querySelectorAll('.hatch').length)"
    ) == [
        1,
        1,
        0,
        0,
    ]
    assert page.run(
        "[...document.querySelectorAll('.lane[role=group]')].map(l => l.getAttribute('aria-label'))"
    ) == [
        "Anna",
        "SPEAKER_00",
        "Bob",
    ]
    assert page.run("document.querySelectorAll('.turn.doubt').length") == 3
    assert page.run("document.querySelector('#names').innerText").split("\n")[:1] == ["Anna"]
    assert "Dora?" in page.run("document.querySelector('#names').innerText")


def test_r_marks_a_turn_as_reviewed(page: Browser) -> None:
    """Its item in the list is crossed out, n goes to what is left; r again takes it back."""
    assert page.run("document.querySelectorAll('#review li').length") == 2
    page.press("n", "n")
    assert selected(page).startswith("Bob")
    page.press("r")
    assert status(page) == "Marked as reviewed. 1 confirmed, not saved yet."
    assert focused(page) == "Play Bob, 0:03.2 to 0:04.4, 40% sure, reviewed"
    assert page.run("[...document.querySelectorAll('#review li')].map(l => l.className)") == ["done", ""]
    page.press("n", "n", "n")
    assert selected(page).startswith("SPEAKER_00")
    page.press("ArrowLeft", "r")
    assert selected(page).startswith("Bob")
    assert status(page) == "No longer marked as reviewed. Nothing to save."
    assert page.run("document.getElementById('save').disabled")


def test_corrections_are_saved_and_the_library_reads_them(
    page: Browser, talk: Timeline, tmp_path: Path
) -> None:
    """A turn renamed by typing, all turns of a stranger by the suggestion, one confirmed: applied, nothing is left."""
    page.keep_downloads(tmp_path / "saved")
    page.press("ArrowRight", "e")
    assert focused(page) == "name"
    page.press(*"Eva  <b>", "Enter")
    assert status(page) == "This turn is Eva <b> now. 1 corrected, not saved yet."
    assert focused(page) == "Play Eva <b>, 0:00.2 to 0:02.0, reviewed"
    page.press("ArrowRight")
    assert page.run("document.getElementById('name').value") == "Dora"
    assert page.run("document.getElementById('everyone').textContent") == "all 2 turns of SPEAKER_00"
    page.run("document.getElementById('all').click()")
    page.run("document.getElementById('rename').click()")
    page.run("document.getElementById('one').click()")
    page.press("ArrowRight", "r")
    assert page.run("document.querySelector('#names').innerText").startswith("Eva <b>\n0:02")
    assert page.run("document.querySelectorAll('#review li:not(.done)').length") == 0
    assert page.run("[...document.querySelectorAll('#rows tr')].map(r => r.cells[3].textContent)") == [
        "Eva <b>",
        "Dora",
        "Bob",
        "Dora",
    ]
    numbers = (
        "[...document.querySelectorAll('#rows tr')].map(r => r.cells[4].textContent + r.cells[5].textContent)"
    )
    assert page.run(numbers) == ["", "", "40%+2.5", ""]
    page.run("document.getElementById('save').click()")
    assert status(page) == "Saved 4 corrections."
    saved = tmp_path / "saved" / "team_meeting.corrections.json"
    for _ in range(100):
        if saved.exists():
            break
        page.run("new Promise(done => setTimeout(done, 50))")
    made = read_corrections(saved)
    assert made.uri == "team meeting"
    assert made.items == (
        Correction(Segment(0.2, 2.0), "Anna", "Eva <b>"),
        Correction(Segment(1.5, 3.0), "SPEAKER_00", "Dora"),
        Correction(Segment(3.2, 4.4), "Bob", "Bob"),
        Correction(Segment(5.0, 7.5), "SPEAKER_00", "Dora"),
    )
    fixed = made.apply(talk)
    assert fixed.speakers == ("Eva <b>", "Dora", "Bob")
    assert fixed.review() == ()


def test_undo_takes_back_one_step_at_a_time(page: Browser) -> None:
    """Names, marks and the lane all return."""
    page.press("ArrowRight", "e", *"Eva", "Enter", "ArrowRight", "r", "u")
    assert status(page) == "Undone. 1 corrected, not saved yet."
    page.press("u")
    assert status(page) == "Undone. Nothing to save."
    assert page.run("document.querySelector('.lane[role=group]').getAttribute('aria-label')") == "Anna"
    assert page.run("document.getElementById('undo').disabled")
    assert focused(page) == "Play SPEAKER_00, 0:01.5 to 0:03.0, 70% sure, needs review"


def test_keys_can_be_turned_off(page: Browser) -> None:
    """For who dictates or uses a screen reader; buttons do the same."""
    page.run("document.getElementById('shortcuts').click()")
    page.press("ArrowRight", "+", "r")
    assert selected(page) == "No turn selected"
    page.run("document.getElementById('after').click()")
    assert selected(page) == "Anna, 0:00.2 to 0:02.0"


def test_the_recording_can_be_given(
    browser: Browser, talk: Timeline, recording: tuple[Path, Waveform], tmp_path: Path
) -> None:
    """A page without sound plays the file it is given, and says when it is another one."""
    write_html(talk, recording[1], tmp_path / "silent.html", max_audio_bytes=0)
    browser.open(tmp_path / "silent.html")
    assert browser.run("document.getElementById('play').disabled")
    browser.choose_file("#recording", recording[0])
    browser.until("document.getElementById('given').textContent.includes('is the recording this page')")
    assert not browser.run("document.getElementById('play').disabled")
    browser.press(" ")
    browser.until("document.getElementById('play').getAttribute('aria-label') === 'Pause'")
    write_html(replace(talk, audio_sha256="0" * 64), None, tmp_path / "other.html")
    browser.open(tmp_path / "other.html")
    browser.choose_file("#recording", recording[0])
    browser.until("document.getElementById('given').textContent.includes('may not belong together')")
    assert browser.complaints() == []
    assert browser.requests() == []


def test_without_a_hash_nothing_is_saved(browser: Browser, talk: Timeline, tmp_path: Path) -> None:
    """Corrections of who knows what would be worth nothing; the page says so at once."""
    write_html(replace(talk, audio_sha256=None), None, tmp_path / "bare.html")
    browser.open(tmp_path / "bare.html")
    assert status(browser) == "This page does not know its recording, so corrections cannot be saved."
    browser.press("ArrowRight", "r")
    assert browser.run("document.getElementById('save').disabled")


@pytest.mark.parametrize("dark", [False, True])
def test_narrow_pages_do_not_overflow(browser: Browser, talk: Timeline, dark: bool, tmp_path: Path) -> None:
    """At 360 px, with the longest names, everything open: nothing but lanes and table scrolls sideways."""
    wide = talk.rename({"Anna": LONG, "Bob": "x" * 200})
    write_html(replace(wide, uri="y" * 200), None, tmp_path / "narrow.html")
    browser.open(tmp_path / "narrow.html", width=360)
    browser.resize(360, 800, dark)
    browser.press("ArrowRight", "r")
    browser.run("document.querySelector('details').open = true")
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    beyond = (
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, .wide, datalist')"
        " && e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.tagName + '#' + e.id)"
    )
    assert browser.run(beyond) == []
    assert browser.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(14, 17, 21)" if dark else "rgb(245, 247, 249)"
    )


def test_ten_hours_stay_workable(browser: Browser, tmp_path: Path) -> None:
    """12,000 turns: bars until one zooms in or steps, a short table, the rest said in words."""
    turns = tuple(
        Turn(Segment(at * 3.0, at * 3.0 + 2.5), f"SPEAKER_{at % 5:02}", confidence=0.5)
        for at in range(12_000)
    )
    write_html(Timeline(turns, 36_000.0, "long", "a" * 64), None, tmp_path / "long.html")
    browser.open(tmp_path / "long.html")
    assert browser.run("document.querySelectorAll('.turn').length") == 0
    assert not browser.run("document.getElementById('crowd').hidden")
    assert browser.run("document.querySelectorAll('.run').length") > 0
    assert browser.run("document.querySelectorAll('#rows tr').length") == 2000
    assert "And 10,000 more turns" in browser.run("document.querySelector('details').textContent")
    browser.press("ArrowRight", "ArrowRight", "r")
    assert selected(browser) == "SPEAKER_01, 0:03.0 to 0:05.5"
    browser.press(*["+"] * 9)
    assert 10 < browser.run("document.querySelectorAll('.turn').length") <= 801
    assert browser.run("document.getElementById('crowd').hidden")
    assert browser.complaints() == []


def test_data_of_the_page_is_what_it_was_made_from(page: Browser, talk: Timeline) -> None:
    """Colours of the waveform follow a new name: nobody's colour stays where nobody speaks any more."""
    before = page.run("[...document.querySelectorAll('#wave path')].map(p => p.getAttribute('class'))")
    assert sorted(before) == ["both", "c0", "c1", "c2", "rest"]
    page.press("ArrowRight", "e", *"Bob", "Enter")
    after = page.run("[...document.querySelectorAll('#wave path')].map(p => p.getAttribute('class'))")
    assert sorted(after) == ["both", "c1", "c2", "rest"]
    data = json.loads(page.run("document.getElementById('data').textContent"))
    assert data["audio_sha256"] == talk.audio_sha256


def test_a_file_that_cannot_be_played_is_said(browser: Browser, talk: Timeline, tmp_path: Path) -> None:
    """Text as the recording: a sentence, no error."""
    (tmp_path / "words.wav").write_text("no sound", encoding="ascii")
    write_html(talk, None, tmp_path / "bare.html")
    browser.open(tmp_path / "bare.html")
    browser.choose_file("#recording", tmp_path / "words.wav")
    browser.until("document.getElementById('given').textContent.includes('may not belong together')")
    browser.press(" ")
    browser.until("document.getElementById('given').textContent === 'This browser cannot play that file.'")
