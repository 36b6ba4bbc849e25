"""The URL of a database, refused where libpq would read it in a way that nobody means."""

import re
from collections.abc import Iterator

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

SCHEME = re.compile("postgres(?:ql)?://")
# libpq takes `ssl=true` in URLs too, as JDBC does.
PARAMETERS = frozenset(each.keyword.decode() for each in pq.Conninfo.get_defaults()) | {"ssl"}
BAD_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
UNKNOWN_OPTION = re.compile('invalid connection option "(.*)"')
NUMBER = re.compile("[0-9]{1,9}")
MAX_PORT = 65535


def check_url(url: str) -> None:
    """Raise ValueError with a sentence unless `url` is a connection string that libpq takes.

    The sentence repeats nothing of it but the names of parameters that cannot be part of a
    password: libpq's own complaints show the password.
    """
    if complaint := next(_complaints(url), None):
        raise ValueError(complaint)


def _complaints(url: str) -> Iterator[str]:
    scheme = SCHEME.match(url)
    if scheme:
        yield from _complaints_of_syntax(url[scheme.end() :])
    try:
        params = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        unknown = UNKNOWN_OPTION.search(str(error))
        if unknown and "password" not in url:
            yield f"has a parameter that PostgreSQL does not know: {unknown[1]}"
        yield "is not the URL of a PostgreSQL, such as postgres://user:password@host:5432/database"
        return
    ports = [port for port in str(params.get("port", "")).split(",") if port]
    if not all(NUMBER.fullmatch(port) and 0 < int(port) <= MAX_PORT for port in ports):
        yield "has a port that is not a number from 1 to 65535; a / in the password is written %2F"
    if not NUMBER.fullmatch(str(params.get("connect_timeout", 0))):
        yield "has a connect_timeout that is not a number of seconds"


def _complaints_of_syntax(text: str) -> Iterator[str]:
    """Yield what is wrong with a URL behind its scheme, in the order of libpq's own reading.

    libpq ends the user name and the password at the first @, but looks for it no further than the
    first slash: what follows an @ or a slash of the password would be host, port and database.
    """
    before_slash, _, path = text.partition("/")
    user_info, _, hosts = before_slash.rpartition("@")
    rest = f"{hosts}/{path}"
    if "@" in user_info or "@" in path or "#" in rest or re.search(r"\?\w+=", user_info):
        yield (
            "has an @, /, ? or # in a place where it ends the password: inside a user name or a "
            "password write %40 for @, %2F for /, %3F for ? and %23 for #"
        )
    if BAD_PERCENT.search(text):
        yield "has a % that is not followed by two hex digits: a % itself is written %25"
    if re.search(r"\s", text.strip()):
        yield "has a blank: a blank in a user name or a password is written %20"
    names = {pair.partition("=")[0] for pair in rest.partition("?")[2].split("&")} - {""}
    if "password" not in names and (unknown := sorted(names - PARAMETERS)):
        yield f"has a parameter that PostgreSQL does not know: {', '.join(unknown)}"
