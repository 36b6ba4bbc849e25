"""The JSON Schemas of values, for the OpenAPI document: the service itself checks without them."""

from typing import Any

from schemas.fields import MAX_MEDIA_URLS, MEDIA_URL
from schemas.numbers import PHONE_NUMBER as NUMBER_PATTERN

Json = dict[str, Any]

TEXT = {"type": "string"}
BOOLEAN = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
INSTANT = {"type": "string", "format": "date-time"}
UUID = {"type": "string", "format": "uuid"}
PHONE_NUMBER = {"type": "string", "pattern": f"^({NUMBER_PATTERN.pattern})$"}
MEDIA_URLS = {
    "type": "array",
    "maxItems": MAX_MEDIA_URLS,
    "items": {"type": "string", "pattern": f"^{MEDIA_URL.pattern}$"},
}
CONVERSATION_ID = {"type": "string", "pattern": "^[0-9A-Za-z_-]{21}[AQgw]$"}
CURSOR = {"type": "string", "pattern": "^[0-9A-Za-z_-]{32}$"}
REQUEST_ID = {"type": "string", "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"}


def choice(*words: str) -> Json:
    """Return the schema of one of a few words."""
    return {"type": "string", "enum": list(words)}


def told(description: str = "", example: Any = None) -> Json:
    """Return what is said of a value beside its schema: a description, an example, or both."""
    words: Json = {"description": description} if description else {}
    return words if example is None else words | {"examples": [example]}
