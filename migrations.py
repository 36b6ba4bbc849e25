"""Migrations: the files of sql/migrations applied in order, each once, by whoever comes first."""

import hashlib
from pathlib import Path

import psycopg

import pool

FOLDER = Path(__file__).parent / "sql" / "migrations"
LOCK_KEY = 0x636F6E76  # "conv"


class SchemaBehind(pool.Unavailable):
    """The database lacks migrations that this version needs."""


class LedgerMismatch(Exception):
    """A migration that was applied is not the file of that name any more."""


def _files() -> list[Path]:
    return sorted(FOLDER.glob("*.sql"))


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _applied(conn: psycopg.Connection) -> dict[str, str]:
    if not conn.execute("SELECT to_regclass('schema_migrations') AS ledger").fetchone()["ledger"]:
        return {}
    rows = conn.execute("SELECT name, checksum FROM schema_migrations").fetchall()
    return {row["name"]: row["checksum"] for row in rows}


def pending(conn: psycopg.Connection) -> list[Path]:
    """Return the files still to apply. Raises LedgerMismatch if an applied one was edited since."""
    applied = _applied(conn)
    files = _files()
    for path in files:
        if applied.get(path.stem, _checksum(path)) != _checksum(path):
            raise LedgerMismatch(
                f"{path.name} was edited after it had been applied; put it back and add a new file"
            )
    return [path for path in files if path.stem not in applied]


def migrate(conn: psycopg.Connection) -> list[str]:
    """Apply what is pending, one transaction a file, and return the names applied here.

    Takes an advisory lock in each transaction, so that several machines may try at once.
    """
    done = []
    while True:
        with conn.transaction():
            conn.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
            conn.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, "
                "checksum text NOT NULL, "
                "applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
            )
            todo = pending(conn)
            if not todo:
                return done
            conn.execute(todo[0].read_text(), prepare=False)
            conn.execute(
                "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)",
                [todo[0].stem, _checksum(todo[0])],
            )
        done.append(todo[0].stem)


def version() -> str:
    """Return the name of the newest migration that this version brings."""
    return _files()[-1].stem


def require_current(url: str, prepare: bool = True) -> None:
    """Raise SchemaBehind, naming the command, unless the database has every migration."""
    try:
        with pool.connect(url, prepare=prepare, hurried=True) as conn:
            todo = pending(conn)
    except psycopg.OperationalError as error:
        raise pool.Unavailable(str(error).partition("\n")[0]) from error
    if todo:
        names = ", ".join(path.stem for path in todo)
        raise SchemaBehind(f"the schema is behind ({names} not applied): run flask migrate")
