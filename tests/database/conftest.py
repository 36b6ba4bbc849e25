"""The fixtures of the tests of the schema and the queries."""

from collections.abc import Callable, Iterator

import pytest

from conversations.database import pool


@pytest.fixture(scope="module")
def catalog() -> Iterator[Callable[[str], list[dict]]]:
    """Run SQL on the migrated database."""
    with pool.connection() as conn:
        yield lambda query: conn.execute(query).fetchall()


@pytest.fixture(scope="module")
def tenants(catalog) -> set[str]:
    """Every table but the ledger of migrations and the organizations themselves."""
    rows = catalog("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    tables = {row["tablename"] for row in rows}
    assert {"conversations", "messages", "phone_numbers", "api_keys"} <= tables
    return tables - {"schema_migrations", "organizations"}
