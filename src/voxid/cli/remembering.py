"""``voxid who --remember``: voices without a name kept on stated grounds, with ids that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli.output import note

if TYPE_CHECKING:
    from voxid.audio import Waveform
    from voxid.gallery import Grounds
    from voxid.recognize import Gallery
    from voxid.timeline import Timeline

_PANEL = "Unknown people"

Remember = Annotated[
    bool,
    typer.Option(
        "--remember",
        help="Keep voices without a name in the gallery, each under an id that stays; needs --basis.",
        rich_help_panel=_PANEL,
    ),
]
Basis = Annotated[
    str | None,
    typer.Option(
        "--basis",
        metavar="TEXT",
        help='Why they may be kept: purpose and legal basis, e.g. "minutes of the board; assessment 12".',
        rich_help_panel=_PANEL,
    ),
]
KeepDays = Annotated[
    int | None,
    typer.Option(
        "--keep-days",
        metavar="N",
        help="After so many days what this recording gave is not used and erased (1 to 365; 30).",
        rich_help_panel=_PANEL,
    ),
]


def grounds_of(remember: bool, basis: str | None, keep_days: int | None) -> Grounds | None:
    """Return the grounds that the options state; None when nothing is to be kept.

    Raises:
        PolicyError: basis_missing. InputError: retention_invalid, remember_missing.
    """
    from voxid.errors import InputError
    from voxid.gallery import Grounds

    if not remember:
        if basis is not None or keep_days is not None:
            raise InputError(
                "remember_missing",
                "--basis and --keep-days say how voices are kept; add --remember to keep any.",
            )
        return None
    return Grounds(basis or "") if keep_days is None else Grounds(basis or "", keep_days)


def keep_voices(
    timeline: Timeline, waveform: Waveform, people: Gallery, grounds: Grounds, profile: str
) -> Timeline:
    """Return the timeline with the ids of its unnamed voices, after the gallery was asked to keep them."""
    from voxid.diarize import remember

    kept, told = remember(timeline, waveform, people, grounds, profile=profile)
    for one in told:
        renamed = "" if one.id in (None, one.label) else f" is {one.id}"
        note(f"{one.label}{renamed if one.id else ' was not kept'}: {one.reason}")
    return kept
