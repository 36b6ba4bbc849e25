"""The blueprint `v1`: the key check, then the views, each of them load, query, answer."""

import contextlib
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

import orjson
from flask import Blueprint, Response, current_app, g, request
from marshmallow import ValidationError

import db
import inbox
import keys
import pool
from envelope import ApiError, success
from schemas import (
    CreateMessageSchema,
    ListConversationsSchema,
    ListMessagesSchema,
    RecordConsentSchema,
)
from schemas.fields import decode_base64url, encode_cursor
from version import VERSION

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
        conditional = bool(request.if_none_match)
        g.key = db.fetch_one("get_api_key", key_hash=keys.hash_key(key), conditional=conditional)
    if g.key is None:
        raise ApiError(401, headers={"WWW-Authenticate": "Bearer"})
    scope = current_app.view_functions[request.endpoint].scope
    if scope not in g.key["scopes"]:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        raise ApiError(403, headers={"WWW-Authenticate": challenge})


@v1.after_request
def note_use(response: Response) -> Response:
    """Keep the key's last_used_at, after the answer is known: a refusal costs no write."""
    if response.status_code < 400 and g.get("key") and g.key["is_stale"]:
        with contextlib.suppress(pool.Unavailable):
            db.execute("touch_api_key", organization_id=g.key["organization_id"], id=g.key["id"])
    return response


@v1.get("/conversations")
@requires("conversations:read")
def list_conversations():
    """Answer one page of the organization's conversations, newest first."""
    if tag := current_tag():
        return not_modified(tag)
    args = LIST_CONVERSATIONS.check_query(request.args)
    page = fetch_page("list_conversations", args)
    return list_answer(page, args["limit"], conversation_position)


@v1.get("/conversations/<id>/messages")
@requires("conversations:read")
def list_messages(id: str):
    """Answer one page of a conversation's messages, oldest first."""
    try:
        conversation_id = UUID(bytes=decode_base64url(id, 16))
    except ValueError:
        raise ApiError(400) from None
    if tag := current_tag():
        return not_modified(tag)
    args = LIST_MESSAGES.check_query(request.args)
    page = fetch_page("list_messages", {**args, "conversation_id": conversation_id})
    if page is None:
        raise ApiError(404)
    return list_answer(page, args["limit"], message_position)


@v1.post("/messages")
@requires("messages:write")
def create_message():
    """Record one message; the same one again changes nothing."""
    given = CREATE_MESSAGE.check(json_object())
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
    event = RECORD_CONSENT.check(json_object())
    event.setdefault("captured_at", datetime.now(UTC))
    organization_id = g.key["organization_id"]
    numbers = inbox.phone_numbers(organization_id, ids=[event["phone_number_id"]])
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


def fetch_page(query: str, args: dict) -> db.Page | None:
    """Run a list query, which reads one more than is asked for: that tells if anything follows."""
    cursor_at, cursor_id = args["cursor"]
    one_more = args["limit"] + 1
    params = args | {"cursor_at": cursor_at, "cursor_id": cursor_id, "one_more": one_more}
    return db.fetch_page(query, **params, organization_id=g.key["organization_id"])


def list_answer(page: db.Page, limit: int, position: Callable[[dict], tuple[datetime, bytes]]):
    """Answer a page with its meta, its tag, and the way to the next one (RFC 8288)."""
    g.row_count = page.row_count
    last = page.last_item and orjson.loads(page.last_item)
    next_cursor = encode_cursor(*position(last)) if last else None
    meta = {"total": page.total, "limit": limit, "offset": 0, "next_cursor": next_cursor}
    tag = entity_tag(page.change_count)
    if request.if_none_match.contains_weak(tag):
        return not_modified(tag)
    headers = cache_headers(tag)
    if next_cursor:
        query = urlencode({**request.args, "cursor": next_cursor})
        headers["Link"] = f'<{request.script_root}{request.path}?{query}>; rel="next"'
    return success(orjson.Fragment(page.data), meta, headers=headers)


def conversation_position(item: dict) -> tuple[datetime, bytes]:
    """Return where a conversation stands in its list."""
    return datetime.fromisoformat(item["last_message_at"]), decode_base64url(item["id"], 16)


def message_position(item: dict) -> tuple[datetime, bytes]:
    """Return where a message stands in its conversation."""
    return datetime.fromisoformat(item["created_at"]), UUID(item["id"]).bytes


def entity_tag(change_count: int) -> str:
    """Return the tag of this URL's answer after so many changes in the key's organization.

    Whatever an answer shows was counted in the transaction that changed it, so the same count is
    the same answer (RFC 9110 section 8.8.3).
    """
    what = (request.full_path, g.key["organization_id"].hex, str(change_count), VERSION)
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:32]


def current_tag() -> str | None:
    """Return the current answer's tag if the client has it; what came with the key tells."""
    tags = request.if_none_match
    if not tags:
        return None
    tag = entity_tag(g.key["change_count"])
    return tag if tag in tags.as_set(include_weak=True) else None


def not_modified(tag: str) -> Response:
    """Answer 304 (RFC 9110 section 15.4.5)."""
    return Response(status=304, headers=cache_headers(tag))


def cache_headers(tag: str) -> dict[str, str]:
    """Return what a cache must know: the tag, weak because gzip changes the bytes, and for whom."""
    return {
        "ETag": f'W/"{tag}"',
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization, Accept-Encoding",
    }
