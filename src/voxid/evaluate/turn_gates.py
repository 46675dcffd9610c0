"""Gates on a study of diarization: ``--fail-if 'der>15'``.

A gate looks at a system of the report, the first one when it names none, and at the errors of a protocol.

    gate       = [system ":"] measure ["@" protocol] ("<" | "<=" | ">" | ">=") number ["%"]
    measure    = der | missed | false_alarm | confusion     of collar_0_overlap, or as der@collar_025_no_overlap
               | jer | count_exact | named | named_wrong | strangers_named | seconds_per_hour

All but the seconds are in percent. A gate whose number was not measured is an error: it never passes by silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voxid.errors import InputError
from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.der import PROTOCOLS
from voxid.evaluate.diarization_study import NAMES, DiarizationStudy, SystemResult
from voxid.evaluate.gates import COMPARE, Gate, GateResult, match_gate

__all__ = ["check_turn_gates", "parse_turn_gates"]

_ERRORS: Final = ("der", "missed", "false_alarm", "confusion")
_RATES: Final = (*_ERRORS, "jer", "count_exact", *NAMES)


def parse_turn_gates(texts: Sequence[str], systems: Sequence[str], named: bool) -> tuple[Gate, ...]:
    """Return the gates of a study of diarization, checked before anything is measured.

    Args:
        texts: as written.
        systems: names of the rows; the first is meant where a gate names none.
        named: whether names are measured.

    Raises:
        InputError: ``gate_invalid``, ``gate_metric_unknown``, ``gate_needs_of``, ``gate_condition_unmeasured``.
    """
    gates = []
    for text in texts:
        known = (*(_RATES if named else _RATES[:-3]), "seconds_per_hour")
        match = match_gate(text, known, "'der>15', 'count_exact<80' or 'vad:der@collar_025_overlap>20'")
        measure, of, system = match["measure"], match["of"], match["condition"] or systems[0]
        if of is not None and (measure not in _ERRORS or of not in {p.name for p in PROTOCOLS}):
            raise InputError(
                "gate_needs_of",
                f"The gate {text!r} asks for {measure} of {of!r}; expected {', '.join(_ERRORS)} of one of "
                f"{', '.join(p.name for p in PROTOCOLS)}; correct it.",
            )
        if system not in systems:
            raise InputError(
                "gate_condition_unmeasured",
                f"The gate {text!r} looks at {system!r}; this run measures {', '.join(systems)}; add it to --systems.",
            )
        default = PROTOCOLS[0].name if measure in _ERRORS else None
        gates.append(
            Gate(text.strip(), system, measure, of or default, match["sign"], float(match["number"]))
        )
    return tuple(gates)


def check_turn_gates(gates: Sequence[Gate], study: DiarizationStudy) -> tuple[GateResult, ...]:
    """Return what every gate of a study of diarization found.

    Raises:
        InputError: ``gate_not_measured`` when a number does not exist: no stranger spoke, say.
    """
    found = []
    for gate in gates:
        row = study.result(gate.condition)
        value = None if row is None else _of_row(gate, row)
        if value is None:
            raise InputError(
                "gate_not_measured",
                f"The gate {gate.text!r} has no number to look at on these recordings; expected a number; leave the "
                "gate out or give others.",
            )
        in_percent = gate.measure in _RATES
        scale = 100.0 if in_percent else 1.0
        low, high = (None if end is None else scale * end for end in (value.low, value.high))
        estimate = Estimate(scale * value.value, low, high)
        failed = COMPARE[gate.sign](estimate.value, gate.limit)
        found.append(GateResult(gate, estimate, failed, in_percent, "of"))
    return tuple(found)


def _of_row(gate: Gate, row: SystemResult) -> Estimate | None:
    if gate.measure == "seconds_per_hour":
        return None if row.seconds_per_hour is None else Estimate(row.seconds_per_hour)
    report = row.report
    if gate.of is not None and gate.measure != "der":
        share = report.times[gate.of].to_dict()[gate.measure]
        return None if share is None else Estimate(share)
    if gate.of is not None:
        return report.der[gate.of] if report.times[gate.of].der is not None else None
    own = {"jer": report.jer, "count_exact": report.count_exact}
    return own.get(gate.measure) or row.names.get(gate.measure)
