"""Pages: a page of a list as a response, with cursor, Link and ETag, or a 304 in its place."""

import hashlib
from urllib.parse import urlencode

from flask import Response, request

from conversations import __version__
from conversations.api.context import current_context, current_key
from conversations.api.envelope import ApiError, success
from conversations.database import queries
from conversations.database.queries import Page
from schemas.fields import encode_cursor


def not_modified_response() -> Response | None:
    """Return a 304 (RFC 9110 section 15.4.5) if nothing has changed since, without reading a page.

    `If-None-Match: *` is left to page_response, because it says only that there is a page.
    """
    tags = request.if_none_match
    if not tags:
        return None
    organization_id = current_key().organization_id
    row = queries.fetch_row("get_change_count", organization_id=organization_id)
    tag = entity_tag(row["change_count"])
    if tag not in tags.as_set(include_weak=True):
        return None
    return Response(status=304, headers=_cache_headers(tag))


def page_response(page: Page | None, limit: int) -> Response:
    """Return the response that carries a page: its rows, its meta, and the way to the next page.

    Returns a 304 if the client has this page already. Raises ApiError 404 if there is no such list.
    """
    if page is None:
        raise ApiError(404)
    current_context().row_count = page.row_count
    tag = entity_tag(page.change_count)
    headers, next_cursor = _cache_headers(tag), None
    if request.if_none_match.contains_weak(tag):
        return Response(status=304, headers=headers)
    if page.last_at and page.last_id:
        next_cursor = encode_cursor(page.last_at, page.last_id.bytes)
        query = urlencode({**request.args, "cursor": next_cursor})
        headers["Link"] = f'<?{query}>; rel="next"'
    meta = {"total": page.total, "limit": limit, "offset": 0, "next_cursor": next_cursor}
    return success(page.items, meta, headers=headers)


def entity_tag(change_count: int) -> str:
    """Return the ETag of this URL's response after so many changes in the key's organization.

    Every change that a response can show is counted in the transaction that makes it, so the same
    count means the same response (RFC 9110 section 8.8.3).
    """
    organization_id = current_key().organization_id
    path, query = request.environ["PATH_INFO"], request.environ["QUERY_STRING"]
    what = (path, query, organization_id.hex, str(change_count), __version__)
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:32]


def _cache_headers(tag: str) -> dict[str, str]:
    """Return what a cache must know. The ETag is weak because gzip changes the bytes."""
    return {
        "ETag": f'W/"{tag}"',
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization, Accept-Encoding",
    }
