"""Muon: updates of equal size in every direction."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import torch
from torch import nn

from voxid.errors import ConfigError
from voxid.train.optimizer import Muon, build_optimizers, orthogonal_updates, orthogonalise


def test_orthogonalising_keeps_directions_and_evens_their_strength() -> None:
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(20, 20))
    right, _ = torch.linalg.qr(torch.randn(50, 20))
    strengths = torch.logspace(0, -2, 20)
    found = orthogonalise((left @ torch.diag(strengths) @ right.T)[None])[0]
    inner = left.T @ found @ right
    assert inner.diagonal().min() > 0.5
    assert inner.diagonal().max() < 1.3
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-3


def test_updates_have_the_size_of_adamw_whatever_the_shape() -> None:
    """Root mean square 0.2 times the learning rate, as an AdamW step has about (Liu et al., 2025, section 2.2)."""
    torch.manual_seed(0)
    shapes = [(16, 48), (48, 16), (768, 500), (500, 768)]
    for shape, update in zip(shapes, orthogonal_updates([torch.randn(s) for s in shapes]), strict=True):
        assert update.shape == shape
        assert update.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.25)


def test_equal_shapes_at_once_give_what_each_gives_alone() -> None:
    torch.manual_seed(0)
    directions = [torch.randn(8, 24), torch.randn(24, 8), torch.randn(8, 24)]
    together = orthogonal_updates(directions)
    for direction, update in zip(directions, together, strict=True):
        assert torch.allclose(update, orthogonal_updates([direction])[0], atol=1e-5)


def test_muon_fits_an_ill_conditioned_map() -> None:
    torch.manual_seed(0)
    truth = torch.randn(12, 12)
    x = torch.randn(256, 12) * torch.logspace(0, -1.5, 12)
    weight = nn.Parameter(torch.zeros(12, 12))
    optimizer = Muon([weight], lr=0.1)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 600)
        optimizer.zero_grad()
        torch.autograd.backward(((x @ weight.T - x @ truth.T) ** 2).mean())
        optimizer.step()
    assert (weight - truth).abs().max() < 0.1


def test_muon_takes_the_matrices_of_the_network_and_adamw_the_rest() -> None:
    network = nn.Sequential(nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6))
    objective = nn.ModuleList([network, nn.Linear(6, 100)])
    muon, adamw = build_optimizers("muon", network, objective, 0.1)
    assert [p.shape for g in muon.param_groups for p in g["params"]] == [(6, 4, 3)]
    assert sum(p.numel() for g in adamw.param_groups for p in g["params"]) == 6 + 6 + 6 + 700
    assert len(build_optimizers("adamw", network, objective, 0.1)) == 1
    with pytest.raises(ConfigError, match="known: adamw, muon"):
        build_optimizers("sgd", network, objective, 0.1)
