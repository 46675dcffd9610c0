"""What may stand behind the question mark of an address: a name nobody reads is refused, not passed over."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from voxid.errors import InputError
from voxid.service.observing import route_of

__all__ = ["refuse_unknown"]


def refuse_unknown(connection: HTTPConnection) -> None:
    """Refuse a request with a parameter its operation does not document: `?chanel=1` is no wish for the mean of all.

    Raises:
        InputError: request_invalid.
    """
    if not connection.query_params or connection.scope["type"] != "http":
        return
    methods = connection.app.openapi()["paths"].get(route_of(connection.scope), {})
    operation = methods.get(connection.scope["method"].lower(), {})
    known = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
    for name in connection.query_params:
        if name not in known:
            there = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise InputError(
                "request_invalid",
                f"The request cannot be used: there is no parameter {name[:60]!r} at this address, {there}; see "
                "/v1/openapi.json.",
            )
