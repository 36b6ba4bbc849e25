"""The list as FastAPI and asyncpg have it, with a response model; at /raw, orjson without one."""

import os
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import orjson
from fastapi import FastAPI, Query, Response
from pydantic import BaseModel

ORGANIZATION_ID = UUID(os.environ["ORGANIZATION_ID"])

COLUMNS = """
    rtrim(translate(encode(uuid_send(conversations.id), 'base64'), '+/', '-_'), '=') AS id,
    conversations.id AS raw_id,
    phone_number_id::text,
    number AS phone_number,
    contact_number,
    last_message_at,
    last_message_direction,
    CASE
        WHEN last_message_body_redacted_at IS NOT NULL THEN '[redacted]'
        ELSE coalesce(last_message_preview, '[media]')
    END AS last_message_preview,
    last_message_body_redacted_at,
    message_count,
    opted_in,
    opted_in_at,
    opted_out_at
"""


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
    limit: int
    next_cursor: str | None


class Page(BaseModel):
    success: bool
    data: list[Conversation]
    meta: Meta


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with asyncpg.create_pool(min_size=4, max_size=4) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


async def fetch_page(limit, cursor, phone_number_id, contact_number) -> dict:
    conditions, values = ["conversations.organization_id = $1"], [ORGANIZATION_ID]
    if cursor:
        at, id = cursor.split("_")
        values += [datetime.fromisoformat(at), UUID(id)]
        conditions.append("(last_message_at, conversations.id) < ($2, $3)")
    if phone_number_id:
        values.append(phone_number_id)
        conditions.append(f"phone_number_id = ${len(values)}")
    if contact_number:
        values.append(contact_number)
        conditions.append(f"contact_number = ${len(values)}")
    rows = await app.state.pool.fetch(
        f"SELECT {COLUMNS} FROM conversations JOIN phone_numbers"
        " ON phone_numbers.organization_id = conversations.organization_id"
        " AND phone_numbers.id = phone_number_id"
        f" WHERE {' AND '.join(conditions)}"
        " ORDER BY last_message_at DESC, conversations.id DESC"
        f" LIMIT ${len(values) + 1}",
        *values,
        limit + 1,
    )
    next_cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        next_cursor = f"{last['last_message_at'].isoformat()}_{last['raw_id']}"
    return {
        "success": True,
        "data": [to_dict(row) for row in rows[:limit]],
        "meta": {"limit": limit, "next_cursor": next_cursor},
    }


def to_dict(row: asyncpg.Record) -> dict:
    conversation = dict(row)
    del conversation["raw_id"]
    opted_in, opted_in_at = conversation.pop("opted_in"), conversation.pop("opted_in_at")
    opted_out_at = conversation.pop("opted_out_at")
    conversation["consent"] = None
    if opted_in_at or opted_out_at:
        conversation["consent"] = {"opted_in": opted_in, "opted_in_at": opted_in_at}
    return conversation


@app.get("/conversations", response_model=Page)
async def list_conversations(
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
    phone_number_id: UUID | None = None,
    contact_number: str | None = None,
):
    return await fetch_page(limit, cursor, phone_number_id, contact_number)


@app.get("/raw")
async def list_conversations_raw(
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
    phone_number_id: UUID | None = None,
    contact_number: str | None = None,
):
    page = await fetch_page(limit, cursor, phone_number_id, contact_number)
    return Response(orjson.dumps(page), media_type="application/json")
