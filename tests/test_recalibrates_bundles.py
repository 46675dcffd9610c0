"""`voxid calibrate`: a new bundle with thresholds from the user's trials, or nothing at all."""

from itertools import combinations
from pathlib import Path

import pytest

from normalised_bundle import normalised_bundle
from voxid.bundle import default_bundle, load_bundle
from voxid.errors import InputError
from voxid.evaluate import evaluate_verification, recalibrate

SHARED = Path(__file__).parents[2] / "shared" / "eval" / "verification" / "librispeech"
VOICES = Path(__file__).parents[1] / "src" / "voxid" / "data" / "voices"


def sample_trials(folder: Path) -> Path:
    """Write the list of all pairs of the sample voices' utterances."""
    files = sorted(VOICES.glob("*/*.opus"))
    rows = [
        f"{int(a.parent == b.parent)} {a.relative_to(VOICES)} {b.relative_to(VOICES)}"
        for a, b in combinations(files, 2)
    ]
    path = folder / "trials.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_too_few_trials_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        recalibrate(sample_trials(tmp_path), VOICES, tmp_path / "ours")
    assert caught.value.code in {"too_few_trials", "calibration_needs_trials"}
    assert "needs at least" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["trials.txt"]


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already; name a new folder") as caught:
        recalibrate(sample_trials(tmp_path), VOICES, tmp_path)
    assert caught.value.code == "bundle_exists"


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs ../shared/eval: 3,600 different-person trials of real speech"
)
def test_cllr_falls_on_the_trials_it_was_set_on(tmp_path: Path) -> None:
    made = recalibrate(SHARED / "trials.txt", SHARED, tmp_path / "ours", cache_dir=tmp_path / "cache")
    assert load_bundle(tmp_path / "ours").id == made.id != default_bundle().id
    assert made.card["calibrated_from"] == default_bundle().id
    assert set(made.profiles) == {"far_1pct"}
    before, after = (
        evaluate_verification(
            SHARED / "trials.txt", SHARED, bundle=bundle, cache_dir=tmp_path / "cache", resamples=20
        )
        for bundle in (default_bundle(), made)
    )
    assert after.metrics["cllr"].value < before.metrics["cllr"].value + 1e-9
    assert after.metrics["eer"].value == before.metrics["eer"].value


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs ../shared/eval: 3,600 different-person trials of real speech"
)
def test_scoring_and_measures_stay(tmp_path: Path) -> None:
    """A bundle with a cohort and quality weights keeps both; the weights move towards the trials."""
    source = normalised_bundle(tmp_path / "source")
    made = recalibrate(
        SHARED / "trials.txt", SHARED, tmp_path / "ours", bundle=source, cache_dir=tmp_path / "cache"
    )
    assert made.scoring == source.scoring
    before, after = source.calibration.qualities, made.calibration.qualities
    assert [weight.name for weight in after] == [weight.name for weight in before]
    assert after != before
    report = evaluate_verification(
        SHARED / "trials.txt", SHARED, bundle=made, cache_dir=tmp_path / "cache", resamples=20
    )
    assert report.metrics["cllr"].value < 1.3 * report.metrics["min_cllr"].value + 0.02
