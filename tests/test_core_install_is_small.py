"""``pip install voxid`` brings at most 30 packages and no torch."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
MOST_PACKAGES = 30


def brought_by(requirements: list[str]) -> set[str]:
    """The distributions these requirements install, with all they need in turn."""
    found: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if name in found and not requirement.extras:
            continue
        found.add(name)
        needs = importlib.metadata.requires(name) or []
        waiting += [(Requirement(text), of) for text in needs for of in ("", *requirement.extras)]
    return found


def test_core_install_stays_within_thirty_packages() -> None:
    """Counted from the metadata of what is installed, voxid itself included."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    packages = brought_by(project["dependencies"]) | {"voxid"}
    assert len(packages) <= MOST_PACKAGES, sorted(packages)
    assert not {name for name in packages if name.startswith(("torch", "nvidia", "tensorflow"))}
