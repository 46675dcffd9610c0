"""What the spoof detector's front ends compute, beside slow oracles in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.errors import InputError
from voxid.spoof.cepstra import CqccOptions, LfccOptions, constant_q, cqcc, deltas, lfcc, linear_bands
from voxid.spoof.phase import PhaseOptions, group_delay, mgdcc
from voxid.spoof.spectra import Framing, spectra

RATE_HZ = 16_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)).astype(np.float32) * 0.1


def tone(hz: float, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)


def slow_spectrum(samples: np.ndarray, framing: Framing, frame: int) -> np.ndarray:
    """One frame by the definition of the discrete Fourier transform."""
    lifted = samples.astype(np.float64).copy()
    lifted[1:] -= framing.preemphasis * samples[:-1].astype(np.float64)
    x = lifted[frame * framing.hop_samples :][: framing.length_samples] * np.hanning(framing.length_samples)
    n = np.arange(framing.length_samples)
    k = np.arange(framing.fft_samples // 2 + 1)[:, None]
    return (x * np.exp(-2j * np.pi * k * n / framing.fft_samples)).sum(axis=1)


def slow_lfcc(samples: np.ndarray, options: LfccOptions, frame: int) -> np.ndarray:
    power = np.abs(slow_spectrum(samples, options.framing, frame)) ** 2
    edges = np.linspace(0, RATE_HZ / 2, options.n_bands + 2)
    bands = []
    for place in range(options.n_bands):
        total = 0.0
        for k, value in enumerate(power):
            hz = k * RATE_HZ / options.framing.fft_samples
            left, middle, right = edges[place : place + 3]
            weight = (hz - left) / (middle - left) if hz <= middle else (right - hz) / (right - middle)
            total += max(weight, 0.0) * value
        bands.append(np.log(max(total, 1e-10)))
    count = options.n_bands
    turns = np.pi * (np.arange(count) + 0.5)[None] * np.arange(options.n_coefficients)[:, None] / count
    scale = np.full(options.n_coefficients, np.sqrt(2 / count))
    scale[0] = np.sqrt(1 / count)
    return scale * (np.cos(turns) @ np.asarray(bands))


def test_spectra_follow_the_definition() -> None:
    samples, framing = noise(0.1), Framing()
    fast = spectra(samples, framing)
    assert fast.shape == (9, 257)
    for frame in (0, 4, 8):
        assert fast[frame] == pytest.approx(slow_spectrum(samples, framing, frame), abs=1e-4)


def test_lfcc_follow_the_definition() -> None:
    samples, options = noise(0.1, seed=1), LfccOptions(with_deltas=False)
    fast = lfcc(samples, options)
    assert fast.dtype == np.float32
    for frame in (0, 5):
        assert fast[frame] == pytest.approx(slow_lfcc(samples, options, frame), abs=2e-3)
    assert lfcc(samples).shape == (9, 60)


def test_bands_are_of_one_width_and_cover_everything() -> None:
    """Triangles that meet at their middles add up to one everywhere between the first and the last middle."""
    bands = linear_bands(30, 512)
    hz = np.arange(257) * RATE_HZ / 512
    inside = (hz >= 8000 / 31) & (hz <= 8000 * 30 / 31)
    assert bands[inside].sum(axis=1) == pytest.approx(1.0, abs=1e-6)


def test_deltas_are_the_slope() -> None:
    """Of a ramp one, away from the ends; of a constant nothing."""
    ramp = np.arange(20, dtype=np.float32)[:, None] * np.asarray([[1.0, 0.0]], np.float32)
    assert deltas(ramp)[2:-2] == pytest.approx(np.tile([1.0, 0.0], (16, 1)))


@pytest.mark.parametrize("hz", [60.0, 440.0, 3_000.0, 7_500.0])
def test_constant_q_finds_a_tone_in_its_bin(hz: float) -> None:
    """The strongest bin is the nearest one, of half the amplitude, in every octave."""
    middles, found = constant_q(tone(hz), CqccOptions())
    middle_of_tone = np.abs(found[len(found) // 2])
    assert abs(np.log2(middles[middle_of_tone.argmax()] / hz)) <= 1 / 48
    assert middle_of_tone.max() == pytest.approx(0.5, abs=0.05)


def test_constant_q_follows_the_definition() -> None:
    """One bin of one frame as a sum over samples under a window of its own length."""
    options, samples = CqccOptions(), noise(0.5, seed=2)
    middles, found = constant_q(samples, options)
    place, frame = 300, 20
    hz = middles[place]
    width = (2 ** (1 / 48) - 2 ** (-1 / 48)) * hz + options.least_width_hz
    long = int(np.ceil(2 * RATE_HZ / width))
    window = np.hanning(long + 2)[1:-1]
    offset = np.arange(long) - long // 2
    value = (samples[frame * 160 + offset] * window / window.sum()) @ np.exp(
        -2j * np.pi * hz * offset / RATE_HZ
    )
    assert found[frame, place] == pytest.approx(value, abs=1e-4)


def test_constant_q_cepstra_do_not_depend_on_level_but_in_the_first() -> None:
    loud, quiet = cqcc(noise(0.4)), cqcc(noise(0.4) * 0.1)
    assert loud.shape == (41, 60)
    assert loud[:, 1:] == pytest.approx(quiet[:, 1:], abs=0.02)
    assert (loud[:, 0] - quiet[:, 0]).mean() == pytest.approx(np.sqrt(256) * np.log(100), rel=0.01)


def test_group_delay_of_a_pulse_is_where_it_lies() -> None:
    """With both exponents at one and no smoothing, the delay of a single pulse is its place in the frame."""
    options = PhaseOptions(smoothing=257, gamma=1.0, alpha=1.0)
    samples = np.zeros(320, np.float32)
    samples[100] = 1.0
    assert group_delay(samples, options)[0] == pytest.approx(np.full(257, 100.0), rel=1e-3)
    assert mgdcc(noise(0.1)).shape == (9, 60)


def test_phase_shows_what_magnitudes_hide() -> None:
    """A frame turned round in time has the same magnitudes and another group delay."""
    samples = noise(0.02, seed=3)
    magnitudes = np.abs(spectra(samples, Framing(preemphasis=0.0)))
    turned = samples[::-1].copy()
    assert np.abs(spectra(turned, Framing(preemphasis=0.0))) == pytest.approx(magnitudes, abs=1e-4)
    assert np.abs(group_delay(turned) - group_delay(samples)).mean() > 1.0


@pytest.mark.parametrize("front_end", [lfcc, cqcc, mgdcc])
def test_what_is_no_waveform_is_refused(front_end: object) -> None:
    for samples, code in (
        (np.zeros((2, 400), np.float32), "audio_not_mono"),
        (np.zeros(0, np.float32), "audio_too_short"),
    ):
        with pytest.raises(InputError) as caught:
            front_end(samples)  # type: ignore[operator]
        assert caught.value.code == code
    assert np.isfinite(front_end(np.zeros(100, np.float32))).all()  # type: ignore[operator]


def test_frames_must_fit() -> None:
    with pytest.raises(InputError, match="expected 0 < hop <= length <= transform"):
        Framing(length_samples=600, fft_samples=512)
