"""Finding one person in a recording: when they speak, whether they are there at all, and who may be looked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="makes its model with the train extra: pip install 'voxid[train]'")

from cosine_detector import cosine_detector
from voxid.audio import load
from voxid.bundle import default_bundle, load_bundle
from voxid.cli.app import main
from voxid.diarize.find import Findings, FindOptions
from voxid.diarize.find import find as find_by
from voxid.diarize.target_speech import TargetDetector, window_masks
from voxid.embedding import get_embedder
from voxid.errors import CompatibilityError, InputError, PolicyError
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.timeline import Timeline, read_rttms

VOICES = Path(str(files("voxid") / "data" / "voices"))
MEETING = VOICES / "meeting.opus"
NAMING = Consent(purposes={"verify", "diarize-name"}, evidence="synthetic voice")


ASK = FindOptions(method="network")


def find(*who_and_where: object, options: FindOptions = ASK, **others: object) -> Findings:
    """Find by the network, here one that goes by cosines."""
    return find_by(*who_and_where, options=options, **others)  # type: ignore[arg-type]


def clips(speaker: str, *numbers: int) -> list[Path]:
    return [VOICES / speaker / f"{number:02d}.opus" for number in numbers]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> TargetDetector:
    return cosine_detector(tmp_path_factory.mktemp("model") / "cosine")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """Ada speaks in the meeting, Dev does not, Bruno may only be verified."""
    with Gallery.open(tmp_path_factory.mktemp("gallery") / "people.voxid") as opened:
        opened.enroll("Ada", clips("ada", 1, 2), NAMING)
        opened.enroll("Dev", clips("dev", 1, 2), NAMING)
        opened.enroll("Bruno", clips("bruno", 1), Consent(purposes={"verify"}, evidence="synthetic voice"))
        yield opened


def spoken_by(speaker: str) -> Timeline:
    whole = next(iter(read_rttms(VOICES / "meeting.rttm").values()))
    return Timeline(tuple(turn for turn in whole.turns if turn.speaker == speaker), whole.duration_s)


def test_finds_every_moment_of_an_enrolled_person(gallery: Gallery, detector: TargetDetector) -> None:
    shares: list[float] = []
    found = find("ada", MEETING, gallery=gallery, detector=detector, progress=shares.append)
    assert found.person == "Ada"
    assert found.present
    assert found.llr is not None
    assert found.llr >= found.threshold_llr
    assert all(
        turn.named and turn.speaker == "Ada" and turn.llr == found.llr for turn in found.timeline.turns
    )
    assert all(0.5 <= (turn.confidence or 0.0) <= 1.0 for turn in found.timeline.turns)
    truth = {turn.segment for turn in spoken_by("ada").turns}
    for segment in truth:  # each of her four turns is found for the most part, and little besides
        inside = sum(
            max(0.0, min(segment.end_s, turn.end_s) - max(segment.start_s, turn.start_s))
            for turn in found.timeline.turns
        )
        assert inside > 0.7 * segment.duration_s
    assert found.timeline.speech_s() < 1.2 * sum(segment.duration_s for segment in truth)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_finds_the_voice_of_a_recording(detector: TargetDetector) -> None:
    found = find(clips("clara", 1)[0], MEETING, detector=detector)
    assert found.present
    assert {turn.speaker for turn in found.timeline.turns} == {"01"}
    assert not any(turn.named for turn in found.timeline.turns)
    inside = sum(
        max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))
        for a in found.timeline.turns
        for b in spoken_by("clara").turns
    )
    assert inside > 0.7 * spoken_by("clara").speech_s()


def test_who_is_not_there_is_not_found(gallery: Gallery, detector: TargetDetector) -> None:
    """Even where the threshold lets the network hear Dev all the time, the comparison of voices says no."""
    for threshold in (0.5, 0.0):
        found = find(
            "Dev",
            MEETING,
            gallery=gallery,
            detector=detector,
            options=FindOptions(method="network", threshold=threshold),
        )
        assert not found.present
        assert found.timeline.turns == ()
        assert found.to_dict()["present"] is False
    assert found.llr is not None
    assert found.llr < found.threshold_llr


def test_only_who_consents_is_looked_for(gallery: Gallery, detector: TargetDetector, tmp_path: Path) -> None:
    """All of this is refused before the recording is opened: there is none."""
    nowhere = tmp_path / "nowhere.wav"
    with pytest.raises(
        PolicyError, match="'Bruno' has given no consent to the purpose diarize-name"
    ) as refused:
        find("Bruno", nowhere, gallery=gallery, detector=detector)
    assert refused.value.code == "consent_missing"
    with pytest.raises(InputError, match="Nobody called 'Eve' is in the gallery"):
        find("Eve", nowhere, gallery=gallery, detector=detector)
    with pytest.raises(InputError, match="who to find is a name of it, found a PosixPath"):
        find(MEETING, nowhere, gallery=gallery, detector=detector)


def test_a_consent_that_ended_finds_nobody(detector: TargetDetector, tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    now = [start]
    with Gallery.open(tmp_path / "people.voxid", clock=lambda: now[0]) as people:
        ending = Consent(
            purposes={"diarize-name"}, evidence="synthetic voice", expires_at=start + timedelta(days=1)
        )
        people.enroll("Ada", clips("ada", 1), ending)
        now[0] += timedelta(days=2)
        with pytest.raises(PolicyError, match="The consent of 'Ada' ended on 2026-01-02"):
            find("Ada", MEETING, gallery=people, detector=detector)
        people.opt_out("Ada")
        with pytest.raises(PolicyError, match="opted out"):
            find("Ada", MEETING, gallery=people, detector=detector)


def test_silence_and_crumbs_end_in_sentences(detector: TargetDetector) -> None:
    ada = clips("ada", 1)[0]
    silence = (np.zeros(48_000, np.float32), 16_000)
    assert not find(ada, silence, detector=detector).present
    crumb = (load(ada).samples[:4_000], 16_000)
    with pytest.raises(InputError, match=r"lasts 0.25 s; expected 0.45 s or more"):
        find(ada, crumb, detector=detector)
    with pytest.raises(InputError, match=r"No speech was found in the 0.2 s of audio"):
        find(crumb, MEETING, detector=detector)
    with pytest.raises(InputError, match="threshold is 2.0; expected 0 to 1"):
        FindOptions(threshold=2.0)


def test_a_recording_shorter_than_a_chunk_is_searched(detector: TargetDetector) -> None:
    one = load(clips("ada", 3)[0])
    found = find(clips("ada", 1)[0], one, detector=detector)
    assert found.present
    assert found.timeline.turns[-1].end_s <= one.duration_s


def test_another_bundle_is_refused(detector: TargetDetector) -> None:
    other = load_bundle(default_bundle().path.parent / "ecapa-small-int8")
    with pytest.raises(CompatibilityError, match="was trained with the embeddings of ecapa-base"):
        find(clips("ada", 1)[0], MEETING, bundle=other, detector=detector)


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    cosine_detector(tmp_path / "model")
    graph = tmp_path / "model" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b" ")
    with pytest.raises(CompatibilityError, match="not the file its card was written for"):
        TargetDetector.load(tmp_path / "model")
    with pytest.raises(InputError, match="there is no target-speech model at"):
        TargetDetector.load(tmp_path / "nowhere")


def test_windows_lie_around_their_middle() -> None:
    """Two lengths every 0.2 s, cut off at the ends; behind the recording's end the last one is repeated."""
    masks = window_masks(200, 400).reshape(20, 2, 200)
    assert masks[5, 0].nonzero()[0].tolist() == list(range(70, 150))
    assert masks[5, 1].nonzero()[0].tolist() == list(range(30, 190))
    assert masks[0, 0].sum() == 50
    assert (masks[10:] == masks[9]).all()
    assert window_masks(40, 400).sum(axis=1).min() >= 20


def test_overlapping_chunks_agree_with_themselves(detector: TargetDetector) -> None:
    """A recording is heard alike whatever chunks it is cut into, as far as its windows allow."""
    embedder = get_embedder(default_bundle())
    samples = load(MEETING).samples[: 30 * 16_000]
    target = embedder.bundle.backend.side(embedder.embed(load(clips("ada", 1)[0]))[None]).vectors
    some, more = (detector.detect(samples, target, embedder, overlap) for overlap in (0.0, 0.5))
    assert some.shape == more.shape == (1, 1499)
    assert np.mean((some > 0.5) != (more > 0.5)) < 0.1


def test_finds_a_person_among_the_speakers_of_a_diarized_recording(gallery: Gallery) -> None:
    """The usual way: Ada's turns are those of the speaker who is Ada; Dev is nobody's; silence holds nobody."""
    found = find_by("Ada", MEETING, gallery=gallery)
    assert found.present
    assert found.llr is not None
    assert found.llr >= found.threshold_llr
    inside = sum(
        max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))
        for a in found.timeline.turns
        for b in spoken_by("ada").turns
    )
    assert inside > 0.8 * spoken_by("ada").speech_s()
    assert found.timeline.speech_s() < 1.2 * spoken_by("ada").speech_s()
    absent = find_by("Dev", MEETING, gallery=gallery)
    assert not absent.present
    assert absent.llr is not None
    assert absent.llr < absent.threshold_llr
    silent = find_by("Ada", (np.zeros(48_000, np.float32), 16_000), gallery=gallery)
    assert not silent.present
    assert silent.llr is None
    with pytest.raises(InputError, match="method is 'luck'; expected one of diarization, network"):
        FindOptions(method="luck")


def test_the_command_tells_found_from_not_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 0 and 1; files as of voxid who; too few words end in a sentence."""
    cosine_detector(tmp_path / "model")
    ada, dev = (str(clips(name, 1)[0]) for name in ("ada", "dev"))
    network = ["--method", "network", "--detector", str(tmp_path / "model")]
    rttm = tmp_path / "ada.rttm"
    assert main(["find", "--reference", ada, str(MEETING), "--rttm", str(rttm), "--json", *network]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["present"] is True
    assert told["written"] == [str(rttm)]
    assert len(rttm.read_text(encoding="utf-8").splitlines()) == len(told["timeline"]["turns"])
    assert main(["find", "--reference", dev, str(MEETING), *network]) == 1
    assert "01 was not found" in capsys.readouterr().out
    assert main(["find", "meeting.wav", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "find_whom"
