"""One system on one list under several conditions, divided by cohorts, with all that an auditor asks beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxid.evaluate.cohorts import CohortTable
from voxid.evaluate.conditions import CLEAN, Condition
from voxid.evaluate.verification_report import VerificationReport

__all__ = ["ConditionResult", "Provenance", "Study"]


@dataclass(frozen=True)
class ConditionResult:
    """What one condition did.

    Attributes:
        condition: what was done to the probes.
        report: None where no trial was left, or only targets or only non-targets.
        left_out: trials whose probe has too little speech for the condition.
        bit_rate_kbps: mean of what the codec really used, where there is one.
    """

    condition: Condition
    report: VerificationReport | None
    left_out: int
    bit_rate_kbps: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "condition": self.condition.name,
            "title": self.condition.title,
            "left_out": self.left_out,
            "bit_rate_kbps": None if self.bit_rate_kbps is None else round(self.bit_rate_kbps, 2),
            "report": None if self.report is None else self.report.to_dict(),
        }


@dataclass(frozen=True)
class Provenance:
    """Where numbers come from: enough to repeat them, and to notice when something differs.

    Attributes:
        model: id; model_files: file -> SHA-256; model_facts: licence, date and the like, as its card says.
        trial_file_sha256: of the list; audio_root: folder; noise: files; noise_sha256: hash over them.
        date: UTC, ISO 8601. versions: of voxid, Python, and the packages that scores pass through.
    """

    model: str
    model_files: Mapping[str, str]
    model_facts: Mapping[str, str]
    trial_file_sha256: str | None
    audio_root: str
    noise: tuple[str, ...]
    noise_sha256: str | None
    date: str
    versions: Mapping[str, str]
    machine: str

    def to_dict(self) -> dict[str, Any]:
        """Return the provenance as JSON."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Study:
    """Everything measured of one system on one list.

    Attributes:
        report: on the list as it is.
        conditions: other conditions, in the order asked for.
        cohorts: a table per attribute, on the list as it is.
        peers: reports of other systems on the same list.
        origin: provenance; None for a system that is no bundle.
    """

    report: VerificationReport
    conditions: tuple[ConditionResult, ...] = ()
    cohorts: tuple[CohortTable, ...] = ()
    peers: tuple[VerificationReport, ...] = ()
    origin: Provenance | None = None

    def condition(self, name: str) -> VerificationReport | None:
        """Return the report of a condition by name, or None where it was not measured."""
        if name == CLEAN.name:
            return self.report
        return next((found.report for found in self.conditions if found.condition.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the clean report as JSON, with what else there is beside it."""
        record = self.report.to_dict()
        if self.conditions:
            record["conditions"] = [result.to_dict() for result in self.conditions]
        if self.cohorts:
            record["cohorts"] = [table.to_dict() for table in self.cohorts]
        if self.peers:
            record["peers"] = [peer.to_dict() for peer in self.peers]
        if self.origin is not None:
            record["provenance"] = self.origin.to_dict()
        return record


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
