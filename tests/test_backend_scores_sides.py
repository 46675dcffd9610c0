"""One way to a score: batches agree with single trials, references with qualities, bundles hold what they need."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from voxid.backend import QUALITIES, Backend, Quality, Scoring
from voxid.bundle import BACKEND_FILE, CARD_FILE, default_bundle, load_bundle, write_card
from voxid.calibration import Calibration, QualityWeight
from voxid.errors import CompatibilityError
from voxid.plda import train_plda
from voxid.score import center

DIM = 16


def unit(n: int, seed: int, dim: int = DIM) -> np.ndarray:
    return center(np.random.default_rng(seed).standard_normal((n, dim)), np.zeros(dim))


def backend(method: str, top: int = 20) -> Backend:
    mean = 0.1 * unit(1, 1)[0]
    cohort = center(unit(100, 2), mean)
    weights = tuple(QualityWeight(name, -10.0, 50.0, 1.0, 0.01, 0.002) for name in QUALITIES)
    plda = train_plda(cohort, np.arange(100) // 4)
    return Backend(
        mean, Calibration(3.0, -1.0, 99, 99, "by hand", weights), Scoring(method, top), cohort, plda
    )


PEOPLE = [unit(n, 10 + n) for n in (1, 3, 2, 5)]
QUALITIES_OF = [[Quality(2.0 + r, 20.0 - r, -30.0) for r in range(len(references))] for references in PEOPLE]
PROBE = unit(1, 30)


@pytest.mark.parametrize("method", ["cosine", "as_norm", "plda"])
def test_many_at_once_are_scored_as_each_alone(method: str) -> None:
    """The number verify gives is the number identify gives."""
    scorer = backend(method)
    probe = scorer.side(PROBE, [Quality(1.5, 12.0, -50.0)])
    scores, llrs = scorer.compare(scorer.sides(PEOPLE, QUALITIES_OF), probe)
    assert scores.shape == llrs.shape == (4,)
    for row, (references, known) in enumerate(zip(PEOPLE, QUALITIES_OF, strict=True)):
        score, llr = scorer.compare(scorer.side(references, known), probe)
        assert score[0] == pytest.approx(scores[row], abs=1e-5)
        assert llr[0] == pytest.approx(llrs[row], abs=1e-5)


@pytest.mark.parametrize("method", ["cosine", "as_norm", "plda"])
def test_taken_rows_are_the_rows(method: str) -> None:
    scorer = backend(method)
    sides, probe = scorer.sides(PEOPLE, QUALITIES_OF), scorer.side(PROBE)
    whole = scorer.compare(sides, probe)[1]
    np.testing.assert_allclose(scorer.compare(sides.take([2, 0, 2]), probe)[1], whole[[2, 0, 2]], atol=1e-6)


def test_nobody_to_compare_with_gives_no_scores() -> None:
    scorer = backend("as_norm")
    scores, llrs = scorer.compare(scorer.sides(PEOPLE).take([]), scorer.side(PROBE))
    assert scores.shape == llrs.shape == (0,)


def test_speech_of_references_adds_up_and_the_rest_is_averaged_by_it() -> None:
    scorer = backend("cosine")
    known = [Quality(1.0, 10.0, None), Quality(3.0, 30.0, -20.0)]
    measured = scorer.side(unit(2, 4), known).measured
    assert measured["log_speech_s"][0] == pytest.approx(np.log(4.0))
    assert measured["snr_db"][0] == pytest.approx(25.0)
    assert measured["high_band_db"][0] == -20.0
    assert measured["log_references"][0] == pytest.approx(np.log(2.0))


def test_what_is_not_known_is_nan_in_the_side_and_neutral_in_the_llr() -> None:
    """One reference of unknown length makes the sum unknown; the LLR stays a number."""
    scorer = backend("as_norm")
    side = scorer.side(unit(2, 5), [Quality(1.0), Quality()])
    assert np.isnan(side.measured["log_speech_s"][0])
    assert np.isnan(side.measured["snr_db"][0])
    assert np.isfinite(scorer.compare(side, scorer.side(PROBE))[1]).all()


def test_no_speech_at_all_is_the_least_not_minus_infinity() -> None:
    side = backend("cosine").side(PROBE, [Quality(0.0)])
    assert np.isfinite(side.measured["log_speech_s"][0])


def test_a_cosine_bundle_scores_as_ever() -> None:
    """The bundle of the first version: the cosine of centred means, and the affine map."""
    bundle = default_bundle()
    references, probe = unit(3, 6, bundle.dim), unit(1, 7, bundle.dim)
    mean = center(references, bundle.mean).sum(axis=0)
    expected = float(center(probe, bundle.mean)[0] @ mean / np.linalg.norm(mean))
    plain = Backend(bundle.mean, Calibration(12.0, -4.0, 99, 99, "by hand"))
    score, llr = plain.compare(plain.side(references), plain.side(probe))
    assert score[0] == pytest.approx(expected, abs=1e-6)
    assert llr[0] == pytest.approx(12.0 * expected - 4.0, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scoring": Scoring("as_norm"), "cohort": None}, "a cohort"),
        ({"scoring": Scoring("plda"), "plda": None}, "a PLDA model"),
        (
            {"calibration": Calibration(1.0, 0.0, 9, 9, "x", (QualityWeight("mood", 0, 1, 0, 0, 0),))},
            "'mood'",
        ),
    ],
)
def test_a_missing_part_is_named(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Backend(
            **{"mean": np.zeros(4, np.float32), "calibration": Calibration(1.0, 0.0, 9, 9, "x"), **change}
        )  # type: ignore[arg-type]


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle().path, folder)
    return folder


def rewrite(folder: Path, arrays: dict[str, np.ndarray], **entries: object) -> None:
    bundle = default_bundle()
    np.savez(folder / BACKEND_FILE, mean=bundle.mean, **arrays)
    write_card(folder, {**bundle.card, **entries})


def test_a_bundle_brings_its_cohort_and_plda(draft: Path) -> None:
    """Stored raw in half precision, centred when loaded; whatever changes a score changes the id."""
    dim = default_bundle().dim
    raw = unit(50, 8, dim)
    plda = train_plda(raw, np.arange(50) // 5, dim=10)
    arrays = {
        "cohort": raw.astype(np.float16), "plda_mean": plda.mean,
        "plda_transform": plda.transform, "plda_between": plda.between,
    }  # fmt: skip
    ids = set()
    for method in ("cosine", "as_norm", "plda"):
        rewrite(draft, arrays, scoring={"method": method, "top": 10})
        bundle = load_bundle(draft)
        ids.add(bundle.id)
        assert bundle.cohort is not None
        np.testing.assert_allclose(bundle.cohort, center(raw, bundle.mean), atol=2e-3)
        side = bundle.backend.side(unit(1, 9, dim))
        assert np.isfinite(bundle.backend.compare(side, side)[1]).all()
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("arrays", "entries", "sentence"),
    [
        ({}, {"scoring": {"method": "as_norm", "top": 5}}, "lacks a cohort"),
        ({}, {"scoring": {"method": "magic"}}, "a scoring method of cosine, as_norm, plda"),
        ({"cohort": np.ones((4, 7))}, {}, "holds a cohort of shape"),
        ({"cohort": np.full((4, 192), np.nan)}, {}, "holds a cohort of shape"),
        ({"plda_mean": np.zeros(192)}, {}, "holds a PLDA of shapes"),
        (
            {"plda_mean": np.zeros(192), "plda_transform": np.ones((2, 192)), "plda_between": np.ones(3)},
            {},
            "holds a PLDA of shapes",
        ),
    ],
)
def test_a_bundle_with_a_useless_backend_is_refused(
    draft: Path, arrays: dict[str, np.ndarray], entries: dict[str, object], sentence: str
) -> None:
    rewrite(draft, arrays, **entries)
    with pytest.raises(CompatibilityError, match=sentence) as caught:
        load_bundle(draft)
    assert caught.value.code == "bundle_invalid"
    assert (draft / CARD_FILE).is_file()
    assert json.loads((draft / CARD_FILE).read_text())["format_version"] == 1
