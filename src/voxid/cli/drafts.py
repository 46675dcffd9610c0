"""Files that appear whole or not at all, several at once, and never over one that is there unless that is meant."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxid.errors import InputError

if TYPE_CHECKING:
    from voxid.timeline import Timeline

FORMATS: Final = ("json", "rttm", "uem", "csv", "textgrid", "srt", "vtt")

Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help=f"Also as {', '.join(FORMATS[1:])}, beside the JSON. Repeat it.",
        rich_help_panel="Output",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="The JSON to write.", rich_help_panel="Output"),
]
Force = Annotated[
    bool, typer.Option("--force", help="Write over files that are there.", rich_help_panel="Output")
]


def texts_of(timeline: Timeline, target: Path, formats: Sequence[str] | None) -> list[tuple[Path, str]]:
    """Return the files of a timeline and what stands in them, JSON first.

    Raises:
        InputError: format_unknown.
    """
    extra = [name.lower() for name in formats or ()]
    unknown = [name for name in extra if name not in FORMATS]
    if unknown:
        raise InputError(
            "format_unknown", f"{unknown[0]!r} is no format; expected one of: {', '.join(FORMATS)}."
        )
    found = {target: timeline.to_json()}
    for name in extra:
        if name != "json":
            suffix = ".TextGrid" if name == "textgrid" else f".{name}"
            found[target.with_suffix(suffix)] = getattr(timeline, f"to_{name}")()
    return list(found.items())


@dataclass
class Drafts:
    """Files written under other names, to be put in place by `publish`; whatever is left is taken away again."""

    waiting: list[tuple[Path, Path]]
    force: bool

    def publish(self) -> list[Path]:
        """Put the files in place and return them.

        Raises:
            InputError: output_exists when one has appeared meanwhile, output_unwritable.
        """
        done = []
        while self.waiting:
            draft, path = self.waiting[0]
            try:
                if self.force:
                    os.replace(draft, path)
                else:
                    os.link(draft, path)
                    draft.unlink()
            except FileExistsError:
                raise _exists(path) from None
            except OSError as error:
                raise _unwritable(path, error) from None
            self.waiting.pop(0)
            done.append(path)
        return done


@contextmanager
def drafted(texts: Sequence[tuple[Path, str]], *, force: bool) -> Iterator[Drafts]:
    """Write every text to the disk, in the folder it belongs to, before any of them is put in place.

    Raises:
        InputError: output_exists without `force`, output_unwritable.
    """
    taken = [path for path, _ in texts if path.exists() and not force]
    if taken:
        raise _exists(taken[0])
    drafts = Drafts([], force)
    try:
        for path, text in texts:
            draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
            try:
                drafts.waiting.append((draft, path))
                with draft.open("x", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise _unwritable(path, error) from None
        yield drafts
    finally:
        for draft, _ in drafts.waiting:
            draft.unlink(missing_ok=True)


def _exists(path: Path) -> InputError:
    return InputError(
        "output_exists", f"{path} is there already; nothing was written: choose another name, or add --force."
    )


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        "output_unwritable", f"{path} cannot be written ({error.strerror}); choose another place."
    )
