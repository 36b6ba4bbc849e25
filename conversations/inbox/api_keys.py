"""API keys: `am_live_`, 28 random base62 characters, 6 base62 characters of checksum.

The checksum is the CRC32 of the 36 characters before it. It lets typing errors be refused without a
query, and lets secret scanners verify what they find.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from conversations.database import pool, queries
from conversations.database.connection import Connection

SCOPES = (
    "conversations:read",
    "messages:write",
    "messages:erase",
    "consent:read",
    "consent:write",
    "numbers:read",
)

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BRAND = "am_live_"
RANDOM_LENGTH = 28
CHECKSUM_LENGTH = 6
PREFIX_LENGTH = len(BRAND) + 4
# Of a name, a label or a value of a file.
MAX_PRINTED = 100
PATTERN = re.compile(f"{BRAND}[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")


class KeyIsDead(Exception):
    """The key is revoked or expired."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A live key, without its secret.

    `is_stale` tells that its use was not noted for a minute.
    """

    organization_id: UUID
    id: UUID
    prefix: str
    scopes: list[str]
    is_stale: bool


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits


def new_key() -> str:
    """Return a new key, 42 characters."""
    text = BRAND + "".join(secrets.choice(BASE62) for _ in range(RANDOM_LENGTH))
    return text + _checksum(text)


def is_well_formed(key: str) -> bool:
    """Tell whether a text has the shape and the checksum of a key."""
    if not PATTERN.fullmatch(key):
        return False
    return key[-CHECKSUM_LENGTH:] == _checksum(key[:-CHECKSUM_LENGTH])


def hash_key(key: str) -> bytes:
    """Return the SHA-256 of a key. Its 166 random bits need neither a salt nor stretching."""
    return hashlib.sha256(key.encode()).digest()


def display_prefix(key: str) -> str:
    """Return the part of a key that may be shown: `am_live_` and 4 characters."""
    return key[:PREFIX_LENGTH]


def conceal(text: str) -> str:
    """Return a text in which each key is cut to its display prefix."""
    return PATTERN.sub(lambda match: display_prefix(match[0]) + "…", text)


def printable(text: str) -> str:
    """Return a text of a user or a file as it is printed: escaped, 100 characters, no whole key.

    A terminal would obey control characters, and a tab or a line end would look like one of ours.
    """
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in conceal(text))
    return shown if len(shown) <= MAX_PRINTED else shown[: MAX_PRINTED - 1] + "…"


def find_live_key(key: str) -> ApiKey | None:
    """Return what is stored of a key, or None if it is malformed, unknown, expired or revoked.

    A malformed key costs no query. Raises pool.Unavailable.
    """
    if not is_well_formed(key):
        return None
    row = queries.fetch_one("get_api_key", key_hash=hash_key(key))
    return ApiKey(**row) if row else None


def touch(api_key: ApiKey) -> None:
    """Note that a key was used. Raises pool.Unavailable."""
    queries.execute("touch_api_key", organization_id=api_key.organization_id, id=api_key.id)


def create_api_key(
    organization_id: UUID,
    scopes: Sequence[str],
    label: str,
    expires_in: timedelta | None = None,
    connection: Connection | None = None,
) -> str:
    """Store the hash of a new key and return the key, which cannot be shown again."""
    key = new_key()
    stored = {"key_hash": hash_key(key), "prefix": display_prefix(key), "label": label}
    rights = {"organization_id": organization_id, "scopes": list(scopes), "expires_in": expires_in}
    queries.execute("create_api_key", connection, **stored, **rights)
    return key


def revoke_api_key(organization_id: UUID, id: UUID) -> None:
    """Revoke a key, effective on the next request."""
    queries.execute("revoke_api_key", organization_id=organization_id, id=id)


def rotate_api_key(organization_id: UUID, id: UUID) -> str:
    """Revoke a live key and return a new one with the same scopes, label and expiry.

    Raises KeyIsDead if the key is revoked or expired.
    """
    with pool.transaction() as connection:
        params = {"organization_id": organization_id, "id": id}
        old = queries.fetch_one("revoke_api_key", connection, **params)
        if old is None:
            raise KeyIsDead("the key is revoked")
        if old["expires_in"] is not None and old["expires_in"] <= timedelta():
            raise KeyIsDead("the key is expired")
        return create_api_key(organization_id, **old, connection=connection)
