"""Errors as `application/problem+json` (RFC 9457): one table from code to HTTP status, one shape for everything.

A code that is not in the table has the status of its branch of the error tree (`voxid.errors`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from voxid.errors import PolicyError, VoxidError
from voxid.service.observing import refused_with

__all__ = ["STATUS_OF", "Problem", "TooOftenError", "install", "problem_response", "responses"]

_log = logging.getLogger("voxid.service")

# Codes whose status is not their branch's; docs/errors.md has all of them (scripts/list_errors.py).
STATUS_OF: Final[dict[str, int]] = {
    # who asks
    "credentials_missing": 401,
    "credentials_invalid": 401,
    "csrf_missing": 403,
    "scope_missing": 403,
    # what is asked for
    "request_invalid": 422,
    "path_missing": 404,
    "method_not_allowed": 405,
    "media_type_unsupported": 415,
    "tenant_missing": 404,
    "person_missing": 404,
    "document_missing": 404,
    "key_unknown": 404,
    "enrollment_missing": 404,
    "live_call_missing": 404,
    "unknown_missing": 404,
    "job_missing": 404,
    "timeline_missing": 404,
    "turn_missing": 404,
    "speaker_missing": 404,
    "review_missing": 404,
    "watchlist_missing": 404,
    "dispute_missing": 404,
    "decision_missing": 404,
    "audit_entry_missing": 404,
    "receipt_missing": 404,
    "model_missing": 404,
    "policy_missing": 404,
    # conflicts
    "document_changed": 409,
    "person_exists": 409,
    "tenant_exists": 409,
    "voice_already_enrolled": 409,
    "enrollment_inconsistent": 409,
    "merge_same_person": 409,
    "merge_different_voices": 409,
    "unknown_changed": 409,
    "enrollment_full": 409,
    "voiceprint_exists": 409,
    "too_many_voiceprints": 409,
    "too_many_keys": 409,
    "idempotency_conflict": 409,
    "idempotency_running": 409,
    "audio_replayed": 409,
    # size and kind of audio
    "audio_too_large": 413,
    "body_too_large": 413,
    "document_too_large": 413,
    "export_damaged": 422,
    "import_conflict": 409,
    "passphrase_wrong": 403,
    "audio_unknown_format": 415,
    "media_extra_missing": 415,
    "body_too_slow": 408,
    # not here, or not now
    "challenge_extra_missing": 503,
    "spoof_detector_missing": 503,
    "jobs_not_running": 503,
    # too often
    "rate_limited": 429,
    "jobs_waiting": 429,
    "person_locked": 429,
    "sign_in_locked": 429,
    "live_calls_exceeded": 429,
    "overloaded": 503,
    # the store
    "store_busy": 503,
    "store_readonly": 503,
    "store_unreachable": 503,
    "store_full": 507,
    "spool_full": 507,
    "defect": 500,
}
MEDIA_TYPE: Final = "application/problem+json"


class TooOftenError(PolicyError):
    """Refused for a time; the same request may be let through after it.

    Args:
        retry_after_s: seconds until then.
    """

    def __init__(self, code: str, message: str, retry_after_s: float) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class FieldProblem(BaseModel):
    """One field that cannot be used."""

    field: str = Field(examples=["body.consent.purposes"])
    problem: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """What went wrong, for programs (`code`) and for people (`detail`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:voxid:problem:person_missing",
                "title": "Person missing",
                "status": 404,
                "detail": "There is no person of this id; list the people to see who is enrolled.",
                "code": "person_missing",
                "instance": "urn:voxid:request:0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
            }
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    errors: list[FieldProblem] | None = None


def status_of(error: VoxidError) -> int:
    """Return the HTTP status of an error."""
    return STATUS_OF.get(error.code, error.http_status)


def problem_response(request_id: str, error: VoxidError, fields: Sequence[FieldProblem] = ()) -> JSONResponse:
    """Return the answer for an error."""
    status = status_of(error)
    refused_with(error.code)
    body = Problem(
        type=f"urn:voxid:problem:{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=status,
        detail=error.message,
        code=error.code,
        instance=f"urn:voxid:request:{request_id}",
        errors=list(fields) or None,
    )
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooOftenError):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return JSONResponse(body.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route's OpenAPI entry says of the errors it answers with, the everyday ones included."""
    content = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    titles = {
        401: "No credentials, or not valid ones",
        403: "Refused: scope, consent or another rule",
        404: "There is no such thing",
        408: "The body came too slowly",
        409: "In conflict with what is stored",
        413: "Too large",
        415: "Not a kind of content that is read",
        422: "The request or the recording cannot be used",
        429: "Too often; see Retry-After",
        500: "A defect or a damaged store",
        503: "Not now",
    }
    return {
        status: {"description": titles[status], **content}
        for status in sorted({401, 403, 422, 429, 500, 503, *statuses})
    }


def install(app: FastAPI) -> None:
    """Make every error of the application a problem; a defect becomes one in `voxid.service.guard`."""

    @app.exception_handler(VoxidError)
    async def _coded(request: Request, error: VoxidError) -> JSONResponse:
        if status_of(error) >= 500:
            _log.error("request %s failed: %s", _id_of(request), error.code)
        return problem_response(_id_of(request), error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # The values sent are left out: they may be names.
        fields = [
            FieldProblem(field=".".join(str(part) for part in one["loc"]), problem=str(one["msg"]))
            for one in error.errors()[:20]
        ]
        first = f"{fields[0].field}: {fields[0].problem}" if fields else "it cannot be read"
        sentence = f"The request cannot be used ({first}); see /v1/openapi.json for what is expected."
        return problem_response(_id_of(request), VoxidError("request_invalid", sentence), fields)

    @app.exception_handler(HTTPException)
    async def _plain(request: Request, error: HTTPException) -> JSONResponse:
        answer = problem_response(_id_of(request), _of_http(error, request.url.path))
        answer.headers.update(error.headers or {})
        return answer


def _of_http(error: HTTPException, path: str) -> VoxidError:
    if isinstance(error.detail, VoxidError):
        return error.detail
    if error.status_code == 404:
        return VoxidError(
            "path_missing",
            f"There is nothing at {path[:200]}; see /v1/openapi.json for what there is.",
        )
    if error.status_code == 405:
        return VoxidError(
            "method_not_allowed", f"{path[:200]} does not take this method; see the Allow header."
        )
    return VoxidError("request_invalid", "The request cannot be read; check its body and its headers.")


def _id_of(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))
