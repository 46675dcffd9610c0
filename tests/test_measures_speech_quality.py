"""Net speech, noise and clipping are measured; the policy turns them into a verdict or a sentence."""

from __future__ import annotations

import numpy as np
import pytest
from soxr import resample

from voices import encode, noise, voice
from voxid.audio import Waveform, load
from voxid.errors import InputError
from voxid.segments import Segment
from voxid.speech import QualityPolicy, SpeechQuality, detect_speech, measure_quality


def made(samples: np.ndarray) -> Waveform:
    return load((samples.astype(np.float32), 16_000))


@pytest.mark.parametrize("snr_db", [0, 5, 10, 20, 30])
@pytest.mark.parametrize("pause_s", [0.0, 2.0])
def test_snr_of_known_mixtures(snr_db: int, pause_s: float) -> None:
    """Within 3 dB of the truth, with pauses to measure noise in and without."""
    spoken = np.concatenate([voice(5.0, 8), np.zeros(round(pause_s * 16_000))])
    # Gaps of 60 ms between the syllables, as closures leave them, for the case without pauses.
    spoken[: 5 * 16_000].reshape(-1, 4000)[:, :960] = 0
    inside = [Segment(0.0, 5.0)]
    power = np.mean(spoken[: 5 * 16_000] ** 2)
    mixture = spoken + noise(len(spoken) / 16_000, float(np.sqrt(power / 10 ** (snr_db / 10))), seed=2)
    assert measure_quality(made(mixture), inside).snr_db == pytest.approx(snr_db, abs=3)


def test_loud_pause_is_not_the_noise_under_speech() -> None:
    """A slammed door between two sentences leaves the estimate alone."""
    spoken = voice(4.0, 9) + noise(4.0, 0.003, seed=4)
    quiet = measure_quality(made(spoken), [Segment(0.0, 4.0)]).snr_db
    door = np.concatenate([spoken, noise(1.0, 0.3, seed=3)])
    assert measure_quality(made(door), [Segment(0.0, 4.0)]).snr_db == pytest.approx(quiet, abs=0.1)


def test_bounds_of_snr() -> None:
    """Digital silence in the pauses is no proof of 1000 dB, and steady sound is not speech over noise."""
    gated = np.concatenate([voice(2.0), np.zeros(16_000)])
    assert -10 <= measure_quality(made(gated), [Segment(0, 2)]).snr_db <= 60  # type: ignore[operator]
    assert measure_quality(made(np.zeros(16_000)), [Segment(0, 1)]).snr_db == -10
    steady = measure_quality(made(noise(2.0)), [Segment(0, 1)]).snr_db
    assert steady is not None
    assert steady < 0


def test_nothing_spoken() -> None:
    """No speech has no SNR: None, never a number that looks like one."""
    assert measure_quality(made(noise(2.0)), []) == SpeechQuality(2.0, 0.0, None, 0.0)


def test_net_speech_counts_once() -> None:
    """Overlapping regions are one stretch of speech."""
    quality = measure_quality(made(voice(3.0)), [Segment(0, 2), Segment(1, 2.5)])
    assert quality.net_speech_s == 2.5
    assert quality.duration_s == 3.0


def test_region_shorter_than_a_frame() -> None:
    """No frame centre inside: no SNR, and no crash."""
    assert measure_quality(made(voice(1.0)), [Segment(0.5, 0.501)]).snr_db is None


def clipped(gain: float) -> np.ndarray:
    return np.clip(voice(4.0, 2) * 2 * gain, -1, 1)


def test_clipping_rises_with_gain() -> None:
    """Clean speech has next to none; more gain, more of it."""
    shares = [
        measure_quality(made(clipped(gain)), [Segment(0, 4)]).clipping_share for gain in (0.5, 4, 16, 64)
    ]
    assert shares[0] < 0.01
    assert shares == sorted(shares)
    assert shares[2] > 0.2


@pytest.mark.parametrize(("kind", "rate_hz"), [("WAV", 8_000), ("MP3", 44_100), ("OGG", 48_000)])
def test_clipping_survives_codecs_and_resampling(kind: str, rate_hz: int) -> None:
    """Flat tops that ripple after a codec or a filter are still seen."""
    factor = rate_hz // 4_000
    flat = np.clip(np.repeat(voice(4.0, 2)[::4], factor) * 30, -1, 1).astype(np.float32)
    share = measure_quality(load(encode(flat, rate_hz, kind)), [Segment(0.1, 3.9)]).clipping_share
    assert share > 0.2


def test_verdicts() -> None:
    """Amount first, then noise and clipping; enrolling asks for more."""
    policy = QualityPolicy(min_enroll_speech_s=3, min_probe_speech_s=1, max_clipping_share=0.1, min_snr_db=5)
    good = SpeechQuality(4.0, 2.0, 20.0, 0.0)
    assert policy.check(good, for_enroll=False) == "ok"
    assert policy.check(good, for_enroll=True) == "not_enough_speech"
    assert policy.check(SpeechQuality(4.0, 0.9, 20.0, 0.9), for_enroll=False) == "not_enough_speech"
    assert policy.check(SpeechQuality(4.0, 2.0, 4.9, 0.0), for_enroll=False) == "poor_quality"
    assert policy.check(SpeechQuality(4.0, 2.0, 20.0, 0.11), for_enroll=False) == "poor_quality"
    nothing = QualityPolicy(min_probe_speech_s=0.0)
    assert nothing.check(SpeechQuality(4.0, 0.0, None, 0.0), for_enroll=False) == "not_enough_speech"


def test_refusals() -> None:
    """No speech and hopeless clipping are sentences; a verdict is enough for the rest."""
    policy = QualityPolicy()
    with pytest.raises(InputError) as caught:
        policy.require(SpeechQuality(4.0, 0.0, None, 0.0), "a.wav")
    assert caught.value.code == "no_speech"
    assert caught.value.message == (
        "No speech was found in the 4.0 s of a.wav; give a recording in which someone speaks."
    )
    with pytest.raises(InputError) as caught:
        policy.require(SpeechQuality(4.0, 3.0, 20.0, 0.25), "a.wav")
    assert caught.value.code == "audio_clipped"
    assert caught.value.message.startswith("a.wav is clipped beyond use: 25% of its speech is at full level")
    policy.require(SpeechQuality(4.0, 0.1, -10.0, 0.0), "a.wav")


def test_end_to_end_on_a_voice() -> None:
    """Detected regions and measured quality belong together."""
    waveform = made(np.concatenate([noise(1.0, 0.002), voice(4.0, 1) + noise(4.0, 0.002), noise(1.0, 0.002)]))
    quality = measure_quality(waveform, detect_speech(waveform))
    assert quality.net_speech_s == pytest.approx(4.0, abs=0.3)
    assert quality.snr_db is not None
    assert quality.snr_db > 20
    assert QualityPolicy().check(quality, for_enroll=True) == "ok"


def test_a_narrow_channel_is_told_from_a_wide_one() -> None:
    """Speech through 8 kHz has nothing left above 4 kHz, whatever the rate of the file; a hiss has."""
    wide = voice(3.0) + noise(3.0, 0.01)
    narrow = resample(resample(wide, 16_000, 8_000), 8_000, 16_000)[: wide.size]
    inside = [Segment(0.2, 2.8)]
    found = [measure_quality(made(samples), inside).high_band_db for samples in (wide, narrow)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[1] < -45 < -35 < found[0] <= 0


def test_the_channel_of_nothing_is_unknown_and_of_silence_the_narrowest_never_nan() -> None:
    assert measure_quality(made(noise(2.0)), []).high_band_db is None
    silent = measure_quality(made(np.zeros(16_000)), [Segment(0, 1)]).high_band_db
    assert silent is not None
    assert -60 <= silent <= 0
