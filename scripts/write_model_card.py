"""Write a bundle's README from its card and from what the benches measured: no number is typed by hand.

    python scripts/write_model_card.py src/voxid/bundles/ecapa-base \
        --verification bench/results/verification/report.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from voxid.bundle import Bundle, load_bundle

PERCENT = ("eer",)


def training_section(bundle: Bundle) -> list[str]:
    """Return the table of the training speech, and what was made of it."""
    facts = bundle.card["training"]
    corpora = facts["corpora"]
    rows = [
        f"| {c['name']} | [{c['repository'].split('/', 3)[-1]}]({c['repository']}) "
        f"@{c['commit'][:10]} | {c['speakers']:,} "
        f"| {c['utterances']:,} | {c.get('unlabelled_utterances', 0):,} | {c['hours']:.2f} | {c['licence']} |"
        for c in corpora
    ]
    speakers, utterances, unlabelled = (
        sum(c.get(name, 0) for c in corpora) for name in ("speakers", "utterances", "unlabelled_utterances")
    )
    total = f"{speakers:,} | {utterances:,} | {unlabelled:,} | {sum(c['hours'] for c in corpora):.2f}"
    return [
        "## Training speech",
        "| corpus | repository | speakers | utterances | of these without speaker | hours | licence |",
        "|---|---|--:|--:|--:|--:|---|",
        *rows,
        f"| all | | {total} | |",
        "",
        "Trimmed, without duplicates, at most 90 s a person. " + copies_sentence(facts),
        *teacher_paragraph(facts),
    ]


def copies_sentence(facts: dict[str, Any]) -> str:
    """Return how voices were altered to make further ones."""
    copies = facts.get("copies", [{"speed": 1.0}, {"speed": 0.9}, {"speed": 1.1}])
    altered = {
        "speed": [c["speed"] for c in copies if c.get("speed", 1.0) != 1.0],
        "formants": [c["formant"] for c in copies if c.get("formant", 1.0) != 1.0],
    }
    ways = " and ".join(f"{name} times {', '.join(map(str, by))}" for name, by in altered.items() if by)
    share = facts.get("augmented_share", 1.0)
    often = "each of these" if share == 1.0 else f"{share:.0%} of these"
    return (
        f"Each labelled voice also with {ways}, as further classes; {often} once more through simulated rooms, noise, "
        "babble, telephone, microphones and codecs."
    )


def teacher_paragraph(facts: dict[str, Any]) -> list[str]:
    """Return which public model was learnt from, if any."""
    teacher = facts.get("teacher", {})
    if not teacher.get("name"):
        return []
    return [
        "",
        f"All of it, with or without speaker, was also learnt from by distillation of a public d-vector model "
        f"({teacher['name']}, Apache-2.0, SHA-256 {teacher['sha256'][:16]}...), centred by corpus. That model was "
        "trained by its authors on LibriSpeech, VoxCeleb1 and VoxCeleb2; none of that speech is used here.",
    ]


def estimate(value: dict[str, float] | None, name: str) -> str:
    """Return one number with its interval."""
    if value is None:
        return "-"
    scale, digits = (100.0, 2) if name in PERCENT else (1.0, 3)
    low, high = (f"{scale * value[side]:.{digits}f}" for side in ("low", "high"))
    return f"{scale * value['value']:.{digits}f} [{low}, {high}]"


def verification_section(bundle: Bundle, reports: list[dict[str, Any]]) -> list[str]:
    """Return the tables of verification results, other systems beside ours, clean and degraded."""
    clean = [r for r in reports if r.get("condition", "clean") == "clean"]
    lines = [
        "## Verification",
        "95 % intervals by resampling speakers. Lists and speakers were never trained or tuned on, but for those named "
        "heldout-: people of the training corpora who were not trained on, while runs were compared and thresholds set "
        "on them.",
        "",
        "| list | enrolled with | model | EER % | minDCF (p .01) | actDCF (p .01) | Cllr | min Cllr "
        "| trials (targets) |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for r in clean:
        measures = " | ".join(
            estimate(r[name], name) for name in ("eer", "min_dcf_p01", "act_dcf_p01", "cllr", "min_cllr")
        )
        lines.append(
            f"| {r['trial_list']} | {r['enrolment_utterances'][1]} | {r['model']} | {measures} "
            f"| {r['trials']:,} ({r['targets']:,}) |"
        )
    lines += [
        "",
        "What the shipped thresholds do on these lists (they were set on held-out training speakers):",
        "",
    ]
    lines += ["| list | enrolled with | profile | FAR % | FRR % |", "|---|--:|---|--:|--:|"]
    for r in (r for r in clean if r["model"] == bundle.id):
        for name, rates in (r.get("profiles") or {}).items():
            lines.append(
                f"| {r['trial_list']} | {r['enrolment_utterances'][1]} | {name} | {estimate(rates['far'], 'eer')} "
                f"| {estimate(rates['frr'], 'eer')} |"
            )
    return lines


def condition_section(bundle: Bundle, reports: list[dict[str, Any]]) -> list[str]:
    """Return error under noise, telephone, codec and with short probes."""
    lines = [
        "## Error under conditions",
        "Probes made worse, enrolled with one clean utterance; a probe with less speech than a row asks for leaves it.",
        "",
        "| list | probes | EER % | Cllr | min Cllr | FAR % at far_1pct | FRR % at far_1pct | refused % | targets "
        "| non-targets |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in reports:
        if r["model"] != bundle.id or r["enrolment_utterances"][1] != 1:
            continue
        rates, refused = r["profiles"]["far_1pct"], r["refused"]
        share = (refused["not_enough_speech"] + refused["poor_quality"]) / refused["probes"]
        lines.append(
            f"| {r['trial_list']} | {r.get('title', 'as recorded')} | {estimate(r['eer'], 'eer')} "
            f"| {estimate(r['cllr'], 'cllr')} | {estimate(r['min_cllr'], 'cllr')} | {estimate(rates['far'], 'eer')} "
            f"| {estimate(rates['frr'], 'eer')} | {100 * share:.1f} | {r['targets']:,} | {r['nontargets']:,} |"
        )
    return lines


def cohort_section(bundle: Bundle, reports: list[dict[str, Any]]) -> list[str]:
    """Return who is served worse, with counts; groups too small for a rate say so."""
    lines = [
        "## Error by cohort",
        "One utterance enrolled, at the shipped threshold far_1pct. Impostors are of the same group where it is one of "
        "people. A dash: too few people or trials to state a rate. The ratio is the worst group's rate over the best "
        "one's, with its interval; where that holds 1, no difference is shown.",
        "",
        "| list | by | group | FRR % | FAR % | people | targets | non-targets |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    ratios: list[str] = []
    for r in reports:
        if r["model"] != bundle.id or r["enrolment_utterances"][1] != 1:
            continue
        for table in r.get("cohorts", []):
            able = [c for c in table["cohorts"] if c["frr"] or c["far"]]
            few = len(table["cohorts"]) - len(able)
            for c in able if few > 8 else table["cohorts"]:
                lines.append(
                    f"| {r['trial_list']} | {table['attribute']} | {c['value']} | {estimate(c['frr'], 'eer')} "
                    f"| {estimate(c['far'], 'eer')} | {c['speakers']} | {c['targets']:,} | {c['nontargets']:,} |"
                )
            if few > 8:
                lines.append(
                    f"| {r['trial_list']} | {table['attribute']} | {few} others: too few | | | | | |"
                )
            ratios += [f"- {r['trial_list']}, {table['attribute']}: {ratio(d)}" for d in table["disparity"]]
    return [*lines, "", *ratios]


def findings_section(reports: list[dict[str, Any]]) -> list[str]:
    """Return where the model is bad, as the bench found it, list by list."""
    lines = ["## Where it is bad"]
    for r in reports:
        lines += [f"- {r['trial_list']}: {sentence}" for sentence in r.get("findings", [])]
    return lines if len(lines) > 1 else [*lines, "Nothing measured stands out."]


def ratio(found: dict[str, Any]) -> str:
    """Return one disparity in words."""
    name, pair = found["rate"].upper(), f"{found['worst']} over {found['best']}"
    if found["ratio"] is None:
        least = "no ratio" if found["at_least"] is None else f"at least {found['at_least']:.1f}"
        return f"{name} {pair}: {least} ({found['best']} shows no error)."
    value = found["ratio"]
    high = "no upper end" if value["high"] is None else f"{value['high']:.2f}"
    low = "–" if value["low"] is None else f"{value['low']:.2f}"
    return f"{name} {pair}: {value['value']:.2f} [{low}, {high}]."


def calibration_sentence(bundle: Bundle) -> str:
    """Return how scores become LLRs."""
    fitted = bundle.calibration
    score = {"cosine": "cosine", "as_norm": "normalised score", "plda": "PLDA score"}[bundle.scoring.method]
    sentence = (
        f"LLR = {fitted.scale:.3f} x {score} + ({fitted.offset:.3f}), fitted on {fitted.targets:,} target and "
        f"{fitted.nontargets:,} non-target trials of {fitted.fitted_on}, 1 s of speech and more"
    )
    if not fitted.qualities:
        return f"{sentence}."
    rows = ", ".join(
        f"`{w.name}` ({w.low:.3g} to {w.high:.3g}, else {w.neutral:.3g})" for w in fitted.qualities
    )
    return f"{sentence}, for speech as it mostly is; shrunk, stretched and shifted by what was measured of it: {rows}."


def backend_section(bundle: Bundle) -> list[str]:
    """Return how the scoring was chosen and what it does for held-out people, fold by fold; nothing without a fit."""
    facts = bundle.card.get("backend")
    if facts is None:
        return []
    chosen = facts["chosen"]
    lines = [
        "## Back-end",
        f"Scoring: {chosen['method']}"
        + (f" against the {chosen['top']} most alike of " if "top" in chosen else "; cohort of ")
        + f"{facts['cohort']['speakers']:,} training speakers, taken because its mean EER over corpora and conditions "
        f"is lowest among {len(facts['candidates'])} ways tried:",
        "",
        "| method | top | dimensions | mean EER % |",
        "|---|--:|--:|--:|",
        *(
            f"| {c['method']} | {c.get('top', '-')} | {c.get('dim', '-') or 'all'} | {c['mean_eer_percent']:.2f} |"
            for c in facts["candidates"]
        ),
    ]
    judged = facts.get("left_out_people")
    if judged is None:
        return lines
    lines += [
        "",
        f"{facts['held_out']['speakers']} held-out speakers, each judged by a calibration and a 1 % threshold fitted "
        "without them (`affine`: from the score alone):",
        "",
        "| enrolled / probe | EER % | Cllr | min Cllr | affine Cllr | FAR % | FRR % | targets | non-targets |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows = [("all", judged["all"]), *judged["by_corpus"].items(), *judged["by_condition"].items()]
    lines += [
        f"| {name} | {m['eer_percent']:.2f} | {m['cllr']:.3f} | {m['min_cllr']:.3f} | {m['affine_cllr']:.3f} "
        f"| {m['far_percent']:.2f} | {m['frr_percent']:.2f} | {m['targets']:,} | {m['nontargets']:,} |"
        for name, m in rows
    ]
    return lines


def page(bundle: Bundle, reports: list[dict[str, Any]]) -> str:
    """Return the whole page."""
    card = bundle.card
    network = card["network"]
    held_out = ", ".join(f"{name} {value}" for name, value in card["held_out_eer_percent"].items())
    lines = [
        f"# {card['name']}",
        f"`{bundle.id}`: {network['name']}, {card['parameters']:,} parameters, {bundle.dim}-dimensional embeddings, "
        f"made {card['created']}. Licence: {card['licence']}.",
        "",
        f"**For:** {card['intended_use']}",
        "",
        f"**Not for:** {card['unfit_for']}",
        "",
        "The recipe (`recipe.yaml`) and the log of the run (`log.jsonl`) lie beside this page; "
        f"`voxid train recipes/{card['training']['recipe']}.yaml --corpora FOLDER"
        f"{' --teacher FILE' if card['training'].get('teacher', {}).get('name') else ''}` repeats it.",
        "",
        *training_section(bundle),
        "",
        f"Held-out speakers of these corpora, EER %: {held_out}.",
        "",
        "## Thresholds",
        calibration_sentence(bundle),
        "",
        "| profile | false-accept rate | accept from LLR | review from LLR | targets rejected there |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {p.name} | {p.far:.1%} | {p.threshold_llr:.2f} | "
            f"{'-' if p.review_llr is None else f'{p.review_llr:.2f}'} "
            f"| {p.frr:.1%} |"
            for p in bundle.profiles.values()
        ),
        "",
        *backend_section(bundle),
        "",
        *(findings_section(reports) if reports else []),
        "",
        *(verification_section(bundle, reports) if reports else []),
        "",
        *(condition_section(bundle, reports) if reports else []),
        "",
        *(cohort_section(bundle, reports) if reports else []),
        "",
        "## Files",
        *(f"- `{name}` SHA-256 `{digest}`" for name, digest in card["sha256"].items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write README.md into the bundle's folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--verification", type=Path, help="report.json of bench/verification.py")
    options = parser.parse_args()
    reports = json.loads(options.verification.read_text()) if options.verification else []
    reports = [report for report in reports if report["task"] == "verification"]
    text = page(load_bundle(options.bundle), reports)
    (options.bundle / "README.md").write_text(text, encoding="utf-8")
    print(options.bundle / "README.md")


if __name__ == "__main__":
    main()
