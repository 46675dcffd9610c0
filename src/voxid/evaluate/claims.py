"""What a number of trials supports: no report claims a rate that its trials could not have shown.

Rule of 3: when none of N trials is an error, the rate is below 3/N with 95 % confidence, so a false-accept
rate needs at least 3/FAR non-target trials (30,000 for 0.01 %). Rule of 30: only with 30 errors or more is
the true rate within 30 % of the measured one with 90 % confidence.

Source: Hanley & Lippman-Hand, "If nothing goes wrong, is everything all right?" (1983); Doddington et al.,
"The NIST speaker recognition evaluation" (2000), sec. 4. Both count independent trials; trials that share
speakers are worth less, which the speaker bootstrap shows and these rules do not.
"""

from __future__ import annotations

from dataclasses import replace

from voxid.evaluate.bootstrap import Estimate

FIRM_ERRORS = 30


def smallest_rate(trials: int) -> float:
    """Return the lowest error rate that ``trials`` observations can show, 3/N, at most 1."""
    return min(1.0, 3.0 / trials) if trials > 0 else 1.0


def supports(rate: float, trials: int) -> bool:
    """Return whether ``trials`` observations are enough to speak of an error rate as low as ``rate``.

    Example:
        >>> supports(0.0001, 29_999), supports(0.0001, 30_000)
        (False, True)
    """
    return trials * rate >= 3.0 - 1e-9


def bound_zero(estimate: Estimate, trials: int) -> Estimate:
    """Return ``estimate`` with 3/N as its upper end where no error was seen.

    Resampling cannot invent an error that did not happen: its interval around 0 would be [0, 0].
    """
    if estimate.value > 0.0:
        return estimate
    return replace(estimate, low=0.0, high=max(_or(estimate.high, 0.0), smallest_rate(trials)))


def bound_one(estimate: Estimate, trials: int) -> Estimate:
    """Return ``estimate`` of a success rate with 1 - 3/N as its lower end where no failure was seen."""
    if estimate.value < 1.0:
        return estimate
    return replace(estimate, low=min(_or(estimate.low, 1.0), 1.0 - smallest_rate(trials)), high=1.0)


def support_sentence(nontargets: int) -> str:
    """Return the line every verification report carries about the false-accept rates it may state."""
    return (
        f"{nontargets:,} non-target trials: no FAR below {100 * smallest_rate(nontargets):.3g} % is claimed "
        f"(rule of 3), and below {100 * min(1.0, FIRM_ERRORS / max(nontargets, 1)):.3g} % it rests on fewer "
        "than 30 errors (rule of 30)."
    )


def _or(bound: float | None, otherwise: float) -> float:
    return otherwise if bound is None else bound
