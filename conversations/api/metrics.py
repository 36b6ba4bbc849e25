"""Prometheus metrics behind METRICS=true: each worker keeps its own, a scrape adds them up."""

import time

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from conversations.api.context import current_context
from conversations.api.request_log import METHODS
from conversations.database import pool, queries

REQUESTS = Counter("http_requests", "Requests by route and status", ["method", "route", "status"])
LATENCY = Histogram(
    "http_request_seconds",
    "Time to answer, in seconds",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
POOL_IN_USE = Gauge("db_pool_in_use", "Connections checked out", multiprocess_mode="livesum")
POOL_WAITING = Gauge(
    "db_pool_waiting", "Requests that wait for a connection", multiprocess_mode="livesum"
)


def init_app(app: Flask) -> None:
    """Count every request and serve GET /metrics, which is text and needs no key."""
    app.after_request(_observe)
    app.add_url_rule("/metrics", "metrics", show_metrics)


def _observe(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "-"
    method = request.method if request.method in METHODS else "-"
    REQUESTS.labels(method, route, response.status_code).inc()
    LATENCY.labels(route).observe(time.perf_counter() - current_context().started_at)
    usage = pool.usage()
    POOL_IN_USE.set(usage.in_use)
    POOL_WAITING.set(usage.waiting)
    return response


def show_metrics() -> Response:
    """Return the metrics of all workers, and when redact-messages last ran."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    last_run_at = queries.fetch_row("get_health")["last_redaction_at"]
    last_run = Gauge(
        "last_redaction_timestamp_seconds",
        "When redact-messages last ran, 0: never",
        registry=registry,
    )
    last_run.set(last_run_at.timestamp() if last_run_at else 0)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
