"""The bench of attacks: who is let in by verifier, by verifier and detector, counted by hand."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture(scope="module")
def attacks() -> ModuleType:
    """The bench script as a module."""
    sys.path.insert(0, str(BENCH))
    spec = importlib.util.spec_from_file_location("bench_attacks", BENCH / "attacks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scored(attacks: ModuleType) -> Any:
    """Two victims; each claims once, is claimed once by the other, and attacked once by a vocoder and a replay."""
    kinds = [
        ("genuine claim", "genuine"),
        ("impostor", "impostor"),
        ("WORLD", "vocoder"),
        ("replay", "replay"),
    ]
    attempts = tuple(
        attacks.Attempt(victim, f"{victim}/{name}.flac", name, family)
        for victim in ("ada", "ben")
        for name, family in kinds
    )
    return attacks.Scored(
        attempts,
        np.asarray([5.0, -4.0, 4.0, 3.0, 6.0, -5.0, 4.5, -1.0]),
        np.asarray([3.0, 2.0, -3.0, np.nan, 2.5, 3.0, 0.0, -1.0]),
        np.asarray(
            ["genuine", "genuine", "spoof", "cannot_tell", "genuine", "genuine", "suspicious", "spoof"]
        ),
        1.0,
    )


def test_shares_let_in_are_those_counted_by_hand(attacks: ModuleType, scored: Any) -> None:
    """Who is suspicious waits for a person; what cannot be told is let in by check and not by strict."""
    rows = {row["attack"]: row for row in attacks.rows_of(scored, resamples=20)}
    every = rows["all attacks"]
    assert every["trials"] == 4
    assert every["verifier"]["value"] == 0.75
    assert every["check"]["value"] == 0.25
    assert every["strict"]["value"] == 0.0
    assert every["to_review"]["value"] == 0.25
    assert every["score"]["value"] == 0.5  # the suspicious one, and the one that cannot be told
    assert rows["genuine claim"]["strict"]["value"] == 1.0
    assert rows["impostor"]["verifier"]["value"] == 0.0
    assert rows["family replay"]["check"]["value"] == rows["replay"]["check"]["value"] == 0.5


def test_the_detector_lowers_the_cost_of_the_verifier(attacks: ModuleType, scored: Any) -> None:
    costs = attacks.costs_of(scored)
    assert costs["verifier_spoof_far"] == 0.75
    assert (costs["verifier_frr"], costs["verifier_far"]) == (0.0, 0.0)
    assert costs["min_adcf_check"] <= costs["min_adcf_verifier"]


def test_every_attempt_is_written_down(attacks: ModuleType, scored: Any, tmp_path: Path) -> None:
    attacks.write_trials(scored, tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows[:4]] == ["target", "nontarget", "spoof", "spoof"]
    assert rows[2]["outcome"] == "spoof"
