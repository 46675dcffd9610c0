"""Events of a live call shown: a table that changes, lines where nothing can change, or lines of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from voxid.cli.output import results
from voxid.segments import clock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from voxid.diarize.online import Event, SpoofEvent

    Told = Event | SpoofEvent

_LIVE = {"genuine": "sounds live", "suspicious": "suspicious", "spoof": "suspected fake", "cannot_tell": ""}


@contextmanager
def showing(heard_s: Callable[[], float], as_json: bool) -> Iterator[Callable[[Sequence[Told]], None]]:
    """Give what shows events: lines of JSON, a table that changes, or, where nothing can change, lines."""
    if as_json:
        yield _print_lines
        return
    console = results()
    if not console.is_terminal:
        yield lambda events: _print_events(console, events)
        return
    from rich.live import Live

    board = Board()
    with Live(board.table(0.0), console=console, auto_refresh=False, transient=True) as screen:

        def show(events: Sequence[Told]) -> None:
            board.take(events)
            screen.update(board.table(heard_s()), refresh=True)

        yield show


def _print_lines(events: Sequence[Told]) -> None:
    for event in events:
        print_line(event.to_dict())


def _print_events(console: Console, events: Sequence[Told]) -> None:
    """Print turns that are over, and what was wrong about them; of voices the last word, and before it the bad ones."""
    from voxid.diarize.online import SpoofEvent

    for event in events:
        if isinstance(event, SpoofEvent):
            outcome = event.verdict.outcome.value
            if event.final or outcome in ("suspicious", "spoof"):
                said = f"{event.speaker}: {outcome}: {event.verdict.reason}"
                console.print(f"{clock(event.at_s, tenths=True)}  {said}", markup=False)
            continue
        if event.kind == "tentative":
            continue
        turn = event.turn
        said = "no such turn" if event.withdrawn else turn.speaker
        mark = "" if event.kind == "final" else "  (revised)"
        line = f"{clock(turn.start_s, tenths=True)}  {clock(turn.end_s, tenths=True)}  #{event.turn_id}  {said}{mark}"
        console.print(line, markup=False)


class Board:
    """The last turns of a call as a table."""

    def __init__(self, most: int = 12) -> None:
        self._most = most
        self._last: dict[int, Event] = {}
        self._verdicts: dict[int, SpoofEvent] = {}

    def take(self, events: Sequence[Told]) -> None:
        """Take what was told."""
        from voxid.diarize.online import SpoofEvent

        for event in events:
            if isinstance(event, SpoofEvent):
                self._verdicts[event.voice] = event
            elif event.withdrawn:
                self._last.pop(event.turn_id, None)
            else:
                self._last[event.turn_id] = event
        for turn_id in sorted(self._last)[: -self._most]:
            del self._last[turn_id]

    def table(self, heard_s: float) -> Table:
        """Return the table; turns that go on are dim."""
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=None, pad_edge=False, header_style="bold", title=f"heard {clock(heard_s, tenths=True)}"
        )
        for heading in ("from", "to"):
            table.add_column(heading, justify="right")
        table.add_column("who", overflow="fold")
        table.add_column("")
        table.add_column("")
        live = {one.speaker: one.verdict.outcome.value for one in self._verdicts.values()}
        for turn_id in sorted(self._last, key=lambda one: self._last[one].turn.start_s):
            event = self._last[turn_id]
            turn = event.turn
            state = {"tentative": "speaking", "final": "", "revised": "revised"}[event.kind.value]
            style = "bold" if turn.named else "dim" if event.kind == "tentative" else ""
            table.add_row(
                clock(turn.start_s, tenths=True),
                clock(turn.end_s, tenths=True),
                Text(turn.speaker, style=style),
                state,
                _LIVE.get(live.get(turn.speaker, ""), ""),
            )
        return table


def print_line(data: Mapping[str, Any]) -> None:
    """Write one JSON object as one line to stdout, at once."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()
