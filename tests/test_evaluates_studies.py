"""From the command line: conditions, cohorts, page and gates on the sample voices, in one run."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voxid.cli import main

VOICES = Path(str(files("voxid") / "data" / "voices"))
PEOPLE = ("ada", "bruno", "clara", "dev", "stranger")
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `voxid evaluate verification` on five voices with --json, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    clips = [f"{name}/{number:02d}.opus" for name in PEOPLE for number in (1, 2, 3)]
    lines = [
        f"{int(a.split('/')[0] == b.split('/')[0])} {a} {b}\n"
        for i, a in enumerate(clips)
        for b in clips[i + 1 :]
    ]
    Path("trials.txt").write_text("".join(lines))
    Path("speakers.tsv").write_text("speaker\tkind\n" + "".join(f"{name}\tmade\n" for name in PEOPLE))
    Path("noise").mkdir()
    soundfile.write("noise/hiss.wav", np.random.default_rng(0).normal(0, 0.05, 80_000), 16_000)

    def run_json(*arguments: str) -> tuple[int, dict[str, Any]]:
        given = ["--trials", "trials.txt", "--audio-root", str(VOICES), "--cache", "cache", "--json"]
        code = main(["evaluate", "verification", *given, *arguments])
        return code, json.loads(capsys.readouterr().out)

    return run_json


def test_one_run_measures_conditions_and_cohorts_and_writes_the_page(run: Run) -> None:
    """The same numbers in JSON and on the page; a second run reads its cache."""
    asked = (
        "--conditions", "telephone", "--durations", "1", "--snrs", "5", "--noise", "noise",
        "--cohorts", "speakers.tsv", "--html", "page.html", "--fail-if", "eer>99", "--report", "report.json",
    )  # fmt: skip
    code, told = run(*asked)
    assert code == 0
    assert [entry["condition"] for entry in told["conditions"]] == ["telephone", "1s", "noise5"]
    assert all(entry["report"]["trials"] == told["trials"] for entry in told["conditions"])
    assert {entry["report"]["condition"] for entry in told["conditions"]} == {"telephone", "1s", "noise5"}
    assert [table["attribute"] for table in told["cohorts"]] == [
        "kind",
        "seconds of speech",
        "SNR",
        "channel",
    ]
    assert told["cohorts"][0]["cohorts"][0]["targets"] == told["targets"]
    assert told["gates"][0]["failed"] is False
    assert told["provenance"]["model"] == told["model"]
    assert told["refused"]["probes"] == 14
    page = Path("page.html").read_text(encoding="utf-8")
    assert f"{100 * told['eer']['value']:.2f} %" in page
    stored = json.loads(Path("report.json").read_text(encoding="utf-8"))
    assert stored["conditions"] == told["conditions"]
    degraded = sorted(Path("cache/degraded").rglob("*.flac"))
    before = [path.stat().st_mtime_ns for path in degraded]
    again = run(*asked)[1]
    assert again["conditions"] == told["conditions"]
    assert [path.stat().st_mtime_ns for path in degraded] == before


def test_a_broken_gate_ends_with_exit_code_1(run: Run) -> None:
    """And the sentence is in the JSON."""
    code, told = run("--fail-if", "auc<101", "--fail-if", "eer>99")
    assert code == 1
    assert [gate["failed"] for gate in told["gates"]] == [True, False]
    assert told["gates"][0]["sentence"].startswith("Gate 'auc<101' fails: auc is ")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--fail-if", "sense>5"], "gate_metric_unknown"),
        (["--fail-if", "noise5:eer>5"], "gate_condition_unmeasured"),
        (["--fail-if", "frr_disparity@sex>2", "--cohorts", "speakers.tsv"], "gate_attribute_unmeasured"),
        (["--conditions", "rain"], "condition_unknown"),
        (["--snrs", "5"], "noise_missing"),
        (["--conditions", "babble5"], "babble_needs_voices"),
        (["--durations", "one"], "condition_unknown"),
        (["--cohorts", "none.tsv"], "cohorts_missing"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(
    run: Run, arguments: list[str], error: str
) -> None:
    """Exit code 2, one error, nothing embedded."""
    code, told = run(*arguments)
    assert (code, told["error"]) == (2, error)
    assert not Path("cache").exists()


def test_without_json_the_tables_name_conditions_and_gates(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person reads the same."""
    monkeypatch.setenv("COLUMNS", "160")
    code = main(
        ["evaluate", "verification", "--trials", "trials.txt", "--audio-root", str(VOICES), "--durations", "1",
         "--fail-if", "eer>99", "--cohorts", "speakers.tsv"]
    )  # fmt: skip
    told = capsys.readouterr().out
    assert code == 0
    assert "1 s of speech" in told
    assert "Gate 'eer>99' passes" in told
    assert "By kind" in told
