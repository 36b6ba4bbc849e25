"""The health of the deployment: whether the database answers, and with the schema it must have."""

import time
from typing import Any
from uuid import UUID

from conversations.database import migrations, pool, queries

NOBODY = UUID(int=0)


def readiness() -> dict[str, Any]:
    """Return what /readyz says, all of it asked of the database now.

    `clock_skew_seconds` is by how much this machine's clock is ahead of PostgreSQL's, half of the
    time of the query more or less. Raises pool.Unavailable unless the database answers and its
    schema is current.
    """
    with pool.connection() as connection, connection.statement():
        migrations.require_current(connection)
        queries.fetch_all("check_schema", connection, organization_id=NOBODY)
        asked_at = time.time()
        health = queries.fetch_row("get_health", connection)
        now = (asked_at + time.time()) / 2
    skew = now - health.pop("now").timestamp()
    position = health.pop("wal_position")
    health["clock_skew_seconds"] = round(skew, 3)
    if pool.database.replica_url:
        with pool.connection("replica") as connection, connection.statement():
            lag = queries.fetch_row("get_replica_lag", connection, wal_position=position)
        health["replica_lag_bytes"] = lag["lag_bytes"]
    return {"status": "ok", "schema_version": migrations.version(), **health}
