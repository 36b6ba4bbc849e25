"""The URL of a database, refused where libpq would read it otherwise than it was meant."""

import re

import psycopg
from marshmallow import ValidationError
from psycopg.conninfo import conninfo_to_dict

COMPLAINT = (
    "is not the URL of a PostgreSQL, such as postgres://user:password@host:5432/database, where a "
    "user name or a password has %40 for @, %2F for /, %3F for ?, %23 for #, %25 for % and %20 for "
    "a blank"
)
UNKNOWN_PARAMETER = re.compile(r'invalid (?:connection option|URI query parameter:) "(\w+)"')
NUMBER = re.compile("[0-9]{1,9}")
MAX_PORT = 65535


def check_url(url: str) -> str:
    """Return `url` if it is a connection string that libpq takes.

    Raises ValidationError, which repeats nothing of it but the name of a parameter that cannot be
    part of a password: libpq's own complaints show the password.
    """
    try:
        params = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError as error:
        unknown = UNKNOWN_PARAMETER.search(str(error))
        if unknown and "password" not in url and "@" not in url.partition("?")[2]:
            sentence = f"has a parameter that PostgreSQL does not know: {unknown[1]}"
            raise ValidationError(sentence) from None
        raise ValidationError(COMPLAINT) from None
    # libpq ends a user name and a password at the first of these characters. What follows it would
    # be host, port and database.
    is_misread = "://" in url and (
        set("@#?") & set(params.get("host", ""))
        or set("@/#") & set(params.get("dbname", ""))
        or "?" in params.get("user", "")
    )
    ports = filter(None, params.get("port", "").split(","))
    are_ports = all(NUMBER.fullmatch(port) and 0 < int(port) <= MAX_PORT for port in ports)
    if is_misread or not are_ports:
        raise ValidationError(COMPLAINT)
    if not NUMBER.fullmatch(params.get("connect_timeout", "0")):
        raise ValidationError("has a connect_timeout that is not a number of seconds")
    return url
