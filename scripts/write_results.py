"""Write the README's results between its markers from what the benches measured: no number is typed by hand.

python scripts/write_results.py        reads bench/results, rewrites README.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from voxid.bundle import default_bundle

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from tables import Record, set_of, verification_records  # noqa: E402

Report = Record
RESULTS = ROOT / "bench" / "results"
BEGIN, END = "<!-- results: scripts/write_results.py -->", "<!-- end of results -->"
SPEED_ROWS = {
    "verify a 3 s clip, end to end": "verify a 3 s clip, file to decision",
    "enroll five clips of 3 s": "enroll five clips of 3 s",
    "python, import and first verify, cold": "new process: import and first verify",
    "one search among 100,000, without the embedding": "identify among 100,000 people, beyond the embedding",
}


def percent(estimate: dict[str, float]) -> str:
    """Return a rate and its interval in percent."""
    return f"{100 * estimate['value']:.2f} [{100 * estimate['low']:.2f}, {100 * estimate['high']:.2f}]"


def systems(reports: list[Report], documented: str) -> dict[str, str]:
    """Return model id -> column title: the documented bundle, other bundles by name, the peer."""
    titles = {documented: "voxid"}
    for report in reports:
        name = report["model"].split("@")[0]
        titles.setdefault(report["model"], "Resemblyzer" if name == "resemblyzer" else name)
    return titles


def sets(reports: list[Report]) -> list[str]:
    """Return the names of the evaluation-only sets, in order; held-out training speakers have a page of their own."""
    names = dict.fromkeys(set_of(report) for report in reports)
    return [name for name in names if not name.startswith("heldout-")]


def find(reports: list[Report], name: str, model: str, enrolled: int, condition: str) -> Report | None:
    """Return one report, or None where it was not measured."""
    for report in reports:
        same = set_of(report) == name and report["model"] == model and report["condition"] == condition
        if same and report["enrolment_utterances"][1] == enrolled:
            return report
    return None


def verification_rows(reports: list[Report], titles: dict[str, str]) -> list[str]:
    """Return a row per set with every system's EER for one and for three enrolled utterances."""
    heads = [f"{title}, {size} enrolled" for size in (1, 3) for title in titles.values()]
    rows = [f"| list | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
    for name in sets(reports):
        found = [find(reports, name, model, size, "clean") for size in (1, 3) for model in titles]
        rows.append(f"| {name} | {' | '.join('–' if r is None else percent(r['eer']) for r in found)} |")
    return rows


def condition_rows(reports: list[Report], titles: dict[str, str]) -> list[str]:
    """Return a row per condition with the EERs of all systems on every set, one utterance enrolled."""
    names = sets(reports)
    heads = [f"{name}: {title}" for name in names for title in titles.values()]
    rows = [f"| probes | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
    for condition, title in {report["condition"]: report["title"] for report in reports}.items():
        found = [find(reports, name, model, 1, condition) for name in names for model in titles]
        cells = ["–" if r is None else f"{100 * r['eer']['value']:.2f}" for r in found]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return rows


def measured_fars(reports: list[Report], model: str) -> str:
    """Return what the 1 % profile lets pass on each set, one utterance enrolled."""
    found = [(name, find(reports, name, model, 1, "clean")) for name in sets(reports)]
    return ", ".join(
        f"{100 * report['profiles']['far_1pct']['far']['value']:.1f} % ({name})"
        for name, report in found
        if report is not None
    )


def cllr_gap(reports: list[Report], model: str) -> str:
    """Return Cllr over its minimum on each set, one utterance enrolled."""
    found = [(name, find(reports, name, model, 1, "clean")) for name in sets(reports)]
    return ", ".join(
        f"{report['cllr']['value']:.3f} against {report['min_cllr']['value']:.3f} ({name})"
        for name, report in found
        if report is not None
    )


def speed_rows(speed: dict[str, Any], hour: dict[str, Any]) -> list[str]:
    """Return the rows of the table of speed."""
    timings = {timing["what"]: timing for timing in speed["timings"]}
    rows = ["| on the same machine | median |", "|---|--:|"]
    for name, label in SPEED_ROWS.items():
        rows.append(
            f"| {label} | {timings[name]['median_ms']:.0f} ms (95th percentile {timings[name]['p95_ms']:.0f}) |"
        )
    rows.append(
        "| embedding, share of real time on one core | "
        f"{timings['embed 60 s on one thread']['median_ms'] / 60000:.4f} |"
    )
    rows.append(
        f"| one hour through `voxid who`, two threads | {hour['median_s']:.0f} s, peak {hour['peak_mib']:.0f} MiB |"
    )
    return rows


def diarization_rows(report: dict[str, Any]) -> list[str]:
    """Return a row per protocol."""
    titles = {
        "collar_0_overlap": "collar 0, overlap scored",
        "collar_025_overlap": "collar .25 s, overlap scored",
        "collar_025_no_overlap": "collar .25 s, without overlap",
    }
    rows = ["| protocol | DER % | miss | false alarm | confusion |", "|---|--:|--:|--:|--:|"]
    for name, title in titles.items():
        found = report["protocols"][name]
        parts = " | ".join(f"{100 * found[part]:.1f}" for part in ("missed", "false_alarm", "confusion"))
        rows.append(f"| {title} | {percent(found['der'])} | {parts} |")
    return rows


def section(results: Path) -> str:
    """Return the section."""
    measured = json.loads((results / "verification" / "report.json").read_text(encoding="utf-8"))
    reports = verification_records(measured)
    speed, hour, meetings = (
        json.loads((results / name).read_text(encoding="utf-8"))
        for name in ("speed.json", "diarization.json", "ami.json")
    )
    bundle = default_bundle()
    hours = sum(corpus["hours"] for corpus in bundle.card["training"]["corpora"])
    titles = systems(reports, bundle.id)
    lines = [
        "## Results",
        f"Bundle `{bundle.id}` ({bundle.card['parameters'] / 1e6:.1f} M parameters, {hours:.0f} hours "
        "of speech anyone may clone), "
        f"{bundle.card['created']}, two cores of a 2.8 GHz Xeon. EER in percent with 95 % intervals "
        "over speakers, none of whom "
        "was trained, tuned or calibrated on; Resemblyzer 0.1.4 (trained on far more speech, "
        "LibriSpeech among it) is measured "
        "by the same scorer in the same run (`bench/verification.py`). Other columns are earlier bundles of voxid.",
        "",
        *verification_rows(reports, titles),
        "",
        "The same trials with worse probes, one utterance enrolled, EER in percent; all systems hear the "
        "same files, and rows of short probes leave out trials with less speech:",
        "",
        *condition_rows(reports, titles),
        "",
        "Every number with its interval, minDCF, Cllr, three enrolled utterances, and held-out speakers of "
        "the training corpora: [bench/results/verification/table.md](bench/results/verification/table.md); "
        f"by sex, age and language: [model card](src/voxid/bundles/{bundle.path.name}/README.md). Cllr and "
        f"its minimum: {cllr_gap(reports, bundle.id)}. The thresholds were set on other speakers; with "
        f"one utterance enrolled the profile `far_1pct` let pass {measured_fars(reports, bundle.id)}.",
        "",
        *speed_rows(speed, hour),
        "",
        "`voxid who`, automatic count, on the first 30 s of nine AMI meetings "
        f"({meetings['reference_speech_s']:.0f} s of speech; "
        "not the whole set, on which pyannote 3.1 and community-1 publish 18.8 and 17.0 % with collar 0 and overlap):",
        "",
        *diarization_rows(meetings),
        "",
        f"JER {percent(meetings['jer'])}; the right number of speakers in "
        f"{100 * meetings['speaker_count_exact']['value']:.0f} % of "
        "the excerpts. Each moment is given to one voice, so overlapping speech, of which these "
        "excerpts are full, is missed.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Rewrite README.md between the markers."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{section(RESULTS)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
