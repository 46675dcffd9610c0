"""Gates on a detector of spoofed speech: ``--fail-if 'eer>20'`` ends with exit code 1 when it holds.

    gate       = measure ["@" of] ("<" | "<=" | ">" | ">=") number ["%"]
    measure    = eer                                   pooled, or of a family or corpus: eer@tts
               | eer_families                          mean of the families' EERs
               | eer_kept                              with a share set aside: eer_kept@20 (the default)
               | apcer                                 spoofs called genuine; of a generator, family, corpus, or worst
               | bpcer                                 genuine speech called spoof
               | bpcer_at_apcer | apcer_at_bpcer       of 1, 5 or 10 percent: bpcer_at_apcer@5
               | abstained                             suspicious or cannot_tell, of all recordings
               | min_tdcf | min_adcf
               | flagged | held                        of a genuine set, or a cohort of it: flagged@speechocean762

All but the two costs are in percent. A gate whose number was not measured is an error: it never passes by silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from voxid.errors import InputError
from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.conditions import CLEAN
from voxid.evaluate.gates import COMPARE, Gate, GateResult, match_gate
from voxid.evaluate.spoof import ABSTAINED
from voxid.evaluate.spoof_genuine import FlaggedCohort, GenuineReport
from voxid.evaluate.spoof_report import SpoofReport

__all__ = ["check_spoof_gates", "parse_spoof_gates"]

_COSTS: Final = ("min_tdcf", "min_adcf")
_FIXED: Final = ("bpcer_at_apcer", "apcer_at_bpcer")
_OF_GENUINE: Final = ("flagged", "held")
_KNOWN: Final = (
    "eer",
    "eer_families",
    "eer_kept",
    "apcer",
    "bpcer",
    *_FIXED,
    "abstained",
    *_COSTS,
    *_OF_GENUINE,
)
_WITHOUT_OF: Final = ("eer_families", "bpcer", "abstained", *_COSTS)
_DEFAULT_OF: Final[Mapping[str, str]] = {"eer_kept": "20", "bpcer_at_apcer": "5", "apcer_at_bpcer": "5"}


def parse_spoof_gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    """Return the gates, checked as far as they can be before anything is heard.

    Raises:
        InputError: ``gate_invalid``, ``gate_metric_unknown``, ``gate_needs_of``.

    Example:
        >>> gate = parse_spoof_gates(["eer_kept>10"])[0]
        >>> gate.measure, gate.of, gate.limit
        ('eer_kept', '20', 10.0)
    """
    gates = []
    for text in texts:
        match = match_gate(text, _KNOWN, "'eer>20', 'apcer@worst>50' or 'flagged>5'")
        measure, of = match["measure"], match["of"]
        if of is not None and measure in _WITHOUT_OF:
            raise InputError(
                "gate_needs_of",
                f"The gate {text!r} says of what; expected {measure} alone; write {measure} without @{of}.",
            )
        if match["condition"] or (match["percent"] and measure in _COSTS):
            raise InputError(
                "gate_invalid",
                f"The gate {text!r} cannot be read; expected no condition, and no % with a cost; correct it.",
            )
        limit = float(match["number"])
        gates.append(
            Gate(text.strip(), CLEAN.name, measure, of or _DEFAULT_OF.get(measure), match["sign"], limit)
        )
    return tuple(gates)


def check_spoof_gates(
    gates: Sequence[Gate], report: SpoofReport | None, genuine: Sequence[GenuineReport] = ()
) -> tuple[GateResult, ...]:
    """Return what every gate found.

    Raises:
        InputError: ``gate_not_measured`` when there is no such number in this run.
    """
    results = []
    for gate in gates:
        found = _of_genuine(gate, genuine) if gate.measure in _OF_GENUINE else None
        if report is not None and gate.measure not in _OF_GENUINE:
            found = _FINDERS[gate.measure](report, gate)
        if found is None:
            raise InputError(
                "gate_not_measured",
                f"The gate {gate.text!r} has no number to look at in this run; expected one of a family, corpus, "
                "generator or set that was measured, with verdicts and five people where it needs them; correct or "
                "leave it out.",
            )
        in_percent = gate.measure not in _COSTS
        scale = 100.0 if in_percent else 1.0
        low, high = (None if end is None else scale * end for end in (found.low, found.high))
        estimate = Estimate(scale * found.value, low, high)
        failed = COMPARE[gate.sign](estimate.value, gate.limit)
        results.append(GateResult(gate, estimate, failed, in_percent))
    return tuple(results)


def _eer(report: SpoofReport, gate: Gate) -> Estimate | None:
    if gate.of is None:
        return report.metrics["eer"]
    group = report.group(gate.of)
    return None if group is None else group.eer


def _kept(report: SpoofReport, gate: Gate) -> Estimate | None:
    for share, point in zip(ABSTAINED, report.abstention, strict=True):
        if f"{100 * share:g}" == _percent(gate):
            return point.eer
    return None


def _apcer(report: SpoofReport, gate: Gate) -> Estimate | None:
    if gate.of is None:
        return report.apcer
    if gate.of == "worst":
        return report.worst.apcer
    species = next((species for species in report.species if species.generator == gate.of), None)
    group = report.group(gate.of)
    return species.apcer if species is not None else None if group is None else group.apcer


def _fixed(report: SpoofReport, gate: Gate) -> Estimate | None:
    return report.metrics.get(f"{gate.measure}_{_percent(gate)}pct")


def _percent(gate: Gate) -> str:
    return str(gate.of).removesuffix("%").strip()


def _abstained(report: SpoofReport, gate: Gate) -> Estimate | None:
    return None if report.own is None else Estimate(report.own.share)


def _of_genuine(gate: Gate, genuine: Sequence[GenuineReport]) -> Estimate | None:
    """Return the rate of a set or cohort; without a name, the worst of all sets."""
    if gate.of is None:
        known = [_rate(gate, found.whole) for found in genuine]
        return max((rate for rate in known if rate is not None), key=lambda rate: rate.value, default=None)
    for found in genuine:
        if found.name == gate.of:
            return _rate(gate, found.whole)
        for cohort in found.cohorts:
            if cohort.value == gate.of:
                return _rate(gate, cohort)
    return None


def _rate(gate: Gate, cohort: FlaggedCohort) -> Estimate | None:
    return cohort.flagged if gate.measure == "flagged" else cohort.held


_FINDERS: Final[Mapping[str, Callable[[SpoofReport, Gate], Estimate | None]]] = {
    "eer": _eer,
    "eer_families": lambda report, gate: report.metrics.get("eer_families"),
    "eer_kept": _kept,
    "apcer": _apcer,
    "bpcer": lambda report, gate: report.bpcer,
    "bpcer_at_apcer": _fixed,
    "apcer_at_bpcer": _fixed,
    "abstained": _abstained,
    "min_tdcf": lambda report, gate: report.metrics["min_tdcf"],
    "min_adcf": lambda report, gate: report.metrics["min_adcf"],
}
