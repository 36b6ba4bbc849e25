"""Authentication: every request of the blueprint needs a live key with the scope of its view."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, request

from conversations.api.context import current_context
from conversations.api.envelope import ApiError
from conversations.database.pool import DatabaseError, Unavailable
from conversations.inbox import api_keys

View = TypeVar("View", bound=Callable[..., Any])

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
    """Note that the key was used, once the response is known: a refused request costs no write."""
    api_key = current_context().api_key
    if api_key and api_key.is_stale and response.status_code < 400:
        # The request is done by now, so it must not fail any more.
        with contextlib.suppress(Unavailable, DatabaseError):
            api_keys.touch(api_key)
    return response
