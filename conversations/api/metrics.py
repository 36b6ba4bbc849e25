"""Prometheus metrics behind METRICS=true: each worker keeps its own, a scrape adds them up."""

import time
from collections.abc import Iterator
from functools import partial

from flask import Flask, Response, abort, current_app, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from conversations.api.context import current_context
from conversations.api.request_log import METHODS
from conversations.database import pool, queries

REQUESTS = Counter("http_requests", "Requests by route and status", ["method", "route", "status"])
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
LATENCY = Histogram("http_request_seconds", "Time to answer, in seconds", ["route"], buckets=BOUNDS)
# Of the workers that live, added up.
live_gauge = partial(Gauge, multiprocess_mode="livesum")
POOL_IN_USE = live_gauge("db_pool_in_use", "Connections checked out")
POOL_WAITING = live_gauge("db_pool_waiting", "Requests that wait for a connection")


def init_app(app: Flask) -> None:
    """Count every request and serve GET /metrics, which is text and needs no key."""
    app.before_request(_keep_apart)
    app.after_request(_observe)
    app.add_url_rule("/metrics", "metrics", show_metrics)


def _observe(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "-"
    method = request.method if request.method in METHODS else "-"
    REQUESTS.labels(method, route, response.status_code).inc()
    LATENCY.labels(route).observe(time.perf_counter() - current_context().started_at)
    in_use, waiting = pool.database.usage()
    POOL_IN_USE.set(in_use)
    POOL_WAITING.set(waiting)
    return response


class DatabaseCollector(Collector):
    """What is read from the database for each scrape, and whether it could be read."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; while the database is away only that it is."""
        try:
            health = queries.fetch_row("get_health")
        except pool.Unavailable:
            health = None
        yield GaugeMetricFamily("db_up", "Whether the database answers", health is not None)
        if health:
            name, at = "last_redaction_timestamp_seconds", health["last_redaction_at"]
            help = "When redact-messages last ran, 0: never"
            yield GaugeMetricFamily(name, help, at.timestamp() if at else 0)


def _keep_apart() -> None:
    """Respond with 404 to all but /metrics on the address of the metrics, and to it elsewhere.

    A proxy that publishes the service does not publish that address, nor does a scrape need more.
    """
    connection = request.environ.get("gunicorn.socket")
    port = current_app.config["SETTINGS"].metrics_address.port
    is_for_metrics = connection is not None and connection.getsockname()[1:2] == (port,)
    if is_for_metrics != (request.path == "/metrics"):
        abort(404)


def show_metrics() -> Response:
    """Return the metrics of all workers."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    registry.register(DatabaseCollector())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
