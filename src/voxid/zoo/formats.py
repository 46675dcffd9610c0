"""The public formats voxid can add, each with the front end its models were trained on, and how they are told apart.

A graph says what shape it wants, not what it wants in it: whether samples lie in [-1, 1] or count to 32,768, which
window, which mean. Nothing fails when these are wrong; the embeddings are merely worse. So each format carries the
front end found in its toolkit's own training and inference code, and what a file could not say is told to the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from voxid.errors import CompatibilityError, InputError
from voxid.frontend import RATE_HZ, FrontEnd
from voxid.zoo.graphs import Graph, Port

_BATCH: Final = 16
_HOP_SAMPLES: Final = 160


@dataclass(frozen=True)
class Format:
    """One public format.

    Attributes:
        name: as ``--format`` takes it.
        kind: ``onnx``, or ``torch`` for checkpoints that are converted.
        front_end: what its models were trained on.
        source: where that is written down.
    """

    name: str
    kind: str
    front_end: FrontEnd
    source: str


_PLAIN: Final = FrontEnd(layout="plain", mean="utterance")
_CONVERTED: Final = FrontEnd(scale="unit", max_frames=3_000)

FORMATS: Final = {
    form.name: form
    for form in (
        Format(
            "wespeaker",
            "onnx",
            replace(_PLAIN, window="hamming"),
            "wenet-e2e/wespeaker, wespeaker/bin/infer_onnx.py and dataset/processor.py",
        ),
        Format(
            "3dspeaker",
            "onnx",
            replace(_PLAIN, scale="unit"),
            "modelscope/3D-Speaker, speakerlab/process/processor.py and bin/infer_sv.py",
        ),
        Format(
            "redimnet",
            "onnx",
            FrontEnd(features="waveform", scale="unit", mean="none", layout="plain", axes="BN"),
            "PalabraAI/redimnet2 and IDRnD/redimnet, README and hubconf.py: the features are inside the graph",
        ),
        Format(
            "redimnet-mel",
            "onnx",
            replace(_PLAIN, features="tfmel", mels=72, scale="unit", axes="B1FT", multiple_of_frames=4),
            "mediainbox/redimnet2-onnx, redimnet2_onnx/frontend.py: a graph exported without its features",
        ),
        Format(
            "speechbrain-ecapa",
            "torch",
            replace(_CONVERTED, features="speechbrain"),
            "speechbrain/speechbrain, recipes/VoxCeleb/SpeakerRec/hparams/verification_ecapa.yaml",
        ),
        Format(
            "taoruijie-ecapa",
            "torch",
            replace(_CONVERTED, features="torchaudio"),
            "TaoRuijie/ECAPA-TDNN, model.py",
        ),
        Format(
            "3dspeaker-ecapa",
            "torch",
            _CONVERTED,
            "modelscope/3D-Speaker, speakerlab/models/ecapa_tdnn and process/processor.py",
        ),
    )
}

_FRAMEWORKS: Final = {"wespeaker": "wespeaker", "3d-speaker": "3dspeaker"}
_INPUT_NAMES: Final = {"feats": "wespeaker", "feature": "3dspeaker", "x": "3dspeaker"}
_OUTPUT_NAMES: Final = ("embs", "embedding", "embeddings", "output")


@dataclass(frozen=True)
class Fitting:
    """A format, the front end for one file of it, and what had to be assumed.

    Attributes:
        form: the format.
        front_end: with the file's own axes, names and limits.
        assumed: sentences about what the file does not say.
    """

    form: Format
    front_end: FrontEnd
    assumed: tuple[str, ...] = ()


def named_format(name: str) -> Format:
    """Return a format by name.

    Raises:
        InputError: ``model_format_unknown``; the sentence lists the names there are.
    """
    if name not in FORMATS:
        raise InputError(
            "model_format_unknown", f"there is no format {name!r}; voxid knows {', '.join(FORMATS)}."
        )
    return FORMATS[name]


def parse_front_end(settings: Sequence[str]) -> dict[str, Any]:
    """Return what ``--front-end KEY=VALUE`` settings mean, to be laid over a format's front end.

    Raises:
        CompatibilityError: ``front_end_invalid`` for a key there is not or a value that is no number.

    Example:
        >>> parse_front_end(["window=povey", "min_frames=200"])
        {'window': 'povey', 'min_frames': 200}
    """
    kinds = {field.name: field.type for field in fields(FrontEnd)}
    found: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in kinds:
            raise CompatibilityError(
                "front_end_invalid",
                f"{setting!r} is no setting of a front end; expected KEY=VALUE with a key of {', '.join(kinds)}.",
            )
        try:
            found[key] = value if kinds[key] == "str" else (int if kinds[key] == "int" else float)(value)
        except ValueError as error:
            raise CompatibilityError(
                "front_end_invalid", f"{setting!r} gives no number; {key} needs one."
            ) from error
    return found


def fit_graph(graph: Graph, form: Format | None, settings: Mapping[str, Any]) -> Fitting:
    """Return the front end for an ONNX graph.

    Args:
        graph: what the file holds.
        form: the format the user names; None recognises it.
        settings: of the front end, laid over everything else.

    Raises:
        CompatibilityError: ``model_format_unsupported`` for a graph of another kind, ``model_input_unknown`` when its
            inputs or outputs fit none, ``model_format_unknown`` when it could be two and does not say,
            ``model_rate_unsupported`` for another sampling rate than 16 kHz, ``front_end_invalid``.
    """
    port = _only_input(graph)
    chosen, assumed = (form, []) if form is not None else _recognise(graph, port)
    if chosen.kind != "onnx":
        raise CompatibilityError(
            "model_format_unsupported",
            f"{chosen.name} is a format of torch checkpoints, and this file is an ONNX graph.",
        )
    told = _told_by_metadata(graph)
    wanted = {**chosen.front_end.to_card(), **settings}
    entry = {
        **chosen.front_end.to_card(),
        **told,
        **_told_by_shape(port, str(wanted["features"]), int(wanted["mels"])),
        "input": port.name,
        "output": _output(graph).name,
        **settings,
    }
    if chosen.front_end.features == "fbank" and "scale" not in {*told, *settings}:
        assumed.append(
            f"samples {'times 32,768' if entry['scale'] == 'int16' else 'in [-1, 1]'}, {entry['window']} window, mean "
            f"of the {entry['mean']}: as {chosen.name} trains; the file does not say"
        )
    return Fitting(chosen, FrontEnd.from_card(entry), tuple(assumed))


def _only_input(graph: Graph) -> Port:
    names = {port.name for port in graph.inputs}
    if names == {"fbank", "weights"}:
        raise CompatibilityError(
            "model_format_unsupported",
            "this is the graph of a voxid bundle without its card; add the bundle's folder instead.",
        )
    if graph.metadata.get("framework") == "nemo" or "audio_signal" in names:
        raise CompatibilityError(
            "model_format_unsupported",
            "this is a NeMo graph, whose features voxid does not make. Formats it reads: "
            + ", ".join(FORMATS)
            + ".",
        )
    if len(graph.inputs) != 1 or graph.inputs[0].element != "float32":
        raise CompatibilityError(
            "model_input_unknown",
            f"the graph takes {'; '.join(map(str, graph.inputs)) or 'nothing'}; expected one float32 input of features "
            "(B, T, 80) or samples (B, N). Export the embedding network alone.",
        )
    return graph.inputs[0]


def _recognise(graph: Graph, port: Port) -> tuple[Format, list[str]]:
    """Return the format and what was assumed to name it."""
    framework = graph.metadata.get("framework")
    if framework is not None:
        if framework not in _FRAMEWORKS:
            raise CompatibilityError(
                "model_format_unsupported",
                f"the file says it comes from {framework[:60]!r}, whose features voxid does not make. Formats it "
                f"reads: {', '.join(FORMATS)}.",
            )
        return FORMATS[_FRAMEWORKS[framework]], []
    if len(port.shape) == 2:
        return FORMATS["redimnet"], ["samples in [-1, 1] go in as they are; the file does not say"]
    if len(port.shape) == 4 and port.shape[2] == 72:
        return FORMATS["redimnet-mel"], ["72 Mel bands as ReDimNet2 makes them; the file does not say"]
    if len(port.shape) == 3 and port.name in _INPUT_NAMES:
        form = FORMATS[_INPUT_NAMES[port.name]]
        return form, [f"format {form.name}, by the input's name {port.name!r}"]
    raise CompatibilityError(
        "model_format_unknown",
        f"the graph takes {port}, which may come from several toolkits with different features. Say which with "
        f"--format {' or '.join(name for name, form in FORMATS.items() if form.kind == 'onnx')}.",
    )


def _told_by_metadata(graph: Graph) -> dict[str, Any]:
    """Return what sherpa-onnx's exporters write beside a graph, as settings of a front end."""
    rate = graph.metadata.get("sample_rate", str(RATE_HZ))
    if rate != str(RATE_HZ):
        raise CompatibilityError(
            "model_rate_unsupported",
            f"the model hears at {rate[:20]} Hz; voxid works at {RATE_HZ} Hz. Get its 16 kHz version.",
        )
    told: dict[str, Any] = {}
    scaled = graph.metadata.get("normalize_samples")
    if scaled in ("0", "1"):
        told["scale"] = "unit" if scaled == "1" else "int16"
    # sherpa-onnx leaves WeSpeaker's mean in, although the models are trained without it; only what it does say counts.
    if graph.metadata.get("feature_normalize_type") == "global-mean":
        told["mean"] = "utterance"
    return told


def _told_by_shape(port: Port, features: str, mels: int) -> dict[str, Any]:
    """Return axes, bands and fixed lengths.

    Raises:
        CompatibilityError: ``model_input_unknown`` when the shape does not fit the features.
    """
    shape = port.shape
    waveform = features == "waveform"
    refusal = CompatibilityError(
        "model_input_unknown",
        f"the graph takes {port}; expected "
        + (
            "samples (B, N)."
            if waveform
            else f"features (B, T, {mels}), (B, {mels}, T) or (B, 1, {mels}, T)."
        )
        + " Name another --format, or export it so.",
    )
    axes, bands, lengths = "", 0, 0
    if waveform and len(shape) == 2:
        axes, lengths = "BN", 1
    elif not waveform and len(shape) == 4 and shape[1] in (1, None):
        axes, bands, lengths = "B1FT", 2, 3
    elif not waveform and len(shape) == 3 and shape[1] == mels and shape[2] != mels:
        axes, bands, lengths = "BFT", 1, 2
    elif not waveform and len(shape) == 3:
        axes, bands, lengths = "BTF", 2, 1
    if not axes or (bands and shape[bands] not in (mels, None)) or shape[0] not in (1, None):
        raise refusal
    told: dict[str, Any] = {"axes": axes, "batch": 1 if shape[0] == 1 else _BATCH}
    length = shape[lengths]
    if length is not None:
        frames, rest = divmod(length, _HOP_SAMPLES) if waveform else (length, 0)
        if rest or frames < 20:
            raise refusal
        told |= {"min_frames": frames, "max_frames": frames}
    return told


def _output(graph: Graph) -> Port:
    fit = [port for port in graph.outputs if port.element == "float32"]
    named = [port for port in fit if port.name in _OUTPUT_NAMES]
    if len(fit) == 1:
        return fit[0]
    if len(named) == 1:
        return named[0]
    raise CompatibilityError(
        "model_input_unknown",
        f"the graph returns {'; '.join(map(str, graph.outputs))}; expected one float32 output, or one named "
        f"{' or '.join(_OUTPUT_NAMES)}. Export the embedding alone.",
    )
