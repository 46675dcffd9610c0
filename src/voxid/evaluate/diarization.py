"""Diarization of a set of recordings: RTTM files in, one report with intervals out.

Error seconds are summed over recordings and divided once; a mean of the recordings' rates would give a
30 s file the weight of an hour. Per-recording scoring and the three protocols are in ``der``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError
from voxid.evaluate.bootstrap import RESAMPLES, Estimate, Sides, estimate_all
from voxid.evaluate.der import PROTOCOLS, DiarizationErrors, ErrorTimes, evaluate_diarization
from voxid.segments import Segment
from voxid.timeline import Timeline, read_rttms, read_uem

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DiarizationReport:
    """Errors of a set of recordings, summed over time, never averaged over recordings.

    Attributes:
        recordings: errors of each.
        der: protocol name -> estimate; intervals resample recordings.
        jer: mean Jaccard error over all reference speakers of all recordings.
        count_exact: share of recordings with the right number of speakers.
        count_error: mean of hypothesis minus reference speakers.
    """

    recordings: tuple[DiarizationErrors, ...]
    der: Mapping[str, Estimate]
    jer: Estimate
    count_exact: Estimate
    count_error: float
    notes: tuple[str, ...]
    resamples: int
    seed: int
    times: Mapping[str, ErrorTimes] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, one entry per protocol."""
        return {
            "task": "diarization",
            "recordings": len(self.recordings),
            "reference_speech_s": round(self.times["collar_0_overlap"].scored_s, 3),
            "protocols": {
                protocol.name: {
                    **self.times[protocol.name].to_dict(),
                    "der": self.der[protocol.name].to_dict(),
                    "collar_s": protocol.collar_s,
                    "overlap_scored": protocol.overlap,
                }
                for protocol in PROTOCOLS
            },
            "jer": self.jer.to_dict(),
            "speaker_count_exact": self.count_exact.to_dict(),
            "speaker_count_error": self.count_error,
            "interval": {
                "confidence": 0.95,
                "resampled": "recordings",
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "notes": list(self.notes),
            "files": [recording.to_dict() for recording in self.recordings],
        }


def evaluate_diarization_set(
    references: Mapping[str, Timeline],
    hypotheses: Mapping[str, Timeline],
    uems: Mapping[str, Sequence[Segment]] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> DiarizationReport:
    """Return the report of all recordings of ``references``.

    Args:
        references: uri -> truth.
        hypotheses: uri -> answer; a recording without turns still needs its (empty) timeline.
        uems: uri -> what to score; None scores the common extent of each. A recording the UEM does not
            list is refused, so that nothing is scored by another rule unnoticed.
        resamples, seed: of the bootstrap over recordings.
        progress: called with the share done, in [0, 1].

    Raises:
        InputError: ``diarization_empty``, ``hypothesis_missing`` or ``uem_missing_recording``.
    """
    if not references:
        raise InputError("diarization_empty", "There is no reference recording; expected at least one RTTM.")
    for uri in references:
        if uri not in hypotheses:
            raise InputError(
                "hypothesis_missing",
                f"There is no hypothesis for {uri}; expected one for each of {len(references)} references; "
                "add it (empty, if nobody was found to speak).",
            )
        if uems is not None and uri not in uems:
            raise InputError(
                "uem_missing_recording",
                f"The UEM does not list {uri}; expected scored regions for every recording; add a line.",
            )
    found = []
    for number, uri in enumerate(sorted(references), 1):
        uem = None if uems is None else uems[uri]
        found.append(evaluate_diarization(references[uri], hypotheses[uri], uem))
        if progress is not None:
            progress(number / len(references))
    return summarise(found, resamples=resamples, seed=seed)


def read_diarization_folder(
    reference: str | Path, hypothesis: str | Path, uem: str | Path | None = None
) -> tuple[dict[str, Timeline], dict[str, Timeline], dict[str, list[Segment]] | None]:
    """Return (references, hypotheses, UEMs) by uri from RTTM files or folders of them.

    Args:
        reference: an RTTM file or a folder with ``*.rttm`` (and perhaps ``*.uem``).
        hypothesis: the same; an empty ``<uri>.rttm`` says that nobody spoke.
        uem: a UEM file or a folder of them; None takes the ``*.uem`` beside the references, if any.

    Raises:
        InputError: ``diarization_empty`` when a folder holds no RTTM, or what the readers say.
    """
    references, regions = read_references(reference, uem)
    return references, _timelines(Path(hypothesis)), regions


def read_references(
    reference: str | Path, uem: str | Path | None = None
) -> tuple[dict[str, Timeline], dict[str, list[Segment]] | None]:
    """Return (references, UEMs) by uri; arguments and errors as for :func:`read_diarization_folder`."""
    uem_files = _files(Path(uem), "uem") if uem is not None else []
    if uem is None and Path(reference).is_dir():
        uem_files = sorted(Path(reference).glob("*.uem"))
    regions: dict[str, list[Segment]] = {}
    for file in uem_files:
        regions.update(read_uem(file))
    return _timelines(Path(reference)), regions or None


def summarise(
    recordings: Sequence[DiarizationErrors], *, resamples: int = RESAMPLES, seed: int = 0
) -> DiarizationReport:
    """Return the report of recordings already scored; see ``evaluate_diarization_set``."""
    scored = {p.name: np.asarray([r.times[p.name].scored_s for r in recordings]) for p in PROTOCOLS}
    wrong = {p.name: np.asarray([r.times[p.name].error_s for r in recordings]) for p in PROTOCOLS}
    jaccard = np.asarray([sum(r.jaccard_errors.values()) for r in recordings])
    voices = np.asarray([len(r.jaccard_errors) for r in recordings], dtype=np.float64)
    surplus = np.asarray([r.hypothesis_speakers - r.reference_speakers for r in recordings])

    def measure(weights: Floats) -> dict[str, Floats]:
        with np.errstate(invalid="ignore", divide="ignore"):
            values = {name: weights @ wrong[name] / (weights @ scored[name]) for name in wrong}
            values["jer"] = weights @ jaccard / (weights @ voices)
            values["count"] = weights @ (surplus == 0) / np.sum(weights, axis=1)
        return values

    estimates = estimate_all(
        measure, Sides.single(np.arange(len(recordings))), resamples=resamples, seed=seed
    )
    start = ErrorTimes(0.0, 0.0, 0.0, 0.0)
    return DiarizationReport(
        recordings=tuple(recordings),
        der={protocol.name: estimates[protocol.name] for protocol in PROTOCOLS},
        jer=estimates["jer"],
        count_exact=estimates["count"],
        count_error=float(np.mean(surplus)),
        notes=(
            "The three protocols measure different things: compare a DER only with one of its own protocol.",
            f"{len(recordings)} recordings, resampled for the intervals."
            if len(recordings) > 1
            else "One recording: no interval exists.",
        ),
        resamples=resamples,
        seed=seed,
        times={p.name: sum((r.times[p.name] for r in recordings), start) for p in PROTOCOLS},
    )


def _files(source: Path, ending: str) -> list[Path]:
    if not source.is_dir():
        return [source]
    files = sorted(source.glob(f"*.{ending}"))
    if not files:
        raise InputError(
            "diarization_empty",
            f"{source} holds no *.{ending} files; expected one per recording; check the path.",
        )
    return files


def _timelines(source: Path) -> dict[str, Timeline]:
    """Return uri -> timeline; a file without turns is an empty timeline named after the file."""
    timelines: dict[str, Timeline] = {}
    for file in _files(source, "rttm"):
        timelines.update(read_rttms(file) or {file.stem: Timeline((), 0.0, file.stem)})
    return timelines
