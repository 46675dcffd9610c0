"""What a name and a consent may be, and the sentences for what they may not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from voxid.errors import InputError
from voxid.gallery.consent import Consent, ConsentRecord
from voxid.gallery.names import MAX_NAME_CHARS, clean_name, lookup_form


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (" Ada  Lovelace ", "Ada Lovelace"),
        ("Zoe\u0308", "Zoë"),
        ("王小明", "王小明"),
        ("O'Neil-Smith", "O'Neil-Smith"),
    ],
)
def test_names_are_shown_as_given_but_tidied(given: str, shown: str) -> None:
    assert clean_name(given) == shown


@pytest.mark.parametrize("other", ["ALICE weiss", "alice  Weiß", "ａlice Weiss", "alice\u200c weiss"])
def test_spellings_of_one_name_find_one_person(other: str) -> None:
    assert lookup_form(other) == lookup_form("Alice Weiss")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", "The name is empty"),
        ("   ", "The name is empty"),
        ("a\nb", r"holds the character U\+000A, which cannot be seen"),
        ("eve\u202eecila", r"holds the character U\+202E"),
        ("\u200c\u200d", "no visible character"),
        ("x" * (MAX_NAME_CHARS + 1), "has 121 characters; at most 120"),
        ("x" * 10**6, "has 1000000 characters; at most 120"),
        ("SPEAKER_00", "is what strangers are called"),
        ("Unknown", "is what strangers are called"),
        (None, "A name of type NoneType was given"),
    ],
)
def test_names_that_mislead_are_refused(given: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        clean_name(given)
    assert caught.value.code == "name_invalid"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"purposes": set()}, "names no purpose; expected at least one of: verify, identify"),
        ({"purposes": {"verify", "marketing"}}, "names the purpose 'marketing'; known purposes are"),
        ({"purposes": "verify"}, "purposes is the text 'verify'; expected a set"),
        ({"purposes": 3}, "purposes is 3; expected a set"),
        ({"evidence": "  "}, "evidence is '  '; expected a short text"),
        ({"evidence": "x" * 5000}, "evidence has 5000 characters; at most 4000"),
        ({"text_sha256": "abc"}, "text_sha256 is 'abc'; expected 64 hexadecimal digits"),
        ({"expires_at": datetime(2027, 1, 1)}, "expected a datetime with a time zone"),
        ({"signer": ""}, "signer is ''"),
    ],
)
def test_consents_that_prove_nothing_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        Consent(**{"purposes": {"verify"}, "evidence": "signed form 17", **fields})
    assert caught.value.code == "consent_invalid"


def test_a_consent_survives_being_written_down() -> None:
    """Every field comes back, and the end is judged with its time zone."""
    consent = Consent(
        ["identify", "verify"],
        "form",
        "AB" * 32,
        "guardian",
        "US-IL",
        datetime(2027, 1, 1, tzinfo=UTC),
        "paper",
    )
    record = ConsentRecord(3, datetime(2026, 1, 1, tzinfo=UTC), "given", consent)
    assert ConsentRecord.from_dict(record.to_dict()) == record
    assert consent.expired(datetime(2027, 1, 1, tzinfo=UTC))
    assert not consent.expired(datetime(2026, 12, 31, 23, 59, tzinfo=UTC))


def test_an_unknown_field_of_a_record_is_an_error() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Consent.from_dict({"purposes": ["verify"], "evidence": "form", "blanket": True})
