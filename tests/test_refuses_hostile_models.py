"""Whatever a model file is, adding it ends in a bundle that works or in a sentence, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "onnx", reason="graphs are built with onnx, of the train extra: pip install 'voxid[train]'"
)

import onnx
from onnx import TensorProto, helper, numpy_helper

from foreign_graphs import DIM, fbank_graph, save, sha256_of, weights
from voxid.bundle import default_bundle
from voxid.errors import CompatibilityError, InputError, VoxidError
from voxid.frontend import FrontEnd
from voxid.zoo.adding import Added, Wish, add_model
from voxid.zoo.graphs import read_graph
from voxid.zoo.probing import probe_graph
from voxid.zoo.shelf import FOLDER_VARIABLE


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def no_torch(*_: object) -> Any:
    raise AssertionError("no checkpoint")


def add(path: Path, **wish: Any) -> Added:
    return add_model(Wish(str(path), sha256_of(path), **wish), no_torch)


def refused(path: Path, code: str, sentence: str, **wish: Any) -> None:
    """The file is refused with this code and sentence, and nothing is left of it."""
    with pytest.raises(VoxidError) as caught:
        add(path, **wish)
    assert (caught.value.code, sentence in str(caught.value)) == (code, True), str(caught.value)
    shelf = path.parent / "models"
    assert not shelf.exists() or list(shelf.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_graph(tmp_path: Path, share: float) -> None:
    path = fbank_graph(tmp_path / "x.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CompatibilityError) as caught:
        add(path)
    assert caught.value.code in {"model_broken", "model_format_unsupported"}
    assert "et it again" in str(caught.value)


def test_the_wrong_hash(tmp_path: Path) -> None:
    path = fbank_graph(tmp_path / "x.onnx")
    with pytest.raises(
        InputError, match=f"has SHA-256 {sha256_of(path)}, expected 00.*It was not added"
    ) as caught:
        add_model(Wish(str(path), "0" * 64), no_torch)
    assert caught.value.code == "model_hash_mismatch"
    with pytest.raises(InputError, match="expected 64 hexadecimal digits") as caught:
        add_model(Wish(str(path), "abc"), no_torch)
    assert caught.value.code == "sha256_invalid"
    assert path.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page or text, not a model"),
        (b'\n {"error": "not found"}', "a web page or text, not a model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a pointer of Git LFS"),
        (gzip.compress(b"model", mtime=0), "a compressed archive"),
        (b"\x40\x00\x00\x00\x00\x00\x00\x00{}" + b" " * 62, "in safetensors"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    refused(path, "model_format_unsupported", sentence)


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("voxceleb_resnet34/avg_model.pt", b"")
    refused(tmp_path / "x.zip", "model_format_unsupported", "a zip archive of voxceleb_resnet34/avg_model.pt")


def test_no_file_at_all(tmp_path: Path) -> None:
    for source, code in ((tmp_path / "none.onnx", "model_missing"), (tmp_path, "model_missing")):
        with pytest.raises(InputError) as caught:
            add_model(Wish(str(source), "0" * 64), no_torch)
        assert caught.value.code == code
    with pytest.raises(
        InputError, match="is no file here, no https address and no model of the catalogue"
    ) as caught:
        add_model(Wish("resnet"), no_torch)
    assert caught.value.code == "model_source_unknown"


def external(path: Path) -> None:
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    path.write_bytes(model.SerializeToString())


def test_weights_in_other_files(tmp_path: Path) -> None:
    """Neither beside it nor anywhere else on the disk."""
    path = fbank_graph(tmp_path / "x.onnx")
    external(path)
    refused(path, "model_external_data", "which its SHA-256 does not cover")


def test_external_weights_inside_a_branch(tmp_path: Path) -> None:
    """A constant in the branch of an If is a tensor like any other."""
    inner = numpy_helper.from_array(np.zeros((2, DIM), np.float32), "c")
    inner.ClearField("raw_data")
    inner.data_location = TensorProto.EXTERNAL
    entry = inner.external_data.add()
    entry.key, entry.value = "location", "elsewhere.bin"
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [2, DIM])
    branch = helper.make_graph([helper.make_node("Constant", [], ["o"], value=inner)], "b", [], [out])
    nodes = [
        helper.make_node("ReduceMax", ["feats"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["yes"], to=TensorProto.BOOL),
        helper.make_node("If", ["yes"], ["embs"], then_branch=branch, else_branch=branch),
    ]
    path = save(tmp_path / "x.onnx", nodes, ("B", "T", 80))
    refused(path, "model_external_data", "keeps weights in other files")


def test_operators_of_a_plug_in(tmp_path: Path) -> None:
    node = helper.make_node("RunShell", ["feats"], ["embs"], domain="evil.corp")
    path = save(tmp_path / "x.onnx", [node], ("B", "T", 80), opset=[helper.make_opsetid("evil.corp", 1)])
    refused(path, "model_operator_unknown", "the operator RunShell of 'evil.corp', which is no part of ONNX")


def test_a_tensor_of_a_trillion_numbers(tmp_path: Path) -> None:
    path = fbank_graph(tmp_path / "x.onnx")
    model = onnx.load(path)
    model.graph.initializer[0].dims[:] = [10**6, 10**6]
    path.write_bytes(model.SerializeToString())
    refused(path, "model_too_large", "declares a tensor of shape (1000000, 1000000)")


def test_a_graph_that_asks_for_all_memory(tmp_path: Path) -> None:
    """Ten lines that fill 360 GB when run: they run in a process that may not have them."""
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["huge"]),
        helper.make_node("ReduceMean", ["huge"], ["zero"], keepdims=0),
        helper.make_node("MatMul", ["feats", "W"], ["h"]),
        helper.make_node("ReduceMean", ["h"], ["m"], axes=[1], keepdims=0),
        helper.make_node("Add", ["m", "zero"], ["embs"]),
    ]
    constants = {"size": np.array([300_000, 300_000], np.int64), "W": weights(80)}
    path = save(tmp_path / "x.onnx", nodes, ("B", "T", 80), constants=constants)
    refused(path, "model_too_hungry", "no speaker model needs that")


def test_a_graph_that_does_not_end(tmp_path: Path) -> None:
    """A loop of a quadrillion rounds: its time is up after what a speaker model may take."""
    count, going = "i", "g"
    body = helper.make_graph(
        [helper.make_node("Identity", [going], ["on"]), helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info(count, TensorProto.INT64, []),
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("ReduceMean", ["feats"], ["m"], axes=[1], keepdims=0),
        helper.make_node("Loop", ["rounds", "yes", "m"], ["embs"], body=body),
    ]
    constants = {"rounds": np.array(10**15, np.int64), "yes": np.array(True)}
    path = save(tmp_path / "x.onnx", nodes, ("B", "T", 80), constants=constants, out_shape=("B", 80))
    front_end = FrontEnd(layout="plain", input="feats", output="embs")
    with pytest.raises(CompatibilityError, match="no speaker model needs that. It is not added") as caught:
        probe_graph(path, front_end, time_s=3)
    assert caught.value.code == "model_too_hungry"


def after_projection(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [
        helper.make_node("MatMul", ["feats", "W"], ["h"]),
        helper.make_node("ReduceMean", ["h"], ["m"], axes=[1], keepdims=0),
        *nodes,
    ]


@pytest.mark.parametrize(
    ("nodes", "constants", "code", "sentence"),
    [
        (
            [helper.make_node("Sub", ["m", "nine"], ["n"]), helper.make_node("Log", ["n"], ["embs"])],
            {"nine": np.float32(9)},
            "model_not_finite",
            "returns NaN or infinity for ordinary input",
        ),
        (
            [helper.make_node("Mul", ["m", "none"], ["n"]), helper.make_node("Add", ["n", "W0"], ["embs"])],
            {"none": np.float32(0), "W0": np.ones((1, DIM), np.float32)},
            "model_ignores_input",
            "it cannot tell anybody apart",
        ),
        (
            [
                helper.make_node("RandomNormalLike", ["m"], ["r"]),
                helper.make_node("Add", ["m", "r"], ["embs"]),
            ],
            {},
            "model_not_repeatable",
            "Export it after model.eval()",
        ),
        (
            [helper.make_node("Reshape", ["m", "shape"], ["embs"])],
            {"shape": np.array([2, DIM // 2], np.int64)},
            "model_output_unknown",
            "returns float32 of shape (2, 24) for one voice",
        ),
        (
            [helper.make_node("Reshape", ["m", "shape"], ["embs"])],
            {"shape": np.array([7, 7, 7], np.int64)},
            "model_fails",
            "Name another --format or --front-end",
        ),
    ],
)
def test_graphs_that_give_no_embedding(
    tmp_path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any], code: str, sentence: str
) -> None:
    path = save(
        tmp_path / "x.onnx",
        after_projection(*nodes),
        ("B", "T", 80),
        constants={"W": weights(80), **{name: np.asarray(value) for name, value in constants.items()}},
    )
    refused(path, code, sentence)


def test_a_few_values_and_far_too_many_are_no_embedding(tmp_path: Path) -> None:
    for dim in (3, 5_000):
        nodes = after_projection(helper.make_node("Identity", ["m"], ["embs"]))
        constants = {"W": weights(80, dim)}
        path = save(tmp_path / "x.onnx", nodes, ("B", "T", 80), constants=constants, out_shape=("B", dim))
        refused(path, "model_output_unknown", "expected 16 to 4096 float32 values")


@pytest.mark.parametrize(
    ("names", "shape", "code", "sentence"),
    [
        (
            ("in", "out"),
            ("B", "T", 80),
            "model_format_unknown",
            "--format wespeaker or 3dspeaker or redimnet",
        ),
        (("feats", "embs"), ("B", "T", 40), "model_input_unknown", "expected features (B, T, 80)"),
        (("feats", "embs"), (8, "T", 80), "model_input_unknown", "expected features (B, T, 80)"),
        (("feats", "embs"), ("B", 5, 80), "model_input_unknown", "expected features (B, T, 80)"),
    ],
)
def test_inputs_nobody_knows(
    tmp_path: Path, names: tuple[str, str], shape: tuple[Any, ...], code: str, sentence: str
) -> None:
    refused(fbank_graph(tmp_path / "x.onnx", names=names, shape=shape), code, sentence)


def two_inputs(path: Path) -> None:
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("length", TensorProto.INT64, ["B"]))
    path.write_bytes(model.SerializeToString())


def test_two_inputs(tmp_path: Path) -> None:
    path = fbank_graph(tmp_path / "x.onnx")
    two_inputs(path)
    refused(
        path, "model_input_unknown", "feats (?, ?, 80) float32; length (?) int64; expected one float32 input"
    )


@pytest.mark.parametrize(
    ("metadata", "code", "sentence"),
    [
        ({"framework": "nemo"}, "model_format_unsupported", "this is a NeMo graph"),
        ({"framework": "secret"}, "model_format_unsupported", "it comes from 'secret', whose features"),
        ({"framework": "wespeaker", "sample_rate": "8000"}, "model_rate_unsupported", "hears at 8000 Hz"),
    ],
)
def test_toolkits_and_rates_voxid_does_not_hear(
    tmp_path: Path, metadata: dict[str, str], code: str, sentence: str
) -> None:
    refused(fbank_graph(tmp_path / "x.onnx", metadata=metadata), code, sentence)


def test_a_format_that_does_not_fit(tmp_path: Path) -> None:
    path = fbank_graph(tmp_path / "x.onnx")
    refused(path, "model_input_unknown", "expected samples (B, N). Name another --format", form="redimnet")
    refused(path, "model_format_unsupported", "this file is an ONNX graph", form="speechbrain-ecapa")
    with pytest.raises(
        InputError, match="there is no format 'kaldi'; voxid knows wespeaker, 3dspeaker"
    ) as caught:
        add(path, form="kaldi")
    assert caught.value.code == "model_format_unknown"


@pytest.mark.parametrize("setting", ["warp=1", "window", "mels=many", "dither=1.0", "features=mfcc"])
def test_front_ends_there_are_not(tmp_path: Path, setting: str) -> None:
    refused(fbank_graph(tmp_path / "x.onnx"), "front_end_invalid", "", front_end=(setting,))


def test_our_own_graph_without_its_card(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(default_bundle().graph)
    refused(tmp_path / "x.onnx", "model_format_unsupported", "add the bundle's folder instead")


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def shortened(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def spliced(content: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content)), rng.randrange(200)
    return content[:at] + rng.randbytes(length) + content[at:]


def test_damaged_bytes_are_read_or_refused_never_worse(tmp_path: Path) -> None:
    """600 broken copies of a small graph: each is read as a graph or refused with a code."""
    nodes = after_projection(helper.make_node("Identity", ["m"], ["embs"]))
    whole = save(tmp_path / "x.onnx", nodes, ("B", "T", 80), constants={"W": weights(80, 2)}).read_bytes()
    rng = random.Random(7)
    damages: list[Callable[[bytes, random.Random], bytes]] = [flipped, shortened, spliced]
    codes = set()
    for number in range(600):
        try:
            read_graph(damages[number % 3](whole, rng))
        except CompatibilityError as error:
            codes.add(error.code)
    assert codes <= {"model_broken", "model_too_large", "model_external_data", "model_operator_unknown"}
    assert "model_broken" in codes


def test_graphs_inside_graphs_without_end() -> None:
    """A thousand graphs in each other are no speaker model; reading them ends."""
    graph = b""
    for _ in range(1_000):
        attribute = b"\x32" + varint(len(graph)) + graph
        node = b"\x2a" + varint(len(attribute)) + attribute
        graph = b"\x0a" + varint(len(node)) + node
    with pytest.raises(CompatibilityError, match="graphs lie more than 12 deep in each other"):
        read_graph(b"\x3a" + varint(len(graph)) + graph)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def test_the_scanner_sees_what_onnx_sees(tmp_path: Path) -> None:
    """Inputs, outputs and parameters of our own bundle, by both."""
    path = tmp_path / "x.onnx"
    path.write_bytes(default_bundle().graph)
    model, found = onnx.load(path), read_graph(default_bundle().graph)
    assert {port.name for port in found.inputs} == {value.name for value in model.graph.input}
    assert [port.name for port in found.outputs] == [value.name for value in model.graph.output]
    assert found.parameters == sum(int(np.prod(t.dims)) for t in model.graph.initializer) + sum(
        int(np.prod(a.t.dims)) for node in model.graph.node for a in node.attribute if a.HasField("t")
    )
    assert found.operators == {node.op_type for node in model.graph.node}


def test_the_card_holds_what_a_stranger_wrote_only_in_part(tmp_path: Path) -> None:
    """Metadata is cut to size; it is shown to people and must not fill the disk."""
    metadata = {"comment": "x" * 100_000, **{f"key{n}": "v" for n in range(200)}}
    card = add(fbank_graph(tmp_path / "x.onnx", metadata=metadata)).bundle.card
    assert len(json.dumps(card["source"]["metadata"])) < 12_000
