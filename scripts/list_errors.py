"""Write docs/errors.md: every code the service can answer with, its status, and what its sentence says.

python scripts/list_errors.py          reads the rooms the service stands on, rewrites docs/errors.md
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxid import errors
from voxid.service.problems import STATUS_OF, TooOftenError

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "errors.md"
BEGIN: Final = "<!-- codes: scripts/list_errors.py -->"
BRANCHES: Final = {
    "VoxidError": errors.VoxidError.http_status,
    "InputError": errors.InputError.http_status,
    "CompatibilityError": errors.CompatibilityError.http_status,
    "ConfigError": errors.ConfigError.http_status,
    "PolicyError": errors.PolicyError.http_status,
    "StoreError": errors.StoreError.http_status,
    "TooOftenError": TooOftenError.http_status,
    "RefusedBody": errors.InputError.http_status,
}
NOT_SERVED: Final = ("simulate", "evaluate", "train", "client", "cli", "picture")
"""Rooms no request comes to."""
_MOST_CHARS: Final = 170


@dataclass(frozen=True)
class Code:
    """A code as one place raises it."""

    name: str
    branch: str
    sentence: str

    @property
    def status(self) -> int:
        """HTTP status: the table's, else that of the branch."""
        return STATUS_OF.get(self.name, BRANCHES[self.branch])


SAID_ELSEWHERE: Final = (
    Code(
        "poor_quality",
        "InputError",
        "… is of poor quality: speech over noise …, … of it clipped: record it again.",
    ),
)
"""Codes that stand in a variable where they are raised."""


def codes() -> list[Code]:
    """Return every code raised in the rooms of the service, sorted; of several places the first that has a sentence."""
    package = ROOT / "src" / "voxid"
    found = {code.name: code for code in SAID_ELSEWHERE}
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0].removesuffix(".py") not in NOT_SERVED:
            for code in _raised(ast.parse(path.read_text(encoding="utf-8"))):
                if not found.get(code.name, code).sentence or code.name not in found:
                    found[code.name] = code
    return [found[name] for name in sorted(found)]


def _raised(module: ast.Module) -> Iterator[Code]:
    words = {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in BRANCHES and len(node.args) > 1:
            first = node.args[0]
            name = first.value if isinstance(first, ast.Constant) else words.get(getattr(first, "id", ""))
            if isinstance(name, str):
                yield Code(name, node.func.id, _sentence(node.args[1], words))  # type: ignore[attr-defined]


def _sentence(node: ast.expr, words: Mapping[str, object]) -> str:
    """Return what is said, with … for what is put in."""
    if isinstance(node, ast.Constant | ast.Name):
        text = str(node.value if isinstance(node, ast.Constant) else words.get(node.id, ""))
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values)
    else:
        text = ""
    text = re.sub(r"\s+", " ", text).replace("|", "\\|")
    return text if len(text) <= _MOST_CHARS else text[:_MOST_CHARS].rsplit(" ", 1)[0] + " …"


def page() -> str:
    """Return the page with its table written anew."""
    head = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    rows = [f"| `{code.name}` | {code.status} | {code.sentence} |" for code in codes()]
    return "\n".join([f"{head}{BEGIN}", "| code | status | says |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
