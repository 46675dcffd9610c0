"""Exports: all that is kept of a person, for them; the whole gallery, for another installation; and imports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from voxid.audit.events import Event
from voxid.errors import VoxidError
from voxid.gallery.transfer import TransferReport
from voxid.service.api.people import person_by_id
from voxid.service.api.shapes import In
from voxid.service.exporting import export_person
from voxid.service.guard import allow_recording
from voxid.service.identity import service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.state import Service, Tenant

__all__ = ["router"]

router = APIRouter(tags=["export"], responses=responses())

Exporting = Annotated[Tenant, Depends(tenant_for("export"))]
Running = Annotated[Service, Depends(service_of)]
Passphrase = Annotated[
    str,
    Field(
        examples=["eight words that nobody else would say"],
        min_length=8,
        max_length=1000,
        description="All that protects the voiceprints",
    ),
]
_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}


class PersonExport(In):
    """Whose data."""

    person_id: str = Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        examples=["3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"],
    )
    passphrase: Passphrase | None = Field(
        None, description="Encrypts the voiceprints, which are left out without it; the rest is to be read"
    )


class GalleryExport(In):
    """The passphrase of a whole gallery."""

    passphrase: Passphrase


class ImportedOut(BaseModel):
    """What was taken over."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"people": 12, "voiceprints": 31, "opt_outs": 1, "skipped_opted_out": 0}
        }
    )

    people: int
    voiceprints: int
    opt_outs: int = Field(description="New here")
    skipped_opted_out: int = Field(description="People left out because they opted out here")


@router.post(
    "/exports/person",
    summary="Export a person's data",
    response_class=Response,
    responses={**responses(404), 200: {"content": {"application/zip": _BINARY}}},
)
def export_of_person(tenant: Exporting, service: Running, wanted: PersonExport) -> Response:
    """Return everything kept of a person as a zip with a signed manifest of hashes (GDPR, articles 15 and 20)."""
    person = person_by_id(tenant, wanted.person_id)
    content = export_person(tenant.gallery, person, service.jobs.spool, wanted.passphrase)
    tenant.store.record([Event("person.exported", person_id=person.id, at=tenant.gallery.now())])
    headers = {"Content-Disposition": 'attachment; filename="person.zip"'}
    return Response(content, media_type="application/zip", headers=headers)


@router.post(
    "/exports/gallery",
    summary="Export the whole gallery",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": _BINARY}}},
)
def export_of_gallery(tenant: Exporting, service: Running, wanted: GalleryExport) -> FileResponse:
    """Return everybody, encrypted with the passphrase, as `voxid people import` and POST /v1/imports take it."""
    path = service.jobs.spool.path_of_encrypted()
    try:
        tenant.gallery.export(path, passphrase=wanted.passphrase)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename="gallery.voxid-export",
        background=BackgroundTask(path.unlink, missing_ok=True),
    )


@router.post(
    "/imports",
    summary="Import people",
    responses=responses(408, 409, 413),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "What POST /v1/exports/gallery or `voxid people export` wrote",
            "content": {"application/octet-stream": _BINARY},
        }
    },
)
async def import_people(
    request: Request,
    tenant: Exporting,
    service: Running,
    passphrase: Annotated[
        str, Header(alias="X-Voxid-Passphrase", max_length=4000, description="Of the export, percent-encoded")
    ],
) -> ImportedOut:
    """Take over everybody in an export, or nobody; opt-outs on either side are honoured."""
    allow_recording(request)  # an export is as long
    with service.jobs.spool.encrypted() as path:
        with path.open("xb") as file:
            async for chunk in request.stream():
                await run_in_threadpool(file.write, chunk)
        report = await run_in_threadpool(_imported, tenant, path, unquote(passphrase))
    return ImportedOut(
        people=len(report.people),
        voiceprints=report.voiceprints,
        opt_outs=report.opt_outs,
        skipped_opted_out=len(report.skipped_opted_out),
    )


def _imported(tenant: Tenant, path: Path, passphrase: str) -> TransferReport:
    """Return what was taken over; what is wrong is said of "the export", for its sender does not know our file."""
    try:
        return tenant.gallery.import_(path, passphrase=passphrase)
    except VoxidError as error:
        raise type(error)(error.code, error.message.replace(path.name, "the export")) from None
