"""A student is drawn to its teacher's embeddings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

from tiny_models import SIZES, packed_speech, tiny_bundle, tiny_recipe
from voxid.errors import CompatibilityError, InputError
from voxid.frontend import FrontEnd
from voxid.score import center
from voxid.train.compression import PackedSpeech, Surroundings, distill_bundle
from voxid.train.distill import BundleTeacher, distilling, principal_basis
from voxid.train.graph_embedder import GraphEmbedder
from voxid.train.loop import Tuition, train
from voxid.train.validation import embed_shard


def agreement(student: np.ndarray, teacher: np.ndarray) -> float:
    """Return the correlation of all pairs' cosines: 1 where both call the same pairs alike."""
    upper = np.triu_indices(len(student), 1)
    return float(np.corrcoef((student @ student.T)[upper], (teacher @ teacher.T)[upper])[0, 1])


def test_a_student_learns_what_its_teacher_finds_alike(tmp_path: Path) -> None:
    """Another architecture, embeddings of another length."""
    teacher = tiny_bundle(tmp_path / "teacher", "ecapa", seed=3)
    training = packed_speech(24, 4)
    recipe = tiny_recipe(150, "xvector")
    recipe = replace(recipe, network=replace(SIZES["xvector"], embedding=12))
    live = BundleTeacher.of(teacher, 12, training, 1)
    assert live.dim == 12
    expected = center(GraphEmbedder.of(teacher).embed_shard(training), teacher.mean)

    def taught(steps: int) -> np.ndarray:
        short = distilling(replace(recipe, stages=(replace(recipe.stages[0], steps=steps),)), 0.0)
        tuition = Tuition(None, live)
        network = train(short, training, training, tmp_path / str(steps), lambda row: None, tuition=tuition)
        return embed_shard(network, training)

    assert agreement(taught(150), expected) > agreement(taught(1), expected) + 0.2


def test_a_distilled_bundle_says_whom_it_learnt_from(tmp_path: Path) -> None:
    teacher = tiny_bundle(tmp_path / "teacher", "ecapa")
    speech = PackedSpeech(
        tiny_recipe(20, "xvector"),
        packed_speech(60, 4),
        packed_speech(20, 10, first=100),
        tmp_path,
        tmp_path / "work",
    )
    bundle, comparison = distill_bundle(
        teacher, tmp_path / "student", Surroundings(speech, refit=False), classify=0.1
    )
    assert bundle.card["distilled"] == {"from": teacher.id, "classify": 0.1}
    assert bundle.card["network"]["name"] == "xvector"
    assert comparison.before.id == teacher.id
    assert comparison.after.eer_percent.keys() == {"made", "mean"}
    assert (tmp_path / "student" / "log.jsonl").is_file()


def test_cosines_survive_fewer_and_more_dimensions() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((200, 6)) @ rng.standard_normal((6, 32))).astype(np.float32)
    for dim in (8, 48):
        mapped = vectors @ principal_basis(vectors, dim)
        np.testing.assert_allclose(mapped @ mapped.T, vectors @ vectors.T, rtol=1e-3, atol=1e-2)


def test_a_teacher_that_hears_something_else_is_refused(tmp_path: Path) -> None:
    graph = tiny_bundle(tmp_path / "b").graph
    with pytest.raises(CompatibilityError, match="packed speech holds 80 of fbank") as caught:
        GraphEmbedder(graph, FrontEnd(features="fbank", mels=40))
    assert caught.value.code == "not_for_packed_speech"


def test_distilling_without_speech_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a student learns from speech") as caught:
        distill_bundle(tiny_bundle(tmp_path / "b"), tmp_path / "out", Surroundings())
    assert caught.value.code == "tuning_needs_speech"
