"""What is evaluated is what is used: a trial's LLR is that of `Gallery.verify` on the same recordings."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from normalised_bundle import normalised_bundle
from voxid.evaluate import evaluate_verification, read_trials
from voxid.gallery import Consent
from voxid.recognize import Gallery

VOICES = Path(str(files("voxid") / "data" / "voices"))


@pytest.mark.parametrize("method", ["cosine", "as_norm"])
def test_a_trial_scores_as_a_claim(tmp_path: Path, method: str) -> None:
    """Three references against one probe, through the store and through the evaluation."""
    bundle = normalised_bundle(tmp_path / "made", method)
    names = ("ada", "bruno")
    clips = {name: [f"{name}/{number:02d}.opus" for number in (1, 2, 3)] for name in names}
    (tmp_path / "enrol.txt").write_text("".join(f"{name} {' '.join(clips[name])}\n" for name in names))
    probe = "ada/04.opus"
    (tmp_path / "trials.txt").write_text(f"ada {probe} target\nbruno {probe} nontarget\n")
    trials = read_trials(tmp_path / "trials.txt", tmp_path / "enrol.txt")
    report = evaluate_verification(trials, VOICES, bundle=bundle, resamples=0)
    consent = Consent({"verify"}, evidence="signed form 17")
    with Gallery.open(tmp_path / "people.voxid", bundle=bundle) as gallery:
        for name in names:
            gallery.enroll(
                name, [VOICES / clip for clip in clips[name]], consent,
                allow_duplicate=True, allow_inconsistent=True,
            )  # fmt: skip
        decisions = [gallery.verify(name, VOICES / probe) for name in names]
    assert report.llrs is not None
    for at, decision in enumerate(decisions):
        assert report.llrs[at] == pytest.approx(decision.llr, abs=1e-4)
        assert report.scores[at] == pytest.approx(decision.score, abs=1e-4)
