"""The wall between organizations in the schema: the organization leads every key."""


def test_the_organization_leads_every_key_and_index(catalog, tenants):
    leading = catalog("""
        SELECT
            pg_index.indexrelid::regclass::text AS name,
            pg_index.indrelid::regclass::text AS table_name,
            pg_get_indexdef(pg_index.indexrelid, 1, TRUE) AS column_name
        FROM pg_index
        INNER JOIN pg_class ON pg_index.indrelid = pg_class.oid
        WHERE pg_class.relnamespace = 'public'::regnamespace
    """)
    found = {
        row["name"]: row["column_name"]
        for row in leading
        if row["table_name"] in tenants | {"organizations"}
    }
    assert len(found) > 10
    # Of organizations themselves, and of what get_health asks of all of them.
    exceptions = {
        "organizations_pkey",
        "organizations_last_redaction",
        "organizations_waiting_for_redaction",
        "key_hash_is_unique",
    }
    assert {name for name, first in found.items() if first != "organization_id"} == exceptions


def test_the_organization_leads_every_foreign_key(catalog, tenants):
    rows = catalog("""
        SELECT
            conname,
            conrelid::regclass::text AS table_name,
            confrelid::regclass::text AS referenced,
            own.attname AS column_name,
            theirs.attname AS referenced_column
        FROM pg_constraint
        INNER JOIN pg_attribute AS own
            ON own.attrelid = conrelid AND own.attnum = conkey[1]
        INNER JOIN pg_attribute AS theirs
            ON theirs.attrelid = confrelid AND theirs.attnum = confkey[1]
        WHERE contype = 'f'
    """)
    assert {row["table_name"] for row in rows} == tenants
    for row in rows:
        assert row["column_name"] == "organization_id", row
        expected = "id" if row["referenced"] == "organizations" else "organization_id"
        assert row["referenced_column"] == expected, row


def test_every_table_requires_an_organization(catalog, tenants):
    rows = catalog("""
        SELECT table_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name = 'organization_id' AND is_nullable = 'NO'
    """)
    assert {row["table_name"] for row in rows} == tenants


def test_there_are_no_triggers(catalog):
    assert catalog("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []
