"""The blueprint `v1`: the key check, then the views, each of them load, query, answer."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
from flask import Blueprint, current_app, g, request
from marshmallow import ValidationError

import db
import inbox
import keys
from envelope import ApiError, success
from schemas import (
    CreateMessageSchema,
    ListConversationsSchema,
    ListMessagesSchema,
    RecordConsentSchema,
)
from schemas.fields import decode_base64url, encode_cursor

v1 = Blueprint("v1", __name__, url_prefix="/v1")

LIST_CONVERSATIONS = ListConversationsSchema()
LIST_MESSAGES = ListMessagesSchema()
CREATE_MESSAGE = CreateMessageSchema()
RECORD_CONSENT = RecordConsentSchema()


def requires(scope: str):
    """Mark a view with the scope that its key must have."""

    def mark(view):
        view.scope = scope
        return view

    return mark


@v1.before_request
def check_key() -> None:
    """Let a request in only with a live key that has the view's scope (RFC 6750)."""
    if request.method == "OPTIONS":
        return
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    g.key = None
    if scheme.lower() == "bearer" and keys.is_well_formed(key := key.strip(" ")):
        g.key = db.fetch_one("get_api_key", key_hash=keys.hash_key(key), conditional=False)
    if g.key is None:
        raise ApiError(401, headers={"WWW-Authenticate": "Bearer"})
    if g.key["is_stale"]:
        db.execute("touch_api_key", organization_id=g.key["organization_id"], id=g.key["id"])
    scope = current_app.view_functions[request.endpoint].scope
    if scope not in g.key["scopes"]:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        raise ApiError(403, headers={"WWW-Authenticate": challenge})


@v1.get("/conversations")
@requires("conversations:read")
def list_conversations():
    """Answer one page of the organization's conversations, newest first."""
    args = LIST_CONVERSATIONS.check_query(request.args)
    page = _fetch_page("list_conversations", args)
    return _list_answer(page, args["limit"], _conversation_position)


@v1.get("/conversations/<conversation_id>/messages")
@requires("conversations:read")
def list_messages(conversation_id: str):
    """Answer one page of a conversation's messages, oldest first."""
    try:
        id = UUID(bytes=decode_base64url(conversation_id, 16))
    except ValueError:
        raise ApiError(400) from None
    args = LIST_MESSAGES.check_query(request.args)
    page = _fetch_page("list_messages", {**args, "conversation_id": id})
    if page is None:
        raise ApiError(404)
    return _list_answer(page, args["limit"], _message_position)


@v1.post("/messages")
@requires("messages:write")
def create_message():
    """Record one message; the same one again changes nothing."""
    given = CREATE_MESSAGE.check(_json_object())
    organization_id = g.key["organization_id"]
    ends = [given["from_number"], given["to_number"]]
    message = inbox.complete_message(given, inbox.phone_numbers(organization_id, numbers=ends))
    (verdict,) = inbox.create_messages(organization_id, [message])
    if verdict is inbox.Verdict.CONFLICT:
        raise ApiError(409)
    (stored,) = inbox.stored_messages(organization_id, [message.row["id"]]).values()
    return success(stored, status=201 if verdict is inbox.Verdict.CREATED else 200)


@v1.post("/consent")
@requires("consent:write")
def record_consent():
    """Record one consent event and answer what is then on record."""
    event = RECORD_CONSENT.check(_json_object())
    event.setdefault("captured_at", datetime.now(UTC))
    organization_id = g.key["organization_id"]
    if not inbox.phone_numbers(organization_id, ids=[event["phone_number_id"]]):
        raise ValidationError({"phone_number_id": inbox.NOT_YOURS})
    (consent,), _ = inbox.record_consent(organization_id, [event])
    return success(consent)


def _json_object() -> dict:
    """Return the request's body. Raises ApiError 415 or 400; Werkzeug raises the 413."""
    if request.mimetype != "application/json":
        raise ApiError(415)
    try:
        body = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError:
        raise ApiError(400) from None
    if not isinstance(body, dict):
        raise ApiError(400)
    return body


def _fetch_page(query: str, args: dict) -> db.Page | None:
    """Run a list query with one row more than asked for: it tells whether anything follows."""
    cursor_at, cursor_id = args.pop("cursor")
    g.page = db.fetch_page(
        query,
        organization_id=g.key["organization_id"],
        cursor_at=cursor_at,
        cursor_id=cursor_id,
        **{**args, "limit": args["limit"] + 1},
    )
    return g.page


def _list_answer(page: db.Page, limit: int, position):
    rows = page.rows[:limit]
    meta = {
        "total": page.total,
        "limit": limit,
        "offset": 0,
        "next_cursor": encode_cursor(*position(rows[-1])) if len(page.rows) > limit else None,
    }
    return success(rows, meta)


def _conversation_position(row: dict) -> tuple[datetime, bytes]:
    return row["last_message_at"], decode_base64url(row["id"], 16)


def _message_position(row: dict) -> tuple[datetime, bytes]:
    return row["created_at"], row["id"].bytes
