"""What becomes of every exception: a response in the envelope, and a log line where one helps."""

from flask import Flask, Response, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from conversations.api.envelope import ERRORS, ApiError, failure
from conversations.api.headers import HEADERS
from conversations.api.request_log import finish, log
from conversations.database.pool import Unavailable

RETRY_AFTER_SECONDS = "1"


def init_app(app: Flask) -> None:
    """Answer every exception of the application in the envelope."""
    app.before_request(refuse_leading_slashes)
    app.register_error_handler(ApiError, answer_api_error)
    app.register_error_handler(ValidationError, answer_validation_error)
    app.register_error_handler(Unavailable, answer_unavailable)
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, answer_bug)


def refuse_leading_slashes() -> None:
    """Answer 404 to a path that Werkzeug would shorten, so that one resource has one address."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise ApiError(404)


def answer_api_error(error: ApiError) -> Response:
    """Answer what a view raised."""
    return failure(error.status, error.details, error.headers)


def answer_validation_error(error: ValidationError) -> Response:
    """Answer 422 with one sentence for each field."""
    return failure(422, error.normalized_messages())


def answer_unavailable(error: Unavailable) -> Response:
    """Answer 503 to what only time can mend. The log says what it was."""
    log.warning("unavailable", error=str(error))
    return failure(503, headers={"Retry-After": RETRY_AFTER_SECONDS})


def answer_http_exception(error: HTTPException) -> Response:
    """Answer what Flask and Werkzeug raise themselves: 404, 405, 413."""
    status = error.code if error.code in ERRORS else 400
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return failure(status, headers=headers)


def answer_bug(error: Exception) -> Response:
    """Answer 500 and nothing about the error. The log has it under the request's id."""
    log.error("bug", exc_info=error)
    return failure(500)


def answer_failed_hook(error: Exception) -> Response:
    """Answer 500 to a failure in a hook of the request, without running the hooks again."""
    return finish(failure(500, headers=HEADERS), error)
