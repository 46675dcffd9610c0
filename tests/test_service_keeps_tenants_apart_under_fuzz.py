"""Two tenants, the whole API fuzzed from its own OpenAPI document: no defect, and nothing of the other tenant.

Schemathesis makes the requests. Half of them carry ids that exist, of people, jobs, keys and enrollments of the other
tenant; whatever comes back is a documented answer and holds none of that tenant's names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import (
    FailureGroup,
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import Receive, Scope, Send

from service_app import Running, clips, running
from voxid.client import Client
from voxid.errors import VoxidError

SECRET = "Zephyrine Quillfeather"
EXAMPLES_EACH = 4


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(
        tmp_path_factory.mktemp("fuzz"), tenant_per_min=0, key_per_min=0, max_verify_s=20
    ) as started:
        yield started


@pytest.fixture(scope="module")
def theirs(house: Running) -> Client:
    return house.client("theirs")


@pytest.fixture(scope="module")
def their_ids(theirs: Client) -> list[str]:
    """Ids of the other tenant: a person, their enrollment, a key."""
    person = theirs.enroll(SECRET, clips("ada", 1, 2), {"verify", "identify"}, "form of theirs").person_id
    return [person, theirs.begin_enrollment(person).id, theirs.create_key("theirs", roles=["operator"]).id]


def operations(house: Running) -> list[Any]:
    """Return every operation of the API; the service runs already, and is neither started nor stopped again."""

    async def started(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await house.service_app(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})

    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", started)
    return [found.ok() for found in schema.get_all_operations()]


def test_nothing_of_another_tenant_comes_out(house: Running, theirs: Client, their_ids: list[str]) -> None:
    """Every operation, with made-up ids and with theirs, answers as its document says, and of its own only."""
    headers = {"Authorization": f"Bearer {house.key('ours')}"}
    asked, problems = 0, []
    for operation in operations(house):

        @given(case=operation.as_strategy(), foreign=st.none() | st.sampled_from(their_ids))
        @settings(
            max_examples=EXAMPLES_EACH,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def fuzz(case: Any, foreign: str | None) -> None:
            nonlocal asked
            asked += 1
            if foreign is not None:
                case.path_parameters = dict.fromkeys(case.path_parameters or {}, foreign)
            answer = case.call(headers=headers)
            assert SECRET.encode() not in answer.content, case
            case.validate_response(answer, checks=CHECKS)

        try:
            fuzz()
        except (FailureGroup, AssertionError) as failure:
            said = "; ".join(str(one) for one in getattr(failure, "exceptions", [failure]))
            problems.append(f"{operation.label}: {said[:600]}")
    assert not problems, "\n".join(problems)
    assert asked >= 100
    assert theirs.person(their_ids[0]).name == SECRET
    assert theirs.enrollment(their_ids[1]).person_id == their_ids[0]
    assert their_ids[2] in {key.id for key in theirs.list_keys() if key.revoked_at is None}
    assert theirs.verify(their_ids[0], clips("ada", 3)[0])


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_a_foreign_id_and_no_id_cost_the_same(house: Running, theirs: Client, their_ids: list[str]) -> None:
    """The other tenant's person and one who never was get the same words, in about the same time."""
    import statistics
    import time

    ours = house.client("ours")

    def asked(person_id: str) -> tuple[str, float]:
        began = time.perf_counter()
        with pytest.raises(VoxidError) as refused:
            ours.person(person_id)
        return refused.value.message, time.perf_counter() - began

    foreign, absent = [], []
    for _ in range(60):
        foreign.append(asked(their_ids[0]))
        absent.append(asked("3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"))
    assert {words for words, _ in foreign} == {words for words, _ in absent}
    medians = [statistics.median(seconds for _, seconds in one) for one in (foreign, absent)]
    assert max(medians) < 2 * min(medians), medians
