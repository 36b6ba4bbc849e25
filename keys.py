"""API keys: `am_live_`, 28 random base62 characters, 6 more that are the checksum of the 36 before.

The checksum lets typos be refused without a query and lets secret scanners verify a hit.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import db

SCOPES = ("conversations:read", "messages:write", "consent:write")

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BRAND = "am_live_"
PATTERN = re.compile(BRAND + "[0-9A-Za-z]{34}")


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def mint() -> str:
    """Return a new key, 42 characters."""
    text = BRAND + "".join(secrets.choice(BASE62) for _ in range(28))
    return text + _checksum(text)


def is_well_formed(key: str) -> bool:
    """Tell whether a text is a key that `mint` may have returned: shape and checksum."""
    return PATTERN.fullmatch(key) is not None and key[-6:] == _checksum(key[:-6])


def hash_key(key: str) -> bytes:
    """Return the SHA-256 of a key. No salt or stretching: its 166 random bits need neither."""
    return hashlib.sha256(key.encode()).digest()


def display_prefix(key: str) -> str:
    """Return the part that may be shown: `am_live_` and 4 characters."""
    return key[: len(BRAND) + 4]


def conceal(text: str) -> str:
    """Return a text with the display prefix in the place of each key."""
    return PATTERN.sub(lambda match: display_prefix(match[0]) + "…", text)


def create(
    organization_id: UUID, scopes: Sequence[str], label: str, expires_in: timedelta | None = None
) -> str:
    """Store a new key's hash and return the key: the only time that it is seen."""
    key = mint()
    db.execute(
        "create_api_key",
        organization_id=organization_id,
        key_hash=hash_key(key),
        prefix=display_prefix(key),
        label=label,
        scopes=list(scopes),
        expires_in=expires_in,
    )
    return key
