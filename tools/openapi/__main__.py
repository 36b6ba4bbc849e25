"""Writes the OpenAPI document of this version into conversations/api/openapi.json."""

from pathlib import Path

import orjson

from app import app
from tools.openapi.build import build

content = orjson.dumps(build(app), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
Path(app.root_path, "conversations", "api", "openapi.json").write_bytes(content)
