"""Authentication: every request of the blueprint needs a live key with the scope of its view."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, request

from conversations.api.context import current_context
from conversations.api.envelope import ApiError
from conversations.database.pool import DatabaseError, Unavailable
from conversations.inbox import api_keys
from conversations.inbox.api_keys import ApiKey

View = TypeVar("View", bound=Callable[..., Any])

# On a database that takes no writes, noting the use of a key fails for each request.
TOUCH_AGAIN_SECONDS = 60.0

_touch_from = 0.0

# The scope of each view, by the name of its function.
SCOPES: dict[str, str] = {}

HOOK_CHALLENGES = ['Basic realm="conversations"', "Bearer"]


def requires_scope(scope: str) -> Callable[[View], View]:
    """Mark a view with the scope that its key must have."""

    def mark(view: View) -> View:
        SCOPES[view.__name__] = scope
        return view

    return mark


def required_scope() -> str:
    """Return the scope of the current request's view."""
    endpoint = request.endpoint or ""
    return SCOPES[endpoint.rpartition(".")[2]]


def authenticate() -> None:
    """Let a request in only with a live key that has the scope of its view (RFC 6750).

    Raises ApiError 401 or 403, pool.Unavailable.
    """
    if request.method != "OPTIONS":
        _let_in(bearer_token(), ["Bearer"])


def authenticate_hook() -> None:
    """Let a carrier in, with a key in the query, as the password of Basic (RFC 7617), or as Bearer.

    A key in the query must be for recording alone: it stands in a carrier's console and in the log
    of a proxy. Twilio sends the password only after a 401 that asks for Basic.
    Raises ApiError 401 or 403, pool.Unavailable.
    """
    if request.method == "OPTIONS":
        return
    in_query = request.args.getlist("key")
    if len(in_query) > 1:
        token = ""
    else:
        token = in_query[0] if in_query else basic_password() or bearer_token()
    api_key = _let_in(token, HOOK_CHALLENGES)
    if in_query and api_key.scopes != [required_scope()]:
        raise _missing_scope()


def _let_in(token: str, challenges: list[str]) -> ApiKey:
    api_key = api_keys.find_live_key(token)
    if api_key is None:
        raise ApiError(401, headers={"WWW-Authenticate": challenges})
    current_context().api_key = api_key
    if required_scope() not in api_key.scopes:
        raise _missing_scope()
    return api_key


def _missing_scope() -> ApiError:
    challenge = f'Bearer error="insufficient_scope", scope="{required_scope()}"'
    return ApiError(403, headers={"WWW-Authenticate": challenge})


def basic_password() -> str:
    """Return the password of the Authorization header, or an empty text; the user is ignored."""
    authorization = request.authorization
    is_basic = authorization is not None and authorization.type == "basic"
    return (authorization.password or "") if authorization and is_basic else ""


def bearer_token() -> str:
    """Return the token of the Authorization header, or an empty text."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


def note_use(response: Response) -> Response:
    """Note that the key was used, once the response is known: a refused request costs no write.

    A page that was read is answered, also if this cannot be noted.
    """
    global _touch_from
    api_key = current_context().api_key
    if not api_key or not api_key.is_stale or response.status_code >= 400:
        return response
    if time.monotonic() >= _touch_from:
        try:
            api_keys.touch(api_key)
        except (Unavailable, DatabaseError):
            _touch_from = time.monotonic() + TOUCH_AGAIN_SECONDS
    return response
