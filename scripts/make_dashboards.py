"""Write the Grafana dashboards of deploy/grafana/dashboards: executive, on-call, debug.

    python scripts/make_dashboards.py [FOLDER]

A dashboard is a list of rows of panels; a panel is a title, a unit and its queries. Grafana wants some hundred lines
of JSON for each, which nobody should edit by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
WIDTH: Final = 24
API: Final = 'route=~"/v1/.*"'
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Panel:
    """One picture.

    Args:
        title: what it shows; an indicator that may be absent says so in `note`.
        unit: of Grafana: "s", "percentunit", "reqps", "bytes", "short".
        queries: legend -> PromQL.
        kind: "timeseries", "stat" or "table".
        note: shown with the title.
    """

    title: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Panels side by side."""

    title: str
    panels: Sequence[Panel]
    height: int = 7


def share(part: str, whole: str) -> str:
    """Return the query of a share."""
    return f"sum({part}) / sum({whole})"


def quantile(q: float, metric: str, by: str = "", where: str = "") -> str:
    """Return the query of a quantile of a histogram over five minutes."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[5m])))"


def measured(name: str, *where: str) -> dict[str, str]:
    """Return the queries of an error rate and its interval."""
    by = ",".join(['condition="clean"', *where])
    return {
        f"{{{{model}}}} {{{{list}}}} {part}": f'voxid_evaluation_{name}{{{by},part="{part}"}}'
        for part in ("value", "low", "high")
    }


NO_REPORT: Final = (
    "From reports of voxid evaluate; empty when there is none, which is not the same as nought."
)
AVAILABILITY: Final = Panel(
    "Availability, 30 days",
    "percentunit",
    {
        "answered": "1 - "
        + share(
            f'increase(voxid_http_requests_total{{{API},status=~"5.."}}[30d]) or vector(0)',
            f"increase(voxid_http_requests_total{{{API}}}[30d])",
        )
    },
    "stat",
    "Share of API requests not answered with 5xx.",
)
AUDIT: Final = Panel(
    "Audit completeness",
    "percentunit",
    {
        "recorded": share(
            "increase(voxid_audited_requests_recorded_total[30d])",
            "increase(voxid_audited_requests_total[30d])",
        )
    },
    "stat",
    "Requests that changed or decided something, against those that wrote an event. Anything but 100 % is a defect.",
)
ENROLLMENTS: Final = Panel(
    "Enrollment success",
    "percentunit",
    {
        "done": share(
            'increase(voxid_enrollments_total{outcome="done"}[30d])', "increase(voxid_enrollments_total[30d])"
        )
    },
    "stat",
)
INDICATORS: Final = Panel(
    "Which indicators have data",
    "short",
    {"{{indicator}}": "max by (indicator) (voxid_indicator_available)"},
    "stat",
    "0: absent, not zero. Spoof pass rate is absent until a voice was checked; drift until there are two reports.",
)

EXECUTIVE: Final = (
    Row("Service", [AVAILABILITY, AUDIT, ENROLLMENTS]),
    Row(
        "How often it is wrong",
        [
            Panel("Equal error rate", "percentunit", measured("eer"), note=NO_REPORT),
            Panel("False accepts", "percentunit", measured("far", 'profile="far_1pct"'), note=NO_REPORT),
            Panel("False rejects", "percentunit", measured("frr", 'profile="far_1pct"'), note=NO_REPORT),
            Panel(
                "Identification, rank 1", "percentunit", measured("identification_accuracy"), note=NO_REPORT
            ),
        ],
    ),
    Row(
        "How often it is fooled",
        [
            Panel(
                "Fakes called genuine (APCER)",
                "percentunit",
                measured("apcer", 'family="all"'),
                note=NO_REPORT,
            ),
            Panel(
                "The same by family of fakes",
                "percentunit",
                {"{{model}} {{list}} {{family}}": 'voxid_evaluation_apcer{family!="all",part="value"}'},
                note=NO_REPORT,
            ),
            Panel("Live speech called a fake (BPCER)", "percentunit", measured("bpcer"), note=NO_REPORT),
        ],
    ),
    Row(
        "Change and coverage",
        [
            Panel(
                "Drift of the EER",
                "percentunit",
                {"{{model}} {{list}}": "voxid_evaluation_drift"},
                note="Newest report less the oldest one of the same list; empty with fewer than two.",
            ),
            INDICATORS,
        ],
    ),
    Row(
        "Use",
        [
            Panel(
                "Decisions a day",
                "short",
                {
                    "{{purpose}} {{outcome}}": "sum by (purpose, outcome) (increase(voxid_decisions_total[1d]))"
                },
            ),
            Panel(
                "Enrollments a day",
                "short",
                {"{{outcome}}": "sum by (outcome) (increase(voxid_enrollments_total[1d]))"},
            ),
        ],
    ),
)

ON_CALL: Final = (
    Row(
        "Now",
        [
            Panel("Up", "short", {"{{instance}}": 'up{job="voxid"}'}, "stat"),
            Panel("Ready", "short", {"{{check}}": "min by (check) (voxid_ready)"}, "stat"),
            Panel("Alerts", "short", {"{{alertname}}": 'ALERTS{alertstate="firing"}'}, "table"),
            Panel("Free disk", "bytes", {"{{instance}}": "voxid_disk_free_bytes"}),
        ],
    ),
    Row(
        "Requests",
        [
            Panel(
                "By status",
                "reqps",
                {"{{status}}": f"sum by (status) (rate(voxid_http_requests_total{{{API}}}[5m]))"},
            ),
            Panel(
                "Refusals by code", "reqps", {"{{code}}": "sum by (code) (rate(voxid_refusals_total[5m]))"}
            ),
            Panel("In flight", "short", {"{{instance}}": "voxid_http_requests_in_flight"}),
        ],
    ),
    Row(
        "Latency",
        [
            Panel(
                "Verify",
                "s",
                {
                    f"p{round(100 * q)}": quantile(
                        q, "voxid_http_request_seconds", where='route="/v1/people/{person_id}/verifications"'
                    )
                    for q in (0.5, 0.95, 0.99)
                },
            ),
            Panel(
                "95th percentile by stage", "s", {"{{stage}}": quantile(0.95, "voxid_stage_seconds", "stage")}
            ),
            Panel("Waiting", "short", {"networks": "voxid_inference_waiting", "jobs": "voxid_jobs_waiting"}),
            Panel("Live calls", "short", {"{{instance}}": "voxid_live_calls"}),
        ],
    ),
    Row(
        "Decisions",
        [
            Panel(
                "Share of claims accepted",
                "percentunit",
                {
                    "30 minutes": "voxid:verify_accepts:share30m",
                    "a day": "voxid:verify_accepts:share1d",
                },
            ),
            Panel(
                "Outcomes",
                "reqps",
                {"{{purpose}} {{outcome}}": "sum by (purpose, outcome) (rate(voxid_decisions_total[5m]))"},
            ),
            Panel(
                "Requests without an event",
                "short",
                {
                    "missing": "sum(increase(voxid_audited_requests_total[15m])) "
                    "- sum(increase(voxid_audited_requests_recorded_total[15m]))"
                },
            ),
        ],
    ),
)

DEBUG: Final = (
    Row(
        "Routes",
        [
            Panel(
                "Rate",
                "reqps",
                {"{{method}} {{route}}": "sum by (method, route) (rate(voxid_http_requests_total[5m]))"},
            ),
            Panel(
                "95th percentile", "s", {"{{route}}": quantile(0.95, "voxid_http_request_seconds", "route")}
            ),
            Panel(
                "Failures",
                "reqps",
                {
                    "{{route}} {{status}}": "sum by (route, status) "
                    '(rate(voxid_http_requests_total{status=~"5.."}[5m]))'
                },
            ),
        ],
        9,
    ),
    Row(
        "Stages",
        [
            *(
                Panel(
                    f"{round(100 * q)}th percentile",
                    "s",
                    {"{{stage}}": quantile(q, "voxid_stage_seconds", "stage")},
                )
                for q in (0.5, 0.99)
            ),
            Panel("Time spent", "s", {"{{stage}}": "sum by (stage) (rate(voxid_stage_seconds_sum[5m]))"}),
        ],
    ),
    Row(
        "Process",
        [
            Panel("Memory", "bytes", {"{{instance}}": "process_resident_memory_bytes"}),
            Panel("Processor", "short", {"{{instance}}": "rate(process_cpu_seconds_total[5m])"}),
            Panel("Open files", "short", {"{{instance}}": "process_open_fds", "limit": "process_max_fds"}),
            Panel("Version", "short", {"{{version}} {{model}}": "voxid_build_info"}, "table"),
        ],
    ),
    Row(
        "Audit and evaluations",
        [
            Panel("Events by act", "reqps", {"{{act}}": "sum by (act) (rate(voxid_audit_events_total[5m]))"}),
            Panel(
                "Age of the evaluations",
                "s",
                {"{{task}} {{list}}": "time() - voxid_evaluation_made_timestamp_seconds"},
            ),
            Panel(
                "Files that are no reports", "short", {"files": "voxid_evaluation_reports_unreadable"}, "stat"
            ),
            Panel(
                "Wanted against measured",
                "percentunit",
                {"{{profile}} wanted": "voxid_evaluation_far_wanted", **measured("far")},
            ),
        ],
    ),
)

DASHBOARDS: Final = {
    "executive": ("voxid: executive", "now-30d", EXECUTIVE),
    "on-call": ("voxid: on-call", "now-3h", ON_CALL),
    "debug": ("voxid: debug", "now-1h", DEBUG),
}


def dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it."""
    title, since, rows = DASHBOARDS[name]
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": f"voxid-{name}",
        "title": title,
        "tags": ["voxid"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "timezone": "utc",
        "templating": {"list": [source]},
        "panels": list(_panels(rows)),
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for row in rows:
        yield _placed(
            {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": []},
            0,
            y,
            WIDTH,
            1,
        )
        width = WIDTH // len(row.panels)
        for at, panel in enumerate(row.panels):
            yield _placed(_panel(number + 1 + at, panel), at * width, y + 1, width, row.height)
        number, y = number + 1 + len(row.panels), y + 1 + row.height


def _placed(panel: dict[str, Any], x: int, y: int, w: int, h: int) -> dict[str, Any]:
    return {**panel, "gridPos": {"x": x, "y": y, "w": w, "h": h}}


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    instant = panel.kind == "table"
    targets = [
        {
            "refId": chr(ord("A") + at),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
        }
        for at, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.note,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": targets,
    }


def main(folder: Path = FOLDER) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        path = folder / f"{name}.json"
        path.write_text(json.dumps(dashboard(name), indent=1) + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
