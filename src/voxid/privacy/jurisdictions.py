"""Laws as data: how long voiceprints may be kept under each, what else it asks for, and where that is written.

A reading for engineers, no legal advice: have it checked for your case, and make the periods shorter where you can
(`voxid.privacy.settings`). Where a law states no number, the one here is voxid's choice and says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

__all__ = [
    "BIPA",
    "CUBI",
    "GDPR",
    "JURISDICTIONS",
    "Duty",
    "Jurisdiction",
    "RetentionRule",
    "jurisdictions_of",
]

_EEA: Final = (
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
).split()


@dataclass(frozen=True)
class RetentionRule:
    """When a voiceprint must be gone.

    Args:
        after: what the time counts from: the person's last interaction, or the end of the purpose (consent expired).
        days: at most.
        source: where that is written.
    """

    after: Literal["last_interaction", "purpose_ended"]
    days: int
    source: str


@dataclass(frozen=True)
class Duty:
    """What else is asked for, and what answers it here.

    Args:
        text: the duty; source: where it is written; answer: what voxid has for it.
    """

    text: str
    source: str
    answer: str


@dataclass(frozen=True)
class Jurisdiction:
    """One law.

    Args:
        id: e.g. "bipa".
        name: in full.
        covers: jurisdictions of consents it governs, as their beginnings: "US-IL", "EU".
        rules: of retention; the earliest counts.
        respond_within_days: to a request of a person; None: not stated.
        duties: other ones.
    """

    id: str
    name: str
    covers: tuple[str, ...]
    rules: tuple[RetentionRule, ...]
    respond_within_days: int | None
    duties: tuple[Duty, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as ``--json`` prints them."""
        return asdict(self)


BIPA: Final = Jurisdiction(
    id="bipa",
    name="Illinois Biometric Information Privacy Act, 740 ILCS 14, as amended by P.A. 103-0769 (August 2, 2024)",
    covers=("US-IL",),
    rules=(
        RetentionRule("purpose_ended", 0, "740 ILCS 14/15(a): when the initial purpose has been satisfied"),
        RetentionRule(
            "last_interaction",
            3 * 365,
            "740 ILCS 14/15(a): within 3 years of the individual's last interaction",
        ),
    ),
    respond_within_days=None,
    duties=(
        Duty(
            "A written policy with a retention schedule, made available to the public",
            "740 ILCS 14/15(a)",
            "voxid privacy policy",
        ),
        Duty(
            "Written information on purpose and length of term, and a written release, before collection; an "
            "electronic signature is one",
            "740 ILCS 14/15(b), 14/10",
            "no enrollment without a consent; its text is kept by its SHA-256",
        ),
        Duty(
            "No disclosure without consent, a transaction asked for, a law or a warrant",
            "740 ILCS 14/15(d)",
            "voxid privacy disclose keeps the ledger",
        ),
        Duty("No sale, lease, trade or profit", "740 ILCS 14/15(c)", "nothing leaves the machine by itself"),
        Duty(
            "A reasonable standard of care in storing",
            "740 ILCS 14/15(e)",
            "every person under keys of their own",
        ),
    ),
)
CUBI: Final = Jurisdiction(
    id="cubi",
    name="Texas Capture or Use of Biometric Identifier Act, Business & Commerce Code 503.001",
    covers=("US-TX",),
    rules=(
        RetentionRule(
            "purpose_ended",
            365,
            "Tex. Bus. & Com. Code 503.001(c)(3): not later than the first anniversary of the date the purpose "
            "for collecting the identifier expires",
        ),
    ),
    respond_within_days=None,
    duties=(
        Duty(
            "Inform and receive consent before capture for a commercial purpose",
            "Tex. Bus. & Com. Code 503.001(b)",
            "no enrollment without a consent",
        ),
        Duty(
            "No sale, lease or disclosure but in the stated cases",
            "Tex. Bus. & Com. Code 503.001(c)(1)",
            "voxid privacy disclose keeps the ledger",
        ),
        Duty(
            "Store, transmit and protect with reasonable care",
            "Tex. Bus. & Com. Code 503.001(c)(2)",
            "every person under keys of their own",
        ),
    ),
)
GDPR: Final = Jurisdiction(
    id="gdpr",
    name="General Data Protection Regulation, (EU) 2016/679",
    covers=("EU", "GDPR", *_EEA),
    rules=(
        RetentionRule(
            "purpose_ended",
            0,
            "GDPR Art. 5(1)(e), 17(1)(a) and (b): no longer than necessary; consent withdrawn",
        ),
        RetentionRule(
            "last_interaction",
            365,
            "GDPR Art. 5(1)(e) states no number; a year without interaction is voxid's choice: state your own",
        ),
    ),
    respond_within_days=30,
    duties=(
        Duty(
            "Explicit consent for biometric data that identifies",
            "GDPR Art. 9(2)(a)",
            "one consent per purpose",
        ),
        Duty("Withdrawal as easy as giving", "GDPR Art. 7(3)", "voxid people withdraw"),
        Duty("Access", "GDPR Art. 15", "voxid privacy export"),
        Duty("Erasure without undue delay, recipients told", "GDPR Art. 17, 19", "voxid privacy erase"),
        Duty("Portability", "GDPR Art. 20", "voxid privacy export"),
        Duty("Answers within one month", "GDPR Art. 12(3)", "stated in the public policy"),
        Duty("Record of processing activities", "GDPR Art. 30", "voxid privacy record"),
        Duty("Assessment of the impact before large-scale use", "GDPR Art. 35(3)(b)", "yours to make"),
    ),
)
JURISDICTIONS: Final = (BIPA, CUBI, GDPR)


def jurisdictions_of(code: str | None) -> tuple[Jurisdiction, ...]:
    """Return the laws that govern a consent; all of them, so the strictest, where none is known to.

    Args:
        code: of the consent, e.g. "US-IL", "EU-DE", "DE".

    Example:
        >>> [law.id for law in jurisdictions_of("US-TX")], len(jurisdictions_of(None))
        (['cubi'], 3)
    """
    wanted = "" if code is None else code.strip().upper()
    known = tuple(
        law
        for law in JURISDICTIONS
        if any(wanted == start or wanted.startswith(start + "-") for start in law.covers)
    )
    return known or JURISDICTIONS
