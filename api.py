"""The blueprint `v1`: the key check, which for a list reads its page too, then the views."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
from flask import Blueprint, Response, current_app, g, request
from marshmallow import ValidationError

import db
import inbox
import keys
import pool
from envelope import ApiError, success, unauthorized
from listing import CONVERSATIONS, MESSAGES
from schemas import CreateMessageSchema, RecordConsentSchema

v1 = Blueprint("v1", __name__, url_prefix="/v1")

CREATE_MESSAGE = CreateMessageSchema()
RECORD_CONSENT = RecordConsentSchema()


def fetch_key(key_hash: bytes) -> dict | None:
    """Return the live key with this hash. Raises pool.Unavailable."""
    return db.fetch_one("get_api_key", key_hash=key_hash, conditional=False)


def requires(scope: str, find_key: Callable[[bytes], dict | None] = fetch_key):
    """Mark a view with the scope that its key must have, and with the way to find the key."""

    def mark(view):
        view.scope = scope
        view.find_key = find_key
        return view

    return mark


@v1.before_request
def check_key() -> None:
    """Let a request in only with a live key that has the view's scope (RFC 6750)."""
    if request.method == "OPTIONS":
        return
    view = current_app.view_functions[request.endpoint]
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    g.key = None
    if scheme.lower() == "bearer" and keys.is_well_formed(key := key.strip(" ")):
        g.key = view.find_key(keys.hash_key(key))
    if g.key is None:
        raise unauthorized()
    if view.scope not in g.key["scopes"]:
        challenge = f'Bearer error="insufficient_scope", scope="{view.scope}"'
        raise ApiError(403, headers={"WWW-Authenticate": challenge})


@v1.after_request
def note_use(response: Response) -> Response:
    """Keep the key's last_used_at, after the answer is known: a refusal costs no write."""
    if response.status_code < 400 and g.get("key") and g.key["is_stale"]:
        with contextlib.suppress(pool.Unavailable):
            db.execute("touch_api_key", organization_id=g.key["organization_id"], id=g.key["id"])
    return response


@v1.get("/conversations")
@requires("conversations:read", CONVERSATIONS.find_key)
def list_conversations():
    """Answer one page of the organization's conversations, newest first."""
    return CONVERSATIONS.answer()


@v1.get("/conversations/<id>/messages")
@requires("conversations:read", MESSAGES.find_key)
def list_messages(id: str):
    """Answer one page of a conversation's messages, oldest first."""
    return MESSAGES.answer()


@v1.post("/messages")
@requires("messages:write")
def create_message():
    """Record one message; the same one again changes nothing."""
    given = CREATE_MESSAGE.check(json_object())
    organization_id = g.key["organization_id"]
    ends = [given["from_number"], given["to_number"]]
    message = inbox.complete_message(given, inbox.find_phone_numbers(organization_id, numbers=ends))
    (verdict,) = inbox.create_messages(organization_id, [message])
    if verdict is inbox.Verdict.CONFLICT:
        raise ApiError(409)
    (stored,) = inbox.stored_messages(organization_id, [message["id"]]).values()
    return success(stored, status=201 if verdict is inbox.Verdict.CREATED else 200)


@v1.post("/consent")
@requires("consent:write")
def record_consent():
    """Record one consent event and answer what is then on record."""
    event = RECORD_CONSENT.check(json_object())
    event.setdefault("captured_at", datetime.now(UTC))
    organization_id = g.key["organization_id"]
    numbers = inbox.find_phone_numbers(organization_id, ids=[event["phone_number_id"]])
    if not numbers:
        raise ValidationError({"phone_number_id": inbox.NOT_YOURS})
    (event["phone_number"],) = numbers
    (consent,), _ = inbox.record_consent(organization_id, [event])
    return success(consent)


def json_object() -> dict:
    """Return the request's body. Raises ApiError 415, 413 or 400."""
    if request.mimetype != "application/json":
        raise ApiError(415)
    raw = request.get_data(cache=False)
    # Werkzeug refuses a length over the limit; of a chunked body it cuts off what is beyond.
    is_cut = request.content_length is None and len(raw) == request.max_content_length
    if is_cut and request.environ["wsgi.input"].read(1):
        raise ApiError(413)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ApiError(400) from None
    if not isinstance(body, dict):
        raise ApiError(400)
    return body
