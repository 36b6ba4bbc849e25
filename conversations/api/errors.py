"""What becomes of every exception: a response in the envelope, and a log line where one helps."""

from flask import Flask, Response, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from conversations.api.envelope import ERRORS, HEADERS, ApiError, failure
from conversations.api.request_log import finish, log
from conversations.database.pool import Unavailable

RETRY_AFTER_SECONDS = "1"


def init_app(app: Flask) -> None:
    """Answer every exception of the application in the envelope."""
    app.before_request(refuse_leading_slashes)
    app.register_error_handler(Exception, answer)


def refuse_leading_slashes() -> None:
    """Answer 404 to a path that Werkzeug would shorten, so that one resource has one address."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise ApiError(404)


def answer(error: Exception) -> Response:
    """Return the response to an exception. The log has what the response does not say."""
    match error:
        case ApiError():
            return failure(error.status, error.details, error.headers)
        case ValidationError():
            return failure(422, error.normalized_messages())
        case Unavailable():
            log.warning("unavailable", error=str(error))
            return failure(503, headers={"Retry-After": RETRY_AFTER_SECONDS})
        case MethodNotAllowed():
            return failure(405, headers={"Allow": ", ".join(sorted(error.valid_methods or ()))})
        case HTTPException():
            return failure(error.code if error.code in ERRORS else 400)
    log.error("bug", exc_info=error)
    return failure(500)


def answer_failed_hook(error: Exception) -> Response:
    """Answer 500 to a failure in a hook of the request, without running the hooks again."""
    return finish(failure(500, headers=HEADERS), error)
