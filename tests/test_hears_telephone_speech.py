"""Telephone speech is known by its band and compared with speech by microphones; all other speech stays as it was."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import SAMPLE_RATE_HZ, Waveform, load
from voxid.backend import Quality
from voxid.bundle import NARROW_FILE, Bundle, default_bundle, load_bundle, write_card
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError, InputError
from voxid.features import fbank
from voxid.gallery import Consent
from voxid.narrowband import empty_low_bands, is_narrow, without_empty_bands
from voxid.recognize import Gallery
from voxid.score import center
from voxid.simulate.lines import telephone
from voxid.simulate.narrow import LINES, narrow_line
from voxid.speech import detect_speech, measure_quality

VOICES = Path(str(files("voxid") / "data" / "voices"))
PEOPLE = ("ada", "bruno", "clara", "dev")


def clip(name: str, number: int) -> Waveform:
    return load(VOICES / name / f"{number:02d}.opus")


def off_the_line(waveform: Waveform) -> Waveform:
    return Waveform(telephone(waveform.samples), waveform.uri, "", SAMPLE_RATE_HZ)


@pytest.fixture(scope="module")
def without_map() -> Bundle:
    return replace(default_bundle(), narrow_band=None)


def heard(embedder: Embedder, waveform: Waveform) -> tuple[np.ndarray, Quality]:
    regions = detect_speech(waveform)
    return embedder.embed(waveform, regions), Quality.of(measure_quality(waveform, regions))


def test_callers_compare_better_with_their_wide_band_selves(without_map: Bundle) -> None:
    """The people of the package: a recording is more like its telephone copy, and own calls stand out further."""
    alike, apart = [], []
    for bundle in (without_map, default_bundle()):
        embedder, backend = Embedder(bundle, threads=1), bundle.backend
        wide = [heard(embedder, clip(name, 1)) for name in PEOPLE]
        calls = [heard(embedder, off_the_line(clip(name, 1))) for name in PEOPLE]
        pairs = (
            center(np.stack([one[0] for one in wide]), bundle.mean)
            @ center(np.stack([one[0] for one in calls]), bundle.mean).T
        )
        alike.append(float(np.diag(pairs).mean()))
        left, right = (backend.sides([v[None] for v, _ in of], [[q] for _, q in of]) for of in (wide, calls))
        at = np.arange(len(PEOPLE) ** 2)
        llr = backend.compare(left.take(at // len(PEOPLE)), right.take(at % len(PEOPLE)))[1]
        own = at // len(PEOPLE) == at % len(PEOPLE)
        apart.append(float(llr[own].mean() - llr[~own].mean()))
    assert alike[1] > alike[0] + 0.01
    assert apart[1] > apart[0]


@pytest.mark.parametrize("name", PEOPLE)
def test_wide_band_embeddings_are_the_same_bits(name: str, without_map: Bundle) -> None:
    waveform = clip(name, 1)
    regions = detect_speech(waveform)
    for where in (regions, None):
        with_map = Embedder(default_bundle(), threads=1).embed(waveform, where)
        np.testing.assert_array_equal(with_map, Embedder(without_map, threads=1).embed(waveform, where))


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_known_by_its_band(line: str) -> None:
    speech = clip("ada", 2).samples
    heard = narrow_line(speech, line, np.random.default_rng(3))
    assert heard.shape == speech.shape
    assert is_narrow(fbank(heard))
    assert not is_narrow(fbank(speech))


def test_bands_a_line_left_empty_say_nothing() -> None:
    """A line from 300 Hz on leaves low bands empty, a wide-band recording none worth the name."""
    speech = clip("bruno", 1)
    narrow = fbank(off_the_line(speech).samples)
    count = empty_low_bands(narrow)
    assert 5 <= count <= 9
    heard = without_empty_bands(narrow)
    assert not heard[:, :count].any()
    assert not heard[:, 58:].any()
    np.testing.assert_allclose(heard[:, 20], narrow[:, 20] - narrow[:, 20].mean(), atol=1e-4)
    assert empty_low_bands(fbank(speech.samples)) <= 2


def test_nothing_is_taken_for_narrow_without_frames() -> None:
    assert not is_narrow(np.zeros((0, 80), np.float32))
    assert not is_narrow(fbank(np.zeros(16_000, np.float32)))


def test_the_map_leaves_the_id_as_it_was(tmp_path: Path) -> None:
    """Who was enrolled before there was a map is compared still; a card without a map's file says nothing of one."""
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle().path, folder)
    (folder / NARROW_FILE).unlink()
    with pytest.raises(InputError, match=NARROW_FILE) as caught:
        load_bundle(folder)
    assert caught.value.code == "bundle_missing"
    write_card(folder, default_bundle().card)
    assert load_bundle(folder).narrow_band is None
    assert load_bundle(folder).id == default_bundle().id


def test_a_changed_map_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle().path, folder)
    (folder / NARROW_FILE).write_bytes((folder / NARROW_FILE).read_bytes()[:-1] + b"?")
    with pytest.raises(
        CompatibilityError, match=r"narrow\.npz has SHA-256 .* was changed or damaged"
    ) as caught:
        load_bundle(folder)
    assert caught.value.code == "bundle_hash_mismatch"


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"matrix": np.eye(3), "shift": np.zeros(3)},
            r"shapes \[\(3, 3\), \(3,\)\], expected finite \(256, 256\)",
        ),
        ({"matrix": np.full((256, 256), np.nan), "shift": np.zeros(256)}, "expected finite"),
        ({"shift": np.zeros(256)}, "is no map of narrow-band speech"),
    ],
    ids=["other-size", "not-finite", "no-matrix"],
)
def test_a_map_that_is_none_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle().path, folder)
    np.savez(folder / NARROW_FILE, **arrays)  # type: ignore[arg-type]
    write_card(folder, default_bundle().card)
    with pytest.raises(CompatibilityError, match=sentence) as caught:
        load_bundle(folder)
    assert caught.value.code == "bundle_invalid"


def test_a_map_needs_the_features_it_was_made_for(tmp_path: Path) -> None:
    card = default_bundle().card
    other = replace(default_bundle(), card={**card, "input": {**card["input"], "window": "hamming"}})
    with pytest.raises(CompatibilityError, match="Take the map out of its folder") as caught:
        Embedder(other, threads=1)
    assert caught.value.code == "front_end_invalid"


def test_a_call_is_verified_through_the_map(tmp_path: Path, without_map: Bundle) -> None:
    """The gallery's LLR of a call is that of the moved embedding, not that of the embedding as it came."""
    bundle = default_bundle()
    own, call = [clip("clara", number) for number in (1, 2)], off_the_line(clip("clara", 3))
    with Gallery.open(tmp_path / "people.voxid", bundle=bundle) as gallery:
        form = Consent({"verify"}, evidence="signed form 17")
        gallery.enroll("clara", own, form, allow_inconsistent=True)
        found = gallery.verify("clara", call).llr
    embedder = Embedder(bundle, threads=1)
    references = [heard(embedder, waveform) for waveform in own]
    enrolled = bundle.backend.side(np.stack([one[0] for one in references]), [one[1] for one in references])
    moved, as_it_came = (heard(Embedder(of, threads=1), call) for of in (bundle, without_map))
    expected = bundle.backend.compare(enrolled, bundle.backend.side(moved[0][None], [moved[1]]))[1][0]
    other = bundle.backend.compare(enrolled, bundle.backend.side(as_it_came[0][None], [moved[1]]))[1][0]
    assert found == pytest.approx(expected, abs=1e-3)
    assert abs(found - other) > 0.1
