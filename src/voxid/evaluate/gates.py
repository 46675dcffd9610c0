"""Gates for a build: ``--fail-if 'eer>5'`` ends with exit code 1 when the measured number is on the wrong side.

    gate       = [condition ":"] measure ["@" of] ("<" | "<=" | ">" | ">=") number ["%"]
    measure    = eer | auc | min_dcf_p01 | act_dcf_p01 | cllr | min_cllr | refused
               | frr | far                              of a threshold profile: frr@far_1pct
               | frr_disparity | far_disparity          of an attribute: frr_disparity@sex
    condition  = one that is measured in the same run, as noise5

Rates (eer, auc, refused, frr, far) are in percent, everything else in its own unit. A gate whose number was not
measured is an error: it never passes by silence.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voxid.errors import InputError
from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.conditions import CLEAN
from voxid.evaluate.study import Study
from voxid.evaluate.verification_report import VerificationReport

__all__ = [
    "Gate",
    "GateResult",
    "check_gates",
    "parse_gates",
    "require_measured",
]

_RATES: Final = ("eer", "auc", "refused", "frr", "far")
_PLAIN: Final = ("eer", "auc", "min_dcf_p01", "act_dcf_p01", "cllr", "min_cllr")
_OF_PROFILE: Final = ("frr", "far")
_OF_ATTRIBUTE: Final = ("frr_disparity", "far_disparity")
_KNOWN: Final = (*_PLAIN, "refused", *_OF_PROFILE, *_OF_ATTRIBUTE)
COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_IN_WORDS: Final = {"<": "under", "<=": "at or under", ">": "above", ">=": "at or above"}
_GATE: Final = re.compile(
    r"\s*(?:(?P<condition>[a-z0-9.+-]+)\s*:)?\s*(?P<measure>[a-z_][a-z0-9_]*)\s*(?:@\s*(?P<of>[^<>]+?))?\s*"
    r"(?P<sign>[<>]=?)\s*(?P<number>-?(?:\d+\.?\d*|\.\d+))\s*(?P<percent>%)?\s*"
)


@dataclass(frozen=True)
class Gate:
    """One condition under which a build fails.

    Attributes:
        text: as written.
        condition: name of the condition it looks at.
        measure: name of the number; of: profile or attribute it belongs to, or None.
        sign: ``<``, ``<=``, ``>`` or ``>=``; limit: percent for rates.
    """

    text: str
    condition: str
    measure: str
    of: str | None
    sign: str
    limit: float


@dataclass(frozen=True)
class GateResult:
    """A gate with the number it looked at, in the gate's unit; ``relation`` is how it belongs to the condition."""

    gate: Gate
    estimate: Estimate
    failed: bool
    in_percent: bool
    relation: str = "under"

    @property
    def sentence(self) -> str:
        """What was measured and whether it passes."""
        gate, unit = self.gate, " %" if self.in_percent else ""
        name = gate.measure + (f"@{gate.of}" if gate.of else "")
        where = "" if gate.condition == CLEAN.name else f" {self.relation} {gate.condition}"
        low, high = self.estimate.low, self.estimate.high
        interval = "" if low is None or high is None else f" [{low:.4g}, {high:.4g}]"
        verdict = f"is {_IN_WORDS[gate.sign]}" if self.failed else f"is not {_IN_WORDS[gate.sign]}"
        ends = "fails" if self.failed else "passes"
        return (
            f"Gate {gate.text!r} {ends}: {name}{where} is {self.estimate.value:.4g}{unit}{interval}, which {verdict} "
            f"{gate.limit:g}{unit}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON, in the gate's unit."""
        return {
            "gate": self.gate.text,
            "failed": self.failed,
            **self.estimate.to_dict(),
            "sentence": self.sentence,
        }


def parse_gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    """Return the gates, checked as far as they can be before anything is measured.

    Raises:
        InputError: ``gate_invalid`` for what is no gate, ``gate_metric_unknown``, ``gate_needs_of`` when frr, far or a
            disparity do not say of what, or another measure does.

    Example:
        >>> gate = parse_gates(["noise5:frr@far_1pct>8"])[0]
        >>> gate.condition, gate.measure, gate.of, gate.sign, gate.limit
        ('noise5', 'frr', 'far_1pct', '>', 8.0)
    """
    return tuple(_gate(text) for text in texts)


def match_gate(text: str, known: Sequence[str], examples: str) -> re.Match[str]:
    """Return the parts of a gate whose measure is known."""
    match = _GATE.fullmatch(text)
    if match is None:
        raise InputError(
            "gate_invalid",
            f"The gate {text!r} cannot be read; expected a measure, <, <=, > or >=, and a number, as {examples}; "
            "correct it.",
        )
    if match["measure"] not in known:
        raise InputError(
            "gate_metric_unknown",
            f"The gate {text!r} asks for {match['measure']!r}, which is not measured; expected one of: "
            f"{', '.join(known)}.",
        )
    return match


def _gate(text: str) -> Gate:
    match = match_gate(text, _KNOWN, "'eer>5', 'frr@far_1pct>8' or 'noise5:cllr>.5'")
    measure, of = match["measure"], match["of"]
    if (measure in _OF_PROFILE + _OF_ATTRIBUTE) != (of is not None):
        wanted = "profile" if measure in _OF_PROFILE else "attribute"
        repair = f"write {measure}@<{wanted}>" if of is None else f"write {measure} without @{of}"
        raise InputError(
            "gate_needs_of",
            f"The gate {text!r} {'does not say of what' if of is None else 'says of what'}; expected "
            f"{'a ' + wanted if of is None else 'the measure alone'}; {repair}.",
        )
    if match["percent"] and measure not in _RATES:
        raise InputError(
            "gate_invalid",
            f"The gate {text!r} gives {measure} in percent; expected a plain number; leave out the %.",
        )
    return Gate(
        text.strip(), match["condition"] or CLEAN.name, measure, of, match["sign"], float(match["number"])
    )


def require_measured(
    gates: Sequence[Gate],
    conditions: Sequence[str],
    profiles: Sequence[str],
    attributes: Sequence[str] | None,
) -> None:
    """Refuse gates on what this run will not measure, before it measures anything.

    Args:
        gates: as parsed.
        conditions: names of the conditions of the run, ``clean`` among them.
        profiles: names of the bundle's profiles.
        attributes: names of the attributes of the run; None where no cohorts are measured.

    Raises:
        InputError: ``gate_condition_unmeasured``, ``gate_profile_unknown``, ``gate_attribute_unmeasured``.
    """
    for gate in gates:
        if gate.condition not in conditions:
            raise InputError(
                "gate_condition_unmeasured",
                f"The gate {gate.text!r} looks at {gate.condition!r}; this run measures {', '.join(conditions)}; add "
                f"--conditions {gate.condition}.",
            )
        if gate.measure in _OF_PROFILE and gate.of not in profiles:
            raise InputError(
                "gate_profile_unknown",
                f"The gate {gate.text!r} looks at the profile {gate.of!r}; the bundle has {', '.join(profiles)}.",
            )
        if gate.measure in _OF_ATTRIBUTE and gate.of not in (attributes or ()):
            has = ", ".join(attributes) if attributes else "no cohorts"
            raise InputError(
                "gate_attribute_unmeasured",
                f"The gate {gate.text!r} looks at the attribute {gate.of!r}; this run measures {has}; give a table "
                "with it by --cohorts.",
            )
        if gate.measure in _OF_ATTRIBUTE and gate.condition != CLEAN.name:
            raise InputError(
                "gate_condition_unmeasured",
                f"The gate {gate.text!r} looks at cohorts under {gate.condition!r}; they are measured on the list as "
                f"it is; leave out {gate.condition}:.",
            )


def check_gates(gates: Sequence[Gate], study: Study) -> tuple[GateResult, ...]:
    """Return what every gate found.

    Raises:
        InputError: ``gate_not_measured`` when a number does not exist on these trials (too few of them, say).
    """
    found = []
    for gate in gates:
        estimate = _estimate(gate, study)
        if estimate is None:
            raise InputError(
                "gate_not_measured",
                f"The gate {gate.text!r} has no number to look at: these trials are too few for it, or the system "
                "does not give it; expected a number; leave the gate out or give more trials.",
            )
        failed = COMPARE[gate.sign](estimate.value, gate.limit)
        found.append(GateResult(gate, estimate, failed, gate.measure in _RATES))
    return tuple(found)


def _estimate(gate: Gate, study: Study) -> Estimate | None:
    """Return the number of a gate in its unit, or None where there is none."""
    if gate.measure in _OF_ATTRIBUTE:
        table = next((table for table in study.cohorts if table.attribute == gate.of), None)
        found = None if table is None else table.disparity(gate.measure.split("_")[0])
        if found is None:
            return None
        # Where the best cohort has no error the ratio has only a lower end: a limit under it is surely broken.
        return found.ratio or (None if found.at_least is None else Estimate(found.at_least, found.at_least))
    report = study.condition(gate.condition)
    estimate = None if report is None else _of_report(gate, report)
    if estimate is None or gate.measure not in _RATES:
        return estimate
    low, high = (None if end is None else 100.0 * end for end in (estimate.low, estimate.high))
    return Estimate(100.0 * estimate.value, low, high)


def _of_report(gate: Gate, report: VerificationReport) -> Estimate | None:
    if gate.measure == "refused":
        return None if report.refused is None else Estimate(report.refused.share)
    if gate.measure in _OF_PROFILE:
        rates = next((rates for rates in report.profiles if rates.name == gate.of), None)
        return None if rates is None else rates.frr if gate.measure == "frr" else rates.far
    return report.metrics.get(gate.measure)
