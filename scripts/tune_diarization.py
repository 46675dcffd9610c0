"""Print diarization error against the joining threshold, on conversations of held-out people made for tuning.

    python scripts/make_diarization_benchmark.py --tuning --corpora CORPORA --evaluation EVAL --out TUNING
    python scripts/tune_diarization.py TUNING [--segmentation network] [--bundle DIR] [--set min_cluster_s=2,4]

Put the best value into the bundle's card as ``diarization: {"ahc_threshold": ...}``. None of the evaluation
recordings and nobody in them is touched. ``--set`` compares values of any DiarizeOptions field that acts after
embedding.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxid.audio import Waveform, load
from voxid.bundle import Bundle, default_bundle, load_bundle
from voxid.diarize import DiarizeOptions, SpeakerCount, combined, segmented, windowed
from voxid.diarize.gating import find_speech
from voxid.diarize.naming import label_turns
from voxid.diarize.options import SEGMENTATIONS
from voxid.diarize.segmentation import Segmenter, default_segmenter
from voxid.diarize.turns import DrawnTurn
from voxid.embedding import get_embedder
from voxid.evaluate.der import DiarizationErrors, evaluate_diarization
from voxid.timeline import Timeline, read_rttms

PROTOCOL = "collar_0_overlap"
HEADER = "threshold   miss    FA  conf   DER  mean DER  exact count  count error"
Rejoin = Callable[[DiarizeOptions], list[DrawnTurn]]


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A conversation after everything that does not depend on what is tuned."""

    part: str
    truth: Timeline
    duration_s: float
    rejoin: Rejoin

    def errors(self, options: DiarizeOptions) -> DiarizationErrors:
        """Return the errors of the automatic count."""
        found = Timeline(label_turns(self.rejoin(options), {}), self.duration_s, self.truth.uri)
        return evaluate_diarization(self.truth, found)


@dataclasses.dataclass(frozen=True)
class Score:
    """Errors over conversations; collar 0, overlap scored, in percent."""

    miss: float
    false_alarm: float
    confusion: float
    mean_der: float
    exact_count: float
    count_error: float

    @classmethod
    def of(cls, errors: list[DiarizationErrors]) -> Score:
        times = [one.times[PROTOCOL] for one in errors]
        scored = sum(one.scored_s for one in times) / 100
        surplus = np.array([one.hypothesis_speakers - one.reference_speakers for one in errors])
        return cls(
            sum(one.missed_s for one in times) / scored,
            sum(one.false_alarm_s for one in times) / scored,
            sum(one.confusion_s for one in times) / scored,
            float(np.mean([100 * one.error_s / one.scored_s for one in times])),
            100 * float(np.mean(surplus == 0)),
            float(surplus.mean()),
        )

    @property
    def der(self) -> float:
        """DER over all speech, while ``mean_der`` is the mean over conversations."""
        return self.miss + self.false_alarm + self.confusion

    @property
    def balance(self) -> float:
        """What is minimised: long and short conversations both count, and so does the number of speakers."""
        return (self.der + self.mean_der) / 2 + 0.1 * (100 - self.exact_count)

    def __str__(self) -> str:
        return (
            f"{self.miss:6.2f} {self.false_alarm:5.2f} {self.confusion:5.2f} "
            f"{self.der:5.2f} {self.mean_der:9.2f} {self.exact_count:11.0f}% {self.count_error:+12.2f}"
        )


def hear_by_network(
    waveform: Waveform, bundle: Bundle, segmenter: Segmenter, options: DiarizeOptions
) -> Rejoin:
    """Return what draws turns from the local voices, or from the windows, of a recording."""
    embedder, activity = get_embedder(bundle), segmenter.segment(waveform.samples)
    if options.segmentation == "chunks":
        voices = segmented.hear(waveform, activity, embedder)
        return lambda changed: segmented.join(voices, embedder, SpeakerCount(), changed).turns
    speech = find_speech(waveform, activity, options)
    windows = combined.hear(waveform, activity, speech, embedder, options)
    return lambda changed: combined.join(windows, embedder, SpeakerCount(), changed).turns


def hear_by_windows(waveform: Waveform, bundle: Bundle, options: DiarizeOptions) -> Rejoin:
    """Return what draws turns from the windows of a recording."""
    recording = windowed.find_speech(waveform)
    embedded = windowed.embed_recording(recording, get_embedder(bundle), options)
    return lambda changed: windowed.join_windows(
        recording, embedded, SpeakerCount(), changed.threshold_for(bundle), changed, bundle.plda
    )


def prepare(arguments: argparse.Namespace, bundle: Bundle, base: DiarizeOptions) -> Iterator[Prepared]:
    """Yield the conversations of the folder, heard once."""
    segmenter = None
    if base.segmentation != "vad":
        segmenter = Segmenter.load(arguments.segmenter) if arguments.segmenter else default_segmenter()
    for file in sorted(arguments.conversations.glob("*/*.rttm"))[:: arguments.every]:
        waveform = load(
            next(path for path in file.parent.glob(f"{file.stem}.*") if path.suffix in (".flac", ".wav"))
        )
        rejoin = (
            hear_by_network(waveform, bundle, segmenter, base)
            if segmenter
            else hear_by_windows(waveform, bundle, base)
        )
        yield Prepared(file.parent.name, read_rttms(file)[file.stem], waveform.duration_s, rejoin)


def read_grid(settings: list[str]) -> list[dict[str, Any]]:
    """Return every combination of ``name=a,b,c``."""
    kinds = {
        field.name: type(getattr(DiarizeOptions(), field.name))
        for field in dataclasses.fields(DiarizeOptions)
    }
    split = [setting.split("=") for setting in settings]
    axes = [[(name, kinds[name](value)) for value in values.split(",")] for name, values in split]
    return [dict(combination) for combination in itertools.product(*axes)]


def read_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("conversations", type=Path, help="folder of folders of audio and RTTM")
    parser.add_argument("--bundle", type=Path, help="default: the one in the package")
    parser.add_argument("--segmentation", choices=SEGMENTATIONS, default=DiarizeOptions.segmentation)
    parser.add_argument("--segmenter", type=Path, help="default: the one in the package")
    parser.add_argument("--every", type=int, default=1, help="take every so many-th conversation")
    parser.add_argument("--thresholds", default="0.05:0.6:0.025", help="from:to:step")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=A,B", help="options to compare")
    parser.add_argument("--parts", action="store_true", help="each folder's errors as well")
    return parser.parse_args()


def main() -> None:
    arguments = read_arguments()
    bundle = load_bundle(arguments.bundle) if arguments.bundle else default_bundle()
    base = DiarizeOptions(segmentation=arguments.segmentation)
    prepared = list(prepare(arguments, bundle, base))
    print(f"{bundle.id}, {base.segmentation}: {len(prepared)} conversations")
    start, stop, step = (float(part) for part in arguments.thresholds.split(":"))
    tried = []
    for changes in read_grid(arguments.set):
        print(f"\n{changes or 'defaults'}\n{HEADER}")
        for threshold in np.arange(start, stop + step / 2, step).tolist():
            options = dataclasses.replace(base, ahc_threshold=threshold, **changes)
            errors = [(one.part, one.errors(options)) for one in prepared]
            score = Score.of([error for _, error in errors])
            tried.append((score.balance, threshold, changes))
            print(f"{threshold:9.3f} {score}", flush=True)
            for part in dict.fromkeys(part for part, _ in errors) if arguments.parts else ():
                print(f"{part:>9} {Score.of([error for name, error in errors if name == part])}", flush=True)
    balance, threshold, changes = min(tried, key=lambda attempt: attempt[0])
    print(f"\nlowest balance {balance:.2f} at ahc_threshold {threshold:.3f} {changes or ''}")


if __name__ == "__main__":
    main()
