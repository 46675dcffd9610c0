"""Who is acting: kept in the context, so that whatever writes an event knows it without being told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from voxid.errors import InputError

__all__ = ["ACTOR_KINDS", "Actor", "acting_as", "current_actor"]

ACTOR_KINDS: Final = ("local", "key", "oidc", "system")
_MAX_ID_CHARS: Final = 256


@dataclass(frozen=True)
class Actor:
    """Who does something.

    Args:
        kind: "local" (this machine's user), "key" (an API key), "oidc" (a signed-in user), "system" (a job).
        id: of the key or user; empty for "local".
        request_id: joins the acts of one request; None outside a service.

    Raises:
        InputError: actor_invalid.
    """

    kind: str = "local"
    id: str = ""
    request_id: str | None = None

    def __post_init__(self) -> None:
        texts = (self.id, self.request_id or "")
        if self.kind not in ACTOR_KINDS or any(
            not isinstance(text, str) or len(text) > _MAX_ID_CHARS for text in texts
        ):
            raise InputError(
                "actor_invalid",
                f"The actor is {self.kind!r} with an id of {len(str(self.id))} characters; expected one of "
                f"{', '.join(ACTOR_KINDS)} and ids of at most {_MAX_ID_CHARS} characters.",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the actor as an entry holds it."""
        return {"id": self.id, "kind": self.kind, "request_id": self.request_id}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Actor:
        """Return the actor `to_dict` wrote."""
        request_id = fields["request_id"]
        return cls(str(fields["kind"]), str(fields["id"]), None if request_id is None else str(request_id))


_NOBODY_SAID: Final = Actor()
_ACTING: ContextVar[Actor] = ContextVar("voxid_actor", default=_NOBODY_SAID)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Let every event written inside the block be this actor's.

    A context variable: threads started by `asyncio.to_thread` or a web framework inherit it, plain threads do not.

    Example:
        >>> with acting_as(Actor("key", "k7", "r1")):
        ...     current_actor().id
        'k7'
        >>> current_actor().kind
        'local'
    """
    token = _ACTING.set(actor)
    try:
        yield
    finally:
        _ACTING.reset(token)


def current_actor() -> Actor:
    """Return who is acting here and now."""
    return _ACTING.get()
