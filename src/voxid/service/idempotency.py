"""The header Idempotency-Key: the same request with the same key is done once, and answered alike each time.

The answer is kept sealed in the tenant's gallery, with the person it is about where there is one, so that it goes with
them; one about several people is not kept, and its request, which only looked, is done again. Another request under a
used key is a conflict. A request that was cut off half-way leaves its key taken for a minute; then the same request may
be done again. An act that is one transaction keeps its answer in it (`Idempotency.answer_within`): cut off, it was not
done, and its key is free.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from voxid.gallery.change import Change
from voxid.gallery.documents import Document
from voxid.gallery.store import Store
from voxid.service.identity import principal_of, service_of
from voxid.service.roles import Principal
from voxid.service.underway import UnderWay, conflict, running

__all__ = ["Idempotency", "Keeping", "Once"]

_KIND: Final = "idempotency"
_TAKEN_S: Final = 60.0
REPLAYED_HEADER: Final = "Idempotent-Replayed"
T = TypeVar("T", bound=BaseModel)


class Keeping(Generic[T]):
    """How the change that does what is asked keeps its answer; without a key it does nothing."""

    def claim(self, change: Change) -> None:
        """Undo the change, from inside it and before anything else is done, where another process was first."""

    def keep(self, change: Change, answer: T) -> None:
        """Keep the answer."""


class _AnsweredError(Exception):
    """Another process did the same request meanwhile; what this one did is undone."""

    def __init__(self, answer: JSONResponse) -> None:
        self.answer = answer


@dataclass(frozen=True)
class Idempotency:
    """One request, and the key it came with, if any.

    Args:
        key: as sent; None: the request is done whenever it comes.
        asker: who sent it: keys of two askers are two keys.
        store: of the tenant.
        now: the time.
        kept_h: how long the answer is kept, in hours.
        what: method and path.
        under_way: what this process does now.
    """

    key: str | None
    asker: str
    store: Store
    now: datetime
    kept_h: float
    what: str
    under_way: UnderWay

    def answer(
        self,
        do: Callable[[], T],
        *,
        about: tuple[str, ...],
        person_id: str | None = None,
        people_of: Callable[[T], Collection[str]] | None = None,
        status: int = 200,
    ) -> T | JSONResponse:
        """Return what `do` returns, or what it returned when this request came first.

        Errors are not kept: a request that failed may be sent again under its key. Nor is an answer that tells of
        several people: it could go with one of them only.

        Args:
            about: what makes the request this one and no other: hash of its body, its options.
            person_id: whom the answer is about; `people_of`: tells it from the answer, when that alone says it.
            status: of the answer when it is given again.

        Raises:
            CompatibilityError: idempotency_conflict, idempotency_running.
        """
        if self.key is None:
            return do()
        request = self._request(about)
        taken = self._take(request, person_id)
        if isinstance(taken, JSONResponse):
            return taken
        try:
            answer = do()
        except BaseException:
            with self.store.changing() as change:
                change.delete_document(_KIND, self._id)
            raise
        body = {"request": request, "status": status, "answer": answer.model_dump(mode="json")}
        whom = () if person_id is None else (person_id,)
        self._keep_done(body, whom if people_of is None else people_of(answer), taken + 1)
        return answer

    def answer_within(
        self, do: Callable[[Keeping[T]], T], *, about: tuple[str, ...], person_id: str, status: int = 200
    ) -> T | JSONResponse:
        """Return what `do` returns, which keeps its answer in the change that does what is asked.

        Two processes that are sent the same request at once both begin it; whoever writes second finds the answer of
        the first, is undone as a whole, and gives that one.

        Args:
            about, person_id, status: as for `answer`.

        Raises:
            CompatibilityError: idempotency_conflict, idempotency_running.
        """
        if self.key is None:
            return do(Keeping())
        request = self._request(about)
        with self.under_way.doing(self.store.path.name, self._id, request):
            given = self._given_before(self.store.document(_KIND, self._id), request)
            if given is not None:
                return given
            try:
                return do(_Keeping(self, request, person_id, status))
            except _AnsweredError as answered:
                return answered.answer

    def undo_if_given(self, change: Change, request: str) -> None:
        """End the change where the answer was given meanwhile."""
        given = self._given_before(change.document(_KIND, self._id), request)
        if given is not None:
            raise _AnsweredError(given)

    def keep(self, change: Change, body: Mapping[str, Any], person_id: str) -> None:
        """Keep an answer with its person."""
        self._make_way(change, change.document(_KIND, self._id))
        change.put_document(Document(_KIND, self._id, body, "done", person_id, self._due_at))

    def _keep_done(self, body: Mapping[str, Any], people: Collection[str], version: int) -> None:
        """Keep an answer with the person it is about; where that cannot be, free the key."""
        with self.store.changing() as change:
            if change.document(_KIND, self._id) is None:
                return  # the request deleted its own person, and the key's document with them
            if len(people) > 1 or not all(change.holds(one) for one in people):
                change.delete_document(_KIND, self._id)
                return
            whose = next(iter(people), None)
            change.put_document(Document(_KIND, self._id, body, "done", whose, self._due_at, version))

    def _request(self, about: tuple[str, ...]) -> str:
        return hashlib.sha256(json.dumps([self.what, *about]).encode()).hexdigest()

    @property
    def _due_at(self) -> datetime:
        return self.now + timedelta(hours=self.kept_h)

    @property
    def _id(self) -> str:
        return hashlib.sha256(f"{self.asker}\n{self.key}".encode()).hexdigest()

    def _take(self, request: str, person_id: str | None) -> int | JSONResponse:
        """Take the key and return the version of its document, or the answer given before."""
        body: dict[str, Any] = {"request": request, "taken_at": self.now.isoformat()}
        with self.store.changing() as change:
            found = change.document(_KIND, self._id)
            given = self._given_before(found, request)
            if given is not None:
                return given
            self._make_way(change, found)
            change.put_document(Document(_KIND, self._id, body, "running", person_id, self._due_at))
        return 1

    def _make_way(self, change: Change, found: Document | None) -> None:
        """Delete what stood under this key and counts no more, and some of what ran out."""
        if found is not None:
            change.delete_document(_KIND, self._id)
        for old in self.store.documents(_KIND, due_before=self.now, limit=20):
            change.delete_document(_KIND, old.id)

    def _ended(self, found: Document) -> bool:
        if found.due_at is not None and self.now >= found.due_at:
            return True
        if found.state != "running":
            return False
        return (self.now - datetime.fromisoformat(found.body["taken_at"])).total_seconds() >= _TAKEN_S

    def _given_before(self, found: Document | None, request: str) -> JSONResponse | None:
        """Return the answer given before; None when there was none, or it counts no more."""
        if found is None or self._ended(found):
            return None
        if found.body["request"] != request:
            raise conflict()
        if found.state == "running":
            raise running()
        return JSONResponse(found.body["answer"], found.body["status"], {REPLAYED_HEADER: "true"})


@dataclass(frozen=True)
class _Keeping(Keeping[T]):
    once: Idempotency
    request: str
    person_id: str
    status: int

    def claim(self, change: Change) -> None:
        self.once.undo_if_given(change, self.request)

    def keep(self, change: Change, answer: T) -> None:
        body = {"request": self.request, "status": self.status, "answer": answer.model_dump(mode="json")}
        self.once.keep(change, body, self.person_id)


def idempotency_of(
    request: Request,
    principal: Annotated[Principal, Depends(principal_of)],
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[\x21-\x7e]{8,128}$",
            description="Do this request once, however often it is sent",
            examples=["0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10"],
        ),
    ] = None,
) -> Idempotency:
    """Return the request's idempotency."""
    service = service_of(request)
    return Idempotency(
        key,
        f"{principal.kind}:{principal.id}",
        service.tenants.get(principal.tenant).store,
        service.clock(),
        service.settings.limits.idempotency_h,
        f"{request.method} {request.url.path}",
        service.under_way,
    )


Once = Annotated[Idempotency, Depends(idempotency_of)]
"""How a route asks for it."""
