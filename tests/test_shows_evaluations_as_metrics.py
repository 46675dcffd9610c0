"""Error rates on /metrics come from reports of `voxid evaluate`; what no report has is absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from voxid.service.evaluations import EvaluationCollector, read_evaluations

FIXTURES = Path(__file__).parent / "fixtures" / "evaluations"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two verification reports, a week apart, one of identification, one of a spoof detector."""
    return Path(shutil.copytree(FIXTURES, tmp_path / "evaluations"))


def shown(folder: Path | None) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(EvaluationCollector(folder))
    lines = [
        line.rsplit(" ", 1) for line in generate_latest(registry).decode().splitlines() if line[0] != "#"
    ]
    return {sample: float(value) for sample, value in lines}


def only(found: dict[str, float], name: str, *parts: str) -> float:
    values = [
        value
        for sample, value in found.items()
        if sample.startswith(name + "{") and all(p in sample for p in parts)
    ]
    assert len(values) == 1, (name, parts, sorted(found))
    return values[0]


def test_the_newest_report_is_shown(folder: Path) -> None:
    """EER, FAR and FRR of the newer one, each with its interval; rank-1 accuracy of the search."""
    found = shown(folder)
    newer = json.loads((folder / "2026-11-14.json").read_text())
    for part in ("value", "low", "high"):
        assert only(found, "voxid_evaluation_eer", f'part="{part}"') == newer["eer"][part]
        rates = newer["profiles"]["far_1pct"]
        for rate in ("far", "frr"):
            sample = only(found, f"voxid_evaluation_{rate}", f'part="{part}"', 'profile="far_1pct"')
            assert sample == rates[rate][part]
    assert only(found, "voxid_evaluation_far_wanted", 'profile="far_1pct"') == 0.01
    search = json.loads((folder / "search.json").read_text())
    assert (
        only(found, "voxid_evaluation_identification_accuracy", 'part="value"') == search["rank_1"]["value"]
    )


def test_drift_is_the_newest_report_against_the_oldest(folder: Path) -> None:
    """The difference of their EER."""
    older, newer = (json.loads((folder / f"2026-11-{day}.json").read_text()) for day in ("07", "14"))
    assert only(shown(folder), "voxid_evaluation_drift") == pytest.approx(
        newer["eer"]["value"] - older["eer"]["value"]
    )


def test_drift_is_absent_with_one_report(folder: Path) -> None:
    """Nothing to compare with: no number, and the indicator says so."""
    (folder / "2026-11-07.json").unlink()
    assert not [sample for sample in shown(folder) if sample.startswith("voxid_evaluation_drift")]
    available = EvaluationCollector(folder).available()
    assert available == {
        "identification_accuracy": True,
        "eer": True,
        "far": True,
        "frr": True,
        "apcer": True,
        "bpcer": True,
        "drift": False,
    }


def test_errors_of_the_spoof_detector_are_shown(folder: Path) -> None:
    """Fakes called genuine, pooled and by family, and live speech called a fake; its EER is not that of strangers."""
    found, report = shown(folder), json.loads((folder / "fakes.json").read_text())
    model = f'model="{report["model"]}"'
    for part in ("value", "low", "high"):
        at = model, f'part="{part}"'
        assert only(found, "voxid_evaluation_apcer", *at, 'family="all"') == report["apcer"][part]
        assert only(found, "voxid_evaluation_bpcer", *at) == report["bpcer"][part]
        for group in report["groups"]:
            family = only(found, "voxid_evaluation_apcer", *at, f'family="{group["name"]}"')
            assert family == group["apcer"][part]
    assert not [sample for sample in found if "voxid_evaluation_eer" in sample and model in sample]
    assert only(found, "voxid_evaluation_made_timestamp_seconds", 'task="spoof"') > 0


def test_without_verdicts_errors_of_a_detector_are_absent(folder: Path) -> None:
    """Scores alone call nothing genuine; genuine speech alone is no protocol, and no broken file."""
    report = json.loads((folder / "fakes.json").read_text())
    report.update(apcer=None, bpcer=None, groups=[{**one, "apcer": None} for one in report["groups"]])
    (folder / "fakes.json").write_text(json.dumps(report))
    (folder / "genuine.json").write_text(json.dumps({"task": "spoof", "genuine_sets": []}))
    available = EvaluationCollector(folder).available()
    assert (available["eer"], available["apcer"], available["bpcer"]) == (True, False, False)
    assert shown(folder)["voxid_evaluation_reports_unreadable"] == 0.0


def test_without_a_folder_everything_is_absent() -> None:
    """No rate is shown, and none is nought."""
    assert shown(None) == {"voxid_evaluation_reports_unreadable": 0.0}
    assert not any(EvaluationCollector(None).available().values())


def test_a_new_report_is_seen_without_a_restart(folder: Path) -> None:
    """The folder is looked at for every scrape."""
    collector = EvaluationCollector(folder)
    (newest,) = (one for one in read_evaluations(folder)[0] if one.made_at.day == 14)
    assert collector.available()["drift"]
    record: dict[str, Any] = {**newest.record, "trial_list": "another"}
    record["provenance"] = {"date": "2026-11-20T00:00:00+00:00", "trial_file_sha256": "ab" * 32}
    (folder / "another.json").write_text(json.dumps(record))
    families = {family.name: family.samples for family in collector.collect()}
    assert len({sample.labels["list"] for sample in families["voxid_evaluation_eer"]}) == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        '{"task": "verification"}',
        '{"task": "spoof", "model": "m"}',
        '{"task": "verification", "model": "m", "trial_list": 1, "profiles": {"p": 3}}',
    ],
)
def test_what_is_no_report_is_counted_and_left_out(folder: Path, content: str) -> None:
    """A broken file hides nothing of the others."""
    before = shown(folder)
    (folder / "broken.json").write_text(content)
    after = shown(folder)
    assert after.pop("voxid_evaluation_reports_unreadable") == 1.0
    assert after == {key: value for key, value in before.items() if "unreadable" not in key}


def test_names_in_reports_do_not_become_labels(folder: Path) -> None:
    """Files and lists may be called after people; models that are no ids are called other."""
    report = json.loads((folder / "search.json").read_text())
    report.update(model="the voice of Grace Canary", trial_list="/home/grace canary/trials.txt")
    (folder / "grace-canary.json").write_text(json.dumps(report))
    found = shown(folder)
    assert not [sample for sample in found if "canary" in sample.lower()]
    assert [sample for sample in found if 'model="other"' in sample]
