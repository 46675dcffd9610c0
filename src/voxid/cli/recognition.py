"""``voxid enroll``, ``verify`` and ``identify``: the three verbs on a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxid.cli import consent, options
from voxid.cli.output import EXIT_REJECTED, command, exit_code_of, note, print_json, results, waiting
from voxid.cli.spoof import DetectorFolder, choose_detector, show_verdict
from voxid.decision import DEFAULT_PROFILE, IDENTIFY_PROFILE

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.decision import Candidate, Decision
    from voxid.recognize import Enrollment
    from voxid.spoof.fusion import SpoofPolicy

_COLOUR: Final = {0: "green", 1: "red", 2: "yellow", 3: "magenta"}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name.")]


SpoofCheck = Annotated[
    str,
    typer.Option(
        "--spoof",
        metavar="off|check|strict",
        help="Ask whether the voice is live. check: a spoof is refused, a suspicious voice goes to a person, and what "
        "cannot be told is left to the voice; strict: that goes to a person too.",
    ),
]


@command
def enroll(
    name: Name,
    audio: Annotated[list[Path], typer.Argument(metavar="AUDIO...", help="Recordings of this person alone.")],
    evidence: consent.Evidence = None,
    purpose: consent.Purposes = None,
    consent_text: consent.ConsentText = None,
    signer: consent.Signer = None,
    jurisdiction: consent.Jurisdiction = None,
    expires: consent.Expires = None,
    allow_duplicate: consent.AllowDuplicate = False,
    allow_inconsistent: consent.AllowInconsistent = False,
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
    given = consent.ConsentOptions(evidence, purpose, consent_text, signer, jurisdiction, expires).consent()
    if given is None and not as_json:
        note("No --consent is given: this works only for a person whose consent is on record.")
    with (
        consent.told_how(given, "verify,identify"),
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
        show_enrollment(enrollment, results())


@command
def verify(
    name: Name,
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="The recording in question.")],
    profile: options.Profile = DEFAULT_PROFILE,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    check: SpoofCheck = "off",
    detector: DetectorFolder = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Also look for people enrolled for the purpose watchlist.")
    ] = False,
    as_json: options.AsJson = False,
) -> int:
    """Decide whether a recording is the person named. Exit code 0 means accepted, and nothing else does.

    Examples:

        voxid verify ALICE call.wav

        voxid verify ALICE call.wav --spoof check

        voxid verify ALICE call.wav --profile far_0.1pct --json
    """
    with (
        options.open_gallery(gallery, bundle) as people,
        waiting(f"Listening to {audio.name}", quiet=as_json),
    ):
        policy = _policy(check)
        decision = people.verify(
            name,
            audio,
            profile=profile,
            channel=channel,
            spoof=policy,
            detector=None if policy.mode == "off" else choose_detector(detector),
            watch=watch,
        )
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


def show_enrollment(enrollment: Enrollment, console: Console) -> None:
    """Print what was added, and the warnings."""
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
    if decision.spoof is not None:
        show_verdict(decision.spoof, console)


def _policy(name: str) -> SpoofPolicy:
    from voxid.spoof.fusion import SpoofPolicy

    return SpoofPolicy.named(name)


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
