"""What every command shares: results on stdout, everything else on stderr, errors as a sentence and a code."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import typer

from voxid.errors import VoxidError

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.decision import Outcome

P = ParamSpec("P")

EXIT_DONE: Final = 0
EXIT_REJECTED: Final = 1
EXIT_INPUT: Final = 2
EXIT_POLICY: Final = 3

# One exit code per outcome; every outcome but accept is a failure for a script that only looks at the code.
# tests/test_cli_exit_codes.py proves that no outcome is missing.
_EXIT_OF_OUTCOME: Final[dict[str, int]] = {
    "accept": EXIT_DONE,
    "reject": EXIT_REJECTED,
    "review": EXIT_REJECTED,
    "not_enrolled": EXIT_REJECTED,
    "spoof_suspected": EXIT_REJECTED,
    "not_enough_speech": EXIT_INPUT,
    "poor_quality": EXIT_INPUT,
    "model_mismatch": EXIT_INPUT,
    "template_expired": EXIT_POLICY,
    "opted_out": EXIT_POLICY,
    "consent_missing": EXIT_POLICY,
    "consent_expired": EXIT_POLICY,
}


def exit_code_of(outcome: Outcome) -> int:
    """Return the exit code of a decision: 0 accept, 1 not this person, 2 unusable audio, 3 policy."""
    return _EXIT_OF_OUTCOME[outcome.value]


def results() -> Console:
    """Return the console for results (stdout). Lines are broken for a terminal alone: in a pipe they stay whole."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def notes() -> Console:
    """Return the console for progress, notes and errors (stderr)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(data: Mapping[str, Any]) -> None:
    """Write one JSON object to stdout; a NaN is a defect, so it is not written."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def note(sentence: str) -> None:
    """Write a remark that is no result to stderr."""
    notes().print(sentence, markup=False, style="dim")


def show_error(error: VoxidError, as_json: bool) -> None:
    """Print the error: as JSON on stdout, else as one red sentence with its code on stderr."""
    if as_json:
        print_json(error.to_dict())
    else:
        notes().print(f"error: {error.message} [{error.code}]", markup=False, style="red")


def command(function: Callable[P, int | None]) -> Callable[P, None]:
    """Return the function as a command: its int is the exit code, and voxid's errors end it with theirs."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except VoxidError as error:
            show_error(error, bool(kwargs.get("as_json")))
            raise typer.Exit(error.exit_code) from None
        if code:
            raise typer.Exit(code)

    return run


@contextmanager
def progress(doing: str, quiet: bool = False) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr while the block runs; it hears the share done, 0 to 1.

    Nothing is shown when stderr is no terminal or `quiet` is set, so logs and pipes stay clean.
    """
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    console = notes()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        task = bar.add_task(doing, total=1.0)
        yield lambda share: bar.update(task, completed=share)


@contextmanager
def waiting(doing: str, quiet: bool = False) -> Iterator[None]:
    """Show a spinner on stderr while a block of unknown length runs."""
    console = notes()
    if quiet or not console.is_terminal:
        yield
        return
    from rich.markup import escape

    with console.status(escape(doing)):
        yield
