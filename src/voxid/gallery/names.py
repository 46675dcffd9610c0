"""A person's name: what is accepted, how it is shown, and the form it is looked up by."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from voxid.errors import InputError

__all__ = ["MAX_NAME_CHARS", "clean_name", "lookup_form"]

MAX_NAME_CHARS: Final = 120

# Zero-width joiners belong to the spelling of Persian or Hindi names; every other invisible character
# (bidirectional overrides, byte-order marks) only serves to make two names look alike.
_JOINERS: Final = "\u200c\u200d"
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What diarization calls a stranger: a person of that name could not be told from one.
_STRANGER: Final = re.compile(r"(speaker[_ ]?\d+|unknown([-_ ].*)?)", re.IGNORECASE)


def clean_name(name: str) -> str:
    """Return the name as stored and shown: NFC, trimmed, inner white space collapsed to one blank.

    Raises:
        InputError: name_invalid when it is empty, too long, holds control or invisible characters, or is
            reserved for strangers.

    Example:
        >>> clean_name("  Ada   Lovelace ")
        'Ada Lovelace'
    """
    if not isinstance(name, str):
        raise InputError(
            "name_invalid", f"A name of type {type(name).__name__} was given; a name is text, e.g. 'alice'."
        )
    # Length first: normalising an unbounded text costs time before anything is known about it.
    if len(name) > 4 * MAX_NAME_CHARS:
        raise _too_long(len(name))
    shown = re.sub(r"[ \t\u00a0\u3000]+", " ", unicodedata.normalize("NFC", name)).strip()
    if not shown:
        raise InputError("name_invalid", "The name is empty; give each person a name of at least one letter.")
    if len(shown) > MAX_NAME_CHARS:
        raise _too_long(len(shown))
    for letter in shown:
        if unicodedata.category(letter) in _REFUSED_CATEGORIES and letter not in _JOINERS:
            raise InputError(
                "name_invalid",
                f"The name {shown!r} holds the character U+{ord(letter):04X}, which cannot be seen; "
                "names are made of visible characters: write it again without that one.",
            )
    if not lookup_form(shown):
        raise InputError(
            "name_invalid", "The name has no visible character; give one of at least one letter."
        )
    if _STRANGER.fullmatch(shown):
        raise InputError(
            "name_invalid",
            f"The name {shown!r} is what strangers are called on a timeline; choose another for a known person.",
        )
    return shown


def lookup_form(name: str) -> str:
    """Return the form two spellings of one name share: NFKC, case folded, joiners dropped.

    Example:
        >>> lookup_form("ALICE") == lookup_form("alice")
        True
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    bare = folded.translate({ord(joiner): None for joiner in _JOINERS})
    return " ".join(unicodedata.normalize("NFKC", bare).split())


def _too_long(n_chars: int) -> InputError:
    return InputError(
        "name_invalid", f"The name has {n_chars} characters; at most {MAX_NAME_CHARS} are kept: shorten it."
    )
