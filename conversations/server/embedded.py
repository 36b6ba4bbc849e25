"""Starts the embedded PostgreSQL of a developer's machine.

The code of that server is in tools/embedded, because a deployment does not need it.
"""

import sys


def acquire() -> str:
    """Start the embedded server unless it runs, and return its URL.

    Ends the process with a sentence where that is impossible. The server is released when this
    process ends.
    """
    try:
        from tools.embedded import shared

        return shared.acquire()
    except ImportError:
        sys.exit(
            "DATABASE_URL is not set. Set it to a PostgreSQL, or install requirements-dev.txt "
            "for the embedded one."
        )
