"""Detection of spoofs: costs against loops, errors counted by hand, protocols and scores read or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxid.cli.app import main
from voxid.errors import InputError
from voxid.evaluate.metrics import det_curve
from voxid.evaluate.spoof import apcer_at, evaluate_spoof_scores, with_thresholds
from voxid.evaluate.spoof_costs import (
    ADCF,
    TDCF,
    WORST_VERIFIER,
    VerifierRates,
    min_adcf,
    min_adcf_behind,
    min_tdcf,
    verifier_rates,
)
from voxid.evaluate.spoof_protocol import SpoofScores, SpoofTrials, read_protocol, read_spoof_scores
from voxid.evaluate.spoof_report import SpoofReport

PROTOCOL = """path,label,generator,family,corpus,licence
g/1.wav,genuine,,,page,CC0
g/2.wav,genuine,,,page,CC0
g/3.wav,bonafide,,,other,CC0
g/4.wav,genuine,,,other,CC0
s/1.wav,spoof,WORLD,vocoder,page,CC0
s/2.wav,spoof,WORLD,vocoder,page,CC0
s/3.wav,spoof,espeak,formant,page,CC0
s/4.wav,spoof,,formant,third,CC0
"""
SCORES = {"g/1.wav": 3.0, "g/2.wav": 2.0, "g/3.wav": 1.0, "g/4.wav": -1.0,
          "s/1.wav": 2.5, "s/2.wav": 0.5, "s/3.wav": -2.0, "s/4.wav": -3.0}  # fmt: skip


@pytest.fixture
def trials(tmp_path: Path) -> SpoofTrials:
    return read_protocol(written(tmp_path, "protocol.csv", PROTOCOL))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def scores_file(folder: Path) -> Path:
    return written(folder, "ours.txt", "".join(f"{path} {score}\n" for path, score in SCORES.items()))


def report_of(
    trials: SpoofTrials, folder: Path, thresholds: tuple[float, float] | None = None
) -> SpoofReport:
    scored = read_spoof_scores(scores_file(folder), trials)
    return evaluate_spoof_scores(
        trials, with_thresholds(scored, thresholds) if thresholds else scored, resamples=20
    )


def drawn(seed: int, *means: float) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.round(rng.normal(mean, 1.0, 60), 1) for mean in means]  # rounded: ties


def test_min_tdcf_is_that_of_a_loop_over_thresholds() -> None:
    """C0 + C1 Pmiss + C2 Pfa over its default, at every threshold, as the evaluation plan states it."""
    genuine, spoof = drawn(1, 1.0, -0.5)
    verifier = VerifierRates(frr=0.03, far=0.02, spoof_far=0.4)
    c0 = TDCF.p_target * TDCF.c_miss * 0.03 + TDCF.p_nontarget * TDCF.c_nontarget * 0.02
    c1 = TDCF.p_target * TDCF.c_miss - c0
    c2 = TDCF.p_spoof * TDCF.c_spoof * 0.4
    costs = [
        (c0 + c1 * np.mean(genuine < t) + c2 * np.mean(spoof >= t)) / (c0 + min(c1, c2))
        for t in [*np.unique(np.concatenate([genuine, spoof])), np.inf]
    ]
    assert float(min_tdcf(det_curve(genuine, spoof), verifier)[0]) == pytest.approx(min(costs))


def test_min_adcf_is_that_of_a_loop_over_thresholds() -> None:
    """Three weighted error rates at every threshold, over the cheaper of accepting and rejecting everybody."""
    target, nontarget, spoof = drawn(2, 2.0, -1.0, 1.0)
    best = min(
        0.9 * np.mean(target < t) + 0.05 * 10 * np.mean(nontarget >= t) + 0.05 * 20 * np.mean(spoof >= t)
        for t in [*np.unique(np.concatenate([target, nontarget, spoof])), np.inf]
    )
    assert min_adcf(target, nontarget, spoof) == pytest.approx(best / min(0.9, 0.5 + 1.0))


def test_adcf_behind_a_verifier_counts_both_gates() -> None:
    """Whoever the detector stops is rejected; the verifier errs on the others."""
    genuine, spoof = drawn(3, 1.5, -0.5)
    verifier = VerifierRates(frr=0.1, far=0.05, spoof_far=0.7)
    best = np.inf
    for t in [*np.unique(np.concatenate([genuine, spoof])), np.inf]:
        stopped, passed = np.mean(genuine < t), np.mean(spoof >= t)
        missed = 1.0 - (1.0 - stopped) * 0.9
        cost = 0.9 * missed + 0.05 * 10 * (1 - stopped) * 0.05 + 0.05 * 20 * passed * 0.7
        best = min(best, cost / 0.9)
    assert float(min_adcf_behind(det_curve(genuine, spoof), verifier)[0]) == pytest.approx(best)


def test_costs_of_the_extremes() -> None:
    """A perfect detector leaves only the verifier's own errors; one that says nothing costs 1."""
    perfect = det_curve([2.0, 3.0], [-1.0, 0.0])
    blind = det_curve([1.0, 1.0], [1.0, 1.0])
    assert float(min_tdcf(blind, WORST_VERIFIER)[0]) == pytest.approx(1.0)
    floor = TDCF.p_target * 0.01 + TDCF.p_nontarget * 10 * 0.01
    assert float(min_tdcf(perfect, WORST_VERIFIER)[0]) == pytest.approx(floor / (floor + 0.5))
    assert float(min_adcf_behind(perfect, VerifierRates(0.0, 0.0, 1.0))[0]) == 0.0
    assert TDCF.p_target + TDCF.p_nontarget + TDCF.p_spoof == pytest.approx(1.0)
    assert ADCF.p_target + ADCF.p_nontarget + ADCF.p_spoof == pytest.approx(1.0)


def test_rates_of_a_verifier_are_counted_and_checked() -> None:
    rates = verifier_rates([1.0, 3.0], [0.0, 2.0, -1.0, -2.0], [2.5, 0.0], threshold=2.0)
    assert (rates.frr, rates.far, rates.spoof_far, rates.assumed) == (0.5, 0.25, 0.5, False)
    with pytest.raises(InputError, match="expected each from 0 to 1"):
        VerifierRates(1.2, 0.0, 0.0)
    with pytest.raises(InputError, match="costs more than turning everybody away"):
        min_tdcf(det_curve([1.0], [0.0]), VerifierRates(1.0, 1.0, 1.0))


def test_apcer_is_read_at_the_highest_threshold_that_keeps_the_bpcer() -> None:
    curve = det_curve([0.0, 1.0, 2.0, 3.0], [-1.0, 0.5, 1.5, 2.5])
    for bpcer, expected in ((0.0, 0.75), (0.25, 0.5), (0.3, 0.5), (0.5, 0.25)):
        apcer, threshold = apcer_at(curve, bpcer)
        assert float(apcer[0]) == expected
        assert np.mean(np.asarray([0.0, 1.0, 2.0, 3.0]) < threshold[0]) <= bpcer


def test_rates_are_those_counted_by_hand(trials: SpoofTrials, tmp_path: Path) -> None:
    """Verdicts by the thresholds 0 and 1.5: two genuine called genuine, one suspicious, one spoof."""
    report = report_of(trials, tmp_path, (0.0, 1.5))
    assert report.outcomes["genuine"] == {"genuine": 2, "suspicious": 1, "spoof": 1, "cannot_tell": 0}
    assert report.outcomes["spoof"] == {"genuine": 1, "suspicious": 1, "spoof": 2, "cannot_tell": 0}
    assert report.bpcer is not None
    assert report.bpcer.value == 0.25
    assert report.apcer is not None
    assert report.apcer.value == 0.25
    assert report.metrics["eer"].value == pytest.approx(0.25)
    assert report.own is not None
    assert report.own.share == pytest.approx(0.25)


def test_every_generator_is_named_and_the_worst_is_first(trials: SpoofTrials, tmp_path: Path) -> None:
    report = report_of(trials, tmp_path, (0.0, 1.5))
    assert {species.generator for species in report.species} == {"WORLD", "espeak", "unnamed"}
    assert report.worst.generator == "WORLD"
    assert report.worst.apcer is not None
    assert report.worst.apcer.value == 0.5
    assert report.worst.apcer.high is not None
    assert report.worst.apcer.high > 0.95


def test_corpora_are_measured_against_all_and_against_their_own_genuine_speech(
    trials: SpoofTrials, tmp_path: Path
) -> None:
    groups = {(group.kind, group.name): group for group in report_of(trials, tmp_path).groups}
    page, third = groups["corpus", "page"], groups["corpus", "third"]
    assert page.eer_within is not None
    assert (page.genuine, page.spoofs) == (4, 3)
    assert third.eer_within is None
    assert third.eer is not None
    assert ("corpus", "other") not in groups
    assert groups["family", "formant"].spoofs == 2


def test_a_family_left_out_is_compared_with_what_its_own_model_scored(tmp_path: Path) -> None:
    """Genuine rows with a family stand only against that family: the two models have different scales."""
    rows = ["path,label,generator,family"]
    lines = ["path,score,family"]
    for family, shift in (("tts", 0.0), ("vc", 100.0)):
        rows += [f"g{n},genuine,,{family}" for n in range(5)] + [
            f"{family}{n},spoof,{family},{family}" for n in range(5)
        ]
        lines += [f"g{n},{shift + 1},{family}" for n in range(5)] + [
            f"{family}{n},{shift},{family}" for n in range(5)
        ]
    trials = read_protocol(written(tmp_path, "left_out.csv", "\n".join(rows)))
    scored = read_spoof_scores(written(tmp_path, "scores.csv", "\n".join(lines)), trials)
    report = evaluate_spoof_scores(trials, scored, resamples=10)
    assert [group.eer.value for group in report.groups if group.eer] == [0.0, 0.0]
    assert [species.eer for species in report.species] == [0.0, 0.0]
    assert report.metrics["eer"].value > 0.3
    assert report.metrics["eer_families"].value == 0.0
    assert "left-out families" in " ".join(report.notes)


def test_the_least_sure_are_set_aside_first(tmp_path: Path) -> None:
    """Errors lie near 0: with them gone, none is left; what could not be measured goes before everything."""
    rng = np.random.default_rng(0)
    genuine = np.concatenate([np.full(40, 5.0) + rng.random(40), np.full(10, -0.1)])
    spoof = np.concatenate([np.full(40, -5.0) - rng.random(40), np.full(8, 0.1), np.full(2, np.nan)])
    rows = "".join(f"g{n},genuine,\n" for n in range(50)) + "".join(
        f"s{n},spoof,x{n % 5}\n" for n in range(50)
    )
    trials = read_protocol(written(tmp_path, "p.csv", "path,label,generator\n" + rows))
    scored = SpoofScores("made", np.concatenate([genuine, spoof]), are_llrs=True)
    report = evaluate_spoof_scores(trials, scored, resamples=20)
    at = {round(point.share, 2): point for point in report.abstention}
    assert at[0.02].eer is not None
    assert at[0.02].eer.value > 0.1
    assert at[0.2].eer is not None
    assert at[0.2].eer.value == 0.0
    assert (at[0.2].genuine, at[0.2].spoofs) == (40, 40)
    assert report.unscored == {"genuine": 0, "spoof": 2}
    assert "Nothing could be measured of 0 genuine and 2 spoofed" in " ".join(report.notes)


def test_rates_few_trials_cannot_show_are_left_out(tmp_path: Path) -> None:
    """The rule of 3: 100 spoofs show an APCER of 3 %, 40 genuine recordings a BPCER of 7.5 %; none seen is not zero."""
    rows = "".join(f"g{n},genuine,\n" for n in range(40)) + "".join(
        f"s{n},spoof,x{n % 5}\n" for n in range(100)
    )
    trials = read_protocol(written(tmp_path, "p.csv", "path,label,generator\n" + rows))
    scored = SpoofScores("made", np.concatenate([np.arange(40.0), np.arange(100.0) - 100.0]))
    metrics = evaluate_spoof_scores(trials, scored, resamples=20).metrics
    shown = {name for name in metrics if "_at_" in name}
    assert shown == {"bpcer_at_apcer_5pct", "bpcer_at_apcer_10pct", "apcer_at_bpcer_10pct"}
    assert metrics["bpcer_at_apcer_5pct"].high == pytest.approx(3 / 40)


def test_intervals_hold_the_value_and_repeat(trials: SpoofTrials, tmp_path: Path) -> None:
    first, second = (report_of(trials, tmp_path).to_dict() for _ in range(2))
    assert first == second
    assert first["eer"]["low"] <= first["eer"]["value"] <= first["eer"]["high"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,label\na,genuine\n", "expected path and label among them, each once"),
        ("path,label\na,real\n", "line 2: found 'a' labelled 'real'; expected a path, and genuine or spoof"),
        ("path,label\na,spoof,x\n", "line 2: found 3 fields; expected 2, as in the first line"),
        ("path,label\na,spoof\na,spoof\n", "line 3: found a a second time; expected one line per recording"),
        ("path,label\n", "line 2: found the end of the table"),
    ],
)
def test_refuses_protocols_that_cannot_be_read(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        read_protocol(written(tmp_path, "bad.csv", text))
    assert error.value.code == "protocol_invalid"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("g/1.wav nan\n", "line 1: found score 'nan'; expected a finite number"),
        ("g/1.wav\n", "line 1: found 'g/1.wav'; expected a path and a score"),
        ("g/1.wav 1\n", "lacks 7 of 8 recordings, first g/2.wav"),
        ("path,value\ng/1.wav,1\n", "expected path and score, each once"),
        ("path,score,outcome\ng/1.wav,1,fake\n", "expected one of genuine, suspicious, spoof, cannot_tell"),
        ("path,score,outcome\ng/1.wav,,spoof\n", "line 2: found score ''; expected a finite number"),
    ],
)
def test_refuses_scores_that_cannot_be_used(
    trials: SpoofTrials, tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read_spoof_scores(written(tmp_path, "scores.txt", text), trials)


def test_scores_are_read_in_every_layout(trials: SpoofTrials, tmp_path: Path) -> None:
    """Spaces, one comma, a header; lines of other recordings are passed over."""
    expected = [SCORES[path] for path in trials.paths]
    layouts = {
        "plain.txt": "".join(f"{p} {s}\n" for p, s in SCORES.items()) + "other.wav 9\n",
        "comma.csv": "".join(f"{p},{s}\n" for p, s in SCORES.items()),
        "header.csv": "path,score\n" + "".join(f"{p},{s}\n" for p, s in SCORES.items()),
        "tabs.tsv": "path\tscore\n" + "".join(f"{p}\t{s}\n" for p, s in SCORES.items()),
    }
    for name, text in layouts.items():
        assert read_spoof_scores(written(tmp_path, name, text), trials).scores.tolist() == expected


def test_command_prints_json_and_writes_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = written(tmp_path, "protocol.csv", PROTOCOL)
    out = tmp_path / "report.json"
    code = main(["evaluate", "spoof", "--protocol", str(protocol), "--scores", str(scores_file(tmp_path)),
                 "--thresholds", "0,1.5", "--report", str(out), "--json"])  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert printed["task"] == "spoof"
    assert printed["eer"]["value"] == pytest.approx(0.25)
    assert json.loads(out.read_text()) == printed


def test_command_says_what_is_wrong_with_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = written(tmp_path, "protocol.csv", PROTOCOL)
    code = main(["evaluate", "spoof", "--protocol", str(protocol), "--scores", str(scores_file(tmp_path)),
                 "--verifier", "1,2", "--json"])  # fmt: skip
    assert code == 2
    assert "expected 3 numbers with commas between" in json.loads(capsys.readouterr().out)["message"]
