"""Migrations: the files of sql/migrations, applied in order, each once."""

import hashlib
import re
from pathlib import Path

import psycopg

from conversations.database import pool
from conversations.database.connection import Connection, connect

FOLDER = Path(__file__).parents[2] / "sql" / "migrations"
LOCK_KEY = 0x636F6E76  # "conv"
# A semicolon ends a statement, but not inside a comment, a string, a quoted name or a body.
STATEMENT = re.compile(
    r"""(?: --[^\n]* | /\*.*?\*/ | '[^']*' | "[^"]*" | \$(\w*)\$.*?\$\1\$ | [^;] )+""",
    re.DOTALL | re.VERBOSE,
)


class SchemaMismatch(pool.Unavailable):
    """The database cannot hold this version's schema, or was migrated with other files."""


def _checksums() -> dict[Path, str]:
    """Return the checksum of each file, in the order in which they are applied."""
    paths = sorted(FOLDER.glob("*.sql"))
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def pending(connection: Connection) -> list[Path]:
    """Return the files that are not applied yet.

    Raises SchemaMismatch if a file is not what was applied under its name, or if the database
    cannot hold every text.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SchemaMismatch(
            f"the encoding of the database is {encoding}, in which some texts cannot be stored: "
            "use a database that was created with ENCODING 'UTF8' TEMPLATE template0"
        )
    ledger = connection.execute("SELECT to_regclass('schema_migrations') AS name").fetchone() or {}
    query = "SELECT name, checksum FROM schema_migrations"
    rows = connection.execute(query).fetchall() if ledger["name"] else []
    applied = {row["name"]: row["checksum"] for row in rows}
    files = _checksums()
    for path, checksum in files.items():
        if applied.get(path.stem, checksum) != checksum:
            raise SchemaMismatch(
                f"the database has another {path.name} than this version: it was made by a version "
                "before the first release, or the file was edited. Use an empty database; the "
                "embedded one is removed by make clean"
            )
    return [path for path in files if path.stem not in applied]


def migrate(connection: Connection) -> list[str]:
    """Apply what is pending, one transaction a file, and return the names of the files applied.

    An advisory lock in each transaction lets several machines do so at once. Raises SchemaMismatch.
    """
    with connection.statement():
        pending(connection)  # Refuses before anything is written.
    done: list[str] = []
    while True:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, "
                "checksum text NOT NULL, "
                "applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
            )
            files = pending(connection)
            if not files:
                return done
            for statement in split_statements(files[0].read_text(encoding="utf-8")):
                connection.execute(statement.encode(), prepare=False)
            connection.execute(
                "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)",
                [files[0].stem, _checksums()[files[0]]],
            )
        done.append(files[0].stem)


def split_statements(text: str) -> list[str]:
    """Return the statements of an SQL file, without the semicolons between them.

    They are executed one by one, because Citus refuses several of them in one call.
    """
    return [match[0] for match in STATEMENT.finditer(text) if not match[0].isspace()]


def version() -> str:
    """Return the name of the newest migration of this version."""
    return list(_checksums())[-1].stem


def check_database(url: str, prepare: bool | None = None) -> None:
    """Raise pool.Unavailable unless the database answers and has every migration.

    It connects without the pool, which does not say why it cannot connect.
    """
    try:
        with connect(url, prepare=prepare, for_requests=True) as connection, connection.statement():
            require_current(connection)
    except psycopg.OperationalError as error:
        raise pool.Unavailable(str(error).partition("\n")[0]) from error


def require_current(connection: Connection) -> None:
    """Raise SchemaBehind, naming the command, unless the database has every migration.

    Raises SchemaMismatch.
    """
    if files := pending(connection):
        names = ", ".join(path.stem for path in files)
        raise pool.SchemaBehind(f"the schema is behind ({names} not applied): run flask migrate")
