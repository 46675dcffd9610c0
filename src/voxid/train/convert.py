"""A torch checkpoint of another toolkit to voxid's graph: one pass for many masks.

A checkpoint is a pickle, and a pickle is a program. It is loaded with ``weights_only``: tensors and nothing else; what
asks for more is refused, not run. Its parameters are then renamed and put into a network of the same arithmetic.
"""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from voxid.errors import CompatibilityError
from voxid.spectrogram import htk_filters
from voxid.train.export import export_graph
from voxid.train.foreign import SPEECHBRAIN, TAORUIJIE, EcapaSize, ForeignEcapa, Variation
from voxid.zoo.adding import Converted
from voxid.zoo.formats import FORMATS, Format

_MAX_PARAMETERS: Final = 500_000_000
_INSIDE: Final = ("state_dict", "model_state_dict", "model", "embedding_model")

# Names in a checkpoint -> names in ForeignEcapa, applied in order.
_SPEECHBRAIN_NAMES: Final = (
    (r"^module\.", ""),
    (r"(conv\d?|fc)\.conv\.(weight|bias)$", r"\1.\2"),
    (r"(norm|asp_bn)\.norm\.", r"\1."),
    (r"^blocks\.0\.", "first."),
    (r"^blocks\.(\d+)\.", lambda found: f"blocks.{int(found[1]) - 1}."),
    (r"\.tdnn1\.", ".into."),
    (r"\.tdnn2\.", ".out."),
    (r"\.res2net_block\.blocks\.", ".res2."),
    (r"\.se_block\.conv1\.", ".squeeze.down."),
    (r"\.se_block\.conv2\.", ".squeeze.up."),
    (r"^mfa\.", "aggregate."),
    (r"^asp\.tdnn\.conv\.", "pool.hidden."),
    (r"^asp\.tdnn\.norm\.", "pool.norm."),
    (r"^asp\.conv\.", "pool.out."),
    (r"^asp_bn\.", "pool_norm."),
    (r"^fc\.", "project."),
)
_TAORUIJIE_NAMES: Final = (
    (r"^module\.", ""),
    (r"^speaker_encoder\.(module\.)?", ""),
    (r"^conv1\.", "first.conv."),
    (r"^bn1\.", "first.norm."),
    (r"^layer([1-3])\.", lambda found: f"blocks.{int(found[1]) - 1}."),
    (r"\.conv1\.", ".into.conv."),
    (r"\.bn1\.", ".into.norm."),
    (r"\.convs\.(\d+)\.", r".res2.\1.conv."),
    (r"\.bns\.(\d+)\.", r".res2.\1.norm."),
    (r"\.conv3\.", ".out.conv."),
    (r"\.bn3\.", ".out.norm."),
    (r"\.se\.se\.1\.", ".squeeze.down."),
    (r"\.se\.se\.3\.", ".squeeze.up."),
    (r"^layer4\.", "aggregate.conv."),
    (r"^attention\.0\.", "pool.hidden."),
    (r"^attention\.2\.", "pool.norm."),
    (r"^attention\.4\.", "pool.out."),
    (r"^bn5\.", "pool_norm."),
    (r"^fc6\.", "project."),
    (r"^bn6\.", "out_norm."),
)
_FILTERS: Final = re.compile(r"^(speaker_encoder\.)?torchfbank\.1\.mel_scale\.fb$")
_LEFT_OUT: Final = re.compile(r"num_batches_tracked$|^(speaker_encoder\.)?torchfbank\.|^speaker_loss\.")


@dataclass(frozen=True)
class _Toolkit:
    how: Variation
    names: tuple[tuple[str, Any], ...]
    mark: str


_TOOLKITS: Final = {
    "speechbrain-ecapa": _Toolkit(SPEECHBRAIN, _SPEECHBRAIN_NAMES, "asp.tdnn.conv.conv.weight"),
    "3dspeaker-ecapa": _Toolkit(SPEECHBRAIN, _SPEECHBRAIN_NAMES, "asp.tdnn.conv.conv.weight"),
    "taoruijie-ecapa": _Toolkit(TAORUIJIE, _TAORUIJIE_NAMES, "layer1.convs.0.weight"),
}


def convert_checkpoint(path: Path, form: Format | None, graph: Path) -> Converted:
    """Write a checkpoint's network as a ``masks`` graph and return what is known of it.

    Args:
        path: the checkpoint.
        form: its format; None recognises it by the names of its parameters.
        graph: where the ONNX file goes.

    Raises:
        CompatibilityError: ``checkpoint_unsafe`` when it holds more than tensors, ``model_broken``,
            ``model_format_unsupported`` for parameters of another network, ``model_too_large``, ``model_not_finite``,
            ``export_differs``.
    """
    state = load_tensors(path)
    assumed: list[str] = []
    if form is None:
        form = _recognise(state)
        if form.name == "speechbrain-ecapa":
            assumed.append(
                "SpeechBrain's features; 3D-Speaker's ECAPA has the same parameters and other features (--format "
                "3dspeaker-ecapa), and the file does not say"
            )
    if form.name not in _TOOLKITS:
        raise CompatibilityError(
            "model_format_unsupported",
            f"{form.name} is a format of ONNX graphs, and this file is a torch checkpoint.",
        )
    toolkit = _TOOLKITS[form.name]
    _check_filters(state)
    network = _build(_renamed(state, toolkit), toolkit.how)
    parity = export_graph(network, graph)  # type: ignore[arg-type]  # any network of this signature
    assumed.append("dilations 2, 3, 4 in the blocks, as the toolkit's recipe has them; the file does not say")
    return Converted(
        form=form,
        front_end=form.front_end,
        dim=network.project.out_features,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        parity=parity,
        assumed=tuple(assumed),
    )


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Raises:
        CompatibilityError: ``checkpoint_unsafe``, ``model_broken``, ``model_too_large``, ``model_not_finite``.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL|class|function) ([\w.]+)", str(error))
        raise CompatibilityError(
            "checkpoint_unsafe",
            f"the checkpoint holds more than tensors ({wanted[1] if wanted else 'a program'}), which would run as code "
            "when loaded. It was not. Save torch.save(model.state_dict(), ...) alone and add that.",
        ) from error
    except Exception as error:  # torch raises zip, runtime, end-of-file and index errors on damaged bytes
        raise CompatibilityError(
            "model_broken",
            f"the checkpoint cannot be read ({type(error).__name__}: {str(error)[:160]}). Get it again, and compare "
            "its SHA-256 with the publisher's.",
        ) from error
    while isinstance(loaded, dict) and (
        inner := next((loaded[k] for k in _INSIDE if isinstance(loaded.get(k), dict)), None)
    ):
        loaded = inner
    tensors = (
        {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, dict) else {}
    )
    if not tensors:
        raise CompatibilityError(
            "model_format_unsupported",
            "the checkpoint holds no named tensors; save model.state_dict() and add that.",
        )
    # A view may claim a shape its bytes do not hold; copied, it would fill the memory.
    stored = sum(
        {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors.values()}.values()
    )
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > 2 * stored + 1024 or claimed > 8 * _MAX_PARAMETERS:
        raise CompatibilityError(
            "model_too_large",
            f"the checkpoint claims {claimed:,} bytes of parameters and holds {stored:,}. Get it again.",
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CompatibilityError(
                "model_not_finite",
                f"the checkpoint's {name[:80]} holds NaN or infinity; it is broken. Get it again.",
            )
    return tensors


def _recognise(state: dict[str, Tensor]) -> Format:
    for name, toolkit in _TOOLKITS.items():
        if any(key.endswith(toolkit.mark) for key in state):
            return FORMATS[name]
    raise CompatibilityError(
        "model_format_unsupported",
        f"the checkpoint's parameters ({', '.join(sorted(state)[:4])[:200]}, ...) are of no network voxid converts: "
        f"{', '.join(_TOOLKITS)}. Export it as ONNX with its own toolkit and add that.",
    )


def _renamed(state: dict[str, Tensor], toolkit: _Toolkit) -> dict[str, Tensor]:
    """Return the parameters under the names of ``ForeignEcapa``."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if _LEFT_OUT.search(key):
            continue
        name = key
        for pattern, put in toolkit.names:
            name = re.sub(pattern, put, name)
        renamed[name] = tensor.float()
    if "project.weight" in renamed and renamed["project.weight"].ndim == 3:
        renamed["project.weight"] = renamed["project.weight"].squeeze(2)
    return renamed


def _build(state: dict[str, Tensor], how: Variation) -> ForeignEcapa:
    """Return the network these parameters are of, in evaluation mode."""
    try:
        first, hidden = state["first.conv.weight"], state["pool.hidden.weight"]
        size = EcapaSize(
            mels=first.shape[1],
            channels=first.shape[0],
            kernel=first.shape[2],
            blocks=sum(bool(re.fullmatch(r"blocks\.\d+\.into\.conv\.weight", name)) for name in state),
            res2_layers=sum(
                bool(re.fullmatch(r"blocks\.0\.res2\.\d+\.conv\.weight", name)) for name in state
            ),
            res2_kernel=state["blocks.0.res2.0.conv.weight"].shape[2],
            squeezed=state["blocks.0.squeeze.down.weight"].shape[0],
            aggregation=state["aggregate.conv.weight"].shape[0],
            attention=hidden.shape[0],
            embedding=state["project.weight"].shape[0],
        )
        if size.mels != 80:
            raise ValueError(f"{size.mels} Mel bands, expected 80")
        with torch.device("meta"):
            network = ForeignEcapa(size, how)
        found = network.load_state_dict(state, strict=False, assign=True)
    except (KeyError, IndexError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise _not_this(" ".join(str(error).split())[:300]) from error
    missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        lacks, more = ", ".join(missing[:3]) or "nothing", ", ".join(found.unexpected_keys[:3]) or "nothing"
        raise _not_this(f"it lacks {lacks} and has {more} besides")
    for name, buffer in list(network.named_buffers()):
        if buffer.is_meta:  # counters of batches, which inference does not read
            owner, _, last = name.rpartition(".")
            network.get_submodule(owner).register_buffer(last, torch.zeros((), dtype=torch.long))
    return network.requires_grad_(False).eval()


def _not_this(why: str) -> CompatibilityError:
    return CompatibilityError(
        "model_format_unsupported",
        f"the checkpoint's parameters do not make the ECAPA-TDNN of this toolkit: {why}. Name another --format, or "
        "export it as ONNX with its own toolkit.",
    )


def _check_filters(state: dict[str, Tensor]) -> None:
    """Raise CompatibilityError ``front_end_invalid`` when a checkpoint carries another filterbank than the one used."""
    for key, tensor in state.items():
        if not _FILTERS.match(key):
            continue
        ours = htk_filters(80)
        theirs = tensor.float().numpy()
        if theirs.shape != ours.shape or float(np.abs(theirs - ours).max()) > 1e-3:
            raise CompatibilityError(
                "front_end_invalid",
                f"the checkpoint's own filterbank, of shape {theirs.shape}, is not the one of this format (80 bands, "
                "20 to 7,600 Hz). Export the model as ONNX with its own features.",
            )
