"""The OpenAPI document is complete: words, sign-in, errors and an example for everything that is sent or answered."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from voxid.service.app import create_app
from voxid.service.problems import STATUS_OF
from voxid.service.roles import SCOPES
from voxid.service.settings import ServiceSettings


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return create_app(ServiceSettings(data=tmp_path_factory.mktemp("nothing"))).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in document["paths"].items():
        for method, operation in found.items():
            if path.startswith("/v1/"):
                yield f"{method.upper()} {path}", operation


def test_every_operation_says_what_it_does_and_who_may(document: dict[str, Any]) -> None:
    """A summary, a description, a tag, an id of its own, and a known scope."""
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids) > 40
    for name, operation in operations(document):
        assert {"summary", "description", "tags", "security"} <= set(operation), name
        assert {way for one in operation["security"] for way in one} == {"bearer", "session"}, name
        scopes = {scope for one in operation["security"] for scope in next(iter(one.values()))}
        assert scopes <= set(SCOPES), name
        assert "Needs " in operation["description"], name


def test_every_error_has_the_one_shape(document: dict[str, Any]) -> None:
    """Each refusal an operation names is a problem; nothing speaks of FastAPI's own shape."""
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                kinds = answer["content"]
                assert list(kinds) == ["application/problem+json"], (name, status)
                assert kinds["application/problem+json"]["schema"]["$ref"].endswith("/Problem"), name
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "example" in document["components"]["schemas"]["Problem"]


def test_the_table_of_statuses_holds_refusals_only() -> None:
    """A code stands for a status between 400 and 599."""
    assert all(400 <= status < 600 for status in STATUS_OF.values())


def test_what_is_made_is_made_once(document: dict[str, Any]) -> None:
    """Every POST takes an Idempotency-Key but those that only look, those a repetition of which finds it done, or
    refuses it, and those that hand out a secret."""
    without = {
        name
        for name, operation in operations(document)
        if name.startswith("POST")
        and "Idempotency-Key" not in [one["name"] for one in operation.get("parameters", ())]
    }
    looking = {"people/search", "people/{person_id}/merge/preview", "opt-outs/check", "audit/verify"}
    again = {
        *("people/{person_id}/merge", "people/{person_id}/consents", "people/{person_id}/consents/withdraw"),
        *("people/{person_id}/receipts", "challenges", "diarizations/{job_id}/cancel", "imports"),
        *(
            f"diarizations/{{job_id}}/{one}"
            for one in ("corrections", "split", "merge", "undo", "references")
        ),
        *("diarizations/{job_id}/corrections/file", "unknown/purge", "opt-outs", "opt-outs/lift"),
        *(f"unknown/{{unknown_id}}/{one}" for one in ("name", "merge", "opt-out")),
        *("reviews/{review_id}/decide", "disputes/{dispute_id}/resolve", "privacy/retention"),
    }
    secret = {"keys", "keys/{key_id}/rotate", "session", "exports/person", "exports/gallery"}
    assert without == {f"POST /v1/{one}" for one in looking | again | secret}


def test_every_code_stands_in_the_page_of_errors() -> None:
    """With its status; the table of statuses holds no code that nothing raises."""
    path = Path(__file__).parents[1] / "scripts" / "list_errors.py"
    spec = importlib.util.spec_from_file_location("list_errors", path)
    assert spec is not None
    assert spec.loader is not None
    script = sys.modules["list_errors"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", script.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    codes = {code.name: code.status for code in script.codes()}
    assert {name: int(status) for name, status in rows} == codes, "run: python scripts/list_errors.py"
    assert set(STATUS_OF) <= set(codes)
    assert {"person_missing", "live_too_long", "path_missing", "poor_quality"} <= set(codes)


def test_everything_sent_has_an_example(document: dict[str, Any]) -> None:
    """Each field of a body is shown by an example, a default, the few values it can have, or may be left out."""
    schemas = document["components"]["schemas"]
    bare = []
    for name, operation in operations(document):
        for body in operation.get("requestBody", {}).get("content", {}).values():
            shape = schemas.get(body["schema"].get("$ref", "").rpartition("/")[2])
            if shape is None or "example" in shape:
                continue
            bare += [
                f"{name}: {field}" for field, one in shape["properties"].items() if not shown(one, schemas)
            ]
    assert bare == []


def test_everything_answered_has_an_example(document: dict[str, Any]) -> None:
    """Each field of an answer in JSON, by itself or in an example of the whole."""
    schemas = document["components"]["schemas"]
    bare = []
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            body = answer.get("content", {}).get("application/json")
            if body is None or int(status) >= 400:
                continue
            shape = schemas.get(body["schema"].get("$ref", "").rpartition("/")[2])
            assert shape is not None or body["schema"].get("additionalProperties"), name
            if shape is None or "example" in shape:
                continue
            bare += [
                f"{name}: {field}" for field, one in shape["properties"].items() if not shown(one, schemas)
            ]
    assert bare == []


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    """In words, whether it stands in the address or in a header."""
    parameters = [(name, one) for name, found in operations(document) for one in found.get("parameters", ())]
    assert [(name, one["name"]) for name, one in parameters if not one.get("description")] == []


def test_examples_are_true() -> None:
    """What stands as an example of a shape has that shape."""
    named = [shape for shape in shapes(BaseModel) if shape.__module__.startswith("voxid.service")]
    told = {shape: shape.model_json_schema().get("example") for shape in named}
    examples = {shape: example for shape, example in told.items() if example is not None}
    assert len(examples) > 30
    for shape, example in examples.items():
        assert set(shape.model_validate(example).model_dump()) >= set(example), shape


def shapes(shape: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for one in shape.__subclasses__():
        yield one
        yield from shapes(one)


def shown(field: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Return whether a reader sees what may stand in a field."""
    if {"examples", "example", "default", "enum", "const"} & set(field) or field.get("type") in (
        "boolean",
        "null",
    ):
        return True
    inner = [field.get("items", {}), *field.get("anyOf", ())]
    if "$ref" in field:
        inner.append(schemas[field["$ref"].rpartition("/")[2]])
    fields = field.get("properties", {}).values()
    return any(shown(one, schemas) for one in inner if one) or (
        bool(fields) and all(shown(one, schemas) for one in fields)
    )
