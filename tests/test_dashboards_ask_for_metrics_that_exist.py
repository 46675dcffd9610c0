"""Dashboards and alert rules: what they ask for is on /metrics of the real application; promtool agrees where it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from served import clip, serving
from voxid.service.settings import OperationsSettings

ROOT = Path(__file__).parents[1]
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
RULES = ROOT / "deploy" / "prometheus"
REPORTS = Path(__file__).parent / "fixtures" / "evaluations"

# Prometheus makes these itself.
OF_PROMETHEUS = {"up", "ALERTS"}
# Words of PromQL that look like metrics.
WORDS = set(
    "sum min max by on and or ignoring group_left offset rate increase time vector histogram_quantile "
    "predict_linear label_values".split()
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Metric -> labels, of a service that did a little of everything and has reports."""
    folder = tmp_path_factory.mktemp("service")
    with serving(folder, operations=OperationsSettings(evaluations=REPORTS)) as served:
        ada = served.enroll("Ada", "ada", 1, 2, 3)
        audio = {"Content-Type": "audio/ogg"}
        served.call(
            "POST", f"/people/{ada}/verifications", content=clip("ada", 4).read_bytes(), headers=audio
        )
        served.call("GET", "/nothing", 404)
        text = served.http.get("/metrics").text
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, labels = line.partition("{")
            found.setdefault(name.split()[0], set()).update(re.findall(r'(\w+)="', labels))
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Yield (where, PromQL) of every panel and every rule."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.stem}: {panel['title']}", target["expr"]
    for rule in rules():
        yield rule.get("alert", rule.get("record")), rule["expr"]


QUERIES = list(queries())


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_every_metric_and_label_of_a_query_exists(
    exported: dict[str, set[str]], where: str, query: str
) -> None:
    """Names are those of a live /metrics; labels those the metric has."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    plain = re.sub(r'"[^"]*"', '""', query)
    for name, labels in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", plain):
        if name not in OF_PROMETHEUS:
            assert set(re.findall(r"(\w+)\s*[=!]", labels)) <= exported[name], (where, name)
    without = re.sub(
        r"\b\d+[smhdw]\b|\{[^}]*\}|\[[^]]*\]|\b(?:by|on|ignoring|group_left)\s*\([^)]*\)", "", plain
    )
    names = {name for name in re.findall(r"[a-zA-Z_:][\w:]*", without) if name not in WORDS}
    assert names, where
    assert names <= exported.keys() | OF_PROMETHEUS | recorded, where


@pytest.mark.parametrize("name", ["executive", "on-call", "debug"])
def test_dashboards_are_what_the_script_writes(tmp_path: Path, name: str) -> None:
    """The files were not edited by hand, panels do not overlap, and each has a unit."""
    script = ROOT / "scripts" / "make_dashboards.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)
    written = (tmp_path / f"{name}.json").read_text()
    assert (DASHBOARDS / f"{name}.json").read_text() == written, "run python scripts/make_dashboards.py"
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(written)["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_has_a_runbook_that_is_there() -> None:
    """Its annotation names a heading of docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for rule in rules():
        if "alert" in rule:
            page, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert page == "docs/operations.md"
            assert anchor in headings, rule["alert"]
            assert rule["labels"]["severity"] in ("page", "ticket")


@pytest.mark.parametrize(
    "command",
    [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_agrees(command: list[str]) -> None:
    """Syntax, and that alerts fire when they should (alerts_test.yml)."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on this machine (Debian: apt-get install prometheus)")
    done = subprocess.run([promtool, *command], cwd=RULES, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_reads_every_query_of_the_dashboards(tmp_path: Path) -> None:
    """Each as a rule of its own."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on this machine (Debian: apt-get install prometheus)")
    recorded = [{"record": f"q:{at}", "expr": query} for at, (_, query) in enumerate(QUERIES)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    command = [promtool, "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scraped_port_is_the_listener_of_the_compose_file() -> None:
    """Prometheus asks where the service listens."""
    scraped = yaml.safe_load((RULES / "prometheus.yml").read_text())["scrape_configs"][0]
    composed = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["voxid"]
    port = str(composed["environment"]["VOXID_OPERATIONS_METRICS_PORT"])
    assert scraped["static_configs"][0]["targets"] == [f"voxid:{port}"]
