"""The lists: one statement checks the key and reads the page, and the tag saves even that."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

import orjson
import psycopg
from flask import Response, g, request
from marshmallow import ValidationError

import db
import pool
from envelope import ApiError, success, unauthorized
from schemas import ListConversationsSchema, ListMessagesSchema
from schemas.base import QuerySchema
from schemas.fields import decode_base64url, encode_cursor
from version import VERSION


@dataclass(frozen=True)
class Listing:
    """A list: the query that reads a page of it, its parameters, and where an item of it stands.

    What a request asks for waits in `g.key_hash`, `g.args` and `g.refusal` until the key is known.
    """

    query: str
    schema: QuerySchema
    position: Callable[[dict], tuple[datetime, bytes]]

    def find_key(self, key_hash: bytes) -> dict | None:
        """Return the live key with this hash, and with it the page if nothing speaks against that.

        What is wrong with the request is for `answer` to say: a stranger learns nothing of it.
        Raises pool.Unavailable.
        """
        g.key_hash, g.args, g.refusal = key_hash, None, None
        try:
            g.args = self._load_args()
        except (ApiError, ValidationError) as refusal:
            g.refusal = refusal
        conditional = bool(request.if_none_match)
        # A replica may not know of a key yet, or not that it was revoked.
        if g.refusal or conditional or pool.has_replica():
            return db.fetch_one("get_api_key", key_hash=key_hash, conditional=conditional)
        return self._fetch_page("primary")

    def answer(self) -> Response:
        """Answer the page with its meta, its tag, and the way to the next one (RFC 8288).

        Raises ApiError 400, 401 or 404, ValidationError, pool.Unavailable.
        """
        tags = request.if_none_match
        # Not yet for `*`, which says that there is a page: that must be found first.
        if tags and (tag := entity_tag(g.key["change_count"])) in tags.as_set(include_weak=True):
            return not_modified(tag)
        if g.refusal:
            raise g.refusal
        page = g.key if "items" in g.key else self._find_page()
        if page is None:  # The key was revoked or expired since.
            raise unauthorized()
        if page["items"] is None:
            raise ApiError(404)
        g.row_count = page["row_count"]
        last, limit = page["last_item"], g.args["limit"]
        next_cursor = encode_cursor(*self.position(orjson.loads(last))) if last else None
        meta = {"total": page["total"], "limit": limit, "offset": 0, "next_cursor": next_cursor}
        if tags.contains_weak(tag := entity_tag(page["change_count"])):
            return not_modified(tag)
        headers = cache_headers(tag)
        if next_cursor:
            query = urlencode({**request.args, "cursor": next_cursor})
            headers["Link"] = f'<{request.script_root}{request.path}?{query}>; rel="next"'
        return success(orjson.Fragment(b"[%b]" % page["items"]), meta, headers=headers)

    def _load_args(self) -> dict:
        """Return what the query needs of the request. Raises ApiError 400, ValidationError."""
        args = {}
        if "id" in request.view_args:
            try:
                args["conversation_id"] = UUID(bytes=decode_base64url(request.view_args["id"], 16))
            except ValueError:
                raise ApiError(400) from None
        args |= self.schema.check_query(request.args)
        args["cursor_at"], args["cursor_id"] = args.pop("cursor")
        return args

    def _find_page(self) -> dict | None:
        """Read the page where lists are read; the key was live just now."""
        page = None
        if pool.has_replica():
            # A standby may lack what a migration has just added.
            with contextlib.suppress(psycopg.errors.UndefinedTable):
                page = self._fetch_page("replica")
        return page or self._fetch_page("primary")

    def _fetch_page(self, role: str) -> dict | None:
        return db.fetch_page(self.query, role, key_hash=g.key_hash, **g.args)


def conversation_position(item: dict) -> tuple[datetime, bytes]:
    """Return where a conversation stands in its list."""
    return datetime.fromisoformat(item["last_message_at"]), decode_base64url(item["id"], 16)


def message_position(item: dict) -> tuple[datetime, bytes]:
    """Return where a message stands in its conversation."""
    return datetime.fromisoformat(item["created_at"]), UUID(item["id"]).bytes


CONVERSATIONS = Listing("list_conversations", ListConversationsSchema(), conversation_position)
MESSAGES = Listing("list_messages", ListMessagesSchema(), message_position)


def entity_tag(change_count: int) -> str:
    """Return the tag of this URL's answer after so many changes in the key's organization.

    Whatever an answer shows was counted in the transaction that changed it, so the same count is
    the same answer (RFC 9110 section 8.8.3).
    """
    what = (request.full_path, g.key["organization_id"].hex, str(change_count), VERSION)
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:32]


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
