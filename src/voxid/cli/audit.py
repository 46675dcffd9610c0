"""``voxid audit``: what was done with a gallery, and the proof that nothing of it was changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from voxid import __version__
from voxid.cli import options
from voxid.cli.newfile import NewFile, placed
from voxid.cli.output import command, print_json, results, waiting
from voxid.cli.people import done
from voxid.errors import InputError

if TYPE_CHECKING:
    from voxid.audit import Recorded, SignedHead
    from voxid.gallery.store import Store

app = typer.Typer(
    no_args_is_help=True, help="The audit log of a gallery: begin, list, check, prove, export it."
)

_EXIT_DAMAGED = 4

After = Annotated[int, typer.Option("--after", min=0, metavar="N", help="Only entries after number N.")]


@app.command()
@command
def start(gallery: options.GalleryPath = options.DEFAULT_GALLERY, as_json: options.AsJson = False) -> None:
    """Write down every act with this gallery from now on. It is not taken back.

    Example:

        voxid audit start
    """
    with _opened(gallery) as store:
        store.start_audit()
        log = store.audit()
    done("acts are written down", {"audited": True, "public_key": log.public_key}, as_json)


@app.command("list")
@command
def list_entries(
    after: After = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 100,
    person: Annotated[str | None, typer.Option("--person", metavar="NAME", help="Only about them.")] = None,
    act: Annotated[str | None, typer.Option("--act", help='Only such, e.g. "verify.decided".')] = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """List entries: when, who, what, about whom, what came of it.

    Example:

        voxid audit list --person ALICE --json
    """
    with _opened(gallery) as store:
        person_id = None if person is None else store.find(person)
        if person is not None and person_id is None:
            raise InputError("person_missing", f"Nobody called {person!r} is in the gallery.")
        entries = store.audit().events(after=after, limit=limit, person_id=person_id, act=act)
        records = store.read_many({one.person_id for one in entries if one.person_id})
        names = {record.id: record.name for record in records}
    if as_json:
        print_json({"entries": [recorded.to_dict() for recorded in entries]})
        return
    for recorded in entries:
        results().print(_sentence(recorded, names), markup=False)


@app.command()
@command
def verify(
    head: Annotated[
        Path | None,
        typer.Option("--head", metavar="FILE", help="A head kept earlier, to be checked against."),
    ] = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> int:
    """Read and hash the whole log again. Exit code 4 names the first bad entry.

    Example:

        voxid audit verify
    """
    kept = None if head is None else _read_head(head)
    with _opened(gallery) as store, waiting("Reading the log", quiet=as_json):
        report = store.audit().verify(kept)
    if as_json:
        print_json(report.to_dict())
    elif report.whole:
        results().print(f"whole: {report.entries} entries", markup=False, style="green")
    else:
        results().print(f"damaged: {report.problem}", markup=False, style="red")
    return 0 if report.whole else _EXIT_DAMAGED


@app.command()
@command
def head(
    file: NewFile = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Sign where the log stands. Keep it where whoever runs the gallery cannot change it.

    Example:

        voxid audit head head.json
    """
    from voxid.audit.exporting import head_line

    with placed(file, as_json) as place, _opened(gallery) as store:
        line = head_line(store.audit().sign_head())
        place.put(line + "\n", json.loads(line))


@app.command()
@command
def prove(
    sequence: Annotated[int, typer.Argument(min=1, metavar="N", help="Number of the entry.")],
    file: NewFile = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Prove that an entry is in the log, for somebody who has neither the gallery nor voxid.

    Example:

        voxid audit prove 17 proof.json
    """
    with placed(file, as_json) as place, _opened(gallery) as store:
        proof = store.audit().proof(sequence).to_dict()
        place.put(json.dumps(proof, indent=1) + "\n", proof)


@app.command()
@command
def export(
    file: NewFile = None,
    form: Annotated[
        Literal["jsonl", "cef"], typer.Option("--format", help="JSON lines, to be checked; CEF, for a SIEM.")
    ] = "jsonl",
    after: After = 0,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Write the log out. JSON lines end with a signed head; scripts/verify_audit.py checks them without voxid.

    Example:

        voxid audit export log.jsonl
    """
    from voxid.audit import Entry
    from voxid.audit.exporting import cef_line, head_line

    with placed(file, as_json) as place, _opened(gallery) as store:
        log = store.audit()
        signed = log.sign_head()
        lines = list(log.lines(after=after, until=signed.head.size))
        if form == "cef":
            shown = [cef_line(Entry.parse(line), __version__) for line in lines]
        else:
            shown = [*(line.decode() for line in lines), head_line(signed)]
        place.put("".join(line + "\n" for line in shown), {"format": form, "lines": shown})


@contextmanager
def _opened(gallery: str) -> Iterator[Store]:
    from voxid.gallery.store import Store

    store = Store.open(gallery, create=False)
    try:
        yield store
    finally:
        store.close()


def _read_head(path: Path) -> SignedHead:
    from voxid.audit import SignedHead

    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "audit_head_invalid", f"{path} cannot be read as JSON; give what `voxid audit head` wrote."
        ) from error
    return SignedHead.from_dict(fields["head"] if isinstance(fields, dict) and "head" in fields else {})


def _sentence(recorded: Recorded, names: dict[str, str]) -> str:
    entry = recorded.entry
    actor = entry.actor.kind if not entry.actor.id else f"{entry.actor.kind} {entry.actor.id}"
    whom = names.get(recorded.person_id or "", "somebody erased" if recorded.erased else "")
    return f"{entry.sequence:>6}  {entry.at[:19]}  {actor:<12}  {entry.act}: {entry.outcome}  {whom}".rstrip()
