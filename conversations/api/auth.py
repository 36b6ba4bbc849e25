"""Authentication: a request of the API or a hook needs a live key with the scope of its view."""

import time
from collections.abc import Iterable

from flask import Response, request

from conversations.api.context import current_context
from conversations.api.envelope import ApiError
from conversations.database.pool import DatabaseError, Unavailable
from conversations.inbox import api_keys

# The scope that a key needs for each view, by the name of the view's function.
VIEW_SCOPES = {
    "list_conversations": "conversations:read",
    "list_messages": "conversations:read",
    "create_message": "messages:write",
    "record_consent": "consent:write",
    "list_consent": "consent:read",
    "list_phone_numbers": "numbers:read",
    "erase_contact": "messages:erase",
    "receive_twilio": "messages:write",
    "receive_telnyx": "messages:write",
    "receive_smsgate": "messages:write",
    "receive_httpsms": "messages:write",
}
# After a failure the use of keys is not noted for so long: on a database that takes no writes each
# attempt would fail.
TOUCH_AGAIN_SECONDS = 60.0

_touch_from = 0.0


def require_scopes(endpoints: Iterable[str]) -> None:
    """Raise LookupError if a view that needs a key, such as `v1.list_consent`, has no scope."""
    for endpoint in endpoints:
        blueprint, _, view = endpoint.rpartition(".")
        if blueprint in ("v1", "hooks") and view not in VIEW_SCOPES:
            raise LookupError(f"{endpoint} has no scope in VIEW_SCOPES")


def authenticate() -> None:
    """Let a request in only with a live key that has the scope of its view (RFC 6750).

    Raises ApiError 401 or 403, pool.Unavailable.
    """
    _let_in([header_token("bearer")], ["Bearer"])


def authenticate_hook() -> None:
    """Let a carrier in, with a key in the query, as the password of Basic (RFC 7617), or as Bearer.

    A key in the query must be for recording alone: it stands in a carrier's console and in the log
    of a proxy. Twilio sends the password only after a 401 that asks for Basic.
    Raises ApiError 401 or 403, pool.Unavailable.
    """
    challenges = ['Basic realm="conversations"', "Bearer"]
    if in_query := request.args.getlist("key"):
        _let_in(in_query, challenges, has_one_scope=True)
    else:
        _let_in([header_token("basic", "bearer")], challenges)


def _let_in(tokens: list[str], challenges: list[str], has_one_scope: bool = False) -> None:
    if request.method == "OPTIONS":
        return
    api_key = api_keys.find_live_key(tokens[0]) if len(tokens) == 1 else None
    if api_key is None:
        raise ApiError(401, headers={"WWW-Authenticate": challenges})
    current_context().api_key = api_key
    scope = VIEW_SCOPES[(request.endpoint or "").rpartition(".")[2]]
    may_do_more = has_one_scope and api_key.scopes != [scope]
    if scope not in api_key.scopes or may_do_more:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        details = {"key": f"must have {scope} as its one and only scope"} if may_do_more else {}
        current_context().reasons += [f"the key {sentence}" for sentence in details.values()]
        raise ApiError(403, details, {"WWW-Authenticate": challenge})


def header_token(*schemes: str) -> str:
    """Return the key of the Authorization header, an empty text if it has none in these schemes.

    Of Basic that is the password; the user is ignored. Bearer takes the key alone.
    """
    authorization = request.authorization
    if authorization is None or authorization.type not in schemes:
        return ""
    is_basic = authorization.type == "basic"
    return (authorization.password if is_basic else authorization.token) or ""


def note_use(response: Response) -> Response:
    """Note that the key was used, once the response is known: a refused request costs no write.

    A page that was read is answered, also if this cannot be noted.
    """
    global _touch_from
    api_key = current_context().api_key
    is_due = api_key and api_key.is_stale and time.monotonic() >= _touch_from
    if api_key and is_due and response.status_code < 400:
        try:
            api_keys.touch(api_key)
        except (Unavailable, DatabaseError):
            _touch_from = time.monotonic() + TOUCH_AGAIN_SECONDS
    return response
