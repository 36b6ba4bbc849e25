"""Where the microseconds of one request go, measured inside the process, one request at a time."""

import functools
import os
import time
from collections import defaultdict
from statistics import quantiles

import orjson
import psycopg
import psycopg_pool
from werkzeug.test import EnvironBuilder

from conversations.api import request_log
from conversations.database import pool
from conversations.database.connection import Connection
from conversations.inbox import api_keys
from schemas.base import RequestSchema

REST = "Flask, Werkzeug and the view"
WARM_UP = 50

# What is timed apart. A step's time is its own: what it calls that is a step too is not in it.
STEPS = [
    ("key: shape and hash", api_keys, "is_well_formed"),
    ("key: shape and hash", api_keys, "hash_key"),
    ("marshmallow: the arguments", RequestSchema, "check"),
    ("pool: check out and return", psycopg_pool.ConnectionPool, "getconn"),
    ("pool: check out and return", psycopg_pool.ConnectionPool, "putconn"),
    ("psycopg: send", psycopg.Connection, "execute"),
    ("PostgreSQL: wait for it", Connection, "wait"),
    ("psycopg: decode the rows", psycopg.Cursor, "fetchall"),
    ("psycopg: decode the rows", psycopg.Cursor, "fetchone"),
    ("orjson", orjson, "dumps"),
    ("the log line", request_log.log, "info"),
]


class Stopwatch:
    """Adds up the time spent in each step, without what its inner steps take."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self._inner = [0.0]

    def time(self, label: str, function):
        """Return the function, timed."""

        @functools.wraps(function)
        def timed(*args, **kwargs):
            self._inner.append(0.0)
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - started
                self.seconds[label] += spent - self._inner.pop()
                self._inner[-1] += spent

        return timed


def of_one_request(url: str, path: str, headers: dict, count: int = 1000) -> dict[str, float]:
    """Return the microseconds of each step of a request: of many, the one that 9 in 10 exceed.

    What exceeds it waited for the processor, not for the step.
    """
    os.environ["DATABASE_URL"] = url
    import app as service

    request_log.STANDARD_OUTPUT.descriptor = os.open(os.devnull, os.O_WRONLY)
    environ = _environ(path, headers)
    originals = [(owner, name, getattr(owner, name)) for _, owner, name in STEPS]
    watch = Stopwatch()
    try:
        for label, owner, name in STEPS:
            setattr(owner, name, watch.time(label, getattr(owner, name)))
        call = watch.time(REST, _call)
        samples = []
        for _ in range(WARM_UP + count):
            watch.seconds.clear()
            call(service.app, environ)
            samples.append(dict(watch.seconds))
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
        pool.database.close()
    steps = dict.fromkeys([REST, *(label for label, _, _ in STEPS)])
    samples = samples[WARM_UP:]
    return {step: quantiles((s.get(step, 0.0) for s in samples), n=10)[0] * 1e6 for step in steps}


def _environ(path: str, headers: dict) -> dict:
    path, _, query = path.partition("?")
    return EnvironBuilder(path=path, query_string=query, headers=headers).get_environ()


def _call(app, environ: dict) -> None:
    statuses = []
    body = app(dict(environ), lambda status, headers, exc_info=None: statuses.append(status))
    b"".join(body)
    body.close()
    if statuses[0][:3] != "200":
        raise RuntimeError(statuses[0])
