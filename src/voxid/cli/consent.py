"""The options that describe a person's consent, for every command that takes one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxid.errors import InputError, PolicyError

if TYPE_CHECKING:
    from voxid.gallery import Consent

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
ConsentText = Annotated[
    Path | None,
    typer.Option("--consent-text", metavar="FILE", help="The text agreed to; its SHA-256 is recorded."),
]
Signer = Annotated[str | None, typer.Option("--signer", help="Who signed, when not the person.")]
Jurisdiction = Annotated[str | None, typer.Option("--jurisdiction", help='Whose law, e.g. "EU-DE".')]
Expires = Annotated[
    datetime | None,
    typer.Option("--expires", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Consent ends then (UTC)."),
]
AllowDuplicate = Annotated[
    bool,
    typer.Option("--allow-duplicate", help="Enroll although this voice is already there under another name."),
]
AllowInconsistent = Annotated[
    bool,
    typer.Option("--allow-inconsistent", help="Enroll although the recordings do not sound like one person."),
]


@dataclass(frozen=True)
class ConsentOptions:
    """The options as given; all of them may be missing."""

    evidence: str | None
    purposes: list[str] | None
    text: Path | None
    signer: str | None
    jurisdiction: str | None
    expires: datetime | None

    def consent(self) -> Consent | None:
        """Return the consent the options describe; None when they describe none.

        Raises:
            InputError: consent_incomplete, consent_invalid, consent_text_unreadable.
        """
        from voxid.gallery import PURPOSES, Consent

        wanted = {part.strip() for given in self.purposes or [] for part in given.split(",") if part.strip()}
        details = wanted or self.text or self.signer or self.jurisdiction or self.expires
        if self.evidence is None and not details:
            return None
        if self.evidence is None or not wanted:
            missing = "--purpose" if self.evidence is not None else "--consent"
            raise InputError(
                "consent_incomplete",
                f"The consent lacks {missing}; expected the evidence and what it covers: "
                f'--consent "signed form 17" --purpose {",".join(PURPOSES[:2])}.',
            )
        return Consent(
            purposes=wanted,
            evidence=self.evidence,
            text_sha256=None if self.text is None else _sha256(self.text),
            signer=self.signer,
            jurisdiction=self.jurisdiction,
            expires_at=None if self.expires is None else self.expires.replace(tzinfo=UTC),
        )


@contextmanager
def told_how(given: Consent | None, purposes: str) -> Iterator[None]:
    """Say how a consent is given on the command line where the block lacks one and `given` is none.

    Args:
        purposes: what it should cover, as `--purpose` takes them.
    """
    try:
        yield
    except PolicyError as error:
        if given is not None or error.code != "consent_missing":
            raise
        how = f'Give it here: --consent "signed form 17" --purpose {purposes}.'
        raise PolicyError(error.code, f"{error.message} {how}") from None


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            "consent_text_unreadable",
            f"{path} cannot be read ({error.strerror}); give the text that was agreed to.",
        ) from None
