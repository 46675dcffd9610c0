"""Reports: numbers with N and intervals beside them, protocols apart, pictures, and no claim without trials."""

from __future__ import annotations

import builtins
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from voxid.decision import ThresholdProfile
from voxid.errors import ConfigError, InputError
from voxid.evaluate import (
    VerificationReport,
    evaluate_diarization_set,
    evaluate_identification_embeddings,
    evaluate_scores,
    look_up,
    read_trials,
    render,
    write_json,
)
from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.claims import bound_one, bound_zero, smallest_rate, support_sentence, supports
from voxid.evaluate.plots import plot_det, write_plots
from voxid.timeline import Segment, Timeline, Turn


def verification(
    folder: Path, name: str = "ours@1", *, shift: float = 2.0, calibrated: bool = True
) -> VerificationReport:
    paths = [f"p{person}/{clip}.wav" for person in range(8) for clip in range(4)]
    lines = [
        f"{int(a.split('/')[0] == b.split('/')[0])} {a} {b}\n"
        for i, a in enumerate(paths)
        for b in paths[i + 1 :]
    ]
    (folder / "trials.txt").write_text("".join(lines))
    trials = read_trials(folder / "trials.txt")
    scores = np.random.default_rng(0).normal(0, 1, len(trials)) + shift * trials.is_target
    profiles = {"far_1pct": ThresholdProfile("far_1pct", 0.01, 2.5, None, 10, 10, 0.1)}
    return evaluate_scores(
        trials,
        scores,
        model_id=name,
        llrs=2 * scores - 2 if calibrated else None,
        profiles=profiles,
        resamples=50,
    )


def shown(*reports: Any, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(list(reports)))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_rule_of_three() -> None:
    """0.01 % needs 30,000 non-target trials, not one less."""
    assert supports(0.0001, 30_000)
    assert not supports(0.0001, 29_999)
    assert smallest_rate(300) == pytest.approx(0.01)
    assert smallest_rate(0) == smallest_rate(2) == 1.0
    assert "no FAR below 0.01 % is claimed (rule of 3), and below 0.1 %" in support_sentence(30_000)


def test_bounds_only_where_no_error_was_seen() -> None:
    """An interval that resampling could make is left alone."""
    assert bound_zero(Estimate(0.0, 0.0, 0.0), 100) == Estimate(0.0, 0.0, 0.03)
    assert bound_zero(Estimate(0.0), 100) == Estimate(0.0, 0.0, 0.03)
    assert bound_zero(Estimate(0.1, 0.05, 0.2), 100) == Estimate(0.1, 0.05, 0.2)
    assert bound_one(Estimate(1.0, 1.0, 1.0), 100) == Estimate(1.0, 0.97, 1.0)
    assert bound_one(Estimate(0.9, 0.8, 1.0), 100) == Estimate(0.9, 0.8, 1.0)


def test_tables_show_counts_intervals_and_systems_side_by_side(tmp_path: Path) -> None:
    """One table per list, a column per system, the number of trials in the title."""
    ours, other = verification(tmp_path), verification(tmp_path, "other", shift=1.0, calibrated=False)
    text = shown(ours, other)
    assert "496 trials, 48 targets, 448 non-targets, 8 speakers, enrolled with 1 utterance" in text
    assert text.count("minDCF") == 1
    assert "ours@1" in text
    assert f"{100 * ours.metrics['eer'].value:.2f} [" in text
    assert "[low, high] is the 95 % interval; speakers resampled 50 times (seed 0)." in text
    assert "no FAR below 0.67 % is claimed (rule of 3)" in text
    assert "other gives no calibrated LLRs" in text
    assert "FRR % at FAR 1 %" in text
    assert "FRR % at FAR 0.1 %" not in text


def test_lists_are_not_mixed(tmp_path: Path) -> None:
    """Reports of two lists are two tables."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert shown(verification(tmp_path / "a"), verification(tmp_path / "b")).count("minDCF") == 2


def test_diarization_table_keeps_protocols_apart() -> None:
    """Three rows, three numbers, and no number without its protocol."""
    truth = Timeline((Turn(Segment(0, 8), "a"), Turn(Segment(6, 10), "b")), 10.0, "talk")
    found = Timeline((Turn(Segment(0, 10), "A"),), 10.0, "talk")
    text = shown(evaluate_diarization_set({"talk": truth}, {"talk": found}))
    for title in ("collar 0 s, overlap", "collar .25 s, overlap", "collar .25 s, no overlap"):
        assert text.count(title) == 1
    assert "compare a DER only with one of its own protocol" in text
    assert "One recording: no interval exists." in text


def test_json_of_one_report_is_an_object_and_of_several_a_list(tmp_path: Path) -> None:
    """Written files read back as the reports' own dictionaries."""
    report = verification(tmp_path)
    write_json([report], tmp_path / "one.json")
    write_json([report, report], tmp_path / "two.json")
    assert json.loads((tmp_path / "one.json").read_text()) == report.to_dict()
    assert json.loads((tmp_path / "two.json").read_text()) == [report.to_dict()] * 2
    with pytest.raises(InputError, match="Cannot write the report") as caught:
        write_json([report], tmp_path / "none" / "x.json")
    assert caught.value.code == "output_unwritable"


def test_draws_pictures(tmp_path: Path) -> None:
    """DET, score distribution and identification are PNG files of a sensible size."""
    pytest.importorskip("matplotlib", reason="pictures need the plot extra")
    perfect = verification(tmp_path, "perfect", shift=20.0)
    made = write_plots(verification(tmp_path), tmp_path / "plots")
    made.append(
        plot_det([verification(tmp_path, calibrated=False), perfect], tmp_path / "plots" / "both.png")
    )
    made += write_plots(perfect, tmp_path / "perfect")
    (tmp_path / "enrol.txt").write_text("".join(f"m{p} p{p}/0\n" for p in range(8)))
    lines = [f"m{p} p{q}/1 {'target' if p == q else 'nontarget'}\n" for p in range(8) for q in range(8)]
    (tmp_path / "trials3.txt").write_text("".join(lines))
    trials = read_trials(tmp_path / "trials3.txt", tmp_path / "enrol.txt")
    vectors = {
        path: np.random.default_rng(n).normal(0, 1, 4).astype(np.float32)
        for n, path in enumerate(trials.utterances)
    }
    identified = evaluate_identification_embeddings(trials, look_up(vectors), model_id="x", resamples=10)
    made += write_plots(identified, tmp_path / "plots")
    assert [path.name for path in made] == [
        "det.png", "scores.png", "both.png", "det.png", "scores.png", "identification.png"
    ]  # fmt: skip
    for path in made:
        content = path.read_bytes()
        assert content[:4] == b"\x89PNG"
        assert len(content) > 15_000


def test_says_how_to_get_the_plot_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib there is a sentence, not an ImportError."""
    report = verification(tmp_path)
    real_import = builtins.__import__

    def without_matplotlib(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ConfigError, match=r"Plots need matplotlib.*pip install 'voxid\[plot\]'") as caught:
        plot_det([report], tmp_path / "det.png")
    assert caught.value.code == "plot_extra_missing"


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """An unknown ending is refused with the endings that work."""
    pytest.importorskip("matplotlib", reason="pictures need the plot extra")
    with pytest.raises(InputError, match=r"Cannot write the picture .*\.xyz") as caught:
        plot_det([verification(tmp_path)], tmp_path / "det.xyz")
    assert caught.value.code == "output_unwritable"
