"""The simulated diarization benchmark holds nobody whom the default recipe trains on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
CORPORA = ROOT.parent / "corpora"
EVALUATION = ROOT.parent / "shared" / "eval" / "verification"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that makes the benchmark."""
    pytest.importorskip("torch", reason="voxid.train needs the train extra: pip install 'voxid[train]'")
    path = ROOT / "scripts" / "make_diarization_benchmark.py"
    spec = importlib.util.spec_from_file_location("make_diarization_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_diarization_benchmark"] = module
    spec.loader.exec_module(module)
    return module


def test_has_forty_conversations(script: ModuleType) -> None:
    """Three kinds, 40 or more in all."""
    assert sum(script.PARTS.values()) >= 40
    assert set(script.PARTS) == {"telephone", "meeting", "broadcast"}


def test_no_training_speaker_is_in_it(script: ModuleType) -> None:
    """Trained on and measured on are different people, also under the names their corpora give them."""
    if not CORPORA.is_dir() or not EVALUATION.is_dir():
        pytest.skip("the corpora or the evaluation speech are absent beside the repository")
    from voxid.train.recipe import load_recipe
    from voxid.train.shards import split

    recipe = load_recipe(ROOT / "recipes" / "ecapa-base.yaml")
    assert recipe.seed == 17
    training, held_out = split(recipe, CORPORA)
    trained_files = {row.path for row in training}
    trained = {row.speaker for row in training}
    held = {row.speaker for row in held_out}
    people = script.people(recipe, CORPORA, EVALUATION)
    for person in people:
        assert person.name not in trained
        for paths in person.sessions.values():
            assert not trained_files & set(paths)
        if not person.group.startswith("evaluation_"):
            assert any(name.startswith(person.name) for name in held), person.name
    # The same people under the names their corpora give them.
    reserved = set((EVALUATION / "speechocean762" / "reserved_speakers.txt").read_text().split())
    clients = set((EVALUATION / "commonvoice" / "reserved_client_ids.txt").read_text().split())
    assert not {name.removeprefix("so-") for name in trained if name.startswith("so-")} & reserved
    assert not {name.removeprefix("cv-") for name in trained if name.startswith("cv-")} & clients
    readers = {path.name for path in (EVALUATION / "librispeech" / "audio").iterdir()}
    assert not {name.removeprefix("ls-") for name in trained if name.startswith("ls-")} & readers
    names = [person.name for person in people]
    assert len(names) == len(set(names)) > 80
    tuning = {person.name for person in script.people(recipe, CORPORA, EVALUATION, tuning=True)}
    assert len(tuning) > 30
    assert not tuning & set(names)


def test_enrollment_speech_is_in_no_conversation(script: ModuleType) -> None:
    """What is kept to enroll somebody is taken out of what conversations are made of."""
    from voxid.cli.demo import VOICES
    from voxid.simulate.libraries import SpeakerFiles

    paths = tuple(sorted((VOICES / "ada").glob("*.opus")))
    left, kept = script.keep_for_enrollment(SpeakerFiles("ada", {"a": paths[:3], "b": paths[3:4]}))
    assert paths[3] in kept
    assert not set(kept) & {path for of in left.sessions.values() for path in of}
