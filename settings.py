"""Settings: environment variables, all of them here and read once."""

import os
import sys
from collections.abc import Mapping

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load, validate
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict


class Variable(fields.String):
    """A text, read as it is; one that lists `choices` takes nothing else."""

    def __init__(self, *, help: str, choices: tuple[str, ...] = (), **kwargs):
        one_of = validate.OneOf(choices, error="must be one of {choices}") if choices else None
        super().__init__(validate=one_of, metadata={"help": help}, **kwargs)


class DatabaseUrl(fields.String):
    """What libpq takes. It is tried here because libpq's own complaint shows the password."""

    def __init__(self, *, help: str, **kwargs):
        super().__init__(validate=self._parse, metadata={"help": help}, **kwargs)

    @staticmethod
    def _parse(text: str) -> None:
        try:
            conninfo_to_dict(text)
        except ProgrammingError:
            raise ValidationError("is not the URL of a PostgreSQL") from None


class Count(fields.Integer):
    """A whole number between two bounds, in ASCII digits."""

    default_error_messages = {"invalid": "must be a whole number"}

    def __init__(self, low: int, high: int, *, help: str, **kwargs):
        bounds = validate.Range(low, high, error="must be {min}..{max}")
        super().__init__(validate=bounds, metadata={"help": help}, **kwargs)


class Switch(fields.Boolean):
    """`true` or `false`, nothing else: a setting that guesses is a setting that surprises."""

    truthy = {"true"}
    falsy = {"false"}
    default_error_messages = {"invalid": "must be true or false"}

    def __init__(self, *, help: str, **kwargs):
        super().__init__(metadata={"help": help}, **kwargs)


class Settings(Schema):
    """Every variable the service reads, with its default and its meaning."""

    class Meta:
        """The environment holds more than our variables."""

        unknown = EXCLUDE

    DATABASE_URL = DatabaseUrl(
        load_default=None,
        help="PostgreSQL to use, `postgres://…`, several hosts allowed. "
        "Unset on a developer's machine: an embedded server in `instance/`",
    )
    DATABASE_REPLICA_URL = DatabaseUrl(
        load_default=None,
        help="where lists are read if a standby is there; several hosts, the primary last",
    )
    PORT = Count(1, 65535, load_default=8000, help="where gunicorn listens")
    WEB_CONCURRENCY = Count(1, 64, load_default=2, help="worker processes")
    WEB_THREADS = Count(
        1, 256, load_default=32, help="threads of each worker; well above the pool's size"
    )
    DATABASE_POOL_SIZE = Count(1, 64, load_default=4, help="database connections of each worker")
    DATABASE_PREPARED_STATEMENTS = Switch(
        load_default=True, help="`false` behind PgBouncer before 1.22 in transaction mode"
    )
    LOG_FORMAT = Variable(
        load_default="logfmt", choices=("logfmt", "json"), help="how a log line is written"
    )
    METRICS = Switch(
        load_default=False, help="`true` serves Prometheus metrics at `/metrics`, without a key"
    )

    @pre_load
    def treat_empty_as_unset(self, environ: dict, **_) -> dict:
        """Drop empty variables: that is how compose files and CI spell "unset"."""
        return {name: value for name, value in environ.items() if value != ""}


def load(environ: Mapping[str, str] = os.environ) -> dict:
    """Return the settings by name; a bad value ends the process, naming its variable."""
    try:
        return Settings().load({k: environ[k] for k in Settings().fields if k in environ})
    except ValidationError as error:
        problems = (f"{name} {problem[0]}" for name, problem in error.messages.items())
        sys.exit("; ".join(problems))
