"""A spoof detector: what it hears, what its card makes of that, and when it cannot tell."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soxr

from level_detector import REPLAY_OFFSET, SPOOF_GAIN, SUSPICIOUS_GAIN, expected, write_detector
from voxid.audio import Waveform, load
from voxid.errors import CompatibilityError, InputError
from voxid.segments import Segment
from voxid.speech import detect_speech
from voxid.spoof.bandwidth import bandwidth_hz
from voxid.spoof.detector import SpoofDetector
from voxid.spoof.pieces import MOST_PIECES, piece_spans, pieces_of
from voxid.spoof.verdict import SpoofOutcome

VOICES = Path(__file__).parents[1] / "src" / "voxid" / "data" / "voices"
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> SpoofDetector:
    return SpoofDetector.load(write_detector(tmp_path_factory.mktemp("level")))


@pytest.fixture(scope="module")
def speech() -> Waveform:
    return load(VOICES / "ada" / "01.opus")


def changed(waveform: Waveform, samples: np.ndarray) -> Waveform:
    return Waveform(samples.astype(np.float32), waveform.uri, waveform.sha256, waveform.source_rate_hz)


def narrow(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    return soxr.resample(soxr.resample(samples, RATE_HZ, rate_hz), rate_hz, RATE_HZ)[: len(samples)]


def test_each_outcome_by_the_bounds_of_the_card(detector: SpoofDetector, speech: Waveform) -> None:
    """Genuine, suspicious and spoof are bands of one LLR; a replay is a spoof by the other."""
    by_gain = [detector.detect(changed(speech, speech.samples * g)) for g in (1, SUSPICIOUS_GAIN, SPOOF_GAIN)]
    assert [verdict.outcome.value for verdict in by_gain] == ["genuine", "suspicious", "spoof"]
    assert "a person should listen" in by_gain[1].reason
    replayed = detector.detect(changed(speech, speech.samples + REPLAY_OFFSET))
    assert replayed.outcome is SpoofOutcome.SPOOF
    assert replayed.llr is not None
    assert replayed.llr > 0
    assert "a recording played back lies under -3.00" in replayed.reason


def test_llrs_are_the_card_s_map_of_the_mean_score(detector: SpoofDetector, speech: Waveform) -> None:
    """The numbers of a verdict can be had again from the pieces, in plain numpy."""
    verdict = detector.detect(speech)
    spans = [Segment(start_s, end_s) for start_s, end_s, _ in verdict.pieces]
    pieces = pieces_of(speech.samples, spans, 64_000)
    scores, embeddings = expected(pieces)
    assert len(spans) == 2
    assert verdict.llr == pytest.approx(0.5 * scores[:, 0].mean() + 16.0, abs=1e-4)
    assert verdict.replay_llr == pytest.approx(scores[:, 1].mean() + 3.0, abs=1e-4)
    assert [llr for _, _, llr in verdict.pieces] == pytest.approx(
        (0.5 * scores[:, 0] + 16.0).tolist(), abs=1e-4
    )
    off = embeddings.mean(axis=0) - [0.55, 0.4]
    assert verdict.domain_distance == pytest.approx(np.sqrt(250 * off[0] ** 2 + 40 * off[1] ** 2), abs=1e-3)
    assert verdict.model_id == detector.id
    assert detector.id.startswith("level@")


def test_telephone_speech_cannot_be_told(detector: SpoofDetector, speech: Waveform) -> None:
    """The detector was not trained for 8 kHz, whether a file says so or only sounds so."""
    for telephone in (
        changed(speech, narrow(speech.samples, 8_000)),
        load((soxr.resample(speech.samples, RATE_HZ, 8_000), 8_000)),
    ):
        verdict = detector.detect(telephone)
        assert verdict.outcome is SpoofOutcome.CANNOT_TELL
        assert verdict.bandwidth_hz <= 4_320
        assert "as from a telephone or under noise" in verdict.reason


def test_bandwidth_is_that_of_speech_and_not_of_noise(speech: Waveform) -> None:
    """Noise added behind a telephone does not make it wide; a filter shows where it stands."""
    regions = detect_speech(speech)
    noise = 0.003 * np.random.default_rng(0).standard_normal(len(speech.samples)).astype(np.float32)
    assert bandwidth_hz(speech.samples, regions) >= 7_500
    assert bandwidth_hz(narrow(speech.samples, 8_000) + noise, regions) <= 4_320
    assert bandwidth_hz(narrow(speech.samples, 12_000), regions) == pytest.approx(6_000, abs=300)
    assert bandwidth_hz(speech.samples, []) == 0.0


def test_silence_and_short_speech_cannot_be_told(detector: SpoofDetector, speech: Waveform) -> None:
    """Nothing is measured where there is nothing to measure: no number stands in for it."""
    start_s = detect_speech(speech)[0].start_s
    short = speech.slice(Segment(start_s, start_s + 0.4))
    silent = changed(speech, np.zeros(3 * RATE_HZ))
    for waveform, sentence in (
        (short, "at least 1.0 s are needed"),
        (silent, "No speech was found in 3.0 s"),
    ):
        verdict = detector.detect(waveform)
        assert verdict.outcome is SpoofOutcome.CANNOT_TELL
        assert verdict.llr is verdict.replay_llr is verdict.domain_distance is verdict.domain_limit is None
        assert verdict.pieces == ()
        assert sentence in verdict.reason


def test_clipped_and_noisy_speech_cannot_be_told(detector: SpoofDetector, speech: Waveform) -> None:
    """Clipping draws overtones of its own, and noise covers everything."""
    clipped = detector.detect(changed(speech, np.clip(speech.samples * 20, -1, 1)))
    assert clipped.outcome is SpoofOutcome.CANNOT_TELL
    assert "of the speech is clipped" in clipped.reason
    noise = np.random.default_rng(0).standard_normal(len(speech.samples)) * speech.samples.std() * 2
    noisy = detector.detect(changed(speech, 0.3 * (speech.samples + noise)), detect_speech(speech))
    assert noisy.outcome is SpoofOutcome.CANNOT_TELL
    assert "noise" in noisy.reason


def test_what_lies_just_under_the_least_snr_is_not_told_as_the_least(
    detector: SpoofDetector, speech: Waveform
) -> None:
    """No reason says that 7 dB were found where 7 dB are needed."""
    noise = np.random.default_rng(0).standard_normal(len(speech.samples)) * speech.samples.std()
    told = {
        detector.detect(changed(speech, 0.3 * (speech.samples + noise * g)), detect_speech(speech)).reason
        for g in np.geomspace(0.4, 0.7, 6)
    }
    found = [re.search(r"stands (-?[\d.]+) dB above", reason) for reason in told]
    levels_db = [float(match[1]) for match in found if match]
    assert levels_db
    assert max(levels_db) < 7.0


def test_genuine_below_zero_is_said_to_be_nearer_to_fakes(tmp_path: Path, speech: Waveform) -> None:
    """A threshold under 0 holds few people up; the reason does not say that there is no sign of a fake."""
    bounds = {"spoof_llr": -9.0, "genuine_llr": -8.0}
    folder = write_detector(tmp_path / "mild", thresholds={"synthetic": bounds, "replay": bounds})
    verdict = SpoofDetector.load(folder).detect(changed(speech, speech.samples * SPOOF_GAIN))
    assert verdict.outcome is SpoofOutcome.GENUINE
    assert verdict.llr is not None
    assert verdict.llr < 0
    assert "nearer to fakes than to live speech" in verdict.reason


def test_sound_beyond_the_domain_cannot_be_told(tmp_path: Path, speech: Waveform) -> None:
    """However high the score: it means nothing where nothing was learnt."""
    strict = SpoofDetector.load(
        write_detector(tmp_path, domain={"mean": [0.2, 1.4], "precision": [[250, 0], [0, 40]], "limit": 3.0})
    )
    verdict = strict.detect(speech)
    assert verdict.outcome is SpoofOutcome.CANNOT_TELL
    assert "unlike all speech the detector knows" in verdict.reason
    assert verdict.domain_distance is not None
    assert verdict.domain_distance > verdict.domain_limit == 3.0
    near = {"mean": [[0.2, 1.4], [0.57, 0.37]], "precision": [[250, 0], [0, 40]], "limit": 3.0}
    by_class = SpoofDetector.load(write_detector(tmp_path, domain=near))
    assert by_class.detect(speech).outcome is SpoofOutcome.GENUINE, "the nearer of two classes counts"


def test_pieces_reach_from_the_first_speech_to_the_last() -> None:
    """Silence around the speech is not heard, and pauses stay as they were."""
    regions = [Segment(1.0, 3.0), Segment(3.5, 6.0), Segment(9.5, 12.0)]
    spans = piece_spans(regions, 20.0, 4.0)
    assert spans[0].start_s == pytest.approx(0.9)
    assert spans[-1].end_s == pytest.approx(12.1)
    assert {round(span.duration_s, 6) for span in spans} == {4.0}
    assert piece_spans([Segment(0.02, 1.5)], 1.55, 4.0) == [Segment(0.0, 1.55)]
    assert piece_spans([], 20.0, 4.0) == []


def test_long_recordings_are_heard_in_places() -> None:
    """An hour costs as much as four minutes; a long pause is left out."""
    talk = [Segment(10.0 * at, 10.0 * at + 9.0) for at in range(360)]
    spans = piece_spans(talk, 3600.0, 4.0)
    assert len(spans) == MOST_PIECES
    assert spans[0].start_s < 5
    assert spans[-1].end_s > 3590
    apart = piece_spans([Segment(0.0, 4.0), Segment(100.0, 104.0)], 110.0, 4.0)
    assert [round(span.start_s, 3) for span in apart] == [0.0, 100.0, 100.1], "the pause between is not heard"


def test_short_speech_is_repeated() -> None:
    """A piece is never filled up with silence, which no recording has."""
    samples = np.arange(20_000, dtype=np.float32)
    row = pieces_of(samples, [Segment(0.0, 1.0)], 64_000)[0]
    assert np.array_equal(row, np.resize(samples[:16_000], 64_000))


def test_silence_around_speech_does_not_move_the_score(detector: SpoofDetector, speech: Waveform) -> None:
    """Leading silence is the oldest shortcut of this field."""
    tight = speech.slice(Segment(detect_speech(speech)[0].start_s, detect_speech(speech)[-1].end_s))
    padded = changed(speech, np.pad(tight.samples, (3 * RATE_HZ, 2 * RATE_HZ)))
    alone, among = detector.detect(tight), detector.detect(padded)
    assert alone.llr == pytest.approx(among.llr, abs=0.3)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("calibration", {}),
        ("thresholds", {"synthetic": {"spoof_llr": 1, "genuine_llr": 0}, "replay": {}}),
        ("domain", {"mean": [0.0], "precision": [[1.0, 0.0]], "limit": 1.0}),
        ("piece_samples", "long"),
    ],
)
def test_refuses_cards_that_say_too_little(tmp_path: Path, entry: str, value: object) -> None:
    """A detector without bounds would decide by chance."""
    with pytest.raises(CompatibilityError, match="lacks or garbles what a detector needs") as caught:
        SpoofDetector.load(write_detector(tmp_path, **{entry: value}))
    assert caught.value.code == "spoof_detector_invalid"


def test_refuses_another_graph_than_the_card_s(tmp_path: Path) -> None:
    """A graph that was exchanged is not run."""
    folder = write_detector(tmp_path / "a")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "sha256": {"model.onnx": "0" * 64}}))
    with pytest.raises(CompatibilityError, match="is not the file its card was written for"):
        SpoofDetector.load(folder)
    with pytest.raises(InputError, match="there is no spoof detector at"):
        SpoofDetector.load(tmp_path / "nowhere")


def test_refuses_pieces_of_another_length(detector: SpoofDetector) -> None:
    """The network knows four seconds."""
    with pytest.raises(InputError, match="cut them with voxid.spoof.pieces"):
        detector.scores(np.zeros((1, 100), np.float32))


def test_a_graph_that_fails_has_a_code(detector: SpoofDetector, speech: Waveform) -> None:
    """NaN from a graph, or its own errors, never become a verdict."""

    class Broken:
        def run(self, wanted: object, inputs: object) -> list[np.ndarray]:
            return [np.full((2, 2), np.nan), np.zeros((2, 2))]

        def get_inputs(self) -> list[object]:
            return []

    with pytest.raises(InputError, match="NaN or infinity") as caught:
        detector.through(lambda graph: Broken()).detect(speech)
    assert caught.value.code == "graph_failed"
