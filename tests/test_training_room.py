"""The training room on speech made by the test: readers, packing, sampling, networks, losses, resuming, export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")
pytest.importorskip("yaml", reason="needs the train extra: pip install 'voxid[train]'")

import onnx
import onnx.numpy_helper
import torch

from voxid.audio import load
from voxid.bundle import load_bundle
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError, ConfigError, InputError
from voxid.train.corpora import read_corpus
from voxid.train.export import export_graph
from voxid.train.loop import schedule, train
from voxid.train.losses import build_loss
from voxid.train.networks import build_network, local_mean
from voxid.train.recipe import CorpusEntry, Loss, Network, load_recipe
from voxid.train.run import run
from voxid.train.sampler import crop
from voxid.train.shards import prepare, split, trim

RECIPES = Path(__file__).parents[1] / "recipes"
TINY = """
name: tiny
seed: 3
network: {{name: {network}, channels: 32, aggregation: 48, embedding: 16, stride: 2}}
loss: {{name: {loss}, scale: 20.0}}
optimizer: {optimizer}
backend: {{methods: []}}
validate_every_steps: 20
checkpoint_every_steps: 10
stages:
  - {{steps: {steps}, crop_s: 0.5, batch: 8, lr_from: 0.003, lr_to: 0.001}}
data:
  reserved: [reserved.txt]
  copies: [{{speed: 1.0}}, {{speed: 0.9}}]
  corpora:
    - {{name: digits, reader: spoken_digits, folder: digits, repository: none, commit: none, licence: none,
       held_out_speakers: 10}}
"""


def voice(pitch_hz: float, formant_hz: float, seed: int) -> np.ndarray:
    """Return a second of a buzzing vowel: a pulse train through one resonance, after a little silence."""
    rng = np.random.default_rng(seed)
    t = np.arange(8_000) / 8_000
    pitch = pitch_hz * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(2, 5) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / 8_000
    buzz = sum(np.sin(k * phase) / (1 + ((k * pitch_hz - formant_hz) / 200) ** 2) for k in range(1, 25))
    sound = 0.1 * buzz + 0.003 * rng.standard_normal(t.size)
    return np.concatenate([np.zeros(2_000), sound, np.zeros(2_000)]).astype(np.float32)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpora")
    folder = root / "digits" / "recordings"
    folder.mkdir(parents=True)
    for speaker in range(22):
        for take in range(10):
            sound = voice(90 + 7 * speaker, 500 + 90 * (speaker % 7), 100 * speaker + take)
            soundfile.write(folder / f"{take}_voice{speaker:02d}_0.wav", sound, 8_000)
        soundfile.write(
            folder / f"9_voice{speaker:02d}_1.wav",
            voice(90 + 7 * speaker, 500 + 90 * (speaker % 7), 100 * speaker),
            8_000,
        )
        (folder / f"8_voice{speaker:02d}_1.wav").write_bytes(b"not audio")
    return root


def tiny_network(name: str) -> Network:
    """Return a size at which any of the networks is quick."""
    return Network(name, 4 if name in ("redim", "resnet") else 32, 48, 16, 2)


def recipe_file(
    folder: Path, steps: int = 40, network: str = "ecapa", loss: str = "aam", optimizer: str = "adamw"
) -> Path:
    (folder / "reserved.txt").write_text("voice21\n")
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(steps=steps, network=network, loss=loss, optimizer=optimizer))
    return path


def quiet(*_: object) -> None:
    """Take a report and say nothing."""


def not_called(*found: object) -> None:
    """Fail: nothing was to be reported."""
    raise AssertionError(found)


@pytest.mark.parametrize("name", sorted(path.name for path in RECIPES.glob("ecapa-*.yaml")))
def test_shipped_recipes_read_and_reserve_people(name: str) -> None:
    recipe = load_recipe(RECIPES / name)
    assert len(recipe.data.reserved) == 190
    assert len({entry.name for entry in recipe.data.corpora}) == len(recipe.data.corpora) >= 14


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("seed: 3", "lacks the key 'name'"),
        ("name: x\nsede: 3", "unknown key 'sede'"),
        ("name: [", "not valid YAML"),
        ("name: 5\nstages: []\ndata: {corpora: []}", "name must be str, found 5"),
        ("- 1", "must be a mapping, found list"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path: Path, broken: str, sentence: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(broken)
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_recipe(path)
    assert caught.value.code == "recipe_invalid"


def test_missing_corpus_says_how_to_get_it(tmp_path: Path) -> None:
    entry = CorpusEntry("d", "spoken_digits", "none", "https://example.org/d", "abc", "CC0")
    with pytest.raises(ConfigError, match="run: git clone https://example.org/d .* checkout abc") as caught:
        read_corpus(entry, tmp_path, frozenset())
    assert caught.value.code == "corpus_missing"


def test_common_voice_sessions_follow_clip_numbers(tmp_path: Path) -> None:
    (tmp_path / "cv" / "clips").mkdir(parents=True)
    rows = ["client_id\tpath\tsentence"]
    for client, number in [("ann", 5), ("ann", 6), ("ann", 20_000), ("bob", 7), ("reserved", 8)]:
        (tmp_path / "cv" / "clips" / f"common_voice_xx_{number}.mp3").touch()
        rows.append(f'{client}\tcommon_voice_xx_{number}.mp3\tit said "so')
    (tmp_path / "cv" / "validated.tsv").write_text("\n".join(rows))
    entry = CorpusEntry("cv", "common_voice", "cv", "r", "c", "CC0")
    found = read_corpus(entry, tmp_path, frozenset({"reserved"}))
    assert sorted((u.speaker, u.session) for u in found) == [
        ("cv-ann", "0"),
        ("cv-ann", "0"),
        ("cv-ann", "1"),
        ("cv-bob", "0"),
    ]


def test_librispeech_test_speakers_are_never_read(tmp_path: Path) -> None:
    for part, name in [("train-clean-100", "26-495-0000.flac"), ("test-other/1688", "1688-142285-0000.flac")]:
        path = tmp_path / "r" / "audio_data" / f"librispeech_{part}" / name
        path.parent.mkdir(parents=True)
        path.touch()
    entry = CorpusEntry("ls", "librispeech_excerpts", "r", "r", "c", "CC BY 4.0")
    assert [u.speaker for u in read_corpus(entry, tmp_path, frozenset())] == ["ls-26"]


def test_held_out_and_reserved_speakers_are_never_trained_on(corpora: Path, tmp_path: Path) -> None:
    training, held_out = split(load_recipe(recipe_file(tmp_path)), corpora)
    learned, kept = {u.speaker for u in training}, {u.speaker for u in held_out}
    assert len(kept) == 10
    assert not learned & kept
    assert "fsdd-voice21" not in learned | kept


def test_trim_keeps_the_sound() -> None:
    sound = np.concatenate([np.zeros(8_000), np.ones(1_600), np.zeros(8_000)]).astype(np.float32)
    kept = trim(sound)
    assert float(kept.sum()) == 1_600
    assert kept.size < 4_000


def test_packing_drops_duplicates_and_unreadable_files(corpora: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path))
    training, _ = prepare(recipe, corpora, tmp_path / "packed", quiet)
    counts = [json.loads(file.read_text()) for file in (tmp_path / "packed").glob("*/left_out.json")]
    left_out = next(count for count in counts if "duplicate" in count)
    speakers = len(training.speakers)  # each has one recording twice and one that is none
    assert left_out == {"duplicate": speakers, "audio_unknown_format": speakers}
    assert set(np.unique(training.copy)) == {0, 1}
    slow = training.frames[(training.copy == 1) & ~training.augmented].mean()
    plain = training.frames[(training.copy == 0) & ~training.augmented].mean()
    assert slow / plain == pytest.approx(1 / 0.9, rel=0.05)
    again, _ = prepare(recipe, corpora, tmp_path / "packed", not_called)
    assert np.array_equal(again.features[0], training.features[0])


def test_short_utterances_go_round() -> None:
    frames = np.arange(5, dtype=np.float16)[:, None].repeat(80, 1)
    found = crop(frames, 12, np.random.default_rng(0))[:, 0]
    assert np.array_equal(np.diff(found) % 5, np.ones(11))


@pytest.mark.parametrize("name", ["ecapa", "redim", "resnet", "xvector"])
def test_masks_pool_apart(name: str) -> None:
    """The embedding under one mask is that of asking for it alone."""
    torch.manual_seed(0)
    network = build_network(tiny_network(name)).eval()
    x, masks = torch.randn(2, 120, 80), (torch.rand(2, 3, 120) > 0.5).float()
    with torch.inference_mode():
        together = network(x, masks)
        alone = torch.cat([network(x, masks[:, k : k + 1]) for k in range(3)], dim=1)
    assert together.shape == (2, 3, 16)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_local_mean_equals_the_slow_one() -> None:
    x = torch.randn(1, 2, 30)
    slow = torch.stack([x[:, :, max(0, s - 4) : s + 5].mean(2) for s in range(30)], dim=2)
    torch.testing.assert_close(local_mean(x, 4), slow, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["ecapa", "redim", "resnet", "xvector"])
def test_onnx_equals_pytorch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    assert export_graph(build_network(tiny_network(name)), tmp_path / "g.onnx") <= 1e-4


def test_aam_margin_makes_the_task_harder_and_zero_margin_is_scaled_softmax() -> None:
    torch.manual_seed(0)
    loss = build_loss(Loss("aam", 20.0), 8, 5)
    z, label = torch.randn(16, 8), torch.randint(0, 5, (16,))
    cosine = torch.nn.functional.normalize(z) @ torch.nn.functional.normalize(next(loss.parameters())).T
    plain = torch.nn.functional.cross_entropy(20.0 * cosine, label)
    assert loss(z, label, 0.0).item() == pytest.approx(plain.item(), rel=1e-4)
    assert loss(z, label, 0.3).item() > plain.item()


def test_the_nearest_sub_centre_counts() -> None:
    """With two centres per class, one of them opposite, the loss is that of the near ones alone."""
    torch.manual_seed(0)
    one, two = build_loss(Loss("aam", 20.0), 8, 5), build_loss(Loss("aam", 20.0, sub_centres=2), 8, 5)
    z, label = torch.randn(16, 8), torch.randint(0, 5, (16,))
    with torch.no_grad():
        near = one.centres.clone()
        two.centres.copy_(torch.stack([near, near], dim=1).flatten(0, 1))
        same = two(z, label, 0.2)
        two.centres[1::2] = -z.mean(dim=0)
        near_or_farther = two(z, label, 0.2)
    assert same.item() == pytest.approx(one(z, label, 0.2).item(), rel=1e-5)
    assert near_or_farther.item() != pytest.approx(same.item(), rel=1e-5)


def test_inter_top_k_raises_the_loss_by_its_nearest_wrong_classes() -> None:
    torch.manual_seed(0)
    plain, pushed = build_loss(Loss("aam", 20.0), 8, 50), build_loss(Loss("aam", 20.0, top_k=5), 8, 50)
    pushed.load_state_dict(plain.state_dict())
    z, label = torch.randn(16, 8), torch.randint(0, 50, (16,))
    assert pushed(z, label, 0.2).item() > plain(z, label, 0.2).item()
    assert pushed(z, label, 0.0).item() == pytest.approx(plain(z, label, 0.0).item())


def test_within_a_corpus_only_its_own_classes_compete() -> None:
    """The loss is that of each corpus by itself."""
    torch.manual_seed(0)
    corpora = torch.tensor([0, 0, 1, 1, 1])
    options = Loss("aam", 20.0, top_k=2, within_corpus=True)
    loss = build_loss(options, 8, 5, corpora)
    z, label = torch.randn(16, 8), torch.randint(0, 5, (16,))
    apart = []
    for corpus in (0, 1):
        alone = build_loss(Loss("aam", 20.0, top_k=2), 8, int((corpora == corpus).sum()))
        alone.place(loss.centres.detach()[corpora == corpus])
        rows = corpora[label] == corpus
        apart.append(rows.sum() * alone(z[rows], label[rows] - 2 * corpus, 0.2))
    assert loss(z, label, 0.2).item() == pytest.approx((sum(apart) / 16).item(), rel=1e-3)


def test_ge2e_equals_the_slow_one() -> None:
    torch.manual_seed(0)
    loss = build_loss(Loss("ge2e", 10.0, utterances_per_speaker=3), 8, 5)
    z, label = torch.nn.functional.normalize(torch.randn(6, 8)), torch.tensor([4, 4, 4, 2, 2, 2])
    slow = []
    for i in range(6):
        logits = []
        for speaker in (2, 4):
            members = [j for j in range(6) if label[j] == speaker and j != i]
            mean = torch.nn.functional.normalize(z[members].sum(0), dim=0)
            logits.append(10.0 * (z[i] @ mean) - 5.0)
        slow.append(
            torch.nn.functional.cross_entropy(torch.stack(logits)[None], (label[i : i + 1] == 4).long())
        )
    assert loss(z, label, 0.0).item() == pytest.approx(torch.stack(slow).mean().item(), rel=1e-5)


def test_triplets_take_the_hardest_of_the_batch() -> None:
    loss = build_loss(Loss("triplet", 1.0, utterances_per_speaker=2), 2, 2)
    angle = torch.tensor([0.0, 0.5, 1.0, 2.0])
    z, label = torch.stack([angle.cos(), angle.sin()], dim=1), torch.tensor([0, 0, 1, 1])
    pairs = [(0.5, 1.0), (0.5, 0.5), (1.0, 0.5), (1.0, 1.5)]  # angle to the farthest same, the nearest other
    gaps = [np.cos(other) - np.cos(same) + 0.2 + 0.1 for same, other in pairs]
    assert loss(z, label, 0.2).item() == pytest.approx(np.mean(np.log1p(np.exp(gaps))), rel=1e-5)


@pytest.mark.parametrize("name", ["ge2e", "triplet"])
def test_pair_losses_without_pairs_are_zero_and_do_not_break_training(name: str) -> None:
    loss = build_loss(Loss(name, 10.0, utterances_per_speaker=2), 4, 3)
    z = torch.randn(3, 4, requires_grad=True)
    value = loss(z, torch.arange(3), 0.1)
    value.backward()
    assert value.item() == 0.0


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"network.name is 'lstm'"):
        build_network(Network("lstm"))
    with pytest.raises(ConfigError, match=r"loss.name is 'centre'"):
        build_loss(Loss("centre"), 8, 5)
    with pytest.raises(ConfigError, match="utterances_per_speaker to 2 or more"):
        build_loss(Loss("triplet"), 8, 5)


def test_the_graph_keeps_the_names_of_the_parameters(tmp_path: Path) -> None:
    """A bundle can be turned back into the network it came from: every parameter stands in it under its name."""
    torch.manual_seed(1)
    network = build_network(Network("ecapa", 16, 24, 8)).eval()
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():  # equal tensors would be stored once
            tensor.data.add_(0.01 * torch.rand_like(tensor))
    assert export_graph(network, tmp_path / "model.onnx") <= 1e-4
    graph = onnx.load(tmp_path / "model.onnx").graph
    found = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    for name, tensor in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(found[name], tensor.numpy(), err_msg=name)


def test_schedule_follows_the_recipe() -> None:
    recipe = load_recipe(RECIPES / "ecapa-small.yaml")
    first, last = schedule(recipe, 0), schedule(recipe, recipe.total_steps - 1)
    assert first.lr < 0.01 * recipe.stages[0].lr_from
    assert last.margin == pytest.approx(recipe.stages[-1].margin_to, abs=0.01)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resuming_gives_the_same_network_as_not_stopping(
    corpora: Path, tmp_path: Path, optimizer: str
) -> None:
    through = load_recipe(recipe_file(tmp_path, steps=20, optimizer=optimizer))
    training, held_out = prepare(through, corpora, tmp_path / "packed", quiet)
    torch.set_num_threads(1)
    whole = train(through, training, held_out, tmp_path / "whole", quiet)
    half = load_recipe(recipe_file(tmp_path, steps=20, optimizer=optimizer))
    rows: list[dict[str, object]] = []

    def stop_halfway(row: dict[str, object]) -> None:
        rows.append(row)

    checkpointed = train_until(half, training, held_out, tmp_path / "half", 10)
    assert checkpointed == 10
    resumed = train(half, training, held_out, tmp_path / "half", stop_halfway)
    assert rows[0]["from_step"] == 10
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, atol=1e-5, rtol=1e-4)


def train_until(recipe, training, held_out, folder: Path, step: int) -> int:  # type: ignore[no-untyped-def]
    """Train the same recipe but die right after the checkpoint at ``step``."""
    import voxid.train.loop as loop

    class DiedError(Exception):
        pass

    real = loop.Training.save

    def save_and_die(self: loop.Training, file: Path, done: int) -> None:
        real(self, file, done)
        if done == step:
            raise DiedError

    loop.Training.save = save_and_die  # type: ignore[method-assign]
    try:
        train(recipe, training, held_out, folder, quiet)
    except DiedError:
        return int(torch.load(folder / "checkpoint.pt", weights_only=True)["step"])
    finally:
        loop.Training.save = real  # type: ignore[method-assign]
    return -1


def test_a_checkpoint_of_another_recipe_is_refused(corpora: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, steps=10))
    training, held_out = prepare(recipe, corpora, tmp_path / "packed", quiet)
    train(recipe, training, held_out, tmp_path / "run", quiet)
    other = load_recipe(recipe_file(tmp_path, steps=10, network="xvector"))
    with pytest.raises(CompatibilityError, match="was made by another recipe") as caught:
        train(other, training, held_out, tmp_path / "run", quiet)
    assert caught.value.code == "checkpoint_of_another_recipe"


def test_a_recipe_becomes_a_bundle_that_tells_voices_apart(corpora: Path, tmp_path: Path) -> None:
    bundle = run(
        recipe_file(tmp_path, steps=60, loss="softmax"),
        corpora,
        work=tmp_path / "work",
        out=tmp_path / "bundle",
    )
    assert load_bundle(tmp_path / "bundle").id == bundle.id
    assert bundle.card["onnx_parity"] <= 1e-4
    assert bundle.card["held_out_eer_percent"]["digits"] < 35.0
    assert {"log.jsonl", "recipe.yaml"} <= {file.name for file in (tmp_path / "bundle").iterdir()}
    losses = [
        json.loads(line).get("loss") for line in (tmp_path / "bundle" / "log.jsonl").read_text().splitlines()
    ]
    assert any(loss is not None for loss in losses)
    embedder = Embedder(bundle)
    same = [embedder.embed(load((voice(100, 900, seed), 8_000))) for seed in (1, 2)]
    other = embedder.embed(load((voice(230, 520, 3), 8_000)))
    assert float(same[0] @ same[1]) > float(same[0] @ other)


def test_a_run_ends_by_fitting_the_back_end(corpora: Path, tmp_path: Path) -> None:
    """It listens to the corpora by itself; too few held-out people end it with a sentence, the quick bundle stays."""
    recipe = recipe_file(tmp_path, steps=20, loss="softmax")
    recipe.write_text(recipe.read_text().replace("{methods: []}", "{views: [whole], cohort_speakers: 5}"))
    parts: set[str] = set()
    with pytest.raises(InputError) as caught:
        run(
            recipe, corpora, work=tmp_path / "work", out=tmp_path / "bundle",
            on_fit=lambda part, done, total: parts.add(part),
        )  # fmt: skip
    assert caught.value.code in {"no_development_speech", "too_few_trials", "calibration_needs_trials"}
    assert "cohort" in parts
    assert load_bundle(tmp_path / "bundle").name == "tiny"
