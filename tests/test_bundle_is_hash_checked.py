"""A bundle loads whole and unchanged, or not at all."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import load
from voxid.bundle import BACKEND_FILE, CARD_FILE, GRAPH_FILE, default_bundle, load_bundle
from voxid.embedding import Embedder, get_embedder
from voxid.errors import CompatibilityError, InputError
from voxid.features import frame_count
from voxid.timeline import Segment


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    target = tmp_path / "bundle"
    shutil.copytree(default_bundle().path, target)
    return target


def speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16_000)) / 16_000
    tone = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    return (0.05 * tone + 0.01 * rng.standard_normal(t.size)).astype(np.float32)


def test_copies_have_one_id(copy: Path) -> None:
    assert load_bundle(copy).id == default_bundle().id


@pytest.mark.parametrize("name", [GRAPH_FILE, BACKEND_FILE])
def test_a_flipped_byte_is_refused(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(CompatibilityError, match="was changed or damaged. Get the bundle again") as caught:
        load_bundle(copy)
    assert caught.value.code == "bundle_hash_mismatch"


@pytest.mark.parametrize("name", [GRAPH_FILE, BACKEND_FILE, CARD_FILE])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InputError, match=name) as caught:
        load_bundle(copy)
    assert caught.value.code == "bundle_missing"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 1, "sha256": {}}', "\x00"])
def test_a_card_that_is_none_is_refused(copy: Path, text: str) -> None:
    (copy / CARD_FILE).write_text(text)
    with pytest.raises(CompatibilityError) as caught:
        load_bundle(copy)
    assert caught.value.code == "bundle_invalid"


def test_a_newer_format_is_refused(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps({**card, "format_version": 99}))
    with pytest.raises(CompatibilityError, match="has format 99, this voxid reads 1; update voxid"):
        load_bundle(copy)


def test_another_calibration_is_another_model(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    card["calibration"]["offset"] += 0.5
    (copy / CARD_FILE).write_text(json.dumps(card))
    assert load_bundle(copy).id != default_bundle().id


def test_an_unknown_profile_lists_the_known() -> None:
    with pytest.raises(InputError, match="far_1pct"):
        default_bundle().profile("far_50pct")


def test_an_utterance_is_one_mask_of_ones() -> None:
    embedder = get_embedder(default_bundle())
    waveform = load((speechlike(2.0), 16_000))
    everything = np.ones((1, frame_count(waveform.samples.size)), np.float32)
    one = embedder.embed_masks(waveform.samples, everything)[0]
    np.testing.assert_allclose(one, embedder.embed(waveform), atol=1e-5)
    assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-5)


def test_masks_do_not_touch_each_other() -> None:
    """Pooling under a mask gives the same whoever else is asked for in the same pass."""
    embedder = get_embedder(default_bundle())
    samples = speechlike(3.0, seed=2)
    halves = np.zeros((2, frame_count(samples.size)), np.float32)
    halves[0, :150], halves[1, 150:] = 1.0, 1.0
    both = embedder.embed_masks(samples, halves)
    swapped = embedder.embed_masks(samples, halves[::-1].copy())
    np.testing.assert_allclose(both, swapped[::-1], atol=1e-5)


def test_empty_masks_and_short_speech_are_errors() -> None:
    embedder = get_embedder(default_bundle())
    samples = speechlike(1.0)
    with pytest.raises(InputError, match=r"mask 0 holds 0.00 s") as caught:
        embedder.embed_masks(samples, np.zeros((1, frame_count(samples.size)), np.float32))
    assert caught.value.code == "mask_empty"
    waveform = load((speechlike(1.0), 16_000))
    with pytest.raises(InputError, match="has 0.10 s of speech to embed") as caught:
        embedder.embed(waveform, [Segment(0.2, 0.3)])
    assert caught.value.code == "audio_too_short"


def test_long_speech_is_embedded_in_pieces_like_short() -> None:
    """Two minutes of one voice embed as its first ten seconds do."""
    embedder = Embedder(default_bundle(), threads=2)
    voice = speechlike(120.0)
    long, short = embedder.embed(load((voice, 16_000))), embedder.embed(load((voice[:160_000], 16_000)))
    assert float(long @ short) > 0.95
