"""The list as a Flask and SQLAlchemy application has it: models, a keyset, jsonify."""

import base64
import os
from datetime import datetime
from uuid import UUID

from flask import Flask, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, select, tuple_
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship

ORGANIZATION_ID = UUID(os.environ["ORGANIZATION_ID"])


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class PhoneNumber(db.Model):
    __tablename__ = "phone_numbers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    number: Mapped[str]


class Conversation(db.Model):
    __tablename__ = "conversations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    phone_number_id: Mapped[UUID] = mapped_column(ForeignKey("phone_numbers.id"))
    contact_number: Mapped[str]
    opted_in_at: Mapped[datetime | None]
    opted_out_at: Mapped[datetime | None]
    opted_in: Mapped[bool]
    last_message_at: Mapped[datetime | None]
    last_message_direction: Mapped[str | None]
    last_message_preview: Mapped[str | None]
    last_message_body_redacted_at: Mapped[datetime | None]
    message_count: Mapped[int]
    phone_number: Mapped[PhoneNumber] = relationship()

    @property
    def preview(self) -> str:
        if self.last_message_body_redacted_at:
            return "[redacted]"
        return self.last_message_preview or "[media]"

    @property
    def consent(self) -> dict | None:
        if self.opted_in_at is None and self.opted_out_at is None:
            return None
        return {"opted_in": self.opted_in, "opted_in_at": isoformat(self.opted_in_at)}

    def to_dict(self) -> dict:
        return {
            "id": base64.urlsafe_b64encode(self.id.bytes).rstrip(b"=").decode(),
            "phone_number_id": str(self.phone_number_id),
            "phone_number": self.phone_number.number,
            "contact_number": self.contact_number,
            "last_message_at": isoformat(self.last_message_at),
            "last_message_direction": self.last_message_direction,
            "last_message_preview": self.preview,
            "last_message_body_redacted_at": isoformat(self.last_message_body_redacted_at),
            "message_count": self.message_count,
            "consent": self.consent,
        }


def isoformat(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


app = Flask(__name__)
app.json.sort_keys = False
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg://"
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 4}
db.init_app(app)


@app.get("/conversations")
def list_conversations():
    limit = request.args.get("limit", 50, type=int)
    query = (
        select(Conversation)
        .where(Conversation.organization_id == ORGANIZATION_ID)
        .options(joinedload(Conversation.phone_number))
        .order_by(Conversation.last_message_at.desc(), Conversation.id.desc())
        .limit(limit + 1)
    )
    if cursor := request.args.get("cursor"):
        at, id = cursor.split("_")
        position = tuple_(datetime.fromisoformat(at), UUID(id))
        query = query.where(tuple_(Conversation.last_message_at, Conversation.id) < position)
    if phone_number_id := request.args.get("phone_number_id", type=UUID):
        query = query.where(Conversation.phone_number_id == phone_number_id)
    if contact_number := request.args.get("contact_number"):
        query = query.where(Conversation.contact_number == contact_number)
    rows = db.session.scalars(query).all()
    cursor = None
    if len(rows) > limit:
        cursor = f"{rows[limit - 1].last_message_at.isoformat()}_{rows[limit - 1].id}"
    return jsonify(
        success=True,
        data=[row.to_dict() for row in rows[:limit]],
        meta={"limit": limit, "next_cursor": cursor},
    )
