"""A timeline becomes a page that plays and a drawing; hostile names stay text; nothing is loaded from outside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from voices import voice
from voxid.audio import Waveform, load
from voxid.errors import ConfigError, InputError
from voxid.picture import draw_html, draw_svg, write_html, write_png, write_svg
from voxid.picture.drawing import shares, tick_step_s
from voxid.segments import Segment, clock
from voxid.timeline import ReviewPolicy, Suggestion, Timeline, Turn

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></script><svg onload=alert(1)>",
    "{policy}{script}%s",
    "&lt;b&gt; ' \" <!-- ]]>",
)


def turn(start_s: float, end_s: float, speaker: str, named: bool = False) -> Turn:
    return Turn(Segment(start_s, end_s), speaker, named, 5.5 if named else None)


@pytest.fixture(scope="module")
def talk() -> tuple[Timeline, Waveform]:
    """Four seconds of two people who overlap for half a second."""
    turns = (turn(0.2, 2.0, "Anna", named=True), turn(1.5, 3.5, "SPEAKER_00"))
    return Timeline(turns, 4.0, "meeting"), load((voice(4.0), 16_000))


class Page(HTMLParser):
    """Elements and attributes of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.text: list[str] = []
        self.names: list[str] = []  # of buttons: their label, else their text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "button":
            self.names.append(dict(attrs).get("aria-label") or "")
        if tag in ("script", "style"):
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.scripts[-1] += data
        else:
            self.text.append(data)
        if self._inside == "button" and not self.names[-1]:
            self.names[-1] = data.strip()

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_page_shows_people_turns_and_shares(talk: tuple[Timeline, Waveform]) -> None:
    """Names, times, shares and the table are there without any script running."""
    page = Page(draw_html(*talk))
    text = " ".join(page.text)
    for expected in (
        "meeting",
        "Anna",
        "SPEAKER_00",
        "0:04 long · 2 speakers",
        "0.5 s of it at the same time",
    ):
        assert expected in text
    assert "0:02 · 47%" in text
    assert "0:02 · 53%" in text
    assert len(page.of("tr")) == 3
    assert "0.5 s together with SPEAKER_00" in text
    assert [one["class"] for one in page.of("path") if "class" in one] == ["both", "c0", "c1", "rest"]
    data = json.loads(page.scripts[1])
    assert data["turns"] == [
        {"start": 0.2, "end": 2.0, "who": 0, "llr": 5.5},
        {"start": 1.5, "end": 3.5, "who": 1},
    ]
    assert data["audio_sha256"] == talk[1].sha256


def test_page_lists_what_needs_review() -> None:
    """With the reason, also where no script runs; what nobody doubts has no list."""
    maybe = Suggestion("<b>Dora", 1.2, 1.94)
    turns = (
        Turn(Segment(0, 1), "Bob", True, 3.0, 0.4),
        Turn(Segment(1, 2), "SPEAKER_00", confidence=0.9, suggestion=maybe),
        Turn(Segment(2, 3), "Bob", True, 3.0, 0.2, reviewed=True),
    )
    timeline = Timeline(turns, 4.0)
    page = Page(draw_html(timeline, None))
    text = " ".join(page.text)
    assert "Needs review (2)" in text
    assert "Only 40% sure that this is Bob; under 60%, listen and decide." in text
    assert "SPEAKER_00 may be <b>Dora: the LLR is 1.2, a name needs 1.9, so it was not applied" in text
    assert [one["data-turn"] for one in page.of("li") if "data-turn" in one] == ["0", "1"]
    assert [turn.get("doubt") for turn in json.loads(page.scripts[1])["turns"]] == [True, True, None]
    strict = Page(draw_html(timeline, None, policy=ReviewPolicy(0.95)))
    assert "Needs review (3)" in " ".join(strict.text)
    calm = draw_html(Timeline((turn(0, 1, "Bob"),), 4.0), None)
    assert "Needs review" not in calm


def test_long_lists_end_with_a_sentence() -> None:
    """A page of very many turns lists the first and says how many are left."""
    turns = tuple(Turn(Segment(at, at + 1), "Bob", confidence=0.1) for at in range(2500))
    page = Page(draw_html(Timeline(turns, 2500.0), None))
    assert len(page.of("tr")) == 2001
    text = " ".join(page.text)
    assert "And 500 more turns; --csv writes all of them." in text
    assert "Needs review (2,500)" in text
    assert "And 2,300 more: N takes you to each." in text


def test_page_holds_the_sound(talk: tuple[Timeline, Waveform]) -> None:
    """The embedded MP3 is the recording, in place within 10 ms."""
    timeline, waveform = talk
    source = Page(draw_html(timeline, waveform)).of("audio")[0]["src"] or ""
    kind, encoded = source.split(",", 1)
    assert kind == "data:audio/mpeg;base64"
    heard = load(base64.b64decode(encoded))
    assert heard.duration_s == pytest.approx(4.0, abs=0.05)
    part = waveform.samples[16_000:32_000]
    lags = [float(part @ heard.samples[16_000 + lag : 32_000 + lag]) for lag in range(-400, 400)]
    assert abs(int(np.argmax(lags)) - 400) <= 160


def test_sound_over_the_cap_is_left_out_and_said(talk: tuple[Timeline, Waveform]) -> None:
    """No sound, a disabled button and a sentence; likewise without a recording."""
    timeline, waveform = talk
    page = Page(draw_html(timeline, waveform, max_audio_bytes=1000))
    assert page.of("audio") == []
    assert "disabled" in next(one for one in page.of("button") if one.get("id") == "play")
    assert "would take more than" in " ".join(page.text)
    assert page.of("path")[1:]
    bare = Page(draw_html(timeline, None))
    assert bare.of("audio") == []
    assert "made without the recording" in " ".join(bare.text)


def test_policy_allows_its_own_script_and_nothing_else(talk: tuple[Timeline, Waveform]) -> None:
    """Script and style run by their hashes; there is no handler, no inline style, no address."""
    html = draw_html(*talk)
    page = Page(html)
    policy = next(one["content"] for one in page.of("meta") if "http-equiv" in one) or ""
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    for text in (page.scripts[0], page.scripts[2]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    for _tag, attributes in page.elements:
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        assert not {"href", "action", "srcset"} & set(attributes)
    assert not re.search(r"https?://(?!www\.w3\.org)", html)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str, talk: tuple[Timeline, Waveform]) -> None:
    """A speaker or recording called like markup adds no element and no attribute."""
    plain = Page(draw_html(Timeline((turn(0, 1, "x", named=True),), 4.0, "y"), None))
    page = Page(draw_html(Timeline((turn(0, 1, name, named=True),), 4.0, name), None))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert [set(attributes) for _, attributes in page.elements] == [
        set(attributes) for _, attributes in plain.elements
    ]
    assert json.loads(page.scripts[1])["speakers"] == [name]
    assert page.scripts[2] == plain.scripts[2]
    assert name in page.text
    root = ET.fromstring(draw_svg(Timeline((turn(0, 1, name),), 4.0, name), talk[1]))
    assert name[:17] in "".join(root.itertext())
    assert not [one for one in root.iter() if one.tag.endswith(("script", "img", "foreignObject"))]


def test_controls_have_names(talk: tuple[Timeline, Waveform]) -> None:
    """Every button says what it does to a screen reader; the script labels each turn."""
    page = Page(draw_html(*talk))
    assert page.names
    assert all(page.names)
    labelled = {one.get("for") for one in page.of("label")}
    assert {"name"} <= labelled
    assert all(
        one.get("id") in labelled or one.get("type") in ("radio", "checkbox") for one in page.of("input")
    )
    assert page.of("html")[0]["lang"] == "en"
    assert 'setAttribute("aria-label", "Play " + text)' in page.scripts[2]
    assert "prefers-color-scheme:dark" in page.scripts[0]


def test_svg_has_a_bar_per_region(talk: tuple[Timeline, Waveform]) -> None:
    """Bars stand where the turns are, in the colour of the lane; times run along the axis."""
    timeline, waveform = talk
    root = ET.fromstring(draw_svg(timeline, waveform))
    space = "{http://www.w3.org/2000/svg}"
    lane = next(one for one in root.iter(f"{space}rect") if one.get("class") == "lane")
    left, width = float(lane.get("x", "")), float(lane.get("width", ""))
    for name, (start_s, end_s) in (("c0", (0.2, 2.0)), ("c1", (1.5, 3.5))):
        bar = next(one for one in root.iter(f"{space}rect") if one.get("class") == name)
        assert float(bar.get("x", "")) == pytest.approx(left + width * start_s / 4, abs=0.1)
        assert float(bar.get("width", "")) == pytest.approx(width * (end_s - start_s) / 4, abs=0.1)
    assert "Anna 0:02" in (root.get("aria-label") or "")
    assert {"0:00.0", "0:04.0"} <= {one.text for one in root.iter(f"{space}text")}
    without = ET.fromstring(draw_svg(timeline, None))
    assert float(without.get("height", "")) < float(root.get("height", ""))


def test_stills_show_overlap_and_doubt() -> None:
    """A lane of overlaps, dashed bars for what needs review, and the words for both; else neither."""
    turns = (
        Turn(Segment(0, 2), "Anna", True, 5.0, 0.9),
        Turn(Segment(1, 3), "Bob", True, 5.0, 0.4),
        Turn(Segment(3, 4), "Bob", True, 5.0, 0.9),
    )
    root = ET.fromstring(draw_svg(Timeline(turns, 4.0), None))
    drawn = [one.get("class") for one in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert drawn == ["paper", "lane", "c0", "lane", "c1", "o1", "lane", "both"]
    text = "".join(root.itertext())
    assert "1.0 s of it at the same time · dashed: needs review" in text
    assert "at the same time0:01.0" in text
    calm = draw_svg(Timeline(turns[:1], 4.0), None)
    assert "dashed" not in calm
    assert "at the same time" not in calm
    strict = ET.fromstring(draw_svg(Timeline(turns[:1], 4.0), None, policy=ReviewPolicy(0.95)))
    assert [one.get("class") for one in strict.iter("{http://www.w3.org/2000/svg}rect")][-1] == "o0"


def test_png_is_written(talk: tuple[Timeline, Waveform], tmp_path: Path) -> None:
    """With and without the recording, for nobody, and for names that are mathematics to matplotlib."""
    pytest.importorskip("matplotlib", reason="matplotlib is an extra: pip install 'voxid[plot]'")
    odd = Timeline((turn(0, 1, "$x_{1"), turn(0.5, 2, "\\frac$$")), 4.0, "$\\alpha")
    for number, (timeline, waveform) in enumerate(
        (talk, (talk[0], None), (Timeline((), 3.0), None), (odd, None))
    ):
        path = tmp_path / f"{number}.picture"
        write_png(timeline, waveform, path)
        head = path.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(head[16:20], "big") == 1800
    with pytest.raises(InputError) as caught:
        write_png(*talk, tmp_path / "no" / "a.png")
    assert caught.value.code == "output_unwritable"


def test_more_speakers_than_a_picture_has_lanes() -> None:
    """The caption says how many are left out."""
    turns = tuple(Turn(Segment(at, at + 1), f"p{at:02d}") for at in range(26))
    assert "2 more speakers not drawn" in draw_svg(Timeline(turns, 26.0, "crowd"), None)
    assert "not drawn" not in draw_svg(Timeline(turns[:24], 26.0, "crowd"), None)


def test_png_without_matplotlib(
    talk: tuple[Timeline, Waveform], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coded error that says what to install, and what needs nothing."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError) as caught:
        write_png(*talk, tmp_path / "a.png")
    assert caught.value.code == "plot_extra_missing"
    assert caught.value.message.endswith("pip install 'voxid[plot]', or write SVG, which needs nothing.")
    assert list(tmp_path.iterdir()) == []


def test_nobody_and_many() -> None:
    """An empty timeline and one of 40 people are drawn too."""
    empty = Timeline((), 3.0)
    assert "nobody speaks" in draw_svg(empty, None)
    assert "nobody speaks" in draw_html(empty, load((np.zeros(48_000, np.float32), 16_000)))
    crowd = Timeline(tuple(turn(at, at + 1, f"SPEAKER_{at:02}") for at in range(40)), 40.0)
    assert len(json.loads(Page(draw_html(crowd, None)).scripts[1])["speakers"]) == 40
    ET.fromstring(draw_svg(crowd, None))


def test_shares_and_clock() -> None:
    """Shares add up to one with overlap; times are rounded once."""
    timeline = Timeline((turn(0, 3, "a"), turn(2, 3, "b")), 3.0)
    assert shares(timeline) == {"a": 0.75, "b": 0.25}
    assert shares(Timeline((), 1.0)) == {}
    assert [clock(at) for at in (0, 59.6, 3599.4, 3600, 86_399)] == [
        "0:00",
        "1:00",
        "59:59",
        "1:00:00",
        "23:59:59",
    ]
    assert [clock(at, tenths=True) for at in (0.04, 59.96, 3599.96)] == ["0:00.0", "1:00.0", "1:00:00.0"]
    for duration_s in (0.1, 4, 30, 600, 3600, 12 * 3600):
        assert duration_s / tick_step_s(duration_s) <= 12.5


def test_files_are_written(talk: tuple[Timeline, Waveform], tmp_path: Path) -> None:
    """To the place asked for; a place that cannot be written is said."""
    write_html(*talk, tmp_path / "a.html")
    write_svg(*talk, tmp_path / "a.svg")
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == draw_svg(*talk)
    for write in (write_html, write_svg):
        with pytest.raises(InputError) as caught:
            write(*talk, tmp_path / "no" / "a")
        assert caught.value.code == "output_unwritable"
