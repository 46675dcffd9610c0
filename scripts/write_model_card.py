"""Write a bundle's README from its card and from what the benches measured: no number is typed by hand.

    python scripts/write_model_card.py src/voxid/bundles/ecapa-small \
        --verification bench/results/verification/report.json --duration bench/results/duration.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from voxid.bundle import Bundle, load_bundle

PERCENT = ("eer",)


def training_section(bundle: Bundle) -> list[str]:
    """Return the table of the training speech."""
    corpora = bundle.card["training"]["corpora"]
    rows = [
        f"| {c['name']} | [{c['repository'].split('/', 3)[-1]}]({c['repository']}) "
        f"@{c['commit'][:10]} | {c['speakers']:,} "
        f"| {c['utterances']:,} | {c['hours']:.2f} | {c['licence']} |"
        for c in corpora
    ]
    total = f"{sum(c['utterances'] for c in corpora):,} | {sum(c['hours'] for c in corpora):.2f}"
    return [
        "## Training speech",
        "| corpus | repository | speakers | utterances | hours | licence |",
        "|---|---|--:|--:|--:|---|",
        *rows,
        f"| all | | | {total} | |",
        "",
        "Trimmed, without duplicates, at most 90 s a person; each utterance also at .9 and 1.1 times "
        "the speed as further "
        "classes, and each of these once more through simulated rooms, noise, babble, telephone, "
        "microphones and codecs.",
    ]


def estimate(value: dict[str, float] | None, name: str) -> str:
    """Return one number with its interval."""
    if value is None:
        return "-"
    scale, digits = (100.0, 2) if name in PERCENT else (1.0, 3)
    low, high = (f"{scale * value[side]:.{digits}f}" for side in ("low", "high"))
    return f"{scale * value['value']:.{digits}f} [{low}, {high}]"


def verification_section(bundle: Bundle, reports: list[dict[str, Any]]) -> list[str]:
    """Return the table of verification results, other systems beside ours."""
    lines = [
        "## Verification",
        "Cosine after mean subtraction; 95 % intervals by resampling speakers. Lists and speakers "
        "were never trained or tuned on.",
        "",
        "| list | enrolled with | model | EER % | minDCF (p .01) | actDCF (p .01) | Cllr | min Cllr "
        "| trials (targets) |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for r in reports:
        if r.get("task") != "verification":
            continue
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
    for r in reports:
        for name, rates in (r.get("profiles") or {}).items():
            lines.append(
                f"| {r['trial_list']} | {r['enrolment_utterances'][1]} | {name} | {estimate(rates['far'], 'eer')} "
                f"| {estimate(rates['frr'], 'eer')} |"
            )
    return lines


def duration_section(duration: dict[str, Any]) -> list[str]:
    """Return error against seconds of speech in the probe."""
    lines = [
        "## Error against duration",
        "EER % by seconds of speech in the probe, enrolled with one whole utterance (trials with "
        "less speech left out).",
        "",
        "| list | probe s | EER % | 95 % interval | targets | non-targets |",
        "|---|--:|--:|---|--:|--:|",
    ]
    for r in duration["rows"]:
        lines.append(
            f"| {r['list']} | {r['probe_speech_s']} | {r['eer_percent']} | {r['low']} to {r['high']} "
            f"| {r['targets']:,} "
            f"| {r['nontargets']:,} |"
        )
    return lines


def page(bundle: Bundle, reports: list[dict[str, Any]], duration: dict[str, Any] | None) -> str:
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
        "`voxid train recipes/ecapa-small.yaml --corpora FOLDER` repeats it.",
        "",
        *training_section(bundle),
        "",
        f"Held-out speakers of these corpora, EER %: {held_out}.",
        "",
        "## Thresholds",
        f"LLR = {card['calibration']['scale']:.3f} x cosine + ({card['calibration']['offset']:.3f}), fitted on "
        f"{card['calibration']['targets']:,} target and {card['calibration']['nontargets']:,} non-target trials of "
        f"{card['calibration']['fitted_on']}, utterances of 1 s and more.",
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
        *(verification_section(bundle, reports) if reports else []),
        "",
        *(duration_section(duration) if duration else []),
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
    parser.add_argument("--duration", type=Path, help="rows written by bench/duration.py")
    options = parser.parse_args()
    reports = json.loads(options.verification.read_text()) if options.verification else []
    reports = reports if isinstance(reports, list) else reports["reports"]
    duration = json.loads(options.duration.read_text()) if options.duration else None
    text = page(load_bundle(options.bundle), reports, duration)
    (options.bundle / "README.md").write_text(text, encoding="utf-8")
    print(options.bundle / "README.md")


if __name__ == "__main__":
    main()
