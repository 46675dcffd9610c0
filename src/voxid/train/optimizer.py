"""Optimizers by the name a recipe gives: AdamW, or Muon for matrices and AdamW for the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from voxid.errors import ConfigError

# Coefficients of the quintic of Jordan et al., "Muon", 2024: five rounds bring singular values to about 0.7 ... 1.2.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
# Longer short sides are cut into blocks: the cost of a round grows with the square of the short side.
_MAX_SIDE = 384
_MAX_GRADIENT_NORM = 5.0


class Muon(torch.optim.Optimizer):
    """Momentum whose every update is made orthogonal, so that no direction of a matrix learns slower than another.

    A weight of more than two dimensions is taken as (output, everything else). The update is scaled to the size of
    AdamW's, so both share a learning rate. ``torch.optim.Muon`` refuses convolutions and works in bfloat16, which is
    slow on most CPUs; hence this one.

    Source: Jordan et al., "Muon: an optimizer for hidden layers", 2024; scale 0.2 sqrt(longer side) from Liu et al.,
    "Muon is scalable for LLM training", 2025, equation 4.

    Args:
        params: weights of two or more dimensions.
        lr: learning rate.
        momentum: share of the old direction in the new, [0, 1).
        weight_decay: share of a weight taken off per step, times ``lr``.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # never a loss
        """Change every weight that has a gradient."""
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            directions = [self._direction(p, group) for p in weights]
            for weight, update in zip(weights, orthogonal_updates(directions), strict=True):
                weight.mul_(1.0 - group["lr"] * group["weight_decay"])
                weight.add_(update.view_as(weight), alpha=-group["lr"])

    def _direction(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """Return Nesterov's look-ahead of the momentum, (out, rest)."""
        gradient = weight.grad
        if gradient is None:
            raise TypeError("a weight without gradient has no direction")
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
        return gradient.lerp(state["momentum"], group["momentum"]).flatten(1)


def orthogonal_updates(directions: list[Tensor]) -> list[Tensor]:
    """Return for each (M, N) the nearest semi-orthogonal matrix times 0.2 sqrt(longer side), as far as five rounds go.

    Equal shapes go through together; matrices with both sides above 384 block by block.
    """
    blocks: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
    where: list[list[tuple[tuple[int, int], int]]] = []
    for direction in directions:
        wide = direction.mT if direction.shape[0] > direction.shape[1] else direction
        places = []
        for block in wide.tensor_split(-(-wide.shape[0] // _MAX_SIDE)):
            shape = (block.shape[0], block.shape[1])
            places.append((shape, len(blocks[shape])))
            blocks[shape].append(block)
        where.append(places)
    done = {shape: orthogonalise(torch.stack(group)) for shape, group in blocks.items()}
    out = []
    for direction, places in zip(directions, where, strict=True):
        wide = torch.cat([done[shape][i] * (0.2 * max(shape) ** 0.5) for shape, i in places])
        out.append((wide.mT if direction.shape[0] > direction.shape[1] else wide).contiguous())
    return out


def orthogonalise(x: Tensor) -> Tensor:
    """Return matrices (B, M, N), M <= N, with their singular values brought near 1 by Newton-Schulz iteration."""
    a, b, c = _QUINTIC
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def build_optimizers(
    name: str, network: nn.Module, objective: nn.Module, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Return the optimizers of ``objective``, of which ``network`` is a part: ``adamw``, or ``muon`` and AdamW.

    Muon takes the network's weights of two or more dimensions; centres of the loss, biases and scales are AdamW's.

    Raises:
        ConfigError: ``recipe_invalid`` for another name.
    """
    if name not in ("adamw", "muon"):
        raise ConfigError("recipe_invalid", f"optimizer is {name!r}; known: adamw, muon.")
    matrices = [p for p in network.parameters() if p.ndim >= 2 and p.requires_grad] if name == "muon" else []
    taken = {id(p) for p in matrices}
    rest = [p for p in objective.parameters() if id(p) not in taken and p.requires_grad]
    adamw = torch.optim.AdamW(rest, lr=1e-3, weight_decay=weight_decay, fused=True)
    return [Muon(matrices, weight_decay=weight_decay), adamw] if matrices else [adamw]


def take_step(
    optimizers: list[torch.optim.Optimizer],
    lr: float,
    parameters: Iterable[Tensor],
    measure: Callable[[], Tensor],
) -> float:
    """Take one step downhill and return the loss before it.

    Args:
        optimizers: of the parameters.
        lr: learning rate of all of them.
        parameters: whose gradient is kept to a length of 5.
        measure: returns the loss, a scalar.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
    loss = measure()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(parameters, _MAX_GRADIENT_NORM)
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.item())
