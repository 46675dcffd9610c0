"""Print diarization error against the joining threshold, on conversations of held-out speakers.

    python scripts/tune_diarization.py --corpora PATH --timing SHARED/eval/diarization/timing [--bundle DIR]

Put the best value into the bundle's card as ``diarization: {"ahc_threshold": ...}``. None of the evaluation
recordings is touched. ``--set min_cluster_s=2,4`` tries other values of a DiarizeOptions field as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from conversations import Conversation, draw_conversations
from voxid.bundle import default_bundle, load_bundle
from voxid.diarize import DiarizeOptions, SpeakerCount
from voxid.diarize.windowed import EmbeddedWindows, Recording, embed_recording, find_speech, join_windows
from voxid.embedding import Embedder, get_embedder
from voxid.errors import InputError
from voxid.timeline import Segment, Timeline
from voxid.train.recipe import load_recipe

WINDOW_OPTIONS = {"window_s", "step_s", "cluster_every", "min_window_speech_s", "chunk_s", "bridge_s"}
Turns = list[tuple[Segment, int]]
Prepared = tuple[Conversation, Recording, EmbeddedWindows]


def draw_activity(turns: Turns, n_frames: int) -> NDArray[np.bool_]:
    """Return (S, T) who speaks in each 10 ms frame."""
    labels = sorted({label for _, label in turns})
    activity = np.zeros((len(labels), n_frames), dtype=np.bool_)
    for segment, label in turns:
        activity[labels.index(label), round(segment.start_s * 100) : round(segment.end_s * 100)] = True
    return activity


def count_errors(reference: NDArray[np.bool_], hypothesis: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return miss, false alarm, confusion and speech frames; collar 0, overlap scored, best mapping.

    Source: NIST md-eval definition of DER.
    """
    shared = reference.astype(np.int64) @ hypothesis.T.astype(np.int64)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    n_reference, n_hypothesis = reference.sum(axis=0), hypothesis.sum(axis=0)
    correct = int(shared[rows, columns].sum())
    both = int(np.minimum(n_reference, n_hypothesis).sum())
    miss = int(np.maximum(n_reference - n_hypothesis, 0).sum())
    false_alarm = int(np.maximum(n_hypothesis - n_reference, 0).sum())
    return np.array([miss, false_alarm, both - correct, int(n_reference.sum())])


def number_speakers(timeline: Timeline) -> Turns:
    """Return the reference as turns of numbered speakers."""
    numbers = {speaker: number for number, speaker in enumerate(timeline.speakers)}
    return [(turn.segment, numbers[turn.speaker]) for turn in timeline.turns]


@dataclasses.dataclass(frozen=True)
class Score:
    """Errors over all conversations at one threshold; collar 0, overlap scored, percent."""

    miss: float
    false_alarm: float
    confusion: float
    mean_der: float
    exact_count: float
    count_error: float

    HEADER: ClassVar[str] = "threshold   miss    FA  conf   DER  mean DER  exact count  count error"

    @property
    def der(self) -> float:
        """DER over all speech, while ``mean_der`` is the mean over conversations."""
        return self.miss + self.false_alarm + self.confusion

    @property
    def balance(self) -> float:
        """What is minimised: long and short conversations both count."""
        return (self.der + self.mean_der) / 2

    def row(self, threshold: float) -> str:
        return (
            f"{threshold:9.3f} {self.miss:6.2f} {self.false_alarm:5.2f} {self.confusion:5.2f} "
            f"{self.der:5.2f} {self.mean_der:9.2f} {self.exact_count:11.0f}% {self.count_error:+12.2f}"
        )


def score(prepared: list[Prepared], threshold: float, options: DiarizeOptions) -> Score:
    """Return the errors of the automatic count at one threshold."""
    total = np.zeros(4)
    ders, excess = [], []
    for conversation, recording, embedded in prepared:
        turns = join_windows(recording, embedded, SpeakerCount(), threshold, options)
        n_frames = round(recording.waveform.duration_s * 100) + 1
        true = number_speakers(conversation.reference)
        found = [(turn.segment, turn.speaker) for turn in turns]
        errors = count_errors(draw_activity(true, n_frames), draw_activity(found, n_frames))
        total += errors
        ders.append(100 * errors[:3].sum() / errors[3])
        excess.append(len({turn.speaker for turn in turns}) - len(conversation.reference.speakers))
    miss, false_alarm, confusion = (100 * total[:3] / total[3]).tolist()
    exact = 100 * float(np.mean(np.asarray(excess) == 0))
    return Score(miss, false_alarm, confusion, float(np.mean(ders)), exact, float(np.mean(excess)))


def prepare(conversations: list[Conversation], embedder: Embedder, options: DiarizeOptions) -> list[Prepared]:
    """Return the conversations with their embedded windows, which every threshold shares."""
    prepared = []
    for conversation in conversations:
        try:
            recording = find_speech(conversation.waveform)
        except InputError as error:
            print(f"{conversation.reference.uri} left out: {error}")
            continue
        prepared.append((conversation, recording, embed_recording(recording, embedder, options)))
    return prepared


def read_grid(settings: list[str], *, of_windows: bool) -> list[dict[str, Any]]:
    """Return every combination of ``name=a,b,c``; what shapes windows belongs to ``--embed``, else ``--set``."""
    kinds = {
        field.name: type(getattr(DiarizeOptions(), field.name))
        for field in dataclasses.fields(DiarizeOptions)
    }
    axes = []
    for setting in settings:
        name, values = setting.split("=")
        if (name in WINDOW_OPTIONS) != of_windows:
            sys.exit(
                f"{name} belongs to {'--set' if of_windows else '--embed'}: windows are embedded only once."
            )
        axes.append([(name, kinds[name](value)) for value in values.split(",")])
    return [dict(combination) for combination in itertools.product(*axes)]


def read_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    recipe = Path(__file__).parents[1] / "recipes" / "ecapa-base.yaml"
    parser.add_argument("--corpora", type=Path, required=True, help="folder of the clones the recipe names")
    parser.add_argument(
        "--timing", type=Path, required=True, help="folder with ami_only_words, voxconverse_dev"
    )
    parser.add_argument("--recipe", type=Path, default=recipe)
    parser.add_argument("--bundle", type=Path, help="default: the one in the package")
    parser.add_argument("--conversations", type=int, default=60)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--thresholds", default="0.05:0.7:0.025", help="from:to:step")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=A,B", help="options to compare")
    parser.add_argument(
        "--embed", action="append", default=[], metavar="OPTION=A", help="options of the windows"
    )
    return parser.parse_args()


def main() -> None:
    arguments = read_arguments()
    bundle = load_bundle(arguments.bundle) if arguments.bundle else default_bundle()
    timing = [arguments.timing / "ami_only_words" / "train", arguments.timing / "voxconverse_dev"]
    recipe = load_recipe(arguments.recipe)
    conversations = draw_conversations(
        arguments.conversations, recipe, arguments.corpora, timing, arguments.seed
    )
    base = dataclasses.replace(DiarizeOptions(), **read_grid(arguments.embed, of_windows=True)[0])
    prepared = prepare(conversations, get_embedder(bundle), base)
    speech_s = sum(sum(turn.duration_s for turn in c.reference.turns) for c in conversations)
    print(f"{bundle.id}: {len(prepared)} conversations, {speech_s / 60:.1f} min of speech, {arguments.seed=}")
    start, stop, step = (float(part) for part in arguments.thresholds.split(":"))
    tried = []
    for changes in read_grid(arguments.set, of_windows=False):
        print(f"\n{changes or 'defaults'}\n{Score.HEADER}")
        for threshold in np.arange(start, stop + step / 2, step).tolist():
            found = score(prepared, threshold, dataclasses.replace(base, **changes))
            tried.append((found.balance, threshold, changes))
            print(found.row(threshold), flush=True)
    balance, threshold, changes = min(tried, key=lambda attempt: attempt[0])
    print(f"\nlowest (DER + mean DER) / 2: {balance:.2f} % at ahc_threshold {threshold:.3f} {changes or ''}")


if __name__ == "__main__":
    main()
