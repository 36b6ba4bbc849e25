"""JSON texts of requests, in which no name may be repeated."""

import json
import re
from collections import Counter
from typing import Any

import orjson
from marshmallow import ValidationError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def load_json(raw: bytes) -> Any:
    """Return the value of a JSON text, before which a byte-order mark may stand.

    Raises ValueError if it is none. Raises ValidationError if an object repeats a name, because
    parsers differ in which of the two counts (RFC 8259 section 4).
    """
    raw = raw.removeprefix(BYTE_ORDER_MARK)
    value = orjson.loads(raw)
    # Most texts end here: each quote in them is one of a name or a text that is known.
    if isinstance(value, dict) and raw.count(b'"') != 2 * _count_strings(value):
        text = raw.decode()
        try:
            # orjson cannot see a repeated name.
            _DECODER.decode(text)
        except RecursionError:
            _check_deep_names(text)
    return value


def _count_strings(value: dict[str, Any]) -> int:
    return len(value) + sum(type(member) is str for member in value.values())


def _refuse_repeated(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) < len(members):
        counts = Counter(name for name, _ in members)
        repeated = [name for name, count in counts.items() if count > 1]
        raise ValidationError(dict.fromkeys(repeated, "must be given once"))
    return value


def _check_deep_names(text: str) -> None:
    """Refuse a repeated name in JSON of any depth; slower than the decoder, which is recursive."""
    objects: list[list[tuple[str, None]]] = []
    for string, is_name, brace in _NAMES_AND_BRACES.findall(text):
        if is_name:
            objects[-1].append((orjson.loads(string), None))
        elif brace == "{":
            objects.append([])
        elif brace:
            _refuse_repeated(objects.pop())


_NAMES_AND_BRACES = re.compile(r'("(?:[^"\\]++|\\.)*+")(\s*+:)?|([{}])')
# Numbers stay texts here: Python refuses to convert those of thousands of digits.
_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str)
