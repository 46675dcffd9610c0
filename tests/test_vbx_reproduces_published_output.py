"""From the published x-vectors, PLDA and transform of one meeting, our AHC and VB give the published diarization.

The fixture is the example of BUTSpeechFIT/VBx (AMI ES2005a, 16 kHz): its read-me states DER 7.06 and JER 29.99 with a
collar of 0.25 s and without overlap; the recipe is a threshold between two Gaussians minus 0.015, LDA to 128, Fa 0.3,
Fb 17, loop probability 0.99.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kaldi_files import read_archive, read_plda
from voxid.diarize.clustering import Clustering, ClusterOptions, Voices, cluster, unit_rows
from voxid.diarize.options import SpeakerCount
from voxid.diarize.vbx import PUBLISHED, VbxOptions
from voxid.evaluate.der import DiarizationErrors, evaluate_diarization
from voxid.plda import Plda, diagonalise
from voxid.segments import Segment
from voxid.timeline import Timeline, Turn, read_rttms

FIXTURE = Path(__file__).parents[2] / "shared" / "eval" / "diarization" / "vbx_fixture"
MODEL = "VBx__models__ResNet101_16kHz__"
MEETING = "ES2005a"

pytestmark = pytest.mark.skipif(
    not FIXTURE.exists(), reason=f"the published example is not at {FIXTURE}: nothing to compare with"
)


@cache
def read_xvectors() -> tuple[Voices, NDArray[np.float64]]:
    """Return the 1,025 x-vectors in the space of the PLDA, and where each window ends, in seconds."""
    h5py = pytest.importorskip(
        "h5py", reason="h5py, of the extra dev, is not installed: the transform is HDF5"
    )
    names, raw = zip(*read_archive(FIXTURE / f"exp__{MEETING}.ark"), strict=True)
    with h5py.File(FIXTURE / f"{MODEL}transform.h5") as transform:
        first, lda, second = (np.array(transform[key]) for key in ("mean1", "lda", "mean2"))
    vectors = unit_rows(unit_rows(np.stack(raw) - first) @ lda - second)
    rows = [line.split() for line in (FIXTURE / f"exp__{MEETING}.seg").read_text().splitlines()]
    assert [row[0] for row in rows] == list(names)
    starts, ends = np.array([[float(row[2]), float(row[3])] for row in rows]).T
    return Voices.of_windows(vectors, ends - starts, starts), ends


@cache
def published_plda() -> Plda:
    """Return the model with both covariances diagonal, dimensions sorted."""
    mean, transform, between = read_plda(FIXTURE / f"{MODEL}plda")
    back = np.linalg.inv(transform)
    transform, between = diagonalise((back * between) @ back.T, back @ back.T)
    return Plda(mean, transform, between)


def run(count: SpeakerCount | None = None, vbx: VbxOptions = PUBLISHED) -> Clustering:
    voices, _ = read_xvectors()
    return cluster(voices, count, ClusterOptions("vbx", min_cluster_s=0.0, vbx=vbx), published_plda())


def draw_turns(labels: NDArray[np.int64]) -> Timeline:
    """Return turns of windows: neighbours of one label join, and where two overlap they part in the middle."""
    voices, ends = read_xvectors()
    starts = voices.start_s.astype(np.float64)
    parts = np.flatnonzero((ends[:-1] < starts[1:] - 1e-4) | (labels[1:] != labels[:-1]))
    first, last = np.concatenate([[0], parts + 1]), np.append(parts, len(labels) - 1)
    begin, end = starts[first], ends[last]
    over = np.flatnonzero(begin[1:] < end[:-1])
    begin[over + 1] = end[over] = (begin[over + 1] + end[over]) / 2
    return Timeline(
        tuple(
            Turn(Segment(float(a), float(b)), f"SPEAKER_{label:02d}")
            for a, b, label in zip(begin, end, labels[first], strict=True)
        ),
        duration_s=float(ends.max()),
        uri=MEETING,
    )


def compare(reference: str, found: Timeline) -> DiarizationErrors:
    return evaluate_diarization(read_rttms(FIXTURE / reference)[MEETING], found)


def test_reproduces_the_published_error_rates() -> None:
    """DER 7.06 (collar .25, no overlap), 17.27 (collar .25), 26.28 (collar 0), JER 29.99 of the read-me within .05."""
    errors = compare(f"example__rttm__{MEETING}.rttm", draw_turns(run().labels))
    der = {name: 100 * (times.der or 0.0) for name, times in errors.times.items()}
    assert der["collar_025_no_overlap"] == pytest.approx(7.06, abs=0.01)
    assert der["collar_025_overlap"] == pytest.approx(17.27, abs=0.01)
    assert der["collar_0_overlap"] == pytest.approx(26.28, abs=0.01)
    assert 100 * (errors.jer or 0.0) == pytest.approx(29.99, abs=0.05)


def test_gives_the_published_turns() -> None:
    """Against the stored output itself: the same five speakers, and not a tenth of a percent of time differs."""
    errors = compare(f"exp__{MEETING}.rttm", draw_turns(run().labels))
    assert errors.times["collar_0_overlap"].der == pytest.approx(0.0, abs=0.001)
    assert errors.hypothesis_speakers == errors.reference_speakers == 5


def test_the_true_number_makes_it_better() -> None:
    """Four people speak; asked for four, the surplus fifth joins the voice it is most like, and DER falls to 2.2."""
    found = run(SpeakerCount(4, 4))
    assert found.n_speakers == 4
    errors = compare(f"example__rttm__{MEETING}.rttm", draw_turns(found.labels))
    assert errors.times["collar_025_no_overlap"].der < 0.025
