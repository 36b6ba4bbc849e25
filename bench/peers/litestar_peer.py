"""The list as Litestar and asyncpg have it: msgspec structs, dependencies, a guard."""

from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from asyncpg_queries import KEY, TOTAL, page_query, to_page
from common import SCOPE, RequestLog, hash_key
from litestar import Litestar, Request, get
from litestar.di import Provide
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.params import Parameter


class Consent(msgspec.Struct):
    opted_in: bool
    opted_in_at: datetime | None


class Conversation(msgspec.Struct):
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


class Meta(msgspec.Struct):
    total: int
    limit: int
    offset: int
    next_cursor: str | None


class Page(msgspec.Struct):
    success: bool
    data: list[Conversation]
    meta: Meta


@asynccontextmanager
async def lifespan(application: Litestar):
    async with asyncpg.create_pool(min_size=4, max_size=4) as application.state.pool:
        yield


async def authenticate(request: Request) -> UUID:
    key = await request.app.state.pool.fetchrow(KEY, hash_key(request.headers.get("authorization")))
    if key is None:
        raise NotAuthorizedException
    if SCOPE not in key["scopes"]:
        raise PermissionDeniedException
    return key["organization_id"]


@get("/conversations", dependencies={"organization_id": Provide(authenticate)})
async def list_conversations(  # noqa: PLR0913, PLR0917
    request: Request,
    organization_id: UUID,
    limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    cursor: str | None = None,
    phone_number_id: UUID | None = None,
    contact_number: str | None = None,
) -> Page:
    pool = request.app.state.pool
    query, values = page_query(organization_id, limit, cursor, phone_number_id, contact_number)
    rows = await pool.fetch(query, *values)
    total = await pool.fetchval(TOTAL, organization_id, phone_number_id)
    return msgspec.convert(to_page(rows, total, limit), Page)


app = RequestLog(Litestar([list_conversations], lifespan=[lifespan], openapi_config=None))
