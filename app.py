"""The WSGI entry: settings, request ids, the error envelope, the blueprint and the commands."""

import logging
from urllib.parse import quote

from flask import Flask, Request, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

import api
import commands
import db
import delivery
import migrations
import pool
import reference
import settings
import telemetry
from envelope import ERRORS, ApiError, failure, success

RETRY_AFTER_SECONDS = "1"
MAX_BODY_BYTES = 1024 * 1024


class StrictRequest(Request):
    """Flask's, but a query may hold any bytes."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if not self.query_string.isascii():
            # Raw bytes count as if sent encoded: not all of them are UTF-8.
            self.query_string = quote(self.query_string, safe=bytes(range(128))).encode()


class Conversations(Flask):
    """Flask, but OPTIONS answers in the envelope too."""

    request_class = StrictRequest

    def make_default_options_response(self):
        """Answer the methods of the route, in Allow and as data."""
        methods = sorted(request.url_rule.methods)
        response = success({"methods": methods})
        response.headers["Allow"] = ", ".join(methods)
        return response


def create_app() -> Flask:
    """Return the application; connects to nothing until the first request."""
    app = Conversations(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["SETTINGS"] = config = settings.load()
    app.url_map.merge_slashes = False
    url, prepare = config["DATABASE_URL"], config["DATABASE_PREPARED_STATEMENTS"]
    pool.configure(
        url,
        replica_url=config["DATABASE_REPLICA_URL"],
        pool_size=config["DATABASE_POOL_SIZE"],
        prepare=prepare,
        hurried=True,
        on_open=lambda: migrations.require_current(url, prepare),
    )
    app.before_request(refuse_leading_slashes)
    # Responses pass through these from the last to the first: what is logged is what is sent.
    telemetry.init_app(app, config["LOG_FORMAT"])
    delivery.init_app(app)
    if config["METRICS"]:
        import metrics

        metrics.init_app(app)
    app.register_blueprint(api.v1)
    app.add_url_rule("/livez", "livez", livez)
    app.add_url_rule("/readyz", "readyz", readyz)
    app.register_error_handler(ApiError, answer_api_error)
    app.register_error_handler(ValidationError, answer_validation_error)
    app.register_error_handler(pool.Unavailable, answer_unavailable)
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, answer_bug)
    reference.init_app(app)
    commands.init_app(app)
    return app


def refuse_leading_slashes() -> None:
    """Answer 404 to a path that Werkzeug would shorten: one resource has one address."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise ApiError(404)


def livez():
    """Answer that the process answers; never touches the database."""
    return success({"status": "ok"})


def readyz():
    """Answer whether the database answers and its schema is current."""
    health = db.fetch_one("get_health")
    position = health.pop("wal_position")
    if pool.has_replica():
        health["replica_lag_bytes"] = pool.replica_lag(position)
    return success({"status": "ok", "schema_version": migrations.version(), **health})


def answer_api_error(error: ApiError):
    """Answer what a view raised."""
    return failure(error.status, error.details, error.headers)


def answer_validation_error(error: ValidationError):
    """Answer 422 with one sentence for each field."""
    return failure(422, error.messages)


def answer_unavailable(error: pool.Unavailable):
    """Answer 503: only time can mend it. The log says what it was."""
    logging.getLogger("conversations").warning("unavailable: %s", error)
    return failure(503, headers={"Retry-After": RETRY_AFTER_SECONDS})


def answer_http_exception(error: HTTPException):
    """Answer what Flask and Werkzeug raise themselves: 404, 405, 413."""
    status = error.code if error.code in ERRORS else 400
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return failure(status, headers=headers)


def answer_bug(error: Exception):
    """Answer 500 and nothing about it; the log has it under the request's id."""
    logging.getLogger("conversations").error("bug", exc_info=error)
    return failure(500)


app = create_app()
