"""Plots of reports: DET, score distributions, identification. Needs the extra ``plot`` (matplotlib).

What the trials cannot support is drawn so: a DET curve turns dotted where fewer than three errors of a
kind could have been seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from voxid.errors import ConfigError, InputError
from voxid.evaluate.claims import smallest_rate
from voxid.evaluate.diarization import DiarizationReport
from voxid.evaluate.identification import IdentificationReport
from voxid.evaluate.metrics import RankedTrials
from voxid.evaluate.verification_report import VerificationReport

Floats = NDArray[np.float64]

TARGET_COLOUR, NONTARGET_COLOUR = "#0b6e99", "#c2571a"
COLOURS = ("#0b6e99", "#c2571a", "#4f7a28", "#7b4b94", "#8a8a00", "#444444")
DET_TICKS_PERCENT = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40)
DPI = 150


def write_plots(
    report: VerificationReport | IdentificationReport | DiarizationReport, folder: str | Path
) -> list[Path]:
    """Write every plot there is for a report into ``folder`` and return the paths; none for diarization.

    Raises:
        ConfigError: ``plot_extra_missing``. InputError: ``output_unwritable``.
    """
    place = Path(folder)
    if isinstance(report, VerificationReport):
        return [plot_det([report], place / "det.png"), plot_scores(report, place / "scores.png")]
    if isinstance(report, IdentificationReport):
        return [plot_identification(report, place / "identification.png")]
    return []


def plot_det(
    reports: Sequence[VerificationReport],
    path: str | Path,
    errors: tuple[str, str] = ("false-accept rate, %", "false-reject rate, %"),
) -> Path:
    """Write the DET curves of systems or lists to one picture and return its path.

    Both axes are on the normal-deviate scale, where Gaussian scores make straight lines. A point marks
    each EER, a diamond each threshold that was set elsewhere and shipped; ``errors`` are the axes' names.

    Raises:
        ConfigError: ``plot_extra_missing``. InputError: ``output_unwritable``.

    Source: Martin et al., "The DET curve in assessment of detection task performance" (1997).
    """
    figure = _figure(6.4, 6.6)
    axes = figure.add_subplot()
    for number, report in enumerate(reports):
        colour = COLOURS[number % len(COLOURS)]
        curve = RankedTrials(report.scores, report.is_target).curve()
        far, frr = curve.far[0], curve.frr[0]
        seen = (far >= smallest_rate(report.nontargets)) & (frr >= smallest_rate(report.targets))
        axes.plot(_deviate(far), _deviate(frr), ":", color=colour, linewidth=1.0, drawstyle="steps-post")
        axes.plot(
            np.where(seen, _deviate(far), np.nan), _deviate(frr), color=colour, linewidth=1.8,
            drawstyle="steps-post", label=_det_label(report),
        )  # fmt: skip
        equal = report.metrics["eer"].value
        axes.plot(_deviate(equal), _deviate(equal), "o", color=colour, markersize=5)
        for rates in report.profiles:
            place = (_deviate(rates.far.value), _deviate(rates.frr.value))
            axes.plot(*place, "D", color=colour, markersize=5, markerfacecolor="white")
            axes.annotate(rates.name, place, xytext=(6, 4), textcoords="offset points", fontsize=7)
    low, high = _deviate(_lowest_tick(reports)), _deviate(0.5)
    axes.plot([low, high], [low, high], color="0.8", linewidth=0.8, zorder=0)
    ticks = [tick for tick in DET_TICKS_PERCENT if _deviate(tick / 100) >= low]
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks([_deviate(tick / 100) for tick in ticks], [f"{tick:g}" for tick in ticks], fontsize=8)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.set_xlabel(errors[0])
    axes.set_ylabel(errors[1])
    axes.set_title("Detection error trade-off", loc="left", fontweight="bold")
    axes.grid(color="0.92")
    figure.legend(
        loc="outside lower center", fontsize=8, frameon=False, ncols=1 if len(reports) == 1 else 2,
        title="Dots: EER. Diamonds: shipped thresholds. Dotted line: too few trials (rule of 3).", title_fontsize=8,
    )  # fmt: skip
    return _save(figure, path)


def plot_scores(report: VerificationReport, path: str | Path) -> Path:
    """Write the distributions of target and non-target scores with the thresholds and return the path.

    LLRs are shown where the system gives them, else its raw scores; each class has area 1.

    Raises:
        ConfigError: ``plot_extra_missing``. InputError: ``output_unwritable``.
    """
    calibrated = report.llrs is not None
    values = report.scores if report.llrs is None else report.llrs
    low, high = np.quantile(values, [0.0005, 0.9995])
    margin = 0.05 * (high - low)
    bins = np.linspace(low - margin, high + margin, 70)
    figure = _figure(7.2, 4.6)
    axes = figure.add_subplot()
    for name, chosen, colour in (
        ("non-targets", ~report.is_target, NONTARGET_COLOUR),
        ("targets", report.is_target, TARGET_COLOUR),
    ):
        label = f"{name} ({int(np.sum(chosen)):,})"
        axes.hist(
            values[chosen],
            bins=bins,
            density=True,
            histtype="stepfilled",
            alpha=0.45,
            color=colour,
            label=label,
        )
        axes.hist(values[chosen], bins=bins, density=True, histtype="step", color=colour, linewidth=1.2)
    for number, (name, threshold) in enumerate(_thresholds(report, values)):
        style = ("-", "--", ":", "-.")[number % 4]
        axes.axvline(threshold, color="0.25", linewidth=1.2, linestyle=style, label=name)
    axes.set_xlabel("log-likelihood ratio (natural log)" if calibrated else "cosine score")
    axes.set_ylabel("density")
    axes.set_xlim(bins[0], bins[-1])
    axes.set_title(f"{report.trial_list}, {report.model_id}", loc="left", fontweight="bold", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside lower center", fontsize=8, frameon=False, ncols=2)
    return _save(figure, path)


def plot_identification(report: IdentificationReport, path: str | Path) -> Path:
    """Write the cumulative match curve and FNIR against FPIR beside each other and return the path.

    Raises:
        ConfigError: ``plot_extra_missing``. InputError: ``output_unwritable``.
    """
    figure = _figure(9.0, 4.2)
    closed, opened = figure.subplots(1, 2)
    most = min(report.people, 20)
    accuracy = [100 * float(np.mean(report.ranks <= k)) for k in range(1, most + 1)]
    closed.plot(range(1, most + 1), accuracy, "o-", color=TARGET_COLOUR, markersize=4)
    closed.set_xlabel("rank k")
    closed.set_ylabel("right person among the k best, %")
    closed.set_ylim(min(90.0, min(accuracy) - 2.0), 100.4)
    closed.set_xticks(sorted({1, 5, *range(5, most + 1, 5)}))
    closed.set_title(f"Closed set: {report.people} people, {report.probes} probes", loc="left", fontsize=10)
    searches = report.open_set
    curve = RankedTrials(searches.scores, searches.is_mated).curve()
    # The first point accepts everything, also searches lost to another person, which no threshold can.
    fpir, fnir = 100 * curve.far[0, 1:], 100 * curve.frr[0, 1:]
    lowest = 100 * smallest_rate(report.probes)
    opened.plot(fpir, fnir, ":", color=NONTARGET_COLOUR, linewidth=1.0, drawstyle="steps-post")
    seen = np.where(fpir >= lowest, fpir, np.nan)
    opened.plot(seen, fnir, color=NONTARGET_COLOUR, linewidth=1.8, drawstyle="steps-post")
    opened.set_xscale("log")
    opened.set_xlim(lowest / 2, 100)
    opened.set_ylim(0, max(5.0, 1.1 * float(np.max(fnir[fpir >= lowest / 2]))))
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if tick >= lowest / 2]
    opened.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    opened.minorticks_off()
    opened.set_xlabel("FPIR: strangers given a name, %")
    opened.set_ylabel("FNIR: enrolled people missed, %")
    opened.set_title(
        f"Open set: {searches.folds} galleries of {searches.smallest_gallery} or more",
        loc="left",
        fontsize=10,
    )
    for axes in (closed, opened):
        axes.grid(color="0.92")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.suptitle(
        f"{report.trial_list}, {report.model_id}", x=0.01, ha="left", fontweight="bold", fontsize=10
    )
    return _save(figure, path)


def _thresholds(report: VerificationReport, values: Floats) -> list[tuple[str, float]]:
    """Return the lines to draw: the threshold of equal errors here, then those of the profiles."""
    curve = RankedTrials(values, report.is_target).curve()
    equal = int(np.argmax(curve.frr[0] >= curve.far[0]))
    lines = [(f"EER {100 * report.metrics['eer'].value:.2f} %", float(curve.thresholds[equal]))]
    for rates in report.profiles:
        far, frr = _rate(rates.far.value, report.nontargets), _rate(rates.frr.value, report.targets)
        seen = f"{rates.name}: FAR {far}, FRR {frr}"
        lines.append((seen, rates.threshold_llr))
    return lines


def _rate(rate: float, trials: int) -> str:
    """Return a rate in words that claim no more than the trials show."""
    return (
        f"{100 * rate:.2g} %"
        if rate > 0
        else f"below {100 * smallest_rate(trials):.2g} % (none of {trials:,})"
    )


def _det_label(report: VerificationReport) -> str:
    return (
        f"{report.model_id}, {report.trial_list}\nEER {100 * report.metrics['eer'].value:.2f} %, "
        f"{report.targets:,} targets, {report.nontargets:,} non-targets"
    )


def _lowest_tick(reports: Sequence[VerificationReport]) -> float:
    """Return the tick at or under the smallest rate any of the lists can show."""
    smallest = min(smallest_rate(max(report.targets, report.nontargets)) for report in reports)
    under = [tick / 100 for tick in DET_TICKS_PERCENT if tick / 100 <= smallest]
    return max(under, default=DET_TICKS_PERCENT[0] / 100)


def _deviate(rate: Any) -> Any:
    """Return the normal deviate of a rate, kept finite: rates of 0 and 1 fall outside the axes."""
    return norm.ppf(np.clip(rate, 1e-6, 1.0 - 1e-6))


def _figure(width_in: float, height_in: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "plot_extra_missing",
            "Plots need matplotlib, which is not installed; expected the extra `plot`; "
            "run: pip install 'voxid[plot]'.",
        ) from None
    return Figure(figsize=(width_in, height_in), layout="constrained")


def _save(figure: Any, path: str | Path) -> Path:
    out = Path(path)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=DPI)
    except (OSError, ValueError) as error:
        raise InputError(
            "output_unwritable",
            f"Cannot write the picture {out} ({error}); expected a writable path ending in .png, .svg or "
            ".pdf; give another.",
        ) from error
    return out
