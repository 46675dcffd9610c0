"""The header Idempotency-Key: the same request with the same key is done once, and answered alike each time.

The answer is kept sealed in the tenant's gallery, with the person it is about where there is one, so that it goes with
them. Another request under a used key is a conflict. A request that was cut off half-way leaves its key taken for a
minute; then the same request may be done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from voxid.errors import CompatibilityError
from voxid.gallery.documents import Document
from voxid.gallery.store import Store
from voxid.service.identity import principal_of, service_of
from voxid.service.roles import Principal

__all__ = ["Idempotency", "Once"]

_KIND: Final = "idempotency"
_TAKEN_S: Final = 60.0
REPLAYED_HEADER: Final = "Idempotent-Replayed"
T = TypeVar("T", bound=BaseModel)


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
    """

    key: str | None
    asker: str
    store: Store
    now: datetime
    kept_h: float
    what: str

    def answer(
        self,
        do: Callable[[], T],
        *,
        about: tuple[str, ...],
        person_id: str | None = None,
        person_of: Callable[[T], str] | None = None,
        status: int = 200,
    ) -> T | JSONResponse:
        """Return what `do` returns, or what it returned when this request came first.

        Errors are not kept: a request that failed may be sent again under its key.

        Args:
            about: what makes the request this one and no other: hash of its body, its options.
            person_id: whom the answer is about; `person_of`: tells it from the answer, when the request makes them.
            status: of the answer when it is given again.

        Raises:
            CompatibilityError: idempotency_conflict, idempotency_running.
        """
        if self.key is None:
            return do()
        request = hashlib.sha256(json.dumps([self.what, *about]).encode()).hexdigest()
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
        due_at = self.now + timedelta(hours=self.kept_h)
        with self.store.changing() as change:
            # The request may have deleted its own person, and the key's document with them.
            if change.document(_KIND, self._id) is not None:
                whose = person_id if person_of is None else person_of(answer)
                change.put_document(Document(_KIND, self._id, body, "done", whose, due_at, taken + 1))
        return answer

    @property
    def _id(self) -> str:
        return hashlib.sha256(f"{self.asker}\n{self.key}".encode()).hexdigest()

    def _take(self, request: str, person_id: str | None) -> int | JSONResponse:
        """Take the key and return the version of its document, or the answer given before."""
        body: dict[str, Any] = {"request": request, "taken_at": self.now.isoformat()}
        with self.store.changing() as change:
            found = change.document(_KIND, self._id)
            if found is not None and not self._ended(found):
                return self._given(found, request)
            if found is not None:
                change.delete_document(_KIND, self._id)
            for old in self.store.documents(_KIND, due_before=self.now, limit=20):
                change.delete_document(_KIND, old.id)
            due_at = self.now + timedelta(hours=self.kept_h)
            change.put_document(Document(_KIND, self._id, body, "running", person_id, due_at))
        return 1

    def _ended(self, found: Document) -> bool:
        if found.due_at is not None and self.now >= found.due_at:
            return True
        if found.state != "running":
            return False
        return (self.now - datetime.fromisoformat(found.body["taken_at"])).total_seconds() >= _TAKEN_S

    def _given(self, found: Document, request: str) -> JSONResponse:
        if found.body["request"] != request:
            raise CompatibilityError(
                "idempotency_conflict",
                "This Idempotency-Key was used for another request; make a new key for each request.",
            )
        if found.state == "running":
            raise CompatibilityError(
                "idempotency_running",
                "The request with this Idempotency-Key is being done; ask again in a moment.",
            )
        return JSONResponse(found.body["answer"], found.body["status"], {REPLAYED_HEADER: "true"})


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
    )


Once = Annotated[Idempotency, Depends(idempotency_of)]
"""How a route asks for it."""
