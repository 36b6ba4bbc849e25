"""The list as FastAPI and asyncpg have it: with a response model, and with orjson without one."""

from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import orjson
from asyncpg_queries import KEY, TOTAL, page_query, to_page
from common import ORGANIZATION_ID, SCOPE, RequestLog, hash_key
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response
from pydantic import BaseModel


class Consent(BaseModel):
    opted_in: bool
    opted_in_at: datetime | None


class Conversation(BaseModel):
    id: str
    phone_number_id: str
    phone_number: str
    contact_number: str
    last_message_at: datetime
    last_message_direction: str
    last_message_preview: str
    last_message_body_redacted_at: datetime | None
    message_count: int
    consent: Consent | None


class Meta(BaseModel):
    total: int
    limit: int
    offset: int
    next_cursor: str | None


class Page(BaseModel):
    success: bool
    data: list[Conversation]
    meta: Meta


class Filters(BaseModel):
    limit: Annotated[int, Query(ge=1, le=200)] = 50
    cursor: str | None = None
    phone_number_id: UUID | None = None
    contact_number: str | None = None


@asynccontextmanager
async def lifespan(_: FastAPI):
    async with asyncpg.create_pool(min_size=4, max_size=4) as api.state.pool:
        yield


api = FastAPI(lifespan=lifespan)
app = RequestLog(api)


def require_scope(key: asyncpg.Record | None) -> UUID:
    if key is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    if SCOPE not in key["scopes"]:
        raise HTTPException(403)
    return key["organization_id"]


async def authenticate(authorization: Annotated[str | None, Header()] = None) -> UUID:
    return require_scope(await api.state.pool.fetchrow(KEY, hash_key(authorization)))


Organization = Annotated[UUID, Depends(authenticate)]
Given = Annotated[Filters, Query()]


async def fetch_page(connection, organization_id: UUID, filters: Filters) -> dict:
    query, values = page_query(
        organization_id,
        filters.limit,
        filters.cursor,
        filters.phone_number_id,
        filters.contact_number,
    )
    rows = await connection.fetch(query, *values)
    total = await connection.fetchval(TOTAL, organization_id, filters.phone_number_id)
    return to_page(rows, total, filters.limit)


def to_response(page: dict) -> Response:
    return Response(orjson.dumps(page, option=orjson.OPT_UTC_Z), media_type="application/json")


@api.get("/model", response_model=Page)
async def list_conversations(organization_id: Organization, filters: Given):
    return await fetch_page(api.state.pool, organization_id, filters)


@api.get("/orjson")
async def list_conversations_by_orjson(organization_id: Organization, filters: Given):
    return to_response(await fetch_page(api.state.pool, organization_id, filters))


@api.get("/one-connection")
async def list_conversations_on_one_connection(
    filters: Given, authorization: Annotated[str | None, Header()] = None
):
    async with api.state.pool.acquire() as connection:
        organization_id = require_scope(await connection.fetchrow(KEY, hash_key(authorization)))
        page = await fetch_page(connection, organization_id, filters)
    return to_response(page)


@api.get("/bare")
async def list_conversations_bare(filters: Given):
    """Neither the key nor the total: a limit, not the same work."""
    query, values = page_query(
        ORGANIZATION_ID, filters.limit, filters.cursor, None, filters.contact_number
    )
    return to_response(to_page(await api.state.pool.fetch(query, *values), 0, filters.limit))
