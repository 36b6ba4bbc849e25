"""The health of the deployment: whether the database answers, and with the schema it must have."""

import time
from typing import Any
from uuid import UUID

from conversations.database import migrations, pool, queries

NOBODY = UUID(int=0)


def readiness() -> dict[str, Any]:
    """Return what /readyz says, all of it asked of the database now.

    `clock_skew_seconds` is by how much this machine's clock is ahead of PostgreSQL's, give or take
    half of the time that the query took. Raises pool.Unavailable unless the database answers and
    its schema is current.
    """
    with pool.connection() as connection, connection.statement():
        migrations.require_current(connection)
        queries.fetch_all("check_schema", connection, organization_id=NOBODY)
        asked_at = time.time()
        health = queries.fetch_row("get_health", connection)
        now = (asked_at + time.time()) / 2
    health["clock_skew_seconds"] = round(now - health.pop("now").timestamp(), 3)
    position = health.pop("wal_position")
    if pool.database.replica_url:
        with pool.connection("replica") as connection, connection.statement():
            lag = queries.fetch_row("get_replica_lag", connection, wal_position=position)
        health["replica_lag_bytes"] = lag["lag_bytes"]
    return {"status": "ok", "schema_version": migrations.version(), **health}
