"""Where a system is bad, in sentences made from its numbers: what a reader of a report must not have to search for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.cohorts import CohortTable, Disparity
from voxid.evaluate.study import Study
from voxid.evaluate.verification_report import ProfileRates, VerificationReport

__all__ = ["findings", "percent", "unknowns"]

CALIBRATION_SLACK: Final = 1.1
"""Cllr above its minimum by more than this share is worth a sentence."""
WORSE_BY: Final = 1.5
"""A condition whose EER is so many times the clean one is worth a sentence."""
MANY_REFUSED: Final = 0.02
FEW_SPEAKERS: Final = 20


def percent(estimate: Estimate | None) -> str:
    """Return a rate and its 95 % interval in percent; a dash where there is none.

    Example:
        >>> percent(Estimate(0.0699, 0.05, 0.091))
        '6.99 % [5.00, 9.10]'
    """
    if estimate is None:
        return "–"
    value = f"{100 * estimate.value:.2f} %"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{100 * estimate.low:.2f}, {100 * estimate.high:.2f}]"


def findings(study: Study) -> list[str]:
    """Return what is bad, the most general first; an empty list when nothing stands out."""
    return [
        *_thresholds(study.report),
        *_calibration(study.report),
        *_refusals(study.report),
        *_conditions(study),
        *(sentence for table in study.cohorts for sentence in _cohorts(table)),
    ]


def unknowns(study: Study) -> list[str]:
    """Return what these trials cannot show."""
    report = study.report
    found = list(report.notes[:1])
    if report.speakers < FEW_SPEAKERS:
        found.append(
            f"The list has {report.speakers} speakers: intervals are wide, and other people may fare otherwise."
        )
    for table in study.cohorts:
        few = [
            f"{cohort.value} ({_people(cohort.speakers)})" for cohort in table.cohorts if cohort.frr is None
        ]
        if few:
            shown = ", ".join(few[:12]) + (f" and {len(few) - 12} more" if len(few) > 12 else "")
            found.append(f"Too few to state a rate, of {table.attribute}: {shown}.")
    for result in study.conditions:
        if result.report is None:
            found.append(f"No trial has enough speech for the condition {result.condition.name}.")
        elif result.left_out:
            share = result.left_out / (result.left_out + result.report.trials)
            found.append(
                f"{result.condition.name}: {100 * share:.0f} % of the trials are left out, because their "
                "probe has too little speech; the row rests on other trials than the clean one."
            )
    found.extend(report.notes[1:])
    return found


def _thresholds(report: VerificationReport) -> Iterator[str]:
    for rates in report.profiles:
        if _too_open(rates):
            yield (
                f"The threshold {rates.name} was set for a false-accept rate of {100 * rates.far_wanted:g} %; "
                f"here it lets {percent(rates.far)} of other people pass."
            )


def _calibration(report: VerificationReport) -> Iterator[str]:
    cllr, least = report.metrics.get("cllr"), report.metrics.get("min_cllr")
    if cllr is None or least is None:
        return
    # min Cllr is fitted to these very trials, the lower for few of them: only an interval above it tells.
    if (cllr.value if cllr.low is None else cllr.low) <= CALIBRATION_SLACK * least.value:
        return
    excess = cllr.value / max(least.value, 1e-9) - 1.0
    yield (
        f"The LLRs mean less than they say: Cllr is {cllr.value:.3f} bits, {100 * excess:.0f} % above what the "
        f"same scores could give ({least.value:.3f}). Set the calibration on your own trials with voxid calibrate."
    )


def _refusals(report: VerificationReport) -> Iterator[str]:
    refused = report.refused
    if refused is not None and refused.share > MANY_REFUSED:
        yield (
            f"{100 * refused.share:.1f} % of the {refused.probes:,} probes would not be compared by a verification: "
            f"{refused.not_enough_speech} hold too little speech, {refused.poor_quality} are too noisy or clipped. "
            "Their owners are asked for other speech; the error rates here count them all the same."
        )


def _conditions(study: Study) -> Iterator[str]:
    clean = study.report.metrics["eer"].value
    measured = [
        (result, result.report, result.report.metrics["eer"])
        for result in study.conditions
        if result.report is not None
    ]
    for result, report, eer in sorted(measured, key=lambda item: -item[2].value):
        said = []
        if eer.value > WORSE_BY * clean:
            times = f", {eer.value / clean:.1f} times that of the clean probes" if clean > 0 else ""
            said.append(f"EER {percent(eer)}{times}")
        for rates in report.profiles[:1]:
            if said:
                said.append(f"{rates.name} rejects {percent(rates.frr)} of genuine claims")
            if _too_open(rates):
                said.append(
                    f"{rates.name}, set for {100 * rates.far_wanted:g} %, lets {percent(rates.far)} of others pass"
                )
        if said:
            yield f"{_capital(result.condition.title)}: {'; '.join(said)}."


def _cohorts(table: CohortTable) -> Iterator[str]:
    for found in table.disparities:
        times = _times(found)
        if times is not None:
            doing = "falsely rejected" if found.rate == "frr" else "falsely accepted"
            group = f"{table.attribute} {found.worst!r}" if table.stated else f"probes of {found.worst}"
            yield (
                f"{_capital(group)}: {doing} {times} as often as {found.best!r}, at the threshold "
                f"{table.threshold.name}."
            )


def _too_open(rates: ProfileRates) -> bool:
    """Return whether even the lower end of a FAR is over what its threshold was set for."""
    return rates.far.low is not None and rates.far.low > rates.far_wanted


def _times(found: Disparity) -> str | None:
    """Return a ratio in words when its interval lies above 1, else None."""
    if found.ratio is None:
        return None if found.at_least is None else f"at least {found.at_least:.1f} times"
    if found.ratio.low is None or found.ratio.low <= 1.0:
        return None
    high = "–" if found.ratio.high is None else f"{found.ratio.high:.1f}"
    return f"{found.ratio.value:.1f} times [{found.ratio.low:.1f}, {high}]"


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
