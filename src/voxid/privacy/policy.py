"""The public policy on voiceprints that 740 ILCS 14/15(a) asks for, from the settings in force: text, and a page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final

from voxid.errors import ConfigError
from voxid.gallery.store import Store
from voxid.privacy.jurisdictions import JURISDICTIONS, Jurisdiction, RetentionRule
from voxid.privacy.settings import PrivacySettings, read_settings

__all__ = ["Section", "policy_page", "policy_sections", "policy_text"]

_TITLE: Final = "Policy on voiceprints"
_AFTER: Final = {
    "last_interaction": "after your last interaction with us",
    "purpose_ended": "after the purpose ends",
}
_STYLE: Final = (
    "body{max-width:44rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif;"
    "color:#1c1c1e;background:#fff}h2{font-size:1.15rem;margin-top:2rem}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#1c1c1e}}"
)


@dataclass(frozen=True)
class Section:
    """One part: a title and paragraphs, or the lines of a list."""

    title: str
    paragraphs: tuple[str, ...]
    items: tuple[str, ...] = ()


_KEPT: Final = Section(
    "What we keep",
    (
        "A voiceprint is a row of numbers computed from your speech; it is used to recognise your voice again. "
        "With it we keep your name and the history of your consent. Recordings are not kept with it.",
    ),
)
_PURPOSES: Final = Section(
    "What for, and only with your consent",
    ("Each purpose needs a consent of its own, given in writing before anything is recorded.",),
    (
        "verify: to check that you are who you say you are",
        "identify: to find out who is speaking among those enrolled",
        "diarize-name: to put your name on what you say in a recording or call",
        "watchlist: to notice your voice when it is heard",
        "training: to train or calibrate recognition",
    ),
)
_DESTROYED: Final = Section(
    "How it is destroyed",
    (
        "The key that only your data is encrypted with is destroyed, every record of you is deleted, and the "
        "store is overwritten or rewritten where it was. You get a signed receipt that says how.",
    ),
)
_GIVEN: Final = Section(
    "Whom we give it to",
    (
        "Nobody, unless you consent, the law requires it, or a court orders it; every disclosure is kept in a "
        "ledger you may see. We do not sell, lease or trade voiceprints.",
    ),
)


def policy_sections(store: Store) -> tuple[Section, ...]:
    """Return the policy.

    Raises:
        ConfigError: privacy_unconfigured while nobody said who is responsible and where to turn to.
    """
    settings = read_settings(store)
    if not (settings.controller and settings.contact):
        raise ConfigError(
            "privacy_unconfigured",
            "The policy needs a controller and a contact; state them: voxid privacy configure --controller ... "
            "--contact ...",
        )
    return (
        Section(
            "Who is responsible",
            (f"{settings.controller}. Contact: {settings.contact}.", *_officer(settings)),
        ),
        _KEPT,
        _PURPOSES,
        Section(
            "How long",
            (
                "We destroy your voiceprint at the earliest of these ends. When you withdraw your consent to every "
                "purpose it is destroyed at once.",
            ),
            (*_periods(), *_own_periods(settings)),
        ),
        _DESTROYED,
        Section(
            "Your rights",
            (f"Write to {settings.contact}. {_answer_time()}",),
            (
                "withdraw your consent, wholly or for single purposes, as easily as you gave it",
                "know what is kept of you and what was done with it, and take it with you",
                "have it corrected or erased",
                "opt out: your name, and if you wish your voice, will not be enrolled again",
            ),
        ),
        _GIVEN,
    )


def policy_text(sections: tuple[Section, ...]) -> str:
    """Return the policy as plain text in Markdown."""
    parts = [f"# {_TITLE}"]
    for section in sections:
        parts += [f"## {section.title}", *section.paragraphs]
        if section.items:
            parts.append("\n".join(f"- {item}" for item in section.items))
    return "\n\n".join(parts) + "\n"


def policy_page(sections: tuple[Section, ...], language: str = "en") -> str:
    """Return the policy as a page that needs nothing else: no script, no request."""
    parts = []
    for section in sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        parts += [f"<p>{escape(paragraph)}</p>" for paragraph in section.paragraphs]
        if section.items:
            parts.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in section.items) + "</ul>")
    head = f'<meta charset="utf-8"><title>{_TITLE}</title><style>{_STYLE}</style>'
    body = f"<main><h1>{_TITLE}</h1>{''.join(parts)}</main>"
    return f'<!doctype html><html lang="{escape(language)}"><head>{head}</head><body>{body}</body></html>\n'


def _officer(settings: PrivacySettings) -> tuple[str, ...]:
    return (f"Data protection officer: {settings.officer}.",) if settings.officer else ()


def _periods() -> list[str]:
    return [f"{law.name}: {_period(rule)} ({rule.source})" for law in JURISDICTIONS for rule in law.rules]


def _period(rule: RetentionRule) -> str:
    days = "at once" if rule.days == 0 else f"at most {rule.days} days"
    return f"{days} {_AFTER[rule.after]}"


def _own_periods(settings: PrivacySettings) -> list[str]:
    own = [
        f"for the purpose {purpose}: {days} days after your last interaction with us (our own rule)"
        for purpose, days in sorted(settings.keep_days.items())
    ]
    proof = (
        f"the history of a consent you withdrew, without any voiceprint: {settings.proof_days} days, as proof"
    )
    return [*own, proof]


def _answer_time() -> str:
    days = min(_stated(law) for law in JURISDICTIONS)
    return f"We answer within {days} days."


def _stated(law: Jurisdiction) -> int:
    return 10_000 if law.respond_within_days is None else law.respond_within_days
