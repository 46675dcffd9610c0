"""The Bayesian model of VBx: its arithmetic against slow definitions, and what it makes of voices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

from synthetic_voices import draw_windows, plda_of_people, same_partition
from voxid.diarize import vbx
from voxid.diarize.vbx import VbxOptions, infer_speakers, resegment, soften
from voxid.errors import InputError

OPTIONS = VbxOptions(dim=40)


@pytest.mark.parametrize("loop", [0.0, 0.6, 0.99])
def test_forward_backward_agrees_with_all_paths(loop: float) -> None:
    """Posteriors, likelihood and entries from the sum over all 3^5 paths of five embeddings."""
    rng = np.random.default_rng(1)
    evidence, pi = rng.normal(0, 2, (5, 3)), np.array([0.5, 0.3, 0.2])
    move = loop * np.eye(3) + (1 - loop) * pi
    gamma, entered = np.zeros((5, 3)), np.zeros(3)
    paths = list(itertools.product(range(3), repeat=5))
    logs = [
        np.log(pi[p[0]])
        + sum(np.log(move[a, b]) for a, b in itertools.pairwise(p))
        + evidence[range(5), p].sum()
        for p in paths
    ]
    total = logsumexp(logs)
    for path, log in zip(paths, logs, strict=True):
        gamma[range(5), path] += np.exp(log - total)
        entered[path[0]] += np.exp(log - total)
        for a, b in itertools.pairwise(path):
            entered[b] += np.exp(log - total) * (1 - loop) * pi[b] / move[a, b]
    found, again, likelihood = vbx._occupy(evidence, pi, loop)
    assert np.allclose(found, gamma, atol=1e-6)
    assert np.allclose(again, entered, atol=1e-6)
    assert likelihood == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("loop", [0.0, 0.9])
def test_every_round_improves_the_bound(loop: float) -> None:
    plda = plda_of_people()
    voices, _ = draw_windows(3, 90, 1.0, seed=2)
    start = np.random.default_rng(3).integers(0, 8, 90)
    options = VbxOptions(loop_probability=loop, dim=40, tolerance=0.0)
    result = infer_speakers(plda.project(voices.embeddings), plda.between, soften(start, 5.0), options)
    assert np.diff(result.elbo).min() > -1e-3  # transitions have a floor, which costs that much at most
    assert result.gamma.sum(axis=1) == pytest.approx(1.0)
    assert result.pi.sum() == pytest.approx(1.0)


def test_speakers_that_explain_nothing_lose_everything() -> None:
    """Begun with two speakers for every true one, it ends with the true ones."""
    plda = plda_of_people()
    voices, truth = draw_windows(3, 120, 0.7, seed=4)
    start = truth * 2 + (np.arange(120) // 24) % 2
    result = infer_speakers(plda.project(voices.embeddings), plda.between, soften(start, 5.0), OPTIONS)
    assert same_partition(result.labels, truth)


def test_a_dearer_speaker_is_a_rarer_one() -> None:
    plda = plda_of_people()
    voices, _ = draw_windows(6, 120, 1.5, seed=5)
    start = np.arange(120) // 8
    counts = [
        len(set(infer_speakers(plda.project(voices.embeddings), plda.between, soften(start, 5.0),
                               VbxOptions(fb=fb, dim=40)).labels.tolist()))
        for fb in (1.0, 17.0, 500.0)
    ]  # fmt: skip
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1


def test_resegmentation_mends_wrong_and_missing_labels() -> None:
    """A fifth of the windows mislabelled and a fifth not clustered: all go where they belong."""
    plda = plda_of_people()
    voices, truth = draw_windows(3, 120, 0.7, seed=6)
    labels = truth.copy()
    order = np.random.default_rng(7).permutation(120)
    labels[order[:24]] = (labels[order[:24]] + 1) % 3
    labels[order[24:48]] = -1
    result = resegment(plda.project(voices.embeddings), plda.between, labels, OPTIONS)
    assert np.array_equal(result.labels, truth)


def test_a_thousand_nats_of_evidence_do_not_overflow() -> None:
    """Embeddings far outside the model's spread give finite posteriors."""
    plda = plda_of_people()
    voices, truth = draw_windows(2, 40, 0.5, seed=8)
    result = infer_speakers(200 * plda.project(voices.embeddings), plda.between, soften(truth, 5.0), OPTIONS)
    assert np.isfinite(result.gamma).all()
    assert np.isfinite(result.elbo).all()


def test_softened_labels_favour_their_speaker() -> None:
    gamma = soften(np.array([0, 1, 0]), 5.0)
    assert gamma.sum(axis=1) == pytest.approx(1.0)
    assert gamma[0] == pytest.approx([np.e**5 / (np.e**5 + 1), 1 / (np.e**5 + 1)])


@pytest.mark.parametrize(
    "change", [{"fa": 0.0}, {"fb": -1.0}, {"loop_probability": 1.0}, {"dim": 0}, {"fa": np.nan}]
)
def test_rejects_impossible_options(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"loop_probability in \[0, 1\); change it") as caught:
        VbxOptions(**change)  # type: ignore[arg-type]
    assert caught.value.code == "option_invalid"
