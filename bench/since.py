"""Lists with `since`: what the exact total costs, alone and under load."""

from urllib.parse import urlencode

from bench import load
from bench.database import ORGANIZATION_ID, Inbox
from bench.load import Requests, Result
from bench.servers import Server
from conversations.database.connection import connect

CONNECTIONS = (1, load.CONNECTIONS)
# How many conversations match. None: all of them, as since the year 1.
MATCHING = (None, 0, 1_000, 10_000, 100_000, 500_000)
INSTANT = """
    SELECT last_message_at + interval '1 microsecond' AS at FROM conversations
    WHERE organization_id = %s AND message_count > 0
    ORDER BY last_message_at DESC OFFSET %s LIMIT 1
"""


def measure(server: Server, inbox: Inbox, seconds: int) -> dict[str, list[Result]]:
    """Return for each number of matching conversations a result for each of CONNECTIONS."""
    found = {}
    with connect(inbox.url) as conn:
        for count in MATCHING:
            since, name = "0001-01-01T00:00:00Z", "all"
            if count is not None and count < inbox.conversations:
                row = conn.execute(INSTANT, [ORGANIZATION_ID, count]).fetchone()
                since, name = row["at"].isoformat(), f"{count:,}"
            path = f"/v1/conversations?{urlencode({'since': since})}"
            requests = Requests([path], {"Authorization": f"Bearer {inbox.key}"})
            found[name] = [load.run(server.origin, requests, seconds, n) for n in CONNECTIONS]
    return found
