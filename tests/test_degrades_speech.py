"""Conditions are what they say: the SNR, the band, the bit rate, the seconds of speech; the same every time."""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.errors import ConfigError, InputError
from voxid.evaluate.conditions import NoisePool, parse_conditions, read_noise
from voxid.evaluate.degrading import Degrader, Voices
from voxid.evaluate.utterances import FactsCache
from voxid.segments import Segment
from voxid.simulate.lines import ogg_payload_bytes, opus, telephone

VOICES = Path(str(files("voxid") / "data" / "voices"))
CLIP = VOICES / "ada" / "01.opus"


@pytest.fixture
def noise(tmp_path: Path) -> NoisePool:
    """Two recordings of noise, one that swells and one with a gap."""
    rng = np.random.default_rng(0)
    steady = rng.normal(0, 0.02, 5 * SAMPLE_RATE_HZ)
    folder = tmp_path / "noise"
    folder.mkdir()
    for name, shape in (("a", np.linspace(0.2, 1.0, steady.size)), ("b", np.arange(steady.size) > 8_000)):
        soundfile.write(folder / f"{name}.wav", steady * shape, SAMPLE_RATE_HZ)
    return read_noise(folder)


@pytest.fixture
def degrader(tmp_path: Path, noise: NoisePool) -> Degrader:
    return Degrader(tmp_path / "degraded", FactsCache(None), noises=noise)


def degraded(degrader: Degrader, name: str, clip: Path = CLIP) -> NDArray[np.float32]:
    file = degrader.file_of(clip, parse_conditions(name)[0])
    assert file is not None
    return load(file).samples


def speech_of(clip: Path = CLIP) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Samples, and true where the detector finds speech in them."""
    waveform = load(clip)
    inside = np.zeros(len(waveform.samples), dtype=bool)
    for region in FactsCache(None).measure(waveform).regions:
        inside[round(region.start_s * SAMPLE_RATE_HZ) : round(region.end_s * SAMPLE_RATE_HZ)] = True
    return waveform.samples, inside


def power_db(samples: NDArray[np.floating], low_hz: float, high_hz: float) -> float:
    """Mean power per bin of a band."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    return float(10 * np.log10(power[(hertz >= low_hz) & (hertz <= high_hz)].mean() + 1e-30))


@pytest.mark.parametrize("snr_db", [20, 5, 0, -5])
def test_noise_has_the_snr_it_says(degrader: Degrader, snr_db: int) -> None:
    """Least squares finds how much of the clip is in the file; the rest, where there is speech, is noise."""
    clean, inside = speech_of()
    noisy = degraded(degrader, f"noise{snr_db}")
    scale = float(noisy @ clean / (clean @ clean))
    rest = noisy - scale * clean
    measured = 10 * np.log10(np.mean((scale * clean[inside]) ** 2) / np.mean(rest[inside] ** 2))
    assert measured == pytest.approx(snr_db, abs=0.3)


def test_telephone_keeps_its_band_and_nothing_else(degrader: Degrader) -> None:
    """White noise comes out between 300 and 3,400 Hz, half a decibel even, and 40 dB down beside it."""
    hiss = np.random.default_rng(1).normal(0, 0.1, 4 * SAMPLE_RATE_HZ).astype(np.float32)
    heard = telephone(hiss)
    assert heard.shape == hiss.shape
    inside = power_db(heard, 500, 3_000) - power_db(hiss, 500, 3_000)
    assert inside == pytest.approx(0.0, abs=0.5)
    assert power_db(heard, 4_300, 7_900) < power_db(heard, 500, 3_000) - 40
    assert power_db(heard, 20, 120) < power_db(heard, 500, 3_000) - 25
    file = degrader.file_of(CLIP, parse_conditions("telephone")[0])
    assert file is not None
    assert FactsCache(None).of(file).telephone_band
    assert not FactsCache(None).of(CLIP).telephone_band


@pytest.mark.parametrize("kbps", [8, 12, 24])
def test_opus_spends_the_bits_it_says(kbps: int) -> None:
    """Packets counted from the Ogg pages of an encoding made here, and the level it was found at."""
    samples = np.concatenate([load(VOICES / "ada" / f"0{n}.opus").samples for n in (1, 2, 3)])
    coded, reached_kbps = opus(samples, kbps)
    assert reached_kbps == pytest.approx(kbps, rel=0.1)
    assert coded.shape == samples.shape
    # The codec delays nothing: a shifted copy would spoil the places where speech is.
    lags = [float(samples[4_000:40_000] @ coded[4_000 + lag : 40_000 + lag]) for lag in range(-80, 81)]
    assert abs(int(np.argmax(lags)) - 80) <= 2


def test_ogg_payload_is_less_than_the_file_by_pages_and_headers() -> None:
    """An independent count: header pages begin with OpusHead and OpusTags."""
    encoded = io.BytesIO()
    soundfile.write(encoded, np.zeros(SAMPLE_RATE_HZ), SAMPLE_RATE_HZ, format="OGG", subtype="OPUS")
    content = encoded.getvalue()
    pages = content.count(b"OggS")
    assert b"OpusHead" in content
    assert 0 < ogg_payload_bytes(content) < len(content) - 27 * pages


def test_opus_refuses_rates_it_cannot_make() -> None:
    """Five bits would be a lie."""
    with pytest.raises(ConfigError, match=r"Opus at 5 kb/s was asked for; expected 6 to 64 kb/s") as caught:
        opus(np.zeros(1_600, np.float32), 5)
    assert caught.value.code == "bit_rate_out_of_range"


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_a_short_probe_holds_these_seconds_of_speech(degrader: Degrader, seconds: float) -> None:
    """It begins before the first word and ends when the speech adds up; the samples are those of the clip."""
    clean, inside = speech_of()
    short = degraded(degrader, f"{seconds:g}s")
    first = int(np.argmax(inside)) - round(0.15 * SAMPLE_RATE_HZ)
    first = max(0, first)
    assert np.allclose(short, clean[first : first + len(short)], atol=2e-4)
    assert inside[first : first + len(short)].sum() / SAMPLE_RATE_HZ == pytest.approx(seconds, abs=0.01)


def test_too_little_speech_gives_no_file(degrader: Degrader) -> None:
    """A probe of 3 s has no 60 s condition, and that is remembered."""
    condition = parse_conditions("60s")[0]
    assert degrader.file_of(CLIP, condition) is None
    degrader.save()
    again = Degrader(degrader.folder, FactsCache(None), noises=degrader.noises)
    assert again.file_of(CLIP, condition) is None


def test_steps_follow_each_other(degrader: Degrader) -> None:
    """Cropped first, then filtered: as long as the one, as narrow as the other."""
    both = degraded(degrader, "1s+telephone")
    assert len(both) == len(degraded(degrader, "1s"))
    assert power_db(both, 4_300, 7_900) < power_db(both, 500, 3_000) - 40


def test_the_same_seed_makes_the_same_file_whatever_came_before(
    tmp_path: Path, degrader: Degrader, noise: NoisePool
) -> None:
    """Another seed chooses another noise; the order of the files does not."""
    other = VOICES / "bruno" / "01.opus"
    first = degraded(degrader, "noise5")
    degraded(degrader, "noise5", other)
    fresh = Degrader(tmp_path / "again", FactsCache(None), noises=noise)
    degraded(fresh, "noise5", other)
    assert np.array_equal(degraded(fresh, "noise5"), first)
    reseeded = Degrader(tmp_path / "again", FactsCache(None), noises=noise, seed=1)
    assert not np.array_equal(degraded(reseeded, "noise5"), first)


def test_kept_files_are_used_again_and_missing_ones_made_again(degrader: Degrader) -> None:
    """The index names the file by the hash of its source."""
    condition = parse_conditions("noise5")[0]
    file = degrader.file_of(CLIP, condition)
    assert file is not None
    degrader.save()
    before = file.stat().st_mtime_ns
    again = Degrader(degrader.folder, FactsCache(None), noises=degrader.noises)
    assert again.file_of(CLIP, condition) == file
    assert file.stat().st_mtime_ns == before
    file.unlink()
    assert again.file_of(CLIP, condition) == file
    assert file.is_file()


def test_babble_is_other_people(tmp_path: Path) -> None:
    """The speaker's own recordings never get into it; fewer than six people cannot make it."""
    clips = [VOICES / name / "01.opus" for name in ("ada", "bruno", "clara", "dev", "stranger")]
    voices = Voices.of({number: [clip] for number, clip in enumerate([*clips, VOICES / "bruno" / "02.opus"])})
    degrader = Degrader(tmp_path, FactsCache(None), voices=voices)
    condition = parse_conditions("babble5")[0]
    clip = VOICES / "ada" / "02.opus"
    file = degrader.file_of(clip, condition, speaker=0)
    assert file is not None
    clean, inside = speech_of(clip)
    noisy = load(file).samples
    scale = float(noisy @ clean / (clean @ clean))
    rest = noisy - scale * clean
    assert 10 * np.log10(np.mean((scale * clean[inside]) ** 2) / np.mean(rest[inside] ** 2)) == pytest.approx(
        5, abs=0.6
    )
    with pytest.raises(InputError, match=r"The list has 5 speakers; babble is 5 others talking at once"):
        Voices.of({number: [clip] for number, clip in enumerate(clips)})


@pytest.mark.parametrize(
    ("written", "code", "sentence"),
    [
        ("noise", "condition_unknown", "has the part 'noise'; expected clean, noise<dB>"),
        ("telephone8", "condition_unknown", "'telephone8'"),
        ("rain5", "condition_unknown", "'rain5'"),
        ("noise5+clean", "condition_unknown", "'clean'"),
        ("opus2", "condition_out_of_range", "Opus, 2 kb/s was asked for; expected 6 to 64 kb/s"),
        ("noise99", "condition_out_of_range", "expected -20 to 60 dB"),
        ("0s", "condition_out_of_range", "expected 0.2 to 600 seconds of speech"),
        (
            ",".join(f"noise{n / 10}" for n in range(50)),
            "too_many_conditions",
            "50 conditions were asked for",
        ),
    ],
)
def test_conditions_that_are_none_are_refused(written: str, code: str, sentence: str) -> None:
    """The sentence names the part and what there is."""
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")) as caught:
        parse_conditions(written)
    assert caught.value.code == code


def test_noise_needs_recordings_that_sound(tmp_path: Path) -> None:
    """An empty folder, silence, and a condition without any noise are refused."""
    with pytest.raises(InputError, match=r"holds no recordings .* expected background noise"):
        read_noise(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), SAMPLE_RATE_HZ)
    with pytest.raises(InputError, match=r"Every recording in .* is silent"):
        read_noise(tmp_path)
    with pytest.raises(
        InputError, match=r"'noise5' needs recordings of noise; give their folder with --noise"
    ):
        Degrader(tmp_path, FactsCache(None)).file_of(CLIP, parse_conditions("noise5")[0])


def test_facts_are_measured_once_and_read_back(tmp_path: Path) -> None:
    """Regions and quality come back as they were; a damaged file is measured again."""
    cache = FactsCache(tmp_path)
    facts = cache.of(CLIP)
    assert facts.quality.net_speech_s == pytest.approx(sum(region.duration_s for region in facts.regions))
    assert all(isinstance(region, Segment) for region in facts.regions)
    cache.save()
    assert FactsCache(tmp_path).of(CLIP) == facts
    assert cache.path is not None
    cache.path.write_text('{"x": 3}')
    assert len(FactsCache(tmp_path)) == 0
