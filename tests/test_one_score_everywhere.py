"""Verify, identify and match give one number for one pair, whatever a bundle's back-end asks for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from normalised_bundle import normalised_bundle
from synthetic_people import person, put
from voxid.audio import load
from voxid.backend import Quality
from voxid.bundle import Bundle
from voxid.decision import ThresholdProfile
from voxid.embedding import get_embedder
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.speech import detect_speech, measure_quality

VOICES = Path(str(files("voxid") / "data" / "voices"))
FORM = Consent({"verify", "identify", "diarize-name"}, evidence="signed form 17")
ANYBODY = ThresholdProfile("anybody", 0.5, -1e9, None, 30, 30, 0.0)


@pytest.fixture(scope="module", params=["cosine", "as_norm"])
def bundle(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Bundle:
    made = normalised_bundle(tmp_path_factory.mktemp("bundles") / "made", request.param)
    made.profiles["anybody"] = ANYBODY
    return made


@pytest.fixture
def gallery(tmp_path: Path, bundle: Bundle) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "people.voxid", bundle=bundle) as opened:
        for voice in ("ada", "bruno", "clara"):
            clips = [VOICES / voice / f"{number:02d}.opus" for number in (1, 2, 3)]
            opened.enroll(voice, clips, FORM, allow_duplicate=True, allow_inconsistent=True)
        yield opened


def test_verify_and_identify_agree(gallery: Gallery) -> None:
    probe = VOICES / "ada" / "04.opus"
    found = {candidate.person: candidate for candidate in gallery.identify(probe, profile="anybody", top=9)}
    assert len(found) == 3
    for name, candidate in found.items():
        decision = gallery.verify(name, probe, profile="anybody")
        assert decision.llr == pytest.approx(candidate.llr, abs=1e-4)
        assert decision.score == pytest.approx(candidate.score, abs=1e-4)


def test_match_agrees_when_it_is_told_of_the_speech(gallery: Gallery, bundle: Bundle) -> None:
    """And without it gives the LLR of speech nothing is known about, which is another one."""
    waveform = load(VOICES / "ada" / "04.opus")
    regions = detect_speech(waveform)
    vector = get_embedder(bundle).embed(waveform, regions)[None]
    known = [Quality.of(measure_quality(waveform, regions))]
    told, untold = (
        {c.person: c.llr for c in gallery.match(vector, profile="anybody", qualities=given)[0]}
        for given in (known, None)
    )
    decision = gallery.verify("ada", waveform, profile="anybody")
    assert told["ada"] == pytest.approx(decision.llr, abs=1e-4)
    assert untold["ada"] != pytest.approx(decision.llr, abs=1e-2)


def test_the_quality_of_references_survives_storing(gallery: Gallery) -> None:
    """What was measured at enrollment is there after reading the file anew."""
    waveform = load(VOICES / "ada" / "01.opus")
    measured = Quality.of(measure_quality(waveform, detect_speech(waveform)))
    gallery.close()
    with Gallery.open(gallery.path, bundle=gallery.bundle) as again:
        prints = again.get("ada").voiceprints
    assert measured in [print_.quality for print_ in prints]
    assert all(print_.snr_db is not None and print_.high_band_db is not None for print_ in prints)


def test_a_person_beyond_the_best_cosines_is_not_lost_to_the_top(tmp_path: Path) -> None:
    """`top` cuts after scoring again, so the first of many stays the first of one."""
    bundle = normalised_bundle(tmp_path / "made")
    bundle.profiles["anybody"] = ANYBODY
    with Gallery.open(tmp_path / "people.voxid", bundle=bundle) as gallery:
        gallery.enroll(
            "ada", [VOICES / "ada" / f"{n:02d}.opus" for n in (1, 2)], FORM, allow_inconsistent=True
        )
        strangers = [person(f"p{n}", n, bundle_id=bundle.id, dim=bundle.dim) for n in range(30)]
        put(gallery.stored()[0], *strangers)
        rng = np.random.default_rng(3)
        vectors = rng.standard_normal((4, bundle.dim)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        many = gallery.match(vectors, profile="anybody", top=31)
        one = gallery.match(vectors, profile="anybody", top=1)
        assert [[line[0]] for line in many] == one
        assert all(len(line) == 31 for line in many)
