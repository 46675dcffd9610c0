"""Error rates for /metrics, from reports that `voxid evaluate` wrote into a folder the operator names.

A service cannot measure its own error rates: it does not know who really spoke. They come from labelled speech, so
they are measured with `voxid evaluate ... --report FOLDER/2026-11.json` and shown here until there is a newer report of
the same model on the same list. A list is shown by the first digits of a hash: file names may hold names of people.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Evaluation", "EvaluationCollector", "read_evaluations"]

_log = logging.getLogger("voxid.service")
_MAX_BYTES: Final = 32 << 20
_MAX_REPORTS: Final = 200
_PARTS: Final = ("value", "low", "high")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.@_-]{0,79}")
_TASKS: Final = ("verification", "identification", "spoof")
_INDICATORS: Final = ("identification_accuracy", "eer", "far", "frr", "apcer", "bpcer", "drift")
_LIST_OF: Final = {"verification": "trial_list", "identification": "trial_list", "spoof": "protocol"}
_ALL: Final = "all"  # families of fakes pooled


@dataclass(frozen=True)
class Evaluation:
    """One report, as far as it is shown.

    Args:
        task: "verification", "identification" or "spoof".
        model: id of the bundle or detector; "other" for an id that is none.
        list_id: eight hex digits that stand for the list.
        condition: what was done to the probes; "clean" is nothing.
        made_at: when.
        record: the report.
    """

    task: str
    model: str
    list_id: str
    condition: str
    made_at: datetime
    record: Mapping[str, Any]

    @property
    def about(self) -> tuple[str, str, str, str]:
        """What reports must share to be compared."""
        return self.task, self.model, self.list_id, self.condition


def read_evaluations(folder: Path) -> tuple[list[Evaluation], int]:
    """Return the evaluations in a folder, oldest first, and how many of its files are none."""
    found: list[Evaluation] = []
    unreadable = 0
    for path in sorted(folder.glob("*.json"))[:_MAX_REPORTS]:
        try:
            found += _of_file(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            unreadable += 1
    return sorted(found, key=lambda one: one.made_at), unreadable


class EvaluationCollector(Collector):
    """The newest report of each model and list, and its distance from the oldest; read again when a file changes.

    Args:
        folder: of the reports; None: there are none, and the indicators are absent.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._reading = threading.Lock()
        self._seen: tuple[Any, ...] | None = None
        self._read: tuple[list[Evaluation], int] = ([], 0)

    def collect(self) -> Iterator[Metric]:
        """Return the families, those without data empty."""
        evaluations, unreadable = self._current()
        yield from _families(evaluations)
        yield GaugeMetricFamily(
            "voxid_evaluation_reports_unreadable",
            "Files in the folder that are no reports.",
            value=unreadable,
        )

    def available(self) -> dict[str, bool]:
        """Return of each indicator whether a report has it; drift needs two reports of one model and list."""
        there = {family.name: bool(family.samples) for family in _families(self._current()[0])}
        return {name: there[f"voxid_evaluation_{name}"] for name in _INDICATORS}

    def _current(self) -> tuple[list[Evaluation], int]:
        with self._reading:
            if self._folder is None:
                return [], 0
            seen = tuple(
                (path.name, stat.st_mtime_ns, stat.st_size)
                for path in sorted(self._folder.glob("*.json"))
                if (stat := _stat(path)) is not None
            )
            if seen != self._seen:
                self._read, self._seen = read_evaluations(self._folder), seen
                if self._read[1]:
                    _log.warning("%d files in the folder of evaluations are no reports", self._read[1])
            return self._read


def _families(evaluations: list[Evaluation]) -> Iterator[GaugeMetricFamily]:
    eer = _family("eer", "Equal error rate.", "part")
    far = _family("far", "False-accept rate of a threshold profile.", "profile", "part")
    wanted = _family("far_wanted", "False-accept rate a profile was set for.", "profile")
    frr = _family("frr", "False-reject rate of a threshold profile.", "profile", "part")
    apcer = _family("apcer", "Share of fakes called genuine, by their family; all: pooled.", "family", "part")
    bpcer = _family("bpcer", "Share of live speech called a fake.", "part")
    accuracy = _family("identification_accuracy", "Share of probes whose speaker ranks first.", "part")
    made = _family("made_timestamp_seconds", "When the newest report was made.", "task")
    drift = _family("drift", "EER of the newest report less EER of the oldest one.")
    newest = {one.about: one for one in evaluations}
    oldest = {one.about: one for one in reversed(evaluations)}
    for key, one in newest.items():
        labels = list(key[1:])
        made.add_metric([*labels, one.task], one.made_at.timestamp())
        if one.task == "spoof":  # its EER is of fakes, not of strangers, and no drift of voices
            _add_families(apcer, labels, one.record)
            _add(bpcer, labels, one.record.get("bpcer"))
            continue
        _add(accuracy, labels, one.record.get("rank_1"))
        _add(eer, labels, one.record.get("eer"))
        for name, rates in dict(one.record.get("profiles") or {}).items():
            _add(far, [*labels, _word(name)], rates.get("far"))
            _add(frr, [*labels, _word(name)], rates.get("frr"))
            wanted.add_metric([*labels, _word(name)], float(rates["far_wanted"]))
        now, before = _eer_of(one), _eer_of(oldest[key])
        if oldest[key] is not one and now is not None and before is not None:
            drift.add_metric(labels, now - before)
    yield from (eer, far, wanted, frr, apcer, bpcer, accuracy, made, drift)


def _family(name: str, help_: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(
        f"voxid_evaluation_{name}", help_, labels=["model", "list", "condition", *labels]
    )


def _add(family: GaugeMetricFamily, labels: list[str], estimate: Any) -> None:
    for part in _PARTS if isinstance(estimate, dict) else ():
        value = estimate.get(part)
        if isinstance(value, int | float) and math.isfinite(value):
            family.add_metric([*labels, part], float(value))


def _add_families(family: GaugeMetricFamily, labels: list[str], record: Mapping[str, Any]) -> None:
    """Add the pooled APCER, and that of each family of fakes."""
    _add(family, [*labels, _ALL], record.get("apcer"))
    for group in record.get("groups") or ():
        if group["kind"] == "family":
            _add(family, [*labels, _word(group["name"])], group.get("apcer"))


def _eer_of(one: Evaluation) -> float | None:
    estimate = one.record.get("eer")
    value = estimate.get("value") if isinstance(estimate, dict) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _word(text: object) -> str:
    """Return an id as a label; what is no id is not shown."""
    return str(text) if _WORD.fullmatch(str(text)) else "other"


def _of_file(path: Path) -> list[Evaluation]:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError("larger than any report")
    content = json.loads(path.read_text(encoding="utf-8"))
    records = content if isinstance(content, list) else content.get("reports", [content])
    found = [_evaluation(record, path) for record in records if _is_shown(record)]
    list(_families(found))  # what cannot be shown is no report
    return found


def _is_shown(record: Mapping[str, Any]) -> bool:
    """Return whether a record is of a task shown; a run of `evaluate spoof` on genuine speech alone has no protocol."""
    return record.get("task") in _TASKS and (
        record["task"] != "spoof" or "genuine_sets" not in record or "protocol" in record
    )


def _evaluation(record: Mapping[str, Any], path: Path) -> Evaluation:
    origin = record.get("provenance") or {}
    date = origin.get("date")
    made_at = datetime.fromisoformat(date) if date else datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if made_at.utcoffset() is None:
        made_at = made_at.replace(tzinfo=UTC)
    list_of = str(origin.get("trial_file_sha256") or record[_LIST_OF[record["task"]]])
    return Evaluation(
        task=record["task"],
        model=_word(record["model"]),
        list_id=hashlib.sha256(list_of.encode()).hexdigest()[:8],
        condition=_word(record.get("condition", "clean")),
        made_at=made_at,
        record=record,
    )


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except OSError:
        return None
