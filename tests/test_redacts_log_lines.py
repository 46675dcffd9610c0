"""Log lines: one object a line, credentials struck out, of errors only class and place; of other packages too."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from voxid.service.logs import redacted, start_logging
from voxid.service.settings import OperationsSettings


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the process logs meanwhile."""
    stream = io.StringIO()
    end = start_logging(OperationsSettings(log_level="debug"), stream)
    yield stream
    end()


@pytest.mark.parametrize(
    "secret",
    [
        "vxk_default_0198f0a2_c2VjcmV0LXBhcnQ",
        "vxs_default_0198f0a2_c2VjcmV0LXBhcnQ",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln",
        "Bearer something-opaque",
        "Basic dXNlcjpwYXNz",
        "voxid:pass@",
        "ab" * 32,
        "q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80=",
    ],
)
def test_what_looks_like_a_credential_is_struck_out(secret: str) -> None:
    """Keys, sessions, tokens, passwords in addresses, keys in hex and base64."""
    text = f"postgresql://{secret}db/voxid" if secret.endswith("@") else f"before {secret} after"
    assert secret.rstrip("@") not in redacted(text)
    assert "[redacted]" in redacted(text)


def test_what_is_no_credential_stays() -> None:
    """Ids of requests and sentences are readable."""
    line = "request 01a2000f-c150-7c03-8652-4cdfff071aff failed: store_busy"
    assert redacted(line) == line
    assert len(redacted("x " * 10_000)) < 3_000


def test_an_error_is_logged_without_its_message(lines: io.StringIO) -> None:
    """Class and place, for our own lines and for others."""
    try:
        raise ValueError("Grace Canary")
    except ValueError:
        logging.getLogger("voxid.service").exception("a job was given up")
        logging.getLogger("sqlalchemy").exception("insert into people %s", "Grace Canary")
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (first["error"], first["message"], first["level"]) == ("ValueError", "a job was given up", "error")
    assert first["at"] == [f"test_redacts_log_lines.py:{first['at'][0].split(':')[1]}"]
    assert second["message"] == "insert into people %s"
    assert "Canary" not in lines.getvalue()


def test_numbers_alone_are_filled_into_lines_of_others(lines: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 4711)
    logging.getLogger("uvicorn.error").info("%s of %d", "Grace Canary", 2)
    told = [json.loads(line)["message"] for line in lines.getvalue().splitlines()]
    assert told == ["Started server process [4711]", "%s of %d"]


def test_the_level_is_kept(lines: io.StringIO) -> None:
    """What is less than the level is not written; afterwards everything is as it was."""
    logging.getLogger("voxid").debug("shown")
    stream = io.StringIO()
    end = start_logging(OperationsSettings(log_level="warning", log_format="text"), stream)
    logging.getLogger("voxid").info("not shown")
    logging.getLogger("voxid").warning("shown to people")
    end()
    logging.getLogger("voxid").info("shown again")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().rstrip().endswith("warning voxid shown to people")
    assert [json.loads(line)["message"] for line in lines.getvalue().splitlines()] == ["shown", "shown again"]
