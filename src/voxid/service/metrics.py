"""Counters and histograms of one service, as Prometheus reads them.

No label holds a person, a name, a key or a tenant: labels are methods, routes, statuses, codes, stages, acts and
outcomes, all of them words of the program. docs/operations.md has the list with what each is for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voxid import __version__
from voxid.service.evaluations import EvaluationCollector
from voxid.service.observing import ServedRequest, current_request
from voxid.stages import STAGES

__all__ = ["INDICATORS", "OFTEN_NOTHING", "UNAUDITED", "Metrics", "is_audited"]

_REQUEST_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)

INDICATORS: Final = (
    "identification_accuracy",
    "eer",
    "far",
    "frr",
    "apcer",
    "bpcer",
    "latency_p95_by_stage",
    "availability",
    "drift",
    "enrollment_success",
    "spoof_pass_rate",
    "audit_completeness",
)
"""What the service is judged by; those without data are said to be absent, by `voxid_indicator_available`."""

_PURPOSE_OF: Final = {
    "verify.decided": "verify",
    "identify.searched": "identify",
    "diarize.named": "diarize-name",
    "watchlist.searched": "watchlist",
}
_ENROLLING: Final = ("person.enrolled", "voiceprint.added")

# No GET, and yet no event: signing in and out, looking things up, and drafts, whose end is what is written down.
UNAUDITED: Final = frozenset(
    {
        ("POST", "/v1/session"),
        ("DELETE", "/v1/session"),
        ("POST", "/v1/people/search"),
        ("POST", "/v1/opt-outs/check"),
        ("POST", "/v1/audit/verify"),
        ("POST", "/v1/enrollments"),
        ("DELETE", "/v1/enrollments/{enrollment_id}"),
        ("POST", "/v1/enrollments/{enrollment_id}/recordings"),
        ("DELETE", "/v1/enrollments/{enrollment_id}/recordings/{recording_id}"),
    }
)

# What may find nothing to do, and then writes nothing: it counts when it wrote something.
OFTEN_NOTHING: Final = frozenset(
    {
        ("DELETE", "/v1/people/{person_id}/lock"),
        ("POST", "/v1/people/{person_id}/consents/withdraw"),
        ("POST", "/v1/opt-outs"),
        ("POST", "/v1/opt-outs/lift"),
        ("POST", "/v1/unknown/purge"),
        ("POST", "/v1/diarizations/{job_id}/cancel"),
        ("PUT", "/v1/policies"),
    }
)


class Metrics:
    """Everything counted by one service, in a registry of its own.

    Args:
        bundle_id: of the model that hears.
        evaluations: folder of reports; None: error rates are absent.
    """

    def __init__(self, bundle_id: str, evaluations: Path | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series, and nothing is made of them
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        about = Gauge(
            "voxid_build_info", "Version and model that run.", ["version", "model"], registry=self.registry
        )
        about.labels(__version__, bundle_id).set(1)
        self.requests = self._counter(
            "voxid_http_requests", "Requests answered.", "method", "route", "status"
        )
        self.request_s = self._histogram(
            "voxid_http_request_seconds", "From head to end of the answer.", _REQUEST_BUCKETS_S, "route"
        )
        self.in_flight = self._gauge("voxid_http_requests_in_flight", "Requests being answered now.")
        self.refusals = self._counter("voxid_refusals", "Requests refused, by stable code.", "code")
        self.stage_s = self._histogram(
            "voxid_stage_seconds", "Stages of hearing and deciding.", _STAGE_BUCKETS_S, "stage"
        )
        self.decisions = self._counter(
            "voxid_decisions", "Decisions and searches written into the audit log.", "purpose", "outcome"
        )
        self.enrollments = self._counter(
            "voxid_enrollments", "Enrollments done and refused, as written into the audit log.", "outcome"
        )
        self.spoof_verdicts = self._counter(
            "voxid_spoof_verdicts", "Voices asked whether they are live and human.", "purpose", "outcome"
        )
        self.events = self._counter("voxid_audit_events", "Events on the disk, by act.", "act")
        self.audited = self._counter(
            "voxid_audited_requests", "Requests that changed or decided something and were answered well."
        )
        self.recorded = self._counter(
            "voxid_audited_requests_recorded",
            "Those of them that wrote at least one event into the audit log.",
        )
        self.live_calls = self._gauge("voxid_live_calls", "Live calls that are open now.")
        self.jobs_waiting = self._gauge("voxid_jobs_waiting", "Jobs that wait for a worker now.")
        self.inference_waiting = self._gauge(
            "voxid_inference_waiting", "Inputs that wait for the networks now."
        )
        for stage in STAGES:
            self.stage_s.labels(stage)
        measured = EvaluationCollector(evaluations)
        self.registry.register(measured)
        self.registry.register(_Indicators(self, measured))

    def text(self) -> bytes:
        """Return all of it in the text format of Prometheus."""
        return generate_latest(self.registry)

    @contextmanager
    def around_request(self, request: ServedRequest, _: Sequence[tuple[bytes, bytes]]) -> Iterator[None]:
        """Count one request."""
        self.in_flight.inc()
        try:
            yield
        finally:
            self.in_flight.dec()
            self._count(request)

    @contextmanager
    def around_stage(self, name: str) -> Iterator[None]:
        """Time one stage, also one that fails."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self.stage_s.labels(name).observe(time.perf_counter() - began_s)

    def count_event(self, act: str, outcome: str) -> None:
        """Count an event that is on the disk."""
        request = current_request()
        if request is not None:
            request.events += 1
        self.events.labels(act).inc()
        if act in _PURPOSE_OF:
            self.decisions.labels(_PURPOSE_OF[act], outcome).inc()
        if act in _ENROLLING:
            self.enrollments.labels("done" if outcome == "done" else "refused").inc()

    def _count(self, request: ServedRequest) -> None:
        self.requests.labels(request.method, request.route, str(request.status)).inc()
        if request.method != "WEBSOCKET":  # a call lasts as long as people talk
            self.request_s.labels(request.route).observe(request.duration_s)
        if request.code is not None:
            self.refusals.labels(request.code).inc()
        if is_audited(request):
            self.audited.inc()
            if request.events:
                self.recorded.inc()

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(name, help_, labels, registry=self.registry)

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(name, help_, labels, registry=self.registry)

    def _histogram(self, name: str, help_: str, buckets_s: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, help_, labels, buckets=buckets_s, registry=self.registry)


class _Indicators(Collector):
    """Whether there is data for each indicator: a rate nobody measured must not look like a rate of nought."""

    def __init__(self, metrics: Metrics, evaluations: EvaluationCollector) -> None:
        self._metrics = metrics
        self._evaluations = evaluations

    def collect(self) -> Iterator[Metric]:
        """Return the one family."""
        metrics = self._metrics
        there = {
            **self._evaluations.available(),
            "latency_p95_by_stage": _any(metrics.stage_s, "_count"),
            "availability": _any(metrics.requests, "_total"),
            "enrollment_success": _any(metrics.enrollments, "_total"),
            "audit_completeness": _any(metrics.audited, "_total"),
            "spoof_pass_rate": _any(metrics.spoof_verdicts, "_total"),
        }
        family = GaugeMetricFamily(
            "voxid_indicator_available",
            "1 where there is data for an indicator; 0: it is absent, not zero.",
            labels=["indicator"],
        )
        for name in INDICATORS:
            family.add_metric([name], float(there[name]))
        yield family


def is_audited(request: ServedRequest) -> bool:
    """Return whether a request must have left an event: it was let through, and was not reading only."""
    about = (request.method, request.route)
    if about in UNAUDITED or request.again or (about in OFTEN_NOTHING and not request.events):
        return False
    reading = request.method in ("GET", "HEAD", "OPTIONS", "WEBSOCKET", "OTHER")
    return not reading and request.route.startswith("/v1/") and request.status < 400


def _any(metric: Counter | Histogram, suffix: str) -> bool:
    return any(
        sample.value > 0
        for family in metric.collect()
        for sample in family.samples
        if sample.name.endswith(suffix)
    )
