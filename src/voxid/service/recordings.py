"""A recording on its way in: from the request's body straight into the sealed spool, nothing of it in the clear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import Message
from pathlib import PurePath
from typing import Final

from starlette.concurrency import run_in_threadpool

from voxid.decoding import open_encoded
from voxid.errors import InputError
from voxid.service.spool import SealedAudio, Spool

__all__ = ["receive_recording", "recording_name"]

_PASSED_ON_BYTES: Final = 1 << 20  # sealed and written at once, in a thread of its own
_MAX_NAME_CHARS: Final = 200


async def receive_recording(
    body: AsyncIterator[bytes], spool: Spool, owner: str, *, max_bytes: int
) -> SealedAudio:
    """Return the sealed recording; nothing is left of one that cannot be used.

    Args:
        body: the pieces as they come.
        spool: where to.
        owner: whose it is, e.g. the id of the job to be.
        max_bytes: the most that is taken.

    Raises:
        InputError: audio_empty, audio_too_large, audio_unknown_format, audio_truncated, audio_unreadable.
        ConfigError: media_extra_missing. StoreError: spool_full, spool_unwritable.
    """
    with await run_in_threadpool(spool.create, owner, max_bytes=max_bytes) as writer:
        waiting = bytearray()
        async for piece in body:
            waiting += piece
            if len(waiting) >= _PASSED_ON_BYTES:
                await run_in_threadpool(writer.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(writer.write, bytes(waiting))
        audio = await run_in_threadpool(writer.finish)
    try:
        await run_in_threadpool(_check_readable, spool, audio, owner)
    except BaseException:
        spool.remove(audio.name)
        raise
    return audio


def recording_name(disposition: str | None) -> str:
    """Return the short name of a recording, from a Content-Disposition header.

    Names stand in no address, because addresses are logged; RFC 6266 has a header for a file's name.

    Raises:
        InputError: recording_name_invalid.

    Example:
        >>> recording_name("attachment; filename*=UTF-8''Vorstand%20Mai.wav"), recording_name(None)
        ('Vorstand Mai', 'audio')
    """
    if disposition is None:
        return "audio"
    header = Message()
    header["Content-Disposition"] = disposition
    name = PurePath((header.get_filename() or "audio").replace("\\", "/")).stem.strip()
    if not name or len(name) > _MAX_NAME_CHARS or not name.isprintable():
        raise InputError(
            "recording_name_invalid",
            f"The file name in Content-Disposition cannot be used; expected 1 to {_MAX_NAME_CHARS} visible letters.",
        )
    return name


def _check_readable(spool: Spool, audio: SealedAudio, owner: str) -> None:
    """Look at the beginning: what is no audio at all is refused now, not when the job begins."""
    with spool.open(audio, owner) as file:
        decoder = open_encoded(file, "the recording")
        decoder.blocks.close()  # type: ignore[attr-defined]  # a generator, which holds the file until it is closed
