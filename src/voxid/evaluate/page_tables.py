"""Tables of the report page: every number with its interval, and what was too few said in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.cohorts import Cohort, CohortTable, Disparity
from voxid.evaluate.study import ConditionResult, Provenance, Study
from voxid.evaluate.verification_report import ProfileRates, VerificationReport

__all__ = [
    "cohort_rows",
    "condition_table",
    "error_table",
    "facts_table",
    "rate_cell",
    "ratio_sentence",
    "table",
]

_MEASURES: Final = (
    ("eer", "Equal error rate", 100.0),
    ("min_dcf_p01", "minDCF, target prior .01", 1.0),
    ("act_dcf_p01", "actDCF, target prior .01", 1.0),
    ("cllr", "Cllr, bits", 1.0),
    ("min_cllr", "min Cllr, bits", 1.0),
    ("auc", "Area under the ROC", 100.0),
)
_NOTHING: Final = "–"


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", stacked: bool = False
) -> str:
    """Return an HTML table; cells are HTML already, the first of each row names it.

    ``stacked`` puts intervals under their values, which many columns need.
    """
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    kind = ' class="stack"' if stacked else ""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption or head[0] or "table")}">'
        f"<table{kind}>{title}<thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def rate_cell(estimate: Estimate | None, scale: float = 100.0) -> str:
    """Return a value with its interval; rates in percent."""
    if estimate is None:
        return _NOTHING
    unit, digits = (" %", 2) if scale == 100.0 else ("", 3)
    value = f"{scale * estimate.value:.{digits}f}{unit}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} <small>[{scale * estimate.low:.{digits}f}, {scale * estimate.high:.{digits}f}]</small>"


def error_table(reports: Sequence[VerificationReport]) -> str:
    """Return all measures of one list, systems side by side."""
    rows = [
        [title, *(rate_cell(report.metrics.get(name), scale) for report in reports)]
        for name, title, scale in _MEASURES
    ]
    for at, point in enumerate(reports[0].far_points):
        cells = [
            rate_cell(report.far_points[at].frr) + ("" if report.far_points[at].firm else " *")
            for report in reports
        ]
        rows.append([f"False-reject rate at FAR {100 * point.point.far_wanted:g} %, set here", *cells])
    names = dict.fromkeys(rates.name for report in reports for rates in report.profiles)
    for name in names:
        shipped = [{rates.name: rates for rates in report.profiles}.get(name) for report in reports]
        far = [_far_cell(rates) for rates in shipped]
        frr = [rate_cell(None if rates is None else rates.frr) for rates in shipped]
        rows.append([f"False-accept rate at the shipped threshold {escape(name)}", *far])
        rows.append([f"False-reject rate at the shipped threshold {escape(name)}", *frr])
    return table(["", *(report.model_id for report in reports)], rows, "Error rates with 95 % intervals")


def condition_table(study: Study) -> str:
    """Return a row per condition, the clean list first."""
    profile = study.report.profiles[0].name if study.report.profiles else None
    head = ["probes", "EER", "min DCF", "Cllr"]
    head += [f"FAR, {profile}", f"FRR, {profile}", "refused"] if profile else []
    head += ["trials", "speakers"]
    rows = [_condition_row("as recorded", study.report, profile)]
    for result in study.conditions:
        rows.append(_condition_row(_condition_title(result), result.report, profile))
    return table(
        head, rows, "One condition at a time; enrolment is clean unless said otherwise", stacked=True
    )


def cohort_rows(found: CohortTable) -> str:
    """Return a row per cohort that carries a rate, and one for all others together."""
    head = [
        found.attribute,
        "false-reject rate",
        "false-accept rate",
        "EER",
        "people",
        "target trials",
        "other trials",
    ]
    able = [cohort for cohort in found.cohorts if cohort.frr is not None or cohort.far is not None]
    few = [cohort for cohort in found.cohorts if cohort.frr is None and cohort.far is None]
    rows = [_cohort_row(cohort) for cohort in able]
    if len(few) <= 6:
        rows += [_cohort_row(cohort) for cohort in few]
    else:
        names = ", ".join(cohort.value for cohort in few[:30]) + (" …" if len(few) > 30 else "")
        counts = [
            sum(getattr(cohort, name) for cohort in few) for name in ("speakers", "targets", "nontargets")
        ]
        rows.append(
            [
                f"{len(few)} others <small>{escape(names)}</small>",
                *(3 * [_too_few()]),
                *(f"{n:,}" for n in counts),
            ]
        )
    return table(head, rows, f"At the threshold {found.threshold.name}, 95 % intervals", stacked=True)


def ratio_sentence(found: Disparity) -> str:
    """Return what a disparity says, with its limits."""
    name = {"frr": "False-reject rate", "far": "False-accept rate"}[found.rate]
    pair = f"{found.worst!r} over {found.best!r}"
    if found.ratio is None:
        if found.at_least is None:
            return (
                f"{name}: no ratio; neither the best nor the worst group shows an error that others do not."
            )
        return f"{name}: {pair} is at least {found.at_least:.1f}, without upper end: {found.best!r} shows no error."
    low = "–" if found.ratio.low is None else f"{found.ratio.low:.2f}"
    high = "no upper end" if found.ratio.high is None else f"{found.ratio.high:.2f}"
    sure = found.ratio.low is not None and found.ratio.low > 1.0
    verdict = "the interval lies above 1" if sure else "the interval holds 1: no difference is shown"
    return f"{name}: {pair} is {found.ratio.value:.2f} [{low}, {high}]; {verdict}."


def facts_table(origin: Provenance, report: VerificationReport) -> str:
    """Return what the numbers rest on."""
    fewest, most = report.enrolment_utterances
    rows = [
        ("Trial list", f"{escape(report.trial_list)}: {report.trials:,} trials, {report.targets:,} of one person, "
         f"{report.nontargets:,} of two, {report.speakers} speakers"),
        ("Enrolled with", f"{fewest} to {most} utterances" if fewest != most else _utterances(fewest)),
        ("SHA-256 of the list", _code(origin.trial_file_sha256)),
        ("Model", _code(origin.model)),
        *((f"SHA-256 of {escape(name)}", _code(digest)) for name, digest in origin.model_files.items()),
        *((escape(_FACT_TITLES.get(name, name)), escape(value)) for name, value in origin.model_facts.items()),
        ("Noise recordings", escape(", ".join(origin.noise)) or "none used"),
        *((("SHA-256 of the noise", _code(origin.noise_sha256)),) if origin.noise_sha256 else ()),
        ("Intervals", f"95 %, speakers resampled {report.resamples} times, seed {report.seed}"),
        ("Measured", escape(origin.date)),
        ("Software", escape(", ".join(f"{name} {number}" for name, number in origin.versions.items()))),
        ("Machine", escape(origin.machine)),
    ]  # fmt: skip
    lines = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f'<div class="wide"><table class="facts"><tbody>{lines}</tbody></table></div>'


_FACT_TITLES: Final = {
    "created": "Model made",
    "licence": "Licence of the model",
    "intended_use": "Made for",
    "unfit_for": "Not made for",
}


def _condition_title(result: ConditionResult) -> str:
    title = escape(result.condition.title)
    if result.bit_rate_kbps is not None:
        title += f" <small>{result.bit_rate_kbps:.1f} kb/s measured</small>"
    return title


def _condition_row(title: str, report: VerificationReport | None, profile: str | None) -> list[str]:
    if report is None:
        return [title, _too_few(), *([""] * (7 if profile else 4))]
    shipped = {rates.name: rates for rates in report.profiles}.get(profile or "")
    cells = [
        rate_cell(report.metrics.get(name), scale)
        for name, _, scale in (_MEASURES[0], _MEASURES[1], _MEASURES[3])
    ]
    if profile is not None:
        cells.append(_far_cell(shipped))
        cells.append(rate_cell(None if shipped is None else shipped.frr))
        cells.append(_NOTHING if report.refused is None else f"{100 * report.refused.share:.1f} %")
    return [
        title,
        *cells,
        f"{report.trials:,} <small>{report.targets:,} targets</small>",
        f"{report.speakers}",
    ]


def _cohort_row(cohort: Cohort) -> list[str]:
    few = _too_few()
    return [
        escape(cohort.value),
        few if cohort.frr is None else rate_cell(cohort.frr),
        few if cohort.far is None else rate_cell(cohort.far),
        few if cohort.eer is None else rate_cell(cohort.eer),
        str(cohort.speakers),
        f"{cohort.targets:,} <small>{cohort.false_rejects:,} rejected</small>",
        f"{cohort.nontargets:,} <small>{cohort.false_accepts:,} accepted</small>",
    ]


def _far_cell(rates: ProfileRates | None) -> str:
    """Return a FAR, marked where even its lower end is over what the threshold was set for."""
    if rates is None:
        return _NOTHING
    cell = rate_cell(rates.far)
    over = rates.far.low is not None and rates.far.low > rates.far_wanted
    return f'<span class="over">over {cell}</span>' if over else cell


def _too_few() -> str:
    return '<span class="few">too few</span>'


def _utterances(count: int) -> str:
    return "one utterance" if count == 1 else f"{count} utterances"


def _code(text: str | None) -> str:
    return _NOTHING if text is None else f"<code>{escape(text)}</code>"
