"""Counts and options that cannot be meant are refused with a sentence, before any audio is touched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from voxid.diarize import DiarizeOptions, SpeakerCount, diarize
from voxid.diarize.options import DEFAULT_AHC_THRESHOLD
from voxid.errors import CompatibilityError, InputError


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"speakers": 0}, "speakers is 0; expected 1 to 100"),
        ({"min_speakers": -1}, "min_speakers is -1; expected 1 to 100"),
        ({"max_speakers": 101}, "max_speakers is 101; expected 1 to 100"),
        ({"min_speakers": 4, "max_speakers": 3}, "min_speakers 4, max_speakers 3 contradict each other"),
        ({"speakers": 2, "min_speakers": 3}, "speakers 2, min_speakers 3 contradict each other"),
        ({"speakers": 5, "max_speakers": 3}, "speakers 5, max_speakers 3 contradict each other"),
    ],
)
def test_rejects_impossible_counts(arguments: dict[str, int], sentence: str) -> None:
    """The count is judged before the file: the file named here does not exist."""
    with pytest.raises(InputError, match=sentence) as caught:
        diarize("no such file.wav", **arguments)  # type: ignore[arg-type]
    assert caught.value.code == "speaker_count_invalid"


def test_accepts_counts_that_agree() -> None:
    assert SpeakerCount.checked() == SpeakerCount(1, None)
    assert SpeakerCount.checked(3) == SpeakerCount(3, 3)
    assert SpeakerCount.checked(3, 2, 4) == SpeakerCount(3, 3)
    assert SpeakerCount.checked(None, 2, 4) == SpeakerCount(2, 4)


@pytest.mark.parametrize(
    "change", [{"window_s": 0.1}, {"step_s": 2.0}, {"chunk_s": 1.0}, {"threads": 0}, {"ahc_threshold": 1.5},
               {"min_cluster_s": float("nan")}, {"switch_penalty": -1.0}],
)  # fmt: skip
def test_rejects_impossible_options(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"change (it|them)") as caught:
        DiarizeOptions(**change)
    assert caught.value.code == "option_invalid"


def test_threshold_comes_from_option_then_card_then_default() -> None:
    tuned: Any = SimpleNamespace(card={"diarization": {"ahc_threshold": 0.42}})
    plain: Any = SimpleNamespace(card={})
    assert DiarizeOptions(ahc_threshold=0.1).threshold_for(tuned) == 0.1
    assert DiarizeOptions().threshold_for(tuned) == 0.42
    assert DiarizeOptions().threshold_for(plain) == DEFAULT_AHC_THRESHOLD


def test_refuses_a_gallery_of_another_bundle() -> None:
    """Voiceprints of one model are never compared with embeddings of another; no audio is read before."""
    gallery: Any = SimpleNamespace(bundle=SimpleNamespace(id="old@111111111111"))
    bundle: Any = SimpleNamespace(id="new@222222222222", card={})
    with pytest.raises(CompatibilityError, match=r"old@111111111111.*new@222222222222") as caught:
        diarize("no such file.wav", gallery=gallery, bundle=bundle)
    assert caught.value.code == "model_mismatch"
