"""The one value that a request keeps in `flask.g`: its id, its key, and what its log line says."""

import time
from dataclasses import dataclass, field
from typing import cast

from flask import g
from ulid import ULID

from conversations.inbox.api_keys import ApiKey


@dataclass(slots=True)
class RequestContext:
    """What is known of the current request.

    `started_at` is in seconds of time.perf_counter(). `row_count` is how many rows a list
    answered. `reasons` say in the log line why something was skipped, cut or filled in.
    """

    request_id: str = field(default_factory=lambda: str(ULID()))
    started_at: float = field(default_factory=time.perf_counter)
    api_key: ApiKey | None = None
    row_count: int | None = None
    reasons: list[str] = field(default_factory=list)


def current_context() -> RequestContext:
    """Return the current request's context.

    It is made on first use, because an error may come before any hook of the request has run.
    """
    try:
        return cast(RequestContext, g.context)
    except AttributeError:
        g.context = context = RequestContext()
        return context


def current_key() -> ApiKey:
    """Return the key that authenticated the current request. Only for views that need a key."""
    return cast(ApiKey, current_context().api_key)
