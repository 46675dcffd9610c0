"""BIC and GLR find where one Gaussian source gives way to another, and nothing where none does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.diarize.change import METHODS, ChangeOptions, cepstra, find_changes, measure_changes
from voxid.errors import InputError

F = 12


def draw_frames(lengths_s: list[float], seed: int, distance: float = 1.5) -> NDArray[np.float64]:
    """Return (T, F) frames of sources in turn, each a Gaussian of its own mean and covariance."""
    rng = np.random.default_rng(seed)
    parts = []
    for length_s in lengths_s:
        mix = np.linalg.qr(rng.standard_normal((F, F)))[0] * rng.uniform(0.7, 1.4, F)
        mean = rng.standard_normal(F) * distance / np.sqrt(F)
        parts.append(rng.standard_normal((round(length_s * 100), F)) @ mix + mean)
    return np.concatenate(parts)


@pytest.mark.parametrize("method", METHODS)
def test_finds_every_boundary(method: str) -> None:
    """Four boundaries between sources of 4 to 7 s: each found within 0.3 s, and no other."""
    lengths_s = [5.0, 4.0, 7.0, 6.0, 5.0]
    found = find_changes(draw_frames(lengths_s, seed=1), ChangeOptions(method))
    assert found == pytest.approx(np.cumsum(lengths_s)[:-1], abs=0.3)


@pytest.mark.parametrize("seed", range(5))
def test_bic_finds_nothing_in_one_source(seed: int) -> None:
    """The price of the parameters outweighs chance."""
    assert len(find_changes(draw_frames([30.0], seed))) == 0


def test_a_larger_penalty_finds_fewer_changes() -> None:
    frames = draw_frames([4.0] * 12, seed=3, distance=0.8)
    counts = [len(find_changes(frames, ChangeOptions(penalty=penalty))) for penalty in (0.5, 1.0, 3.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_agrees_with_the_definition() -> None:
    """The running sums give the log-determinants of the covariances of the windows themselves."""
    frames = draw_frames([3.0, 3.0], seed=4)
    options = ChangeOptions("glr", window_s=1.0)
    curve = measure_changes(frames, options)

    def spread(part: NDArray[np.float64]) -> float:
        return float(np.linalg.slogdet(np.cov(part.T, bias=True) + 1e-3 * np.eye(F))[1])

    for place in (0, 7, len(curve) - 1):
        left, right = frames[place * 10 :][:100], frames[place * 10 + 100 :][:100]
        both = np.concatenate([left, right])
        gain = 100 * spread(both) - 50 * (spread(left) + spread(right))
        assert curve[place] == pytest.approx(gain, rel=1e-6)


def test_pieces_of_a_long_recording_fit_together() -> None:
    """What is measured in pieces of 200 s is what one piece gives."""
    frames = draw_frames([130.0, 140.0], seed=5)
    whole = measure_changes(frames, ChangeOptions("glr"))
    late = measure_changes(frames[150 * 100 :], ChangeOptions("glr"))
    assert np.allclose(whole[150 * 10 :], late)


def test_changes_keep_their_distance() -> None:
    found = find_changes(
        draw_frames([2.0] * 30, seed=6), ChangeOptions("glr", least_turn_s=1.5, deviations=0.0)
    )
    assert (np.diff(found) >= 1.5 - 1e-9).all()


@pytest.mark.parametrize("length_s", [0.0, 0.5, 3.9])
def test_too_short_to_tell(length_s: float) -> None:
    """Two windows do not fit: no change, no error."""
    assert find_changes(draw_frames([length_s], seed=7)).shape == (0,)


def test_cepstra_are_the_first_cosine_coefficients() -> None:
    flat = np.full((3, 80), 2.0)
    assert cepstra(flat, 5) == pytest.approx(np.array([[2.0 * np.sqrt(80), 0, 0, 0, 0]] * 3))


@pytest.mark.parametrize(
    "change", [{"method": "kl"}, {"window_s": 0.2}, {"penalty": float("nan")}, {"step_s": 0.0}]
)
def test_rejects_impossible_options(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"expected method bic or glr.*change it") as caught:
        ChangeOptions(**change)  # type: ignore[arg-type]
    assert caught.value.code == "option_invalid"
