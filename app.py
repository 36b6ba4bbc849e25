"""The WSGI entry: create_app() builds the service, from its settings to its commands."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast
from urllib.parse import quote

from flask import Flask, Request, Response, request
from werkzeug.routing import MapAdapter

from conversations import cli, settings
from conversations.api import auth, envelope, request_log
from conversations.api.hooks.views import hooks
from conversations.api.public import public
from conversations.api.views import v1
from conversations.database import pool

MAX_BODY_BYTES = 1024 * 1024


class StrictRequest(Request):
    """A request whose query string may hold any bytes, and whose path may be empty."""

    def __init__(self, environ: dict[str, Any], *args: Any, **kwargs: Any):
        # `GET http://host` means the root (RFC 9110 section 4.2.3); Werkzeug would redirect to it.
        environ["PATH_INFO"] = environ.get("PATH_INFO") or "/"
        super().__init__(environ, *args, **kwargs)
        if not self.query_string.isascii():
            # Raw bytes count as if they were percent-encoded: not all of them are UTF-8.
            self.query_string = quote(self.query_string, safe=bytes(range(128))).encode()


class Service(Flask):
    """A Flask application that answers in the envelope where Flask itself would not."""

    request_class = StrictRequest

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is: none here is asynchronous, and Flask asks at each call."""
        return func

    def full_dispatch_request(self) -> Response:
        """Respond with one connection for all queries, unless a slow body could hold it."""
        with pool.one_check_out() if request.method in ("GET", "HEAD") else nullcontext():
            return super().full_dispatch_request()

    def make_default_options_response(self) -> Response:
        """Return the methods of the route, in Allow and as data."""
        # Of all views of the path: request.url_rule is only one of them.
        methods = sorted(cast(MapAdapter, self.create_url_adapter(request)).allowed_methods())
        return envelope.success({"methods": methods}, headers={"Allow": ", ".join(methods)})

    def handle_exception(self, e: Exception) -> Response:
        """Return the response to a failure that the handler of the views' errors does not see."""
        return request_log.finish(envelope.failure(500, headers=envelope.HEADERS), e)

    def do_teardown_request(self, *args: Any) -> None:
        """Run what follows a response; a failure there does not take the response back."""
        try:
            super().do_teardown_request(*args)
        except Exception as error:
            request_log.log.error("bug", exc_info=error)


def refuse_leading_slashes() -> None:
    """Answer 404 to a path that Werkzeug would shorten, so that one resource has one address."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise envelope.ApiError(404)


def create_app() -> Flask:
    """Return the application. It connects to nothing until the first request."""
    cli.env_files.forget()
    config = settings.load()
    app = Service(__name__, static_folder=None)
    app.config.update(SETTINGS=config, MAX_CONTENT_LENGTH=MAX_BODY_BYTES)
    app.url_map.merge_slashes = False
    app.extensions["database"] = database = pool.Database(
        config.database_url,
        config.database_replica_url,
        pool_size=config.database_pool_size,
        prepare=config.database_prepared_statements,
        for_requests=True,
    )
    pool.use(database)
    # after_request hooks run from the last to the first: the log line describes what is sent.
    request_log.init_app(app)
    app.after_request(envelope.add_headers)
    if config.metrics:
        from conversations.api import metrics

        metrics.init_app(app)
    app.before_request(refuse_leading_slashes)
    app.register_error_handler(Exception, envelope.answer_exception)
    for blueprint in (v1, hooks, public):
        app.register_blueprint(blueprint)
    auth.require_scopes(app.view_functions)
    cli.init_app(app)
    return app


app = create_app()
