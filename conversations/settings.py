"""The settings: environment variables, all read here by `load`, and described in README.md."""

import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from marshmallow import ValidationError

from conversations.database.url import MAX_PORT, check_url
from schemas.base import RequestSchema
from schemas.fields import Choice, QueryFlag, Strict

HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


@dataclass(frozen=True)
class Address:
    """An address or host name without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """The settings, each under the name of its variable in lower case.

    None is unset: an embedded server for a developer, no standby to read lists from, and prepared
    statements unless a pooler shares sessions. `host` holds addresses without brackets.
    """

    database_url: str | None
    database_replica_url: str | None
    host: tuple[str, ...]
    port: int
    web_concurrency: int
    web_threads: int
    database_pool_size: int
    database_prepared_statements: bool | None
    log_format: str
    metrics: bool
    metrics_address: Address


VARIABLES = [field.name.upper() for field in fields(Settings)]


class DatabaseUrl(Strict):
    """The URL of a PostgreSQL, as libpq takes it."""

    convert = staticmethod(check_url)


class Hosts(Strict):
    """Addresses and host names, separated by commas."""

    complaint = "must be addresses or host names, separated by commas, without a port"

    def read(self, value: str) -> tuple[str, ...]:
        """Return them without brackets, each once. Raises ValueError."""
        return tuple(dict.fromkeys(_host(part.strip()) for part in value.split(",")))


def _host(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        return str(ipaddress.IPv6Address(text[1:-1]))
    return text if HOST_NAME.fullmatch(text) else str(ipaddress.ip_address(text))


class Count(Strict):
    """A whole number of ASCII digits between two bounds."""

    def __init__(self, low: int, high: int, **kwargs: Any):
        self.low, self.high = low, high
        self.complaint = f"must be {low}..{high}"
        super().__init__(**kwargs)

    def read(self, value: str) -> int:
        """Return an int. Raises ValidationError, ValueError."""
        if not (value.isascii() and value.isdigit()):
            raise ValidationError("must be a whole number")
        if not self.low <= int(value) <= self.high:
            raise ValueError
        return int(value)


class HostAndPort(Strict):
    """An address or host name, and a port."""

    complaint = "must be an address or host name with a port, such as 127.0.0.1:9464"

    def read(self, value: str) -> Address:
        """Return an Address. Raises ValidationError, ValueError."""
        host, _, port = value.rpartition(":")
        return Address(_host(host), Count(1, MAX_PORT).deserialize(port))


class SettingsSchema(RequestSchema):
    """The variables and their defaults."""

    DATABASE_URL = DatabaseUrl(load_default=None)
    DATABASE_REPLICA_URL = DatabaseUrl(load_default=None)
    HOST = Hosts(load_default=("0.0.0.0",))  # noqa: S104
    PORT = Count(1, MAX_PORT, load_default=8000)
    WEB_CONCURRENCY = Count(1, 64, load_default=2)
    WEB_THREADS = Count(1, 256, load_default=32)
    DATABASE_POOL_SIZE = Count(1, 64, load_default=4)
    DATABASE_PREPARED_STATEMENTS = QueryFlag(load_default=None)
    LOG_FORMAT = Choice("logfmt", "json", load_default="logfmt")
    METRICS = QueryFlag(load_default=False)
    METRICS_ADDRESS = HostAndPort(load_default=Address("127.0.0.1", 9464))


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings. Bad values end the process with one line that names each variable.

    White space around a value, such as a secret's last line end, is none of it. An empty variable
    is unset: compose files and CI spell it so.
    """
    given = {name: environ.get(name, "").strip() for name in VARIABLES}
    try:
        checked = SettingsSchema().check({name: text for name, text in given.items() if text})
    except ValidationError as error:
        problems = error.normalized_messages()
        sys.exit("; ".join(f"{name} {sentence}" for name, sentence in problems.items()))
    return Settings(**{name.lower(): value for name, value in checked.items()})
