"""The report page: one file that loads nothing, parses, says where the system is bad, and never runs what it shows."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from voxid.decision import ThresholdProfile
from voxid.errors import InputError
from voxid.evaluate import evaluate_scores, read_trials
from voxid.evaluate.attributes import read_attributes
from voxid.evaluate.cohorts import evaluate_cohorts
from voxid.evaluate.conditions import parse_conditions
from voxid.evaluate.findings import findings, unknowns
from voxid.evaluate.gates import check_gates, parse_gates
from voxid.evaluate.page import draw_page, write_page
from voxid.evaluate.study import ConditionResult, Provenance, Study
from voxid.evaluate.trials import TrialList
from voxid.evaluate.verification_report import Refusals, VerificationReport

EVIL = '<script>alert("x")</script>'
VOID = {"meta", "path", "circle", "rect"}


class Reader(HTMLParser):
    """Notes every tag, and that each is closed in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def trials(tmp_path: Path) -> TrialList:
    """20 people with four clips each, every pair."""
    paths = [f"wav/p{person:02d}/{clip}.wav" for person in range(20) for clip in range(4)]
    lines = [f"{int(a[:7] == b[:7])} {a} {b}\n" for i, a in enumerate(paths) for b in paths[i + 1 :]]
    (tmp_path / "trials.txt").write_text("".join(lines))
    return read_trials(tmp_path / "trials.txt")


def measured(trials: TrialList, spread: float = 1.5, seed: int = 0) -> VerificationReport:
    llrs = np.random.default_rng(seed).normal(0, spread, len(trials)) + np.where(trials.is_target, 3.0, -3.0)
    profiles = {"far_1pct": ThresholdProfile("far_1pct", 0.01, 0.5, None, 3_000, 3_000, 0.1)}
    made = evaluate_scores(trials, llrs, llrs=llrs, model_id="made@0123", profiles=profiles, resamples=40)
    return replace(made, refused=Refusals(80, 7, 1))


@pytest.fixture
def study(tmp_path: Path, trials: TrialList) -> Study:
    """Everything at once: conditions with curves, one of them empty, cohorts with a small one, a peer, provenance."""
    report = measured(trials)
    rows = "".join(f"p{n:02d}\t{'x' if n < 2 else 'f' if n < 11 else 'm'}\n" for n in range(20))
    (tmp_path / "s.tsv").write_text("speaker\tsex\n" + rows)
    tables = evaluate_cohorts(report, trials, read_attributes(tmp_path / "s.tsv", trials), resamples=40)
    wanted = parse_conditions("1s,2s,noise0,noise10,opus12,60s")
    spreads = (4.0, 3.0, 6.0, 2.0, 1.6)
    results = [
        ConditionResult(condition, replace(measured(trials, spread, 5), condition=condition.name), 100, None)
        for condition, spread in zip(wanted, spreads, strict=False)
    ]
    results[4] = replace(results[4], bit_rate_kbps=11.96)
    results.append(ConditionResult(wanted[5], None, len(trials)))
    origin = Provenance(
        "made@0123", {"model.onnx": "ab" * 32}, {"licence": "CC0", "unfit_for": EVIL}, "cd" * 32, "wav",
        ("rain.wav",), "ef" * 32, "2026-11-21T00:00:00+00:00", {"voxid": "0.1.0"}, "Linux x86_64",
    )  # fmt: skip
    bare = evaluate_scores(trials, report.scores, model_id="other", resamples=40)
    return Study(report, tuple(results), tables, (bare,), origin)


@pytest.fixture
def page(study: Study) -> str:
    return draw_page(study, check_gates(parse_gates(["eer>0.1", "cllr>1"]), study))


@pytest.fixture
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_loads_nothing_and_runs_nothing(page: str, read: Reader) -> None:
    """No script, link, image or frame; no address in a style; a policy that would refuse them."""
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "a", "form", "base"}
    for _, attributes in read.tags:
        assert not {"src", "href", "style", "background", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", page)
    policy = next(a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_the_page_has_light_dark_and_paper(page: str) -> None:
    """One style sheet for all three."""
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


def test_tables_and_drawings_can_be_heard(read: Reader) -> None:
    """Rows and columns have headings; drawings have names; the language is said."""
    assert ("html", {"lang": "en"}) in read.tags
    headings = [attributes for tag, attributes in read.tags if tag == "th"]
    assert headings
    assert sum(attributes.get("scope") in ("col", "row") for attributes in headings) == len(headings)
    drawings = [attributes for tag, attributes in read.tags if tag == "svg"]
    assert len(drawings) >= 5
    assert all(a.get("role") == "img" and a.get("aria-label") for a in drawings)
    assert [tag for tag, _ in read.tags if tag in ("h1", "h2", "h3")][0] == "h1"  # noqa: RUF015


def test_an_auditor_finds_what_to_ask_for(study: Study, read: Reader) -> None:
    """Model, hashes, date, versions, counts, intervals, small groups, gates with their verdict."""
    words = " ".join(read.text.split())
    eer = study.report.metrics["eer"]
    for wanted in (
        "made@0123", "ab" * 32, "cd" * 32, "2026-11-21T00:00:00+00:00", "rain.wav", "voxid 0.1.0", "3,160 trials",
        f"{100 * eer.value:.2f} % [{100 * eer.low:.2f}, {100 * eer.high:.2f}]", "too few", "20 speakers",  # type: ignore[operator]
        "12.0 kb/s measured", "Failed.", "Passed.", "Where it is bad", "What these trials cannot show",
    ):  # fmt: skip
        assert wanted in words, wanted


def test_what_it_shows_is_text(page: str, trials: TrialList) -> None:
    """Names of lists, models and values cannot become markup."""
    assert EVIL not in page
    named = replace(measured(trials), trial_list=EVIL, model_id=EVIL)
    assert EVIL not in draw_page(Study(named))


def test_a_bare_study_has_a_page_too(trials: TrialList) -> None:
    """Scores without LLRs, conditions, cohorts or provenance."""
    scores = np.random.default_rng(0).normal(0, 1, len(trials)) + 2 * trials.is_target
    page = draw_page(Study(evaluate_scores(trials, scores, model_id="other", resamples=10)))
    assert "Conditions</h2>" not in page
    assert "other gives no calibrated LLRs" in page


def test_what_is_bad_is_said_in_words(study: Study) -> None:
    """The worst condition first; a threshold that lets too many pass; probes refused."""
    said = findings(study)
    worse = [sentence for sentence in said if "times that of the clean probes" in sentence]
    assert worse[0].startswith("Noise at 0 dB: EER ")
    assert not any(sentence.startswith("Opus") and "times that" in sentence for sentence in said)
    assert "; far_1pct, set for 1 %, lets " in worse[0]
    assert (
        "10.0 % of the 80 probes would not be compared by a verification: 7 hold too little speech, 1 are too"
        in (" ".join(said))
    )
    silent = unknowns(study)
    assert "Too few to state a rate, of sex: x (2 people)." in silent
    assert "No trial has enough speech for the condition 60s." in silent


def test_a_good_system_has_nothing_bad_made_up(trials: TrialList) -> None:
    """Calibrated Gaussian LLRs at an honest threshold: no sentence."""
    rng = np.random.default_rng(1)
    llrs = np.where(trials.is_target, 6.0, -6.0) + rng.normal(0, np.sqrt(12.0), len(trials))
    profiles = {"far_1pct": ThresholdProfile("far_1pct", 0.01, 3.0, None, 3_000, 3_000, 0.1)}
    report = evaluate_scores(trials, llrs, llrs=llrs, model_id="good", profiles=profiles, resamples=40)
    assert findings(Study(report)) == []
    assert "Nothing measured here stands out" in draw_page(Study(report))


def test_a_page_that_cannot_be_written_is_said_to_be_so(tmp_path: Path, study: Study) -> None:
    """With the path."""
    with pytest.raises(InputError, match=r"Cannot write the page .*no/such/page\.html") as caught:
        write_page(study, tmp_path / "no" / "such" / "page.html")
    assert caught.value.code == "output_unwritable"
