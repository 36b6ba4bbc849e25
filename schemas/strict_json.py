"""JSON texts of requests, in which no name may be repeated."""

import contextlib
import json
from collections import Counter
from typing import Any

import orjson
from marshmallow import ValidationError


def load_json(raw: bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError if it is none.

    Raises ValidationError if an object repeats a name, because parsers differ in which of the two
    counts (RFC 8259 section 4).
    """
    value = orjson.loads(raw)
    if isinstance(value, dict):
        # What is nested too deep for this check is no field of any request.
        with contextlib.suppress(RecursionError):
            # orjson cannot see a repeated name. This takes 4 µs for a message.
            _DECODER.decode(raw.decode())
    return value


def _refuse_repeated(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) < len(members):
        counts = Counter(name for name, _ in members)
        repeated = [name for name, count in counts.items() if count > 1]
        raise ValidationError(dict.fromkeys(repeated, "must be given once"))
    return value


# Numbers stay texts here: Python refuses to convert those of thousands of digits.
_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str)
