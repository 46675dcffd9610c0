"""Lists of held-out speakers: other sessions where there are some, one corpus, nobody another recipe trained on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

pytest.importorskip("yaml", reason="needs the train extra: pip install 'voxid[train]'")

BENCH = Path(__file__).parents[1] / "bench"
RECIPE = """
name: tiny
seed: {seed}
stages: [{{steps: 1, crop_s: 1.0, batch: 2, lr_from: 0.1, lr_to: 0.1}}]
data:
  corpora:
    - {{name: digits, reader: spoken_digits, folder: digits, repository: none, commit: none, licence: none,
       held_out_speakers: {held}}}
"""


def loaded(name: str) -> ModuleType:
    """A bench script as a module."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def held_out() -> ModuleType:
    return loaded("held_out")


def test_people_with_several_sessions_are_compared_across_them(held_out: ModuleType) -> None:
    """Ada was recorded twice: only pairs of two sessions. Bruno once: his pairs are all there is."""
    clip = held_out.Clip
    clips = [clip("a0", "ada", "0"), clip("a1", "ada", "0"), clip("a2", "ada", "1"), clip("b0", "bruno", "0"),
             clip("b1", "bruno", "0")]  # fmt: skip
    lines = held_out.single_trials(clips)
    assert [line for line in lines if line.startswith("1")] == ["1 a0 a2", "1 a1 a2", "1 b0 b1"]
    assert len([line for line in lines if line.startswith("0")]) == 6


def test_three_are_enrolled_and_tested_in_other_sessions(held_out: ModuleType) -> None:
    """Of a person with sessions, tests come from sessions that were not enrolled; without tests no model."""
    clip = held_out.Clip
    ada = [clip(f"a{n}", "ada", "0" if n < 4 else "1") for n in range(6)]
    bruno = [clip(f"b{n}", "bruno", "0") for n in range(5)]
    clara = [clip(f"c{n}", "clara", "0") for n in range(3)]
    models, trials = held_out.triple_trials([*ada, *bruno, *clara])
    assert models == ["ada a0 a1 a2", "bruno b0 b1 b2"]
    assert [line for line in trials if line.endswith(" target")] == [
        "ada a4 target", "ada a5 target", "bruno b3 target", "bruno b4 target",
    ]  # fmt: skip
    assert sorted(line for line in trials if line.endswith("nontarget")) == [
        "ada b3 nontarget", "ada b4 nontarget", "bruno a4 nontarget", "bruno a5 nontarget",
    ]  # fmt: skip


def test_lists_hold_nobody_a_recipe_trained_on(held_out: ModuleType, tmp_path: Path) -> None:
    """Written in the layout of the other lists, audio beside them; a repeated recording is there once."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "corpora" / "digits" / "recordings"
    folder.mkdir(parents=True)
    for person in range(13):
        for take in range(7):
            samples = rng.normal(0, 0.1, 16_000)
            soundfile.write(folder / f"{take}_p{person}_0.wav", samples, 16_000)
    (folder / "8_p0_0.wav").write_bytes((folder / "0_p0_0.wav").read_bytes())
    for name, held in (("one", 12), ("two", 11)):
        (tmp_path / f"{name}.yaml").write_text(RECIPE.format(seed=3, held=held))
    recipes = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    written = held_out.write_lists(recipes, tmp_path / "corpora", tmp_path / "lists")
    assert [path.name for path in written] == ["heldout-digits"]
    trials = (written[0] / "trials.txt").read_text().split("\n")[:-1]
    paths = {path for line in trials for path in line.split()[1:]}
    assert len({path.split("/")[1] for path in paths}) == 11
    assert all((written[0] / path).is_file() for path in paths)
    assert sum(line.startswith("1") for line in trials) == 11 * 21
    assert len((written[0] / "enrol3.txt").read_text().splitlines()) == 11


def test_tables_put_systems_beside_each_other() -> None:
    """One row per enrolment, condition and system; a measure a system lacks is a dash."""
    tables = loaded("tables")
    rate = {"value": 0.0699, "low": 0.05, "high": 0.091}
    record = {
        "task": "verification", "trial_list": "ocean/trials.txt", "model": "ours@01", "condition": "clean",
        "title": "as recorded", "enrolment_utterances": [1, 1], "trials": 16200, "targets": 600, "eer": rate,
        "min_dcf_p01": rate, "cllr": rate, "min_cllr": rate,
    }  # fmt: skip
    other = record | {"model": "peer", "cllr": None}
    page = tables.conditions_page([record, other, {"task": "identification"}])
    assert "## ocean" in page
    assert "| 1 | as recorded | ours | 6.99 | 0.070 | 0.070 | 0.070 | 5.00 to 9.10 | 16,200 (600) |" in page
    assert "| 1 | as recorded | peer | 6.99 | 0.070 | – | 0.070 | 5.00 to 9.10 | 16,200 (600) |" in page
