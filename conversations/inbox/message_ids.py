"""The ids of messages: new ones, and those computed from what a carrier or a file says.

A computed id lets the same message come twice, by a hook and in a file, and be stored once.
"""

from datetime import datetime
from hashlib import sha1
from uuid import UUID

import orjson
from ulid import ULID

from schemas.fields import format_instant

# Namespace (RFC 9562 section 5.5) of the ids that carriers' ids become; never to be changed.
CARRIER_NAMESPACE = UUID("5b1c8a0e-3c1d-4c53-8d07-9f5d3e7a6b02")


def new_message_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 section 5.7), so that ids made later sort later."""
    raw = bytearray(ULID().bytes)
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))


def name_based_id(namespace: UUID, name: bytes) -> UUID:
    """Return the UUIDv5 (RFC 9562 section 5.5) of a name: what uuid.uuid5 returns, which is slower.

    Before Python 3.12 that takes no bytes either.
    """
    digest = sha1(namespace.bytes + name, usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


def carrier_message_id(*parts: str) -> UUID:
    """Return the UUIDv5 of a carrier's id, so that hooks and imports make one message of it.

    Of Twilio the only part is the SID. The parts of all others begin with the carrier's name.
    """
    return name_based_id(CARRIER_NAMESPACE, ":".join(parts).encode())


def secret_message_id(id_namespace: UUID, *parts: str) -> UUID:
    """Return the UUIDv5 of parts of which one is a text or depends on one.

    `id_namespace` is the organization's secret (`get_id_namespace`): an id outlives the text of its
    message, and without a secret short texts could be guessed from it.
    """
    return name_based_id(id_namespace, orjson.dumps(parts))


def smsgate_message_id(
    id_namespace: UUID, own_number: str, contact_number: str, at: datetime, text: str
) -> UUID:
    """Return the id of a message that SMSGate's hook reports, or a phone's backup holds.

    `at` is the instant of the network, `text` the text as it is stored. The ids of SMSGate itself
    repeat, and its device id changes with a new installation, so neither is part of the id.
    """
    return secret_message_id(
        id_namespace, "smsgate", own_number, contact_number, format_instant(at), text
    )
