"""A model file from an address or a disk into a folder of ours: whole, of bounded size, with the hash it must have.

The rules, all of them:

1. Nothing is fetched but by ``voxid models add``, and nothing but the one address given.
2. https only, with certificates checked, also after redirections, of which there may be five.
3. The SHA-256 is known before the first byte is asked for. A file that has another is deleted.
4. Never more than 1 GiB is written, whatever the server announces.
5. What was hashed is what is used: the file is copied first, and only the copy is opened.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from voxid.errors import InputError

MAX_MODEL_BYTES: Final = 2**30
_BLOCK_BYTES: Final = 1 << 16
_SILENCE_S: Final = 30.0
_MAX_REDIRECTIONS: Final = 5

Progress = Callable[[float], None]


@dataclass(frozen=True)
class TakenFile:
    """A file that was copied here and hashed on the way."""

    path: Path
    sha256: str
    size_bytes: int


def is_address(source: str) -> bool:
    """Return whether a source is meant as an address and not as a path."""
    return "://" in source


def check_address(url: str) -> None:
    """Raise InputError ``address_refused`` for anything but https with a host and without a password."""
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username or parts.password
    except ValueError as error:
        raise InputError(
            "address_refused", f"{url[:200]} is no address ({error}); give one of https."
        ) from error
    if parts.scheme != "https" or not host:
        raise InputError(
            "address_refused",
            f"{url[:200]} is not fetched: only https is, so that nobody on the way can change the file. Give an https "
            "address, or download the file yourself and add its path.",
        )
    if secret:
        raise InputError(
            "address_refused",
            "the address holds a user name or password, which would be stored in the model's card. Download the file "
            "yourself and add its path.",
        )


def fetch(url: str, sha256: str, target: Path, progress: Progress | None = None) -> TakenFile:
    """Return the file at an https address, written to ``target``.

    Raises:
        InputError: ``address_refused``, ``download_failed`` for a server that does not answer with a file,
            ``download_is_page`` for a web page, ``model_too_large`` above 1 GiB, ``model_hash_mismatch``.
    """
    check_address(url)
    request = urllib.request.Request(url, headers={"User-Agent": "voxid", "Accept-Encoding": "identity"})
    try:
        with _opener().open(request, timeout=_SILENCE_S) as reply:
            if reply.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
                raise InputError(
                    "download_is_page",
                    f"{url} answers with a web page, not with a file. Give the address of the file itself (on "
                    "huggingface.co: .../resolve/main/...).",
                )
            announced = int(reply.headers.get("Content-Length") or 0)
            taken = _copy(reply, target, announced, url, progress)
    except InputError:
        raise
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        code = f"HTTP {error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        raise InputError(
            "download_failed",
            f"{url} could not be fetched: {code}{reason}. Check the address and the connection, or download the "
            "file yourself and add its path.",
        ) from error
    if announced and taken.size_bytes != announced:
        raise InputError(
            "download_failed",
            f"{url} announced {announced:,} bytes and sent {taken.size_bytes:,}. Try again.",
        )
    check_hash(taken, sha256, url)
    return taken


def take(path: Path, target: Path, progress: Progress | None = None) -> TakenFile:
    """Return a copy of a local file, hashed on the way.

    Raises:
        InputError: ``model_missing`` when it is not there or cannot be read, ``model_too_large`` above 1 GiB.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError("model_missing", f"{path} is not a file; give a model file.")
        with path.open("rb") as file:
            return _copy(file, target, size, str(path), progress)
    except OSError as error:
        raise InputError(
            "model_missing", f"{path} cannot be read ({error.strerror}); give a model file."
        ) from error


def check_hash(taken: TakenFile, sha256: str, source: str) -> None:
    """Raise InputError ``model_hash_mismatch`` unless the file has this SHA-256; the file is then deleted."""
    if taken.sha256 != sha256:
        taken.path.unlink(missing_ok=True)
        raise InputError(
            "model_hash_mismatch",
            f"{source} has SHA-256 {taken.sha256}, expected {sha256}: it is another file, damaged or replaced. It was "
            "not added. Get the hash from the publisher again, not from where the file came from.",
        )


def _copy(source: IO[bytes], target: Path, announced: int, name: str, progress: Progress | None) -> TakenFile:
    if announced > MAX_MODEL_BYTES:
        raise _too_large(name)
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        while block := source.read(_BLOCK_BYTES):
            size += len(block)
            if size > MAX_MODEL_BYTES:
                raise _too_large(name)
            digest.update(block)
            file.write(block)
            if progress is not None and announced:
                progress(min(1.0, size / announced))
    return TakenFile(target, digest.hexdigest(), size)


def _too_large(name: str) -> InputError:
    return InputError(
        "model_too_large",
        f"{name} is larger than {MAX_MODEL_BYTES // 2**20:,} MiB, which no speaker model voxid runs is. It was not "
        "added.",
    )


class _HttpsRedirections(urllib.request.HTTPRedirectHandler):
    """Follows to https addresses only."""

    max_redirections = _MAX_REDIRECTIONS

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener that knows https and nothing else: no http, ftp, file or data addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        _HttpsRedirections(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
