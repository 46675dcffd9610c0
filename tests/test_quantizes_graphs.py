"""Graphs that compute in 8 bits: really, closely, and only as far as it is worth it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from tiny_models import packed_speech, tiny_bundle, tiny_recipe
from voxid.audio import load
from voxid.bundle import Bundle, load_bundle
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError, InputError
from voxid.train.calibration_speech import from_packed
from voxid.train.compression import PackedSpeech, Surroundings, quantize_bundle
from voxid.train.graph_embedder import GraphEmbedder
from voxid.train.graph_surgery import compact, round_stored_weights
from voxid.train.quantize import QuantizeOptions, prepare, quantizable, quantize_graph

VOICES = Path(__file__).parents[1] / "src" / "voxid" / "data" / "voices"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("source") / "b")


def kernels(graph: bytes, folder: Path) -> Counter[str]:
    """Return the operators ONNX Runtime runs after its own optimisation."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


def test_convolutions_become_integer_kernels_and_embeddings_hardly_move(
    bundle: Bundle, tmp_path: Path
) -> None:
    speech = from_packed(bundle, packed_speech(20, 4), 1)
    made = quantize_graph(bundle.graph, speech.calibration, speech.check)
    layers = quantizable(prepare(bundle.graph))
    assert made.integer_layers == len(layers)
    run = kernels(made.graph, tmp_path)
    assert run["QLinearConv"] == len(layers)
    assert run["Conv"] + run["FusedConv"] == 0
    held_out = packed_speech(6, 2, first=70)
    before = GraphEmbedder.of(bundle).embed_shard(held_out)
    front_end = GraphEmbedder.of(bundle).front_end
    after = GraphEmbedder(made.graph, front_end).embed_shard(held_out)
    assert (before * after).sum(axis=1).mean() > 0.98


def test_a_layer_that_costs_too_much_goes_back_to_float(bundle: Bundle) -> None:
    """The EER given here is 0 where the attention is float and 50 % elsewhere: the search must find that out."""
    speech = from_packed(bundle, packed_speech(10, 4), 1)
    whole = len(quantizable(prepare(bundle.graph)))

    def measure_eer(graph: bytes) -> float:
        nodes = onnx.load_from_string(graph).graph.node
        return 50.0 * (sum(node.op_type == "QuantizeLinear" for node in nodes) > whole)

    made = quantize_graph(bundle.graph, speech.calibration, speech.check, measure_eer)
    assert 0 < made.integer_layers < whole
    assert made.integer_layers + len(made.chosen.float_layers) == whole
    assert made.chosen.eer_percent == 0.0
    assert made.attempts[-2].eer_percent == 50.0


def test_an_impossible_demand_is_refused(bundle: Bundle) -> None:
    speech = from_packed(bundle, packed_speech(4, 4), 1)
    with pytest.raises(CompatibilityError, match="the embeddings still differ too much") as caught:
        quantize_graph(
            bundle.graph, speech.calibration, speech.check, options=QuantizeOptions(min_cosine=1.01)
        )
    assert caught.value.code == "quantization_costs_too_much"


def test_a_graph_without_convolutions_is_refused() -> None:
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])
    model = helper.make_model(
        helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    with pytest.raises(CompatibilityError, match="has no convolution with stored weights") as caught:
        quantize_graph(model.SerializeToString(), [], [])
    assert caught.value.code == "nothing_to_quantize"


def test_stored_weights_are_rounded_by_channel_and_names_shortened() -> None:
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((64, 48)) * np.arange(1, 49)).astype(np.float32)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "a.long.name"], ["y"], name="product")],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["B", 64])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["B", 48])],
            [numpy_helper.from_array(weight, "a.long.name")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    assert round_stored_weights(model) == 1
    compact(model)
    assert all(len(one.name) < 4 for one in model.graph.initializer)
    x = rng.standard_normal((3, 64)).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(["y"], {"x": x})[0]
    step = np.abs(weight).max(axis=0) / 127
    assert (np.abs(found - x @ weight) <= 0.5 * step * np.abs(x).sum(axis=1, keepdims=True) + 1e-4).all()


def test_a_bundle_quantised_on_recordings_verifies(bundle: Bundle, tmp_path: Path) -> None:
    made, comparison, quantized = quantize_bundle(bundle, tmp_path / "int8", Surroundings(), VOICES)
    assert made.id == load_bundle(tmp_path / "int8").id != bundle.id
    assert made.card["quantization"]["from"] == bundle.id
    assert made.calibration == bundle.calibration  # embeddings hardly moved, so that the old one still holds
    assert comparison.cosine == quantized.chosen.cosine > 0.98
    waveform = load(next(VOICES.glob("*/*.opus")))
    vectors = [Embedder(one, threads=1).embed(waveform) for one in (bundle, made)]
    assert float(vectors[0] @ vectors[1]) > 0.98
    with pytest.raises(CompatibilityError, match=f"is quantised already; give {bundle.id}") as caught:
        quantize_bundle(made, tmp_path / "again", Surroundings(), VOICES)
    assert caught.value.code == "already_quantized"


def test_held_out_speakers_decide_and_are_reported(bundle: Bundle, tmp_path: Path) -> None:
    speech = PackedSpeech(
        tiny_recipe(1), packed_speech(10, 4), packed_speech(8, 4, first=50), tmp_path, tmp_path / "work"
    )
    options = QuantizeOptions(eer_lost_percent=100.0)
    _, comparison, _ = quantize_bundle(
        bundle, tmp_path / "int8", Surroundings(speech, refit=False), options=options
    )
    report = comparison.to_dict()
    assert report["before"]["eer_percent"].keys() == report["after"]["eer_percent"].keys() == {"made", "mean"}
    assert report["eer_lost_percent"]["mean"] == pytest.approx(
        report["after"]["eer_percent"]["mean"] - report["before"]["eer_percent"]["mean"], abs=1e-3
    )
    assert {speed["speech_s"] for speed in report["before"]["speed"]} == {2.0, 5.0, 15.0}


def test_a_folder_without_speech_writes_nothing(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no audio")
    with pytest.raises(
        InputError, match="holds 0 recordings with 0.3 s of speech or more, of 1 files"
    ) as caught:
        quantize_bundle(bundle, tmp_path / "int8", Surroundings(), tmp_path / "notes")
    assert caught.value.code == "no_calibration_speech"
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_an_existing_folder_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already; name a new folder") as caught:
        quantize_bundle(bundle, tmp_path, Surroundings(), VOICES)
    assert caught.value.code == "bundle_exists"
