"""Undoes that Flask reads .env and .flaskenv: settings come from the environment alone."""

import os
import sys
from pathlib import Path
from typing import Any

from flask.helpers import get_load_dotenv

GIVEN = Path("/proc/self/environ")


def forget() -> None:
    """Take back the variables that the `flask` program has read from .env and .flaskenv.

    It reads those of this folder, or of the nearest one above, if python-dotenv is installed. They
    may be another project's. Ends the process with a sentence where the system does not say which
    variables the process was given.
    """
    dotenv: Any = sys.modules.get("dotenv")
    if dotenv is None or "FLASK_RUN_FROM_CLI" not in os.environ or not get_load_dotenv():
        return
    paths = [dotenv.find_dotenv(name, usecwd=True) for name in (".flaskenv", ".env")]
    for path in filter(None, paths):
        if not GIVEN.exists():
            sys.exit(f"flask read {path}, which may be another project's: set FLASK_SKIP_DOTENV=1")
        given = b"\0" + GIVEN.read_bytes()
        for name in dotenv.dotenv_values(path, encoding="utf-8"):
            if os.fsencode(f"\0{name}=") not in given:
                os.environ.pop(name, None)
