"""Whole channels taken out of a network: fewer parameters, fewer operations, no special kernels needed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxid.errors import CompatibilityError, InputError
from voxid.train.channels import Channels, Numbers, find_channels
from voxid.train.networks import EmbeddingNetwork
from voxid.train.restore import load_resized

Importance = dict[int, float]  # channel number -> how much is lost with it, within its layer
_AGREEMENT = 1e-3  # of unit embeddings, between "taken out" and "set to zero"


def prune_network(
    network: EmbeddingNetwork, share: float, crops: NDArray[np.float32] | None = None
) -> EmbeddingNetwork:
    """Return a network with the least important ``share`` of the channels of every layer taken out.

    Args:
        network: left as it is.
        share: of the channels of each layer, in (0, 1); what is kept is rounded to a whole number of vector lanes.
        crops: (N, T, 80) fbank without mean, by which importance is measured; without them by the weights' norms.

    Returns:
        The smaller network, in evaluation mode; its forward pass is the same code over narrower layers.

    Raises:
        InputError: ``prune_share``.
        CompatibilityError: ``network_not_prunable`` when nothing can be taken out, or when what is left does not do
            what the network with these channels at zero does.
    """
    if not 0.0 < share < 1.0:
        raise InputError(
            "prune_share", f"--share is {share:g}; give a share of the channels, above 0, below 1."
        )
    network = network.eval()
    channels = find_channels(network)
    importance = by_norm(network, channels) if crops is None else by_influence(network, channels, crops)
    gone = [least_important(numbers, importance, share) for numbers in channels.layers.values()]
    removed = np.concatenate(gone) if gone else np.empty(0, np.int64)
    if removed.size == 0:
        raise CompatibilityError(
            "network_not_prunable",
            f"no layer is wide enough to lose {share:.0%} of its channels; give a larger --share or a larger network.",
        )
    pruned = without(network, channels, removed)
    _check(network, pruned, channels, removed)
    return pruned


def lanes(width: int) -> int:
    """Return the multiple that a layer's kept channels are rounded to: 8, less where that would be coarse.

    Example:
        >>> [lanes(n) for n in (256, 64, 32, 12, 3)]
        [8, 8, 4, 1, 1]
    """
    return min(8, 1 << max(0, (width // 8).bit_length() - 1))


def kept_channels(width: int, share: float) -> int:
    """Return how many of a layer's channels stay.

    Example:
        >>> kept_channels(256, 0.3), kept_channels(32, 0.3), kept_channels(1, 0.3)
        (176, 24, 1)
    """
    lane = lanes(width)
    return max(lane, min(width, round(width * (1.0 - share) / lane) * lane))


def least_important(numbers: Numbers, importance: Importance, share: float) -> Numbers:
    """Return the channels of one layer that go."""
    order = np.argsort([importance[int(c)] for c in numbers], kind="stable")
    return numbers[order[: numbers.size - kept_channels(numbers.size, share)]]


def by_norm(network: nn.Module, channels: Channels) -> Importance:
    """Return each channel's mean relative weight over all layers and normalisations it runs through.

    Source: Fang et al., "DepGraph", 2023, section 3.3: the norm over a whole group, here each part relative to its
    layer's mean so that no layer counts for its scale.
    """
    parts: dict[int, list[float]] = {}
    scales = {name for name, _ in _normalisation_scales(network)}
    for name, parameter in network.named_parameters():
        if parameter.dim() < 2 and name not in scales:
            continue
        square = parameter.detach().double() ** 2
        for axis, numbers in enumerate(channels.owner[name]):
            along = (
                square.sum(dim=[d for d in range(square.dim()) if d != axis]) if square.dim() > 1 else square
            )
            which, place = np.unique(numbers, return_inverse=True)
            norm = np.sqrt(np.bincount(place, weights=along.numpy()))
            for c, value in zip(which, norm / max(float(norm.mean()), 1e-12), strict=True):
                parts.setdefault(int(c), []).append(float(value))
    return {c: float(np.mean(values)) for c, values in parts.items()}


def _normalisation_scales(network: nn.Module) -> list[tuple[str, Tensor]]:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    return [(f"{name}.weight", one.weight) for name, one in network.named_modules() if isinstance(one, kinds)]


def by_influence(network: EmbeddingNetwork, channels: Channels, crops: NDArray[np.float32]) -> Importance:
    """Return each channel's mean squared influence on the embedding of speech, to first order.

    Every crop's embedding is projected on a random direction; the gradient times the weights that read a channel is
    what the projection would lose without it.

    Source: Molchanov et al., "Importance estimation for neural network pruning", 2019, equation 8, on the embedding
    instead of a loss, so that no labels are needed.

    Args:
        crops: (N, T, 80) fbank without mean; some 100 will do.
    """
    generator = torch.Generator().manual_seed(0)
    readers = [(n, p) for n, p in network.named_parameters() if p.dim() >= 2]
    total: dict[int, float] = {}
    for crop in crops:
        network.zero_grad(set_to_none=True)
        x = torch.from_numpy(crop)[None]
        z = nn.functional.normalize(network(x, x.new_ones(1, 1, x.shape[1]))[0, 0], dim=0)
        torch.autograd.backward(z @ torch.randn(z.shape, generator=generator))
        lost: dict[int, float] = {}
        for name, parameter in readers:
            effect = (parameter * cast(Tensor, parameter.grad)).detach().double()
            along = effect.sum(dim=[d for d in range(effect.dim()) if d != 1]).numpy()
            for c, value in zip(channels.owner[name][1].tolist(), along.tolist(), strict=True):
                lost[c] = lost.get(c, 0.0) + value
        for c, value in lost.items():
            total[c] = total.get(c, 0.0) + value * value
    network.zero_grad(set_to_none=True)
    everything = np.unique(np.concatenate([numbers for axes in channels.owner.values() for numbers in axes]))
    return {int(c): total.get(int(c), 0.0) for c in everything}


def without(network: EmbeddingNetwork, channels: Channels, removed: Numbers) -> EmbeddingNetwork:
    """Return a copy of the network whose parameters lack the removed channels."""
    state: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        for axis, numbers in enumerate(channels.owner[name]):
            stays = np.flatnonzero(~np.isin(numbers, removed))
            if stays.size < numbers.size:
                value = value.index_select(axis, torch.from_numpy(stays))
        state[name] = value
    smaller = copy.deepcopy(network)
    load_resized(smaller, state)
    return smaller.eval()


def silenced(network: EmbeddingNetwork, channels: Channels, removed: Numbers) -> EmbeddingNetwork:
    """Return a copy of the same width in which the removed channels are zero everywhere."""
    same = copy.deepcopy(network)
    with torch.no_grad():
        for name, value in same.state_dict().items():
            for axis, numbers in enumerate(channels.owner[name]):
                gone = np.flatnonzero(np.isin(numbers, removed))
                value.index_fill_(axis, torch.from_numpy(gone), 1.0 if name.endswith("running_var") else 0.0)
    return same


def _check(network: EmbeddingNetwork, pruned: EmbeddingNetwork, channels: Channels, removed: Numbers) -> None:
    """Refuse a network that lost more than the removed channels, or no longer runs at all."""
    generator = torch.Generator().manual_seed(1)
    x = 3.0 * torch.randn(2, 251, 80, generator=generator)
    weights = (torch.rand(2, 2, 251, generator=generator) > 0.4).float()
    unit: Callable[[Tensor], Tensor] = lambda z: nn.functional.normalize(z, dim=-1)  # noqa: E731
    with torch.inference_mode():
        expected = unit(silenced(network, channels, removed)(x, weights))
        try:
            found = unit(pruned(x, weights))
        except (RuntimeError, ValueError, IndexError) as error:
            raise CompatibilityError(
                "network_not_prunable", f"this kind of network does not run with narrower layers: {error}"
            ) from error
    worst = float((found - expected).abs().max())
    if not worst <= _AGREEMENT:
        raise CompatibilityError(
            "network_not_prunable",
            f"without these channels the network differs by {worst:.2e} from itself with them at zero; this kind of "
            "network cannot be pruned.",
        )
