"""A bundle back to the PyTorch network it was exported from, to be pruned, tuned or taught further.

The exported graph carries every parameter under its PyTorch name, so nothing but the graph and the card's ``network``
entry is needed. A pruned bundle names the network it was cut from; the graph says how wide each layer still is.
"""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from voxid.bundle import Bundle
from voxid.errors import CompatibilityError
from voxid.train.networks import EmbeddingNetwork, build_network
from voxid.train.recipe import Network

_NOT_EXPORTED = "num_batches_tracked"


def restore_network(bundle: Bundle) -> EmbeddingNetwork:
    """Return the network of a bundle, in evaluation mode.

    Raises:
        CompatibilityError: ``bundle_not_restorable`` for a model of another make, a quantised one, or a graph whose
            parameters were renamed or folded into each other.
    """
    size = bundle.card.get("network")
    if not isinstance(size, dict):
        raise _refusal(bundle, "its card has no network entry, so it is not one of voxid's own networks")
    if "quantization" in bundle.card:
        source = bundle.card["quantization"].get("from", "the bundle it was made from")
        raise _refusal(bundle, f"its weights are rounded to 8 bits; use {source}")
    try:
        network = build_network(Network(**size))
    except TypeError as error:
        raise _refusal(bundle, f"its card's network entry does not fit this voxid ({error})") from error
    stored = {
        one.name: torch.from_numpy(numpy_helper.to_array(one).copy())
        for one in onnx.load_from_string(bundle.graph).graph.initializer
    }
    wanted = [name for name in network.state_dict() if not name.endswith(_NOT_EXPORTED)]
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise _refusal(
            bundle, f"its graph lacks {len(missing)} of {len(wanted)} parameters, the first is {missing[0]}"
        )
    load_resized(network, {name: stored[name] for name in wanted})
    return network.eval()


def load_resized(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Put tensors in place of a network's parameters and buffers, and tell its layers their new widths.

    Args:
        network: changed in place.
        state: by name of the state dict; shapes may be smaller than the network's.
    """
    for name, value in state.items():
        path, _, own = name.rpartition(".")
        module = network.get_submodule(path)
        old = getattr(module, own)
        new = value.to(dtype=old.dtype, device=old.device).clone()
        setattr(module, own, nn.Parameter(new) if isinstance(old, nn.Parameter) else new)
    for module in network.modules():
        _tell_width(module)


def _tell_width(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        depthwise = module.groups > 1 and module.groups == module.out_channels
        module.out_channels = module.weight.shape[0]
        module.groups = module.out_channels if depthwise else module.groups
        module.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        module.num_features = module.weight.shape[0]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape


def _refusal(bundle: Bundle, why: str) -> CompatibilityError:
    return CompatibilityError(
        "bundle_not_restorable", f"{bundle.id} cannot become a PyTorch network again: {why}."
    )
