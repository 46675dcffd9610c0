"""``voxid enroll``, ``verify`` and ``identify``: the three verbs on a gallery."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxid.cli import options
from voxid.cli.output import EXIT_REJECTED, command, exit_code_of, note, print_json, results, waiting
from voxid.decision import DEFAULT_PROFILE, IDENTIFY_PROFILE
from voxid.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.decision import Candidate, Decision
    from voxid.gallery import Consent
    from voxid.recognize import Enrollment

_COLOUR: Final = {0: "green", 1: "red", 2: "yellow", 3: "magenta"}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name.")]
Evidence = Annotated[
    str | None,
    typer.Option("--consent", metavar="TEXT", help='Where the written release is, e.g. "signed form 17".'),
]
Purposes = Annotated[
    list[str] | None,
    typer.Option(
        "--purpose",
        metavar="NAME",
        help="What the release covers: verify, identify, diarize-name, watchlist, training. Repeat it, or use commas.",
    ),
]


@command
def enroll(
    name: Name,
    audio: Annotated[list[Path], typer.Argument(metavar="AUDIO...", help="Recordings of this person alone.")],
    consent: Evidence = None,
    purpose: Purposes = None,
    consent_text: Annotated[
        Path | None,
        typer.Option("--consent-text", metavar="FILE", help="The text agreed to; its SHA-256 is recorded."),
    ] = None,
    signer: Annotated[str | None, typer.Option("--signer", help="Who signed, when not the person.")] = None,
    jurisdiction: Annotated[
        str | None, typer.Option("--jurisdiction", help='Whose law, e.g. "EU-DE".')
    ] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(
            "--expires", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Consent ends then (UTC)."
        ),
    ] = None,
    allow_duplicate: Annotated[
        bool,
        typer.Option(
            "--allow-duplicate", help="Enroll although this voice is already there under another name."
        ),
    ] = False,
    allow_inconsistent: Annotated[
        bool,
        typer.Option(
            "--allow-inconsistent", help="Enroll although the recordings do not sound like one person."
        ),
    ] = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    as_json: options.AsJson = False,
) -> None:
    """Store a person's voice under a name, with their consent. Makes the gallery on first use.

    Without consent nothing is read or stored. More recordings of an enrolled person need no new consent
    while the recorded one is in force.

    Examples:

        voxid enroll ALICE a1.wav a2.wav --consent "signed form 17" --purpose verify,identify

        voxid enroll ALICE a3.wav
    """
    given = _consent(consent, purpose, consent_text, signer, jurisdiction, expires)
    if given is None and not as_json:
        note("No --consent is given: this works only for a person whose consent is on record.")
    with (
        options.open_gallery(gallery, bundle, create=True) as people,
        waiting(f"Enrolling {name}", quiet=as_json),
    ):
        enrollment = people.enroll(
            name,
            audio,
            given,
            channel=channel,
            allow_duplicate=allow_duplicate,
            allow_inconsistent=allow_inconsistent,
        )
    if as_json:
        print_json(enrollment.to_dict())
    else:
        _show_enrollment(enrollment, results())


@command
def verify(
    name: Name,
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="The recording in question.")],
    profile: options.Profile = DEFAULT_PROFILE,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    as_json: options.AsJson = False,
) -> int:
    """Decide whether a recording is the person named. Exit code 0 means accepted, and nothing else does.

    Examples:

        voxid verify ALICE call.wav

        voxid verify ALICE call.wav --profile far_0.1pct --json
    """
    with (
        options.open_gallery(gallery, bundle) as people,
        waiting(f"Listening to {audio.name}", quiet=as_json),
    ):
        decision = people.verify(name, audio, profile=profile, channel=channel)
    if as_json:
        print_json(decision.to_dict())
    else:
        show_decision(decision, results())
    return exit_code_of(decision.outcome)


@command
def identify(
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="A recording of one person.")],
    top: Annotated[int, typer.Option("--top", min=1, metavar="N", help="At most so many candidates.")] = 5,
    profile: options.Profile = IDENTIFY_PROFILE,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    as_json: options.AsJson = False,
) -> int:
    """Say which enrolled person a recording is, or that it is nobody known (exit code 1).

    Examples:

        voxid identify call.wav

        voxid identify call.wav --top 3 --json
    """
    with (
        options.open_gallery(gallery, bundle) as people,
        waiting(f"Listening to {audio.name}", quiet=as_json),
    ):
        candidates = people.identify(audio, top=top, profile=profile, channel=channel)
    if as_json:
        print_json({"candidates": [candidate.to_dict() for candidate in candidates], "profile": profile})
    else:
        show_candidates(candidates, results())
    return 0 if candidates else EXIT_REJECTED


def _consent(
    evidence: str | None,
    purposes: list[str] | None,
    text: Path | None,
    signer: str | None,
    jurisdiction: str | None,
    expires: datetime | None,
) -> Consent | None:
    """The consent that the options describe; None when they describe none."""
    from voxid.gallery import PURPOSES, Consent

    wanted = {part.strip() for given in purposes or [] for part in given.split(",") if part.strip()}
    details = wanted or text or signer or jurisdiction or expires
    if evidence is None and not details:
        return None
    if evidence is None or not wanted:
        missing = "--purpose" if evidence is not None else "--consent"
        raise InputError(
            "consent_incomplete",
            f"The consent lacks {missing}; expected the evidence and what it covers: "
            f'--consent "signed form 17" --purpose {",".join(PURPOSES[:2])}.',
        )
    return Consent(
        purposes=wanted,
        evidence=evidence,
        text_sha256=None if text is None else _sha256(text),
        signer=signer,
        jurisdiction=jurisdiction,
        expires_at=None if expires is None else expires.replace(tzinfo=UTC),
    )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            "consent_text_unreadable",
            f"{path} cannot be read ({error.strerror}); give the text that was agreed to.",
        ) from None


def _show_enrollment(enrollment: Enrollment, console: Console) -> None:
    added = f"{enrollment.added} recording{'s' if enrollment.added != 1 else ''}"
    console.print(
        f"enrolled {enrollment.person}: {added} added, {enrollment.total} in all, "
        f"{enrollment.net_speech_s:.1f} s of speech",
        markup=False,
        style="green",
    )
    for warning in enrollment.warnings:
        note(warning)


def show_decision(decision: Decision, console: Console) -> None:
    """Print the outcome in its colour, then what it rests on."""
    colour = _COLOUR[exit_code_of(decision.outcome)]
    console.print(f"{decision.outcome.value}  {decision.person}", markup=False, style=f"bold {colour}")
    facts = [] if decision.llr is None else [f"LLR {decision.llr:.2f}"]
    facts.append(f"profile {decision.profile}")
    if decision.net_speech_s is not None:
        facts.append(f"{decision.net_speech_s:.1f} s of speech")
    console.print(", ".join(facts), markup=False)
    console.print(decision.reason, markup=False, style="dim")


def show_candidates(candidates: list[Candidate], console: Console) -> None:
    """Print the candidates best first, or that there is none."""
    if not candidates:
        console.print("unknown: nobody in the gallery is above the threshold", markup=False, style="bold red")
    for rank, candidate in enumerate(candidates, start=1):
        console.print(
            f"{rank}  {candidate.person}  LLR {candidate.llr:.2f}",
            markup=False,
            style="bold green" if rank == 1 else None,
        )
