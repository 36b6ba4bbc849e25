"""Prometheus metrics behind METRICS=true: each worker keeps its own, a scrape adds them up."""

import time

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

import db
import pool

REQUESTS = Counter("http_requests", "Requests by route and status", ["method", "route", "status"])
LATENCY = Histogram(
    "http_request_seconds",
    "Time to answer, in seconds",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
POOL_IN_USE = Gauge("db_pool_in_use", "Connections lent out", multiprocess_mode="livesum")
POOL_WAITING = Gauge("db_pool_waiting", "Requests in wait for one", multiprocess_mode="livesum")


def init_app(app: Flask) -> None:
    """Count every request and serve GET /metrics, which is text and needs no key."""
    app.after_request(_observe)
    app.add_url_rule("/metrics", "metrics", show)


def _observe(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "-"
    REQUESTS.labels(request.method, route, response.status_code).inc()
    LATENCY.labels(route).observe(time.perf_counter() - g.started_at)
    in_use, waiting = pool.load()
    POOL_IN_USE.set(in_use)
    POOL_WAITING.set(waiting)
    return response


def show() -> Response:
    """Answer the metrics of all workers, and when retention was last enforced."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    swept_at = db.fetch_one("get_health")["last_sweep_at"]
    last_sweep = Gauge("last_sweep_timestamp_seconds", "Last redact-messages", registry=registry)
    last_sweep.set(swept_at.timestamp() if swept_at else 0)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
