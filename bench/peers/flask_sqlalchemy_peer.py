"""The list as a Flask and SQLAlchemy application has it: models, a keyset, jsonify."""

import time
from datetime import datetime
from uuid import UUID

from common import (
    ORGANIZATION_ID,
    SCOPE,
    decode_cursor,
    encode_cursor,
    encode_id,
    format_instant,
    hash_key,
    log_request,
    new_request_id,
)
from flask import Flask, abort, g, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import Text


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class ApiKey(db.Model):
    __tablename__ = "api_keys"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    key_hash: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ConversationCount(db.Model):
    __tablename__ = "conversation_counts"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    counted_id: Mapped[UUID] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    opted_in_count: Mapped[int]
    other_count: Mapped[int]


class Conversation(db.Model):
    __tablename__ = "conversations"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    phone_number_id: Mapped[UUID]
    phone_number: Mapped[str]
    contact_number: Mapped[str]
    opted_in_at: Mapped[datetime | None]
    opted_out_at: Mapped[datetime | None]
    opted_in: Mapped[bool]
    last_message_at: Mapped[datetime | None]
    last_message_direction: Mapped[str | None]
    last_message_preview: Mapped[str | None]
    last_message_body_redacted_at: Mapped[datetime | None]
    message_count: Mapped[int]

    @property
    def preview(self) -> str:
        if self.last_message_body_redacted_at:
            return "[redacted]"
        return "[media]" if self.last_message_preview is None else self.last_message_preview

    @property
    def consent(self) -> dict | None:
        if self.opted_in_at is None and self.opted_out_at is None:
            return None
        return {"opted_in": self.opted_in, "opted_in_at": format_instant(self.opted_in_at)}

    def to_dict(self) -> dict:
        return {
            "id": encode_id(self.id),
            "phone_number_id": str(self.phone_number_id),
            "phone_number": self.phone_number,
            "contact_number": self.contact_number,
            "last_message_at": format_instant(self.last_message_at),
            "last_message_direction": self.last_message_direction,
            "last_message_preview": self.preview,
            "last_message_body_redacted_at": format_instant(self.last_message_body_redacted_at),
            "message_count": self.message_count,
            "consent": self.consent,
        }


app = Flask(__name__)
app.json.sort_keys = False
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg://"
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 4}
db.init_app(app)


@app.before_request
def start():
    g.started, g.request_id = time.perf_counter(), new_request_id()


@app.after_request
def finish(response):
    response.headers["X-Request-Id"] = g.request_id
    log_request(g.request_id, request.method, request.path, response.status_code, g.started)
    return response


def authenticate() -> UUID:
    """Return the organization of the key."""
    key = db.session.scalar(
        select(ApiKey).where(
            ApiKey.key_hash == hash_key(request.headers.get("Authorization")),
            ApiKey.revoked_at.is_(None),
            ApiKey.expires_at.is_(None) | (ApiKey.expires_at > func.now()),
        )
    )
    if key is None:
        abort(401)
    if SCOPE not in key.scopes:
        abort(403)
    return key.organization_id


def find(organization_id: UUID, limit: int) -> list[Conversation]:
    """Return the conversations of a page, and one more if there is one."""
    query = (
        select(Conversation)
        .where(Conversation.organization_id == organization_id, Conversation.message_count > 0)
        .order_by(Conversation.last_message_at.desc(), Conversation.id.desc())
        .limit(limit + 1)
    )
    if cursor := request.args.get("cursor"):
        position = tuple_(*decode_cursor(cursor))
        query = query.where(tuple_(Conversation.last_message_at, Conversation.id) < position)
    if phone_number_id := request.args.get("phone_number_id", type=UUID):
        query = query.where(Conversation.phone_number_id == phone_number_id)
    if contact_number := request.args.get("contact_number"):
        query = query.where(Conversation.contact_number == contact_number)
    return db.session.scalars(query).all()


def count(organization_id: UUID) -> int:
    """Return the total, from the counts."""
    query = select(
        func.sum(ConversationCount.opted_in_count + ConversationCount.other_count)
    ).where(
        ConversationCount.organization_id == organization_id,
        ConversationCount.counted_id == request.args.get("phone_number_id", UUID(int=0), type=UUID),
    )
    return int(db.session.scalar(query))


def page(rows: list[Conversation], total: int, limit: int):
    cursor = None
    if len(rows) > limit:
        cursor = encode_cursor(rows[limit - 1].last_message_at, rows[limit - 1].id)
    return jsonify(
        success=True,
        data=[row.to_dict() for row in rows[:limit]],
        meta={"total": total, "limit": limit, "offset": 0, "next_cursor": cursor},
    )


@app.get("/conversations")
def list_conversations():
    organization_id = authenticate()
    limit = request.args.get("limit", 50, type=int)
    return page(find(organization_id, limit), count(organization_id), limit)


@app.get("/bare")
def list_conversations_bare():
    """Neither the key nor the total: a limit, not the same work."""
    limit = request.args.get("limit", 50, type=int)
    return page(find(ORGANIZATION_ID, limit), 0, limit)
