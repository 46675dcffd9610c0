"""The rooms import in one direction, in the order of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "voxid"

# A room imports only rooms to its left.
ORDER = (
    "errors allocation stages recipes graph segments timeline containers decoding packed audio features "
    "spectrogram frontend silero speech narrowband score plda calibration spoof decision backend bundle "
    "embedding zoo picture audit gallery recognize diarize privacy simulate evaluate train service client cli"
).split()

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[:2] != "__")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of every import, also those inside functions and for type checkers."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import rooms by their full name"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in MODULES or node.module == "voxid" else str(node.module)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_arrow_points_back(path: Path) -> None:
    """Every import of another room goes to a room further left."""
    room = room_of(path)
    assert room in ORDER, f"{room} has no place in the order; give it one here and in docs/architecture.md"
    for line, module in imported_modules(path):
        parts = module.split(".")
        if parts[0] != "voxid":
            continue
        if len(parts) == 1 or parts[1] not in ORDER:
            # Only the command line stands outside the library and may use its public face; the version
            # number is the one thing the package itself holds.
            allowed = room == "cli" or module == "voxid.__version__"
            assert allowed, f"{path}:{line}: {module} goes through the package; import the room itself"
            continue
        assert parts[1] == room or ORDER.index(parts[1]) < ORDER.index(room), (
            f"{path}:{line}: {room} imports {parts[1]}, which comes after it"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_stays_in_the_training_room(path: Path) -> None:
    """The library runs without torch."""
    if room_of(path) == "train":
        return
    for line, module in imported_modules(path):
        assert module.split(".")[0] not in ("torch", "torchaudio", "onnxscript"), f"{path}:{line}: {module}"


def test_no_circle_inside_a_room() -> None:
    """Modules of one room form no circle either."""
    arrows = {
        name: {module for _, module in imported_modules(path) if module in MODULES and module != name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in sorted(arrows[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in sorted(arrows):
        visit(name, ())


def test_rooms_are_named_by_nouns_of_the_field() -> None:
    """No drawer for odds and ends."""
    vague = {"utils", "util", "helpers", "helper", "common", "core", "misc"}
    parts = {part.removesuffix(".py") for path in FILES for part in path.relative_to(PACKAGE).parts}
    assert not vague & parts


def test_the_plan_of_the_house_shows_the_same_order() -> None:
    """docs/architecture.md lists the rooms that stand, in this order."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    plan = re.search(r"^src/voxid/\n((?:  .*\n)+)", text, re.MULTILINE)
    assert plan, "docs/architecture.md has no plan that begins with src/voxid/"
    names = [line.split()[0] for line in plan[1].splitlines() if line[2] != " "]
    shown = [name.removesuffix("/").removesuffix(".py") for name in names]
    standing = {room_of(path) for path in FILES}
    assert shown == [room for room in ORDER if room in standing]
