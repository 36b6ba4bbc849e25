"""Prints the OpenAPI document of this version, as conversations/api/openapi.json has it."""

import sys

import orjson

from app import app
from tools.openapi.build import build

sys.stdout.buffer.write(
    orjson.dumps(build(app), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
)
