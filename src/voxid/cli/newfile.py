"""One result for a new file, or for stdout where no file is named; with --json it is told on stdout besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from voxid.cli.output import note, print_json
from voxid.errors import InputError

NewFile = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="A new file; without it the result goes to stdout.")
]


@dataclass(frozen=True)
class Place:
    """Where one result goes, made before there is one: what cannot be written must show before anything is done."""

    file: TextIO | None
    as_json: bool

    def put(self, text: str, record: Mapping[str, Any]) -> None:
        """Write the text; with --json, stdout holds the record, and no text."""
        if self.file is not None:
            self.file.write(text)
        elif not self.as_json:
            typer.echo(text, nl=False)
        if self.as_json:
            print_json(record)


@contextmanager
def placed(path: Path | None, as_json: bool) -> Iterator[Place]:
    """Make the new file, and take it away again when the block fails.

    Raises:
        InputError: output_unwritable.
    """
    if path is None:
        yield Place(None, as_json)
        return
    try:
        file = path.open("x", encoding="utf-8")
    except OSError as error:
        raise InputError(
            "output_unwritable",
            f"{path} cannot be written ({error.strerror}); give the path of a new file.",
        ) from None
    try:
        with file:
            yield Place(file, as_json)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    note(f"wrote {path}")
