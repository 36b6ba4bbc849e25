"""What PostgreSQL alone can do: the service's own statements, repeated by pgbench."""

import importlib.util
import os
import re
import subprocess
import tempfile
from pathlib import Path

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from conversations.database import queries
from conversations.database.connection import REQUEST_PLANNING
from tools.embedded.server import INSTALLATION, PACKAGE

PGBENCH = Path(importlib.util.find_spec(PACKAGE).origin).parent / INSTALLATION / "bin" / "pgbench"
# As a connection of the service.
SETTINGS = REQUEST_PLANNING | {"jit": "off", "timezone": "UTC"}
SESSION = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())


def rate(url: str, script: str, seconds: int, connections: int) -> float:
    """Return how many times a second pgbench gets a script done."""
    database = conninfo_to_dict(url)
    environ = {"PGHOST": database["host"], "PGUSER": database["user"], "PGOPTIONS": SESSION}
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [PGBENCH, "--no-vacuum", "--protocol=prepared", f"--client={connections}"]
        command += [f"--time={seconds}", f"--file={file.name}", database["dbname"]]
        output = subprocess.run(
            command, env=os.environ | environ, capture_output=True, text=True, check=True
        ).stdout
    return float(re.search(r"tps = ([0-9.]+)", output)[1])


def statement(query: str, values: dict) -> str:
    """Return a query file with its parameters in place, as pgbench takes it."""
    literals = {name: sql.Literal(value).as_string() for name, value in values.items()}
    return fill(queries.QUERIES[query], literals)


def fill(text: str, expressions: dict[str, str]) -> str:
    """Return a query with SQL expressions in the place of its parameters."""
    return text % expressions + ";\n"
