"""/metrics: what is counted, who may read it, and that absent indicators are said to be absent."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from served import Served, clip, serving
from voxid.errors import ConfigError
from voxid.service.metrics import INDICATORS, OFTEN_NOTHING, UNAUDITED
from voxid.service.settings import OperationsSettings, ServiceSettings


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that enrolled Ada, verified her, and refused some requests."""
    with serving(tmp_path_factory.mktemp("served")) as running:
        ada = running.enroll("Ada", "ada", 1, 2, 3)
        body = clip("ada", 4).read_bytes()
        running.call(
            "POST", f"/people/{ada}/verifications", content=body, headers={"Content-Type": "audio/ogg"}
        )
        running.call("GET", "/people")
        running.call("GET", "/people/00000000-0000-0000-0000-000000000000", 404)
        running.call("GET", "/nothing", 404)
        running.call("GET", "/people", 401, headers={"Authorization": "Bearer vxk_default_x_y"})
        yield running


def metrics_of(served: Served) -> dict[str, float]:
    """Return sample -> value."""
    answer = served.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
    return {sample: float(value) for sample, value in lines}


def test_requests_are_counted_by_route_and_status(served: Served) -> None:
    """The route is the template; what no route was found for is one route."""
    found = metrics_of(served)
    assert found['voxid_http_requests_total{method="GET",route="/v1/people",status="200"}'] == 1
    assert found['voxid_http_requests_total{method="GET",route="/v1/people",status="401"}'] == 1
    assert found['voxid_http_requests_total{method="GET",route="/v1/people/{person_id}",status="404"}'] == 1
    assert found['voxid_http_requests_total{method="GET",route="unmatched",status="404"}'] == 1
    assert found['voxid_http_request_seconds_count{route="/v1/people"}'] == 2


def test_refusals_are_counted_by_code(served: Served) -> None:
    """The stable code of each problem."""
    found = metrics_of(served)
    assert found['voxid_refusals_total{code="credentials_invalid"}'] == 1
    assert found['voxid_refusals_total{code="person_missing"}'] == 1


def test_stages_of_a_verification_are_timed(served: Served) -> None:
    """Each stage has its histogram, of which a dashboard makes the 95th percentile."""
    found = metrics_of(served)
    for stage in ("decode", "speech", "embed", "score"):
        assert found[f'voxid_stage_seconds_count{{stage="{stage}"}}'] >= 1, stage


def test_decisions_and_enrollments_come_from_the_audit_log(served: Served) -> None:
    """What was written is what is counted."""
    found = metrics_of(served)
    assert found['voxid_decisions_total{outcome="accept",purpose="verify"}'] == 1
    assert found['voxid_enrollments_total{outcome="done"}'] == 1


def test_every_audited_request_wrote_an_event(served: Served) -> None:
    """Audit completeness: requests that changed or decided something against those that wrote an event."""
    found = metrics_of(served)
    assert found["voxid_audited_requests_recorded_total"] == found["voxid_audited_requests_total"] > 0


def test_absent_indicators_are_said_to_be_absent(served: Served) -> None:
    """No report and no voice checked: 0 in the list of indicators, and no rate anywhere."""
    found = metrics_of(served)
    there = {name: found[f'voxid_indicator_available{{indicator="{name}"}}'] for name in INDICATORS}
    assert [name for name, value in there.items() if value] == [
        "latency_p95_by_stage",
        "availability",
        "enrollment_success",
        "audit_completeness",
    ]
    assert not [sample for sample in found if sample.startswith("voxid_evaluation_eer")]
    assert not [sample for sample in found if sample.startswith("voxid_spoof_verdicts")]


def test_labels_are_words_of_the_program(served: Served) -> None:
    """No label has an id, a name or a tenant in it."""
    text = served.http.get("/metrics").text
    names = set(re.findall(r'[{,](\w+)="', text))
    known = "method route status code stage purpose outcome act check indicator version model le"
    assert names <= set(known.split())
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text)
    assert "Ada" not in text
    assert 'tenant="' not in text


def test_metrics_need_their_scope(served: Served) -> None:
    """A key without the scope metrics is refused, so is nobody."""
    assert served.http.get("/metrics", headers=served.key("verify")).status_code == 403
    assert served.http.get("/metrics", headers={"Authorization": ""}).status_code == 401
    assert served.http.get("/metrics", headers=served.key("metrics")).status_code == 200


def test_routes_that_write_no_event_are_routes() -> None:
    """The list of exceptions names nothing that is no longer there."""
    from voxid.service.app import PREFIX, ROUTERS

    routes = {
        (method, PREFIX + route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert routes >= UNAUDITED | OFTEN_NOTHING


def test_metrics_have_an_address_of_their_own_where_one_is_named(tmp_path: Path) -> None:
    """There no key is asked for; an address that is taken is an error at the start."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    settings = OperationsSettings(metrics_port=port)
    with (
        serving(tmp_path, operations=settings),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer,
    ):
        assert b"voxid_build_info{" in answer.read()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = OperationsSettings(metrics_port=taken.getsockname()[1])
        refused = pytest.raises(ConfigError, match="Metrics cannot be served at 127.0.0.1")
        with refused, serving(tmp_path, operations=settings):
            pass


def test_wrong_settings_are_refused() -> None:
    """A level or an endpoint that is none."""
    with pytest.raises(ConfigError, match="operations.log_level is 'loud'; expected one of: debug, info"):
        OperationsSettings(log_level="loud")
    with pytest.raises(ConfigError, match=r"operations.otlp_endpoint is no http\(s\) address"):
        OperationsSettings(otlp_endpoint="collector:4318")
    assert "secret" not in repr(
        ServiceSettings(operations=OperationsSettings(otlp_endpoint="http://secret/"))
    )


def test_queues_and_live_calls_are_gauges(served: Served) -> None:
    """Nothing waits and nobody talks."""
    found = metrics_of(served)
    assert found["voxid_inference_waiting"] == found["voxid_live_calls"] == found["voxid_jobs_waiting"] == 0


def test_what_did_nothing_is_not_missed_in_the_log(served: Served) -> None:
    """An answer given once more, and a lock lifted that was not there, wrote no event and need none."""
    person = {"name": "Bea", "consent": {"purposes": ["verify"], "evidence": "form 2"}}
    once = {"Idempotency-Key": "0198f0a2-bea"}
    made = served.call("POST", "/people", 201, json=person, headers=once)
    before = metrics_of(served)["voxid_audited_requests_total"]
    assert served.call("POST", "/people", 201, json=person, headers=once)["id"] == made["id"]
    served.call("DELETE", f"/people/{made['id']}/lock", 204)
    found = metrics_of(served)
    assert found["voxid_audited_requests_total"] == before == found["voxid_audited_requests_recorded_total"]
