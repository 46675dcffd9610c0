"""Recordings as they arrive: counted while they come, held in memory, never written down in plain.

A recording is the body itself (`Content-Type: audio/wav` or another, `application/octet-stream`), or the part "audio"
of a form (`multipart/form-data`), as browsers send one.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import Depends, Query, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from voxid.errors import InputError
from voxid.service.guard import allow_recording
from voxid.service.identity import service_of
from voxid.service.settings import Limits

__all__ = ["AUDIO_BODY", "Audio", "Upload", "recording_chunks"]

_PART: Final = "audio"
_MAX_PART_HEADER_BYTES: Final = 4096
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
AUDIO_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The recording: WAV, FLAC, Ogg, Opus, MP3, AIFF, AU or SPHERE; M4A, MP4, WebM and AMR with the "
        "extra media.",
        "content": {
            "audio/wav": _BINARY,
            "audio/flac": _BINARY,
            "audio/ogg": _BINARY,
            "application/octet-stream": _BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {_PART: {"type": "string", "format": "binary"}},
                    "required": [_PART],
                }
            },
        },
    }
}
"""`openapi_extra` of a route that takes a recording."""


@dataclass(frozen=True)
class Upload:
    """A recording as it came.

    Args:
        content: the encoded bytes.
        channel: 0-based channel to take; None: the mean of all.
    """

    content: bytes = field(repr=False)
    channel: int | None = None

    @property
    def sha256(self) -> str:
        """Hash (hex) of the encoded bytes."""
        return hashlib.sha256(self.content).hexdigest()


async def recording_chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the recording in a request's body as it arrives, taken out of its form where it is in one.

    Raises:
        InputError: media_type_unsupported, request_invalid for a form without it, audio_empty.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    allow_recording(request)
    came = False
    chunks: AsyncIterator[bytes] = request.stream()
    if kind == b"multipart/form-data":
        chunks = _of_form(chunks, options.get(b"boundary", b""))
    elif kind in (b"application/json", b"application/x-www-form-urlencoded") or kind.startswith(b"text/"):
        raise InputError(
            "media_type_unsupported",
            f"The body is {kind.decode('latin-1')}; send the recording itself, with Content-Type audio/wav, audio/ogg "
            "or application/octet-stream, or in a form as the part 'audio'.",
        )
    async for chunk in chunks:
        came = came or bool(chunk)
        yield chunk
    if not came:
        raise InputError("audio_empty", "The body has 0 bytes; send a recording with speech in it.")


async def uploaded(
    request: Request,
    channel: Annotated[
        int | None, Query(ge=0, le=63, description="Channel to take, from 0; without it all are averaged")
    ] = None,
) -> Upload:
    """Return the recording in a request, whole.

    Raises:
        InputError: audio_too_large, and as `recording_chunks`.
    """
    limits: Limits = service_of(request).settings.limits
    content = bytearray()
    async for chunk in recording_chunks(request):
        content += chunk
        if len(content) > limits.max_audio_bytes:
            raise InputError(
                "audio_too_large",
                f"The recording is longer than {limits.max_audio_bytes:,} bytes, the most that is read here; send a "
                "shorter one, or a compressed one.",
            )
    return Upload(bytes(content), channel)


Audio = Annotated[Upload, Depends(uploaded)]
"""A route's recording; it stands behind the tenant in the signature, so that nothing is read for a stranger."""


class _Form:
    """The part "audio" of a form, passed on piece by piece."""

    def __init__(self, boundary: bytes) -> None:
        self.found = False
        self._wanted = False
        self._field = bytearray()
        self._value = bytearray()
        self._pieces: list[bytes] = []
        callbacks: Any = {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_part_data": self._data,
        }
        self._parser = MultipartParser(boundary, callbacks)

    def write(self, chunk: bytes) -> bytes:
        """Return what of the part is in a chunk of the body."""
        self._parser.write(chunk)
        piece = b"".join(self._pieces)
        self._pieces.clear()
        return piece

    def _part_begins(self) -> None:
        self._wanted = False
        self._header_ends_clean()

    def _header_ends_clean(self) -> None:
        self._field.clear()
        self._value.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._field) + len(self._value) > _MAX_PART_HEADER_BYTES:
            raise FormParserError("a header of a part is too long")

    def _header_ends(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._wanted = options.get(b"name") == _PART.encode() and not self.found
            self.found = self.found or self._wanted
        self._header_ends_clean()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self._pieces.append(data[start:end])


async def _of_form(chunks: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[bytes]:
    try:
        form = _Form(boundary)
        async for chunk in chunks:
            yield form.write(chunk)
    except FormParserError as error:
        raise InputError(
            "request_invalid", f"The form cannot be read ({error}); send it as multipart/form-data."
        ) from None
    if not form.found:
        raise InputError(
            "request_invalid", "The form has no part called 'audio'; put the recording there, as a file."
        )
