"""``voxid privacy``: periods, erasure, receipts, disclosures, and the papers the law asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.cli import options
from voxid.cli.newfile import NewFile, placed
from voxid.cli.output import command, note, print_json, results
from voxid.cli.people import Name, PassphraseFile, Yes, confirm, done, read_passphrase
from voxid.errors import InputError

if TYPE_CHECKING:
    from voxid.privacy.retention import RetentionReport

app = typer.Typer(
    no_args_is_help=True, help="How long voiceprints are kept, on what consent, with what proof."
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say who it would be; change nothing.")]


@app.command()
@command
def configure(
    controller: Annotated[str | None, typer.Option(help="Who is responsible, with an address.")] = None,
    contact: Annotated[str | None, typer.Option(help="Where people turn to with their rights.")] = None,
    officer: Annotated[str | None, typer.Option(help="Data protection officer.")] = None,
    location: Annotated[str | None, typer.Option(help="Where the machine stands.")] = None,
    jurisdiction: Annotated[
        str | None, typer.Option(help='Whose law governs where a consent names none, e.g. "US-IL".')
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PURPOSE=DAYS", help="Consent ends so long after the last interaction; repeat it."
        ),
    ] = None,
    proof_days: Annotated[
        int | None, typer.Option(min=0, help="How long the history of a withdrawn consent is kept.")
    ] = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """State who is responsible and how long is kept what; without options, show what is stated.

    Example:

        voxid privacy configure --controller "Example Ltd, 1 Road, Town" --contact privacy@example.org --keep verify=365
    """
    from voxid.privacy.settings import read_settings, write_settings

    given = {
        "controller": controller,
        "contact": contact,
        "officer": officer,
        "location": location,
        "jurisdiction": jurisdiction,
        "keep_days": _periods(keep) if keep else None,
        "proof_days": proof_days,
    }
    stated: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with options.open_gallery(gallery) as opened:
        store = opened.stored()[0]
        settings = read_settings(store)
        if stated:
            settings = write_settings(store, replace(settings, **stated), opened.now())
    if as_json:
        print_json(settings.to_dict())
    else:
        for name, value in settings.to_dict().items():
            results().print(f"{name}: {value or '-'}", markup=False)


@app.command()
@command
def jurisdictions(as_json: options.AsJson = False) -> None:
    """Show the laws known here: how long voiceprints may be kept, and where that is written.

    Example:

        voxid privacy jurisdictions
    """
    from voxid.privacy.jurisdictions import JURISDICTIONS

    if as_json:
        print_json({"jurisdictions": [law.to_dict() for law in JURISDICTIONS]})
        return
    for law in JURISDICTIONS:
        results().print(f"{law.id}  {law.name}", markup=False, style="bold")
        for rule in law.rules:
            after = rule.after.replace("_", " ")
            results().print(f"  {rule.days} days after {after}: {rule.source}", markup=False)


@app.command()
@command
def retention(
    dry_run: DryRun = False,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Erase whose time is over, and end the purposes that are over. Run it every day.

    Example:

        voxid privacy retention --dry-run
    """
    from voxid.privacy.retention import run_retention

    if not dry_run:
        confirm("Erase everybody whose time is over?", yes)
    with options.open_gallery(gallery) as opened:
        report = run_retention(opened, dry_run=dry_run)
    if as_json:
        print_json(report.to_dict())
    else:
        _show_retention(report)


@app.command()
@command
def erase(
    name: Name,
    file: NewFile = None,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Erase a person and write the signed receipt, which names recipients to be told.

    Example:

        voxid privacy erase ALICE receipt.json --yes
    """
    from voxid.privacy.erasing import erase as erase_person

    confirm(f"Erase {name} for good?", yes)
    with placed(file, as_json) as place, options.open_gallery(gallery) as opened:
        statement = erase_person(opened, name).to_dict()
        place.put(_json(statement), statement)


@app.command()
@command
def receipt(
    name: Name,
    file: NewFile = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Write the signed receipt of a person's consent, to be handed to them.

    Example:

        voxid privacy receipt ALICE receipt.json
    """
    from voxid.privacy.receipts import issue_receipt

    with placed(file, as_json) as place, options.open_gallery(gallery) as opened:
        statement = issue_receipt(opened, name).to_dict()
        place.put(_json(statement), statement)


@app.command()
@command
def check(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A receipt, or the folder of an export.")],
    public_key: Annotated[str | None, typer.Option(metavar="HEX", help="Whose signature it must be.")] = None,
    as_json: options.AsJson = False,
) -> int:
    """Check the signature of a receipt or of an export's manifest. Needs no gallery.

    Example:

        voxid privacy check receipt.json
    """
    from voxid.audit.statements import SignedStatement
    from voxid.privacy.portability import check_export

    if path.is_dir():
        statement = check_export(path)
    else:
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                "statement_invalid", f"{path} cannot be read as JSON; give a receipt."
            ) from error
        statement = SignedStatement.from_dict(fields if isinstance(fields, dict) else {})
    good = statement.holds(public_key)
    sentence = f"{statement.kind}, signed by {statement.public_key}" if good else "the signature is wrong"
    if as_json:
        print_json({"holds": good, "kind": statement.kind, "public_key": statement.public_key})
    else:
        results().print(sentence, markup=False, style="green" if good else "red")
    return 0 if good else 1


@app.command("export")
@command
def export_all(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    passphrase_file: PassphraseFile = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Write all that is kept of a person into a folder, with a signed manifest of hashes.

    Example:

        voxid privacy export ALICE alice --passphrase-file passphrase.txt
    """
    from voxid.privacy.portability import export_person

    passphrase = read_passphrase(passphrase_file, twice=True)
    with options.open_gallery(gallery) as opened:
        manifest = export_person(opened, name, folder, passphrase=passphrase)
    done(f"wrote {folder}: {len(manifest.body['sha256'])} files", manifest.to_dict(), as_json)


@app.command()
@command
def disclose(
    name: Name,
    recipient: Annotated[str, typer.Option("--to", metavar="WHO", help="To whom it was given.")],
    what: Annotated[str, typer.Option(help="What was given.")],
    basis: Annotated[str, typer.Option(help="Consent, law or order, with its reference.")],
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Write a disclosure into the ledger.

    Example:

        voxid privacy disclose ALICE --to "City Court" --what "timeline of 3 May" --basis "order 12/26"
    """
    from voxid.privacy.disclosures import Disclosure
    from voxid.privacy.disclosures import disclose as write_disclosure

    with options.open_gallery(gallery) as opened:
        store = opened.stored()[0]
        written = write_disclosure(store, name, Disclosure(recipient, what, basis), opened.now())
    done(f"written down: {what} of {name} to {recipient}", written.to_dict(), as_json)


@app.command()
@command
def disclosures(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Of whom; without it, of everybody.")
    ] = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Show the ledger of disclosures.

    Example:

        voxid privacy disclosures ALICE
    """
    from voxid.privacy.disclosures import disclosures_of

    with options.open_gallery(gallery) as opened:
        person_id = None if name is None else opened.get(name).id
        ledger = disclosures_of(opened.stored()[0], person_id)
    if as_json:
        print_json({"disclosures": [one.to_dict() for one in ledger]})
        return
    for one in ledger:
        results().print(f"{one.at[:19]}  {one.recipient}: {one.what} ({one.basis})", markup=False)


@app.command()
@command
def hold(
    name: Name,
    reason: Annotated[str, typer.Option(help="The case it is for.")] = "",
    release: Annotated[bool, typer.Option("--release", help="End every hold on the person.")] = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Keep a person from being erased for the time being, or end that. It allows no use of the voice.

    Example:

        voxid privacy hold ALICE --reason "case 12/26"
    """
    from voxid.privacy import holds

    with options.open_gallery(gallery) as opened:
        store = opened.stored()[0]
        if release:
            holds.release(store, name, opened.now())
        else:
            holds.hold(store, name, reason, opened.now())
    done(
        f"{name} is {'no longer ' if release else ''}under a hold",
        {"name": name, "held": not release},
        as_json,
    )


@app.command()
@command
def record(
    file: NewFile = None,
    service: Annotated[
        Path | None,
        typer.Option("--service", metavar="FILE", help="voxid.toml of the service that serves the gallery."),
    ] = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Write the record of processing activities (GDPR Art. 30) from the gallery as it is.

    Example:

        voxid privacy record record.md
    """
    from voxid.privacy.processing import processing_record, processing_text, shown

    configuration = None
    if service is not None:
        from voxid.service.settings import load_settings

        configuration = shown(load_settings(file=service))
    with placed(file, as_json) as place, options.open_gallery(gallery) as opened:
        written = processing_record(opened, configuration)
        place.put(_json(written) if as_json else processing_text(written), written)


@app.command()
@command
def policy(
    file: NewFile = None,
    html: Annotated[bool, typer.Option("--html", help="As a page.")] = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Write the public policy on voiceprints, from the settings in force.

    Example:

        voxid privacy policy policy.html --html
    """
    from voxid.privacy.policy import policy_page, policy_sections, policy_text

    with placed(file, as_json) as place, options.open_gallery(gallery) as opened:
        sections = policy_sections(opened.stored()[0])
        written = policy_page(sections) if html else policy_text(sections)
        place.put(written, {"policy": written})


def _periods(keep: list[str]) -> dict[str, int]:
    periods = {}
    for given in keep:
        purpose, _, days = given.partition("=")
        if not days.isdigit():
            raise InputError(
                "privacy_settings_invalid", f"--keep {given} is no period; expected e.g. --keep verify=365."
            )
        periods[purpose] = int(days)
    return periods


def _show_retention(report: RetentionReport) -> None:
    for due in report.due:
        what = f"end {', '.join(due.purposes)}" if due.purposes else "erase"
        held = f"; held: {due.held}" if due.held else ""
        results().print(
            f"{due.name}: {what}, due {due.due_at:%Y-%m-%d}: {due.reason} ({due.source}){held}", markup=False
        )
    note(f"{len(report.due)} due, {len(report.receipts)} erased, {len(report.unknown)} without a name")


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
