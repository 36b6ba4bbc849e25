"""The settings: environment variables, all of them read here, by `load`; README.md tells each."""

import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from environs import Env, EnvError, EnvValidationError

from conversations.database.url import check_url

WHOLE_NUMBER = re.compile("[0-9]+")
MAX_PORT = 65535
BRACKETED = re.compile(r"\[(.*)\]")
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
    """What the variables say, each under its name in lower case.

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


class Environment(Env):
    """environs over any mapping. An empty variable is unset: compose files and CI spell it so."""

    def __init__(self, environ: Mapping[str, str]):
        super().__init__(eager=False)
        self._given = environ
        for parser in (connection_string, hosts, address, count, switch, choice):
            self.add_parser(parser.__name__, parser)

    def _get_value(self, env_key: str, default: Any) -> Any:
        return self._given.get(env_key) or default


def connection_string(text: str | None) -> str | None:
    """Return what libpq takes as a connection string. Raises EnvError, which does not repeat it."""
    try:
        check_url(text or "")
    except ValueError as error:
        raise EnvError(str(error)) from None
    return text


def hosts(text: str) -> tuple[str, ...]:
    """Return addresses and host names without brackets, each once. Raises EnvError."""
    return tuple(dict.fromkeys(_host(part.strip()) for part in text.split(",")))


def _host(text: str) -> str:
    bracketed = BRACKETED.fullmatch(text)
    try:
        if bracketed:
            return str(ipaddress.IPv6Address(bracketed[1]))
        return text if HOST_NAME.fullmatch(text) else str(ipaddress.ip_address(text))
    except ValueError:
        raise EnvError(
            "must be addresses or host names, separated by commas, without a port"
        ) from None


def address(text: str) -> Address:
    """Return an address and a port. Raises EnvError."""
    host, _, port = text.rpartition(":")
    return Address(_host(host), count(port, 1, MAX_PORT))


def count(text: str, low: int, high: int) -> int:
    """Return a whole number of ASCII digits between two bounds. Raises EnvError."""
    if not WHOLE_NUMBER.fullmatch(text):
        raise EnvError("must be a whole number")
    if len(text) > 9 or not low <= int(text) <= high:
        raise EnvError(f"must be {low}..{high}")
    return int(text)


def switch(text: str | None) -> bool | None:
    """Return whether a switch is on, None if it is unset. Raises EnvError rather than to guess."""
    if text not in ("true", "false", None):
        raise EnvError("must be true or false")
    return None if text is None else text == "true"


def choice(text: str, choices: tuple[str, ...]) -> str:
    """Return one of the choices. Raises EnvError."""
    if text not in choices:
        raise EnvError(f"must be one of {', '.join(choices)}")
    return text


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings. Bad values end the process with one line that names each variable."""
    env = Environment(environ)
    settings = Settings(
        database_url=env.connection_string("DATABASE_URL", None),
        database_replica_url=env.connection_string("DATABASE_REPLICA_URL", None),
        host=env.hosts("HOST", "0.0.0.0"),  # noqa: S104
        port=env.count("PORT", "8000", low=1, high=MAX_PORT),
        web_concurrency=env.count("WEB_CONCURRENCY", "2", low=1, high=64),
        web_threads=env.count("WEB_THREADS", "32", low=1, high=256),
        database_pool_size=env.count("DATABASE_POOL_SIZE", "4", low=1, high=64),
        database_prepared_statements=env.switch("DATABASE_PREPARED_STATEMENTS", None),
        log_format=env.choice("LOG_FORMAT", "logfmt", choices=("logfmt", "json")),
        metrics=env.switch("METRICS", "false"),
        metrics_address=env.address("METRICS_ADDRESS", "127.0.0.1:9464"),
    )
    try:
        env.seal()
    except EnvValidationError as error:
        problems = cast(Mapping[str, list[str]], error.error_messages)
        sys.exit("; ".join(f"{name} {sentences[0]}" for name, sentences in problems.items()))
    return settings
