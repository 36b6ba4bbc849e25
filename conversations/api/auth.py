"""Authentication: every request of the blueprint needs a live key with the scope of its view."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, request

from conversations.api.context import current_context
from conversations.api.envelope import ApiError
from conversations.database.pool import DatabaseError, Unavailable
from conversations.inbox import api_keys

View = TypeVar("View", bound=Callable[..., Any])

# On a database that takes no writes, noting the use of a key fails for each request.
TOUCH_AGAIN_SECONDS = 60.0

_touch_from = 0.0

# The scope of each view, by the name of its function.
SCOPES: dict[str, str] = {}


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
    if request.method == "OPTIONS":
        return
    api_key = api_keys.find_live_key(bearer_token())
    if api_key is None:
        raise ApiError(401, headers={"WWW-Authenticate": "Bearer"})
    current_context().api_key = api_key
    scope = required_scope()
    if scope not in api_key.scopes:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        raise ApiError(403, headers={"WWW-Authenticate": challenge})


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
