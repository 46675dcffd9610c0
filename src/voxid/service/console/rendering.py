"""Templates to pages, with the headers every page goes out with."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["render"]

# Scripts and styles are files of ours. The one nonce is for the style element that wavesurfer.js puts into its own
# shadow tree; recordings are played from memory (blob:), never from elsewhere.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self'; media-src blob:; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def render(template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """Return a page; what the values hold reaches it as text, never as markup."""
    nonce = secrets.token_urlsafe(16)
    text = _environment().get_template(template).render(**values, nonce=nonce)
    return HTMLResponse(text, status, {**_HEADERS, "Content-Security-Policy": _POLICY.format(nonce=nonce)})


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("voxid.service.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
