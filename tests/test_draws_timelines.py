"""A timeline becomes a page that plays and a drawing; hostile names stay text; nothing is loaded from outside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from voices import voice
from voxid.audio import Waveform, load
from voxid.errors import InputError
from voxid.picture import draw_html, draw_svg, write_html, write_svg
from voxid.picture.drawing import clock, shares, tick_step_s
from voxid.segments import Segment
from voxid.timeline import Timeline, Turn

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
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag in ("script", "style"):
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.scripts[-1] += data
        else:
            self.text.append(data)

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
    assert [one["class"] for one in page.of("path") if "class" in one] == ["both", "c0", "c1", "rest"]
    data = json.loads(page.scripts[1])
    assert data["turns"] == [[0.2, 2.0, 0], [1.5, 3.5, 1]]


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
    for button in page.of("button"):
        assert button.get("aria-label") or button.get("id") == "fit"
    assert page.of("html")[0]["lang"] == "en"
    assert 'setAttribute("aria-label", "Play " + label)' in page.scripts[2]
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
    assert [clock(at, tenths=True) for at in (0.04, 59.96, 3661.25)] == ["0:00.0", "1:00.0", "1:01:01.2"]
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
