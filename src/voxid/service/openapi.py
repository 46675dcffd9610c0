"""The OpenAPI document: what FastAPI writes, and what it cannot know: the shape of its errors, and what scopes mean."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from voxid.service.problems import Problem

__all__ = ["install"]

_SCHEMAS: Final = "#/components/schemas/{model}"


def install(app: FastAPI) -> None:
    """Make the application's OpenAPI document complete; it is written on the first request for it."""

    def document() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _written(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _written(app: FastAPI) -> dict[str, Any]:
    written = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    schemas = written.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template=_SCHEMAS)
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    # FastAPI's own shape of validation errors is not what is answered here.
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for operations in written["paths"].values():
        for operation in operations.values():
            _tell_scope(operation)
    return written


def _tell_scope(operation: dict[str, Any]) -> None:
    """Say in words what the operation's security says: which scope, or that anybody signed in may."""
    named = {scope for way in operation.get("security", ()) for scopes in way.values() for scope in scopes}
    if "security" in operation:
        needs = f"the scope `{min(named)}`" if named else "any valid key, token or session"
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds {needs}.".strip()
