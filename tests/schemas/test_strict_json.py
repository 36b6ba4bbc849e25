import itertools
import json
import random

import orjson
import pytest
from marshmallow import ValidationError

from schemas.strict_json import load_json

NAMES = ['"a"', '"b"', '"\\u0061"', '"a\\"b"', '""']
VALUES = [
    '""',
    '"x"',
    '"\\""',
    '"\\u0022"',
    "1",
    "null",
    "[]",
    '["x"]',
    '{"a": 1}',
    '{"a":1,"a":2}',
]


def has_repeated_name(text: str) -> bool:
    repeats = []

    def look(members):
        repeats.append(len({name for name, _ in members}) < len(members))

    json.loads(text, object_pairs_hook=look)
    return any(repeats)


def test_a_repeated_name_is_found_among_all_kinds_of_names_and_values():
    chance, wrong, found = random.Random(7), [], set()
    members = [f"{name}:{value}" for name, value in itertools.product(NAMES, VALUES)]
    for count in (0, 1, *[2] * 2000, *[3] * 2000):
        text = "{" + ", ".join(chance.choices(members, k=count)) + "}"
        try:
            is_refused = load_json(text.encode()) != orjson.loads(text)
        except ValidationError:
            is_refused = True
        found.add(is_refused)
        if is_refused is not has_repeated_name(text):
            wrong.append(text)
    assert found == {True, False}
    assert wrong == []


@pytest.mark.parametrize("text", ['{"a": 1', '{"a" 1}', '"', '{"a": "\\ud800"}', ""])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(orjson.JSONDecodeError):
        load_json(text.encode())
