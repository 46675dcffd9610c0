"""The target-speech network's training on made-up voices: it finds who is asked for, and nobody who is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import torch

from voxid.bundle import GRAPH_FILE, Bundle, default_bundle
from voxid.diarize.target_speech import WINDOW_FRAMES, window_masks
from voxid.features import N_MELS
from voxid.recipes import build, read_recipe
from voxid.score import center
from voxid.train.course import Part, load_course, task_of
from voxid.train.fitting import fit, fitted
from voxid.train.segmentation.speech import FeatureChunks, PackedVoices
from voxid.train.shards import Shard
from voxid.train.target.export import export_detector
from voxid.train.target.network import TargetNetwork, TargetSize
from voxid.train.target.objective import TargetSpeech, validate
from voxid.train.target.recipe import TASK, TargetRecipe
from voxid.train.target.speech import Asked, References, TargetConversations
from voxid.train.tasks import TASKS, task_named

D = 8
TINY = TargetSize(channels=32, blocks=2, shared_blocks=1, heads=2, kernel=3, widening=1, embedding=D)
FRAMES = 400
RECIPES = Path(__file__).parents[1] / "recipes"


class Whistlers:
    """Six voices, each a direction of the embedding space; what they say is loud in every band alike."""

    voices = np.linalg.qr(np.random.default_rng(7).standard_normal((D, D)))[0][:6].astype(np.float32)

    def draw(self, count: int, distort_share: float, rng: np.random.Generator) -> Asked:
        masks = window_masks(FRAMES, FRAMES)
        heard = np.zeros((count, FRAMES, 6), np.float32)
        asked = np.zeros((count, 2), np.int64)
        for row in range(count):
            talking = rng.permutation(6)[:2]
            for voice in talking:
                start = int(rng.integers(0, 300))
                heard[row, start : start + int(rng.integers(60, 200)), voice] = 1.0
            stranger = int(rng.choice(np.setdiff1d(np.arange(6), talking)))
            asked[row] = talking[0], stranger
        features = 3.0 * heard.max(axis=2, keepdims=True) + 0.1 * rng.standard_normal((count, FRAMES, N_MELS))
        pooled = np.einsum("wt,btv->bwv", masks, heard) @ self.voices
        noisy = pooled + 0.02 * rng.standard_normal(pooled.shape)
        windows = noisy / np.linalg.norm(noisy, axis=2, keepdims=True)
        return Asked(
            features.astype(np.float32),
            windows.reshape(count, -1, len(WINDOW_FRAMES) * D).astype(np.float32),
            self.voices[asked],
            np.stack([heard[row][:, asked[row]].T > 0 for row in range(count)]),
        )


def recipe(steps: int) -> TargetRecipe:
    return TargetRecipe(
        task=TASK,
        name="tiny",
        speech="none",
        stages=(Part(steps, 1e-2, 1e-3),),
        network=TINY,
        warm_steps=20,
        batch=8,
        distort=0.0,
        validate_every_steps=1000,
        checkpoint_every_steps=10,
    )


def objective(steps: int) -> TargetSpeech:
    held_out = [Whistlers().draw(20, 0.0, np.random.default_rng(99))]
    return TargetSpeech(recipe(steps), Whistlers(), held_out)


def test_a_tiny_network_learns_to_hear_whom_it_is_asked_for(tmp_path: Path) -> None:
    """It hears less than half as much wrong as cosines alone do, and next to nobody who is not there."""
    torch.set_num_threads(1)
    task = objective(180)
    before = validate(task.build(), task.held_out)
    network = fit(task, task.recipe, tmp_path, lambda row: None)
    result = validate(network, task.held_out)
    assert result["error"] < 0.5 * before["error"]
    assert result["absent_false_alarm"] < 5.0
    again = fitted(task, task.recipe, tmp_path / "checkpoint.pt")
    assert validate(again, task.held_out) == result


def test_resuming_gives_the_same_network_as_not_stopping(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    quick = [fit(objective(8), recipe(8), tmp_path / "whole", lambda row: None)]
    part = objective(4)
    fit(part, part.recipe, tmp_path / "parts", lambda row: None)
    rows: list[dict[str, object]] = []
    quick.append(fit(objective(8), recipe(8), tmp_path / "parts", rows.append))
    assert rows[0]["from_step"] == 4
    whole, parts = (network.state_dict() for network in quick)
    # The schedule of the first half ended sooner, so the weights are near each other and no more.
    assert max(float((whole[name] - parts[name]).abs().max()) for name in whole) < 0.05


def test_everybody_asked_for_is_judged_alone() -> None:
    torch.manual_seed(0)
    network = TargetNetwork(TINY).eval()
    batch = Whistlers().draw(2, 0.0, np.random.default_rng(1))
    parts = [torch.from_numpy(part) for part in (batch.features, batch.windows, batch.targets)]
    with torch.inference_mode():
        both = network(*parts)
        second = network(parts[0], parts[1], parts[2][:, 1:])
    assert both.shape == (2, 2, FRAMES // 2)
    torch.testing.assert_close(both[:, 1:], second, atol=1e-5, rtol=1e-5)


def test_an_exported_model_hears_what_the_network_hears(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = TargetNetwork(TINY).eval()
    card = {"name": "tiny", "chunk_frames": FRAMES, "embeds_with": {"name": "none", "sha256": ""}}
    detector = export_detector(network, tmp_path / "model", card)
    batch = Whistlers().draw(3, 0.0, np.random.default_rng(1))
    with torch.inference_mode():
        logits = network(*(torch.from_numpy(p) for p in (batch.features, batch.windows, batch.targets)))
    found = detector.activity(batch.features, batch.windows, batch.targets)
    np.testing.assert_allclose(found, torch.sigmoid(logits).numpy(), atol=1e-4)
    assert detector.chunk_frames == FRAMES


@pytest.fixture(scope="module")
def packed() -> Shard:
    """Fourteen people with three utterances each, the last of which is packed with distortions too."""
    rng = np.random.default_rng(0)
    people, utterances = 14, 4
    count = people * utterances
    frames = np.full(count, 200)
    spectra = np.repeat(rng.normal(0.0, 2.0, (people, N_MELS)), utterances * 200, axis=0)
    loud = np.where(np.arange(len(spectra)) % 200 < 150, 12.0, 2.0)[:, None]
    features = (spectra + loud + rng.normal(0.0, 0.5, spectra.shape)).astype(np.float16)
    return Shard(
        features=(features,),
        file=np.zeros(count, np.int64),
        start=np.arange(count) * 200,
        frames=frames,
        speaker=np.repeat(np.arange(people), utterances),
        copy=np.zeros(count, np.int64),
        augmented=np.arange(count) % utterances == utterances - 1,
        session=np.full(count, "one"),
        corpus=np.full(count, "made up"),
        text=np.arange(count),
        labelled=np.ones(count, bool),
        teacher=np.zeros((count, 0), np.float16),
        speakers=tuple(f"p{i}" for i in range(people)),
    )


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return default_bundle()


def test_references_are_never_what_is_heard(packed: Shard, bundle: Bundle) -> None:
    """All of one voice's utterances but one are heard: only that one, or its distorted version, is referred to."""
    source = TargetConversations(TargetRecipe(task=TASK, name="t", speech="s", stages=()), packed, bundle)
    references: References = source.references
    rows = references.voices.rows[3].tolist()
    allowed = [references.embed(rows[-1]), references.embed(rows[-1] + 1)]
    for seed in range(6):
        found = references.of(3, frozenset(rows[:-1]), np.random.default_rng(seed))
        assert found is not None
        assert any(np.allclose(found, one, atol=1e-5) for one in allowed)
    assert references.of(3, frozenset(rows), np.random.default_rng(0)) is None


def test_conversations_come_with_people_to_look_for(packed: Shard, bundle: Bundle) -> None:
    """Features, windows and references fit together; some of those asked for are not there; it can be repeated."""
    short = TargetRecipe(task=TASK, name="t", speech="s", stages=(), seconds=6.0)
    source = TargetConversations(short, packed, bundle)
    one, two = (source.draw(3, 0.5, np.random.default_rng(4)) for _ in range(2))
    assert one.features.shape == (3, 600, N_MELS)
    assert one.windows.shape == (3, 30, len(WINDOW_FRAMES) * bundle.dim)
    assert one.targets.shape == (3, 3, bundle.dim)
    assert one.active.shape == (3, 3, 600)
    there = one.active.any(axis=2)
    assert there.any()
    assert not there.all()
    np.testing.assert_allclose(np.linalg.norm(one.targets, axis=2), 1.0, atol=1e-4)
    for part in ("features", "windows", "targets", "active"):
        np.testing.assert_array_equal(getattr(one, part), getattr(two, part))


def test_windows_are_those_of_run_time(packed: Shard, bundle: Bundle) -> None:
    """What the graph gives for packed features is what the embedder's centring expects: unit, mean taken away."""
    source = TargetConversations(TargetRecipe(task=TASK, name="t", speech="s", stages=()), packed, bundle)
    frames = packed.frames_of(0).astype(np.float32)
    windows = source.windows(frames, 200).reshape(10, 2, bundle.dim)
    masks = window_masks(200, 200)
    fed = {"fbank": (frames - frames.mean(axis=0))[None], "weights": masks[None]}
    raw = source.embedder.session.run(None, fed)[0][0]
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(windows.reshape(20, -1), center(unit, bundle.mean), atol=1e-5)


def test_a_chunk_knows_whose_voices_are_in_it(packed: Shard) -> None:
    chunks = FeatureChunks(PackedVoices(packed, kept_back=1), seconds=5.0)
    scene = chunks.draw_scene(np.random.default_rng(3))
    assert len(scene.voices) == scene.chunk.active.shape[1] == len(scene.heard)
    for column, (voice, heard) in enumerate(zip(scene.voices, scene.heard, strict=True)):
        assert heard <= set(chunks.voices.rows[voice].tolist())
        assert len(heard) < len(chunks.voices.rows[voice])  # one is kept back
        if scene.chunk.active[:, column].any():
            assert heard


def test_every_recipe_with_a_task_is_one_that_can_be_trained() -> None:
    tasks = {
        path.name: task_of(path) for path in sorted(RECIPES.glob("*.yaml")) if "simulation" not in path.name
    }
    named = {name: task for name, task in tasks.items() if task is not None}
    assert set(named.values()) == set(TASKS)
    for name, task in named.items():
        plan = load_course(task_named(task, RECIPES / name).recipe, task, RECIPES / name)
        assert plan.total_steps > 0


def test_the_shipped_recipe_names_the_default_bundle() -> None:
    plan = build(TargetRecipe, read_recipe(RECIPES / "tsvad-small.yaml"), "recipe")
    assert plan.bundle == default_bundle().name
    assert plan.network.embedding == default_bundle().dim
    assert GRAPH_FILE in default_bundle().card["sha256"]
