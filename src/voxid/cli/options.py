"""Options that several commands share, each with its default and help in one place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from voxid.bundle import Bundle
    from voxid.recognize import Gallery

DEFAULT_GALLERY: Final = "people.voxid"

GalleryPath = Annotated[
    str,
    typer.Option(
        "--gallery", "-g", envvar="VOXID_GALLERY", metavar="FILE", help="The store of enrolled people."
    ),
]
BundlePath = Annotated[
    str | None,
    typer.Option(
        "--bundle",
        envvar="VOXID_BUNDLE",
        metavar="NAME|FOLDER",
        help="Model: its name in `voxid models list`, or a bundle's folder; without it the default one.",
    ),
]
Profile = Annotated[
    str,
    typer.Option("--profile", metavar="NAME", help="Threshold profile, named after its false-accept rate."),
]
Channel = Annotated[
    int | None,
    typer.Option(
        "--channel", min=0, metavar="N", help="Use channel N (from 0); without it all are averaged."
    ),
]
Speakers = Annotated[int | None, typer.Option("--speakers", metavar="N", help="Exactly N voices.")]
MinSpeakers = Annotated[int | None, typer.Option("--min-speakers", metavar="N", help="At least N voices.")]
MaxSpeakers = Annotated[int | None, typer.Option("--max-speakers", metavar="N", help="At most N voices.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, also for errors.")]


def choose_bundle(named: str | Path | None) -> Bundle:
    """Return the bundle of that name or in that folder, hash-checked, or the default one."""
    from voxid.zoo.shelf import find_bundle

    return find_bundle(named)


def open_gallery(path: str, bundle: str | Path | None = None, *, create: bool = False) -> Gallery:
    """Return the opened gallery; `create` allows a new one.

    Commands without a --bundle option of their own still follow VOXID_BUNDLE.
    """
    from voxid.recognize import Gallery

    named = bundle or os.environ.get("VOXID_BUNDLE") or None
    return Gallery.open(path, bundle=choose_bundle(named), create=create)
