"""API keys: their shape and checksum, and what opens when."""

import hashlib
import re
import zlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.api.auth import require_scopes
from conversations.database import pool, queries
from conversations.inbox import api_keys
from tests.conftest import assert_error, new_organization

LIST = "/v1/conversations"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def checksum(text: str) -> str:
    """The CRC32 of a text in six base62 digits, written a second time from its description."""
    number = zlib.crc32(text.encode("ascii"))
    digits = "".join(DIGITS[number // 62**place % 62] for place in reversed(range(6)))
    assert sum(DIGITS.index(d) * 62**p for p, d in enumerate(reversed(digits))) == number
    return digits


def status_of(organization, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return organization.client.get(LIST, headers=headers).status_code


def change_key(organization, change: str) -> None:
    """Change the stored key as time or an operator would."""
    with pool.connection() as conn:
        conn.execute(f"UPDATE api_keys SET {change} WHERE organization_id = %s", [organization.id])


def stored_key(organization) -> dict:
    """The one key of an organization as it is stored."""
    with pool.connection() as conn:
        (row,) = conn.execute(
            "SELECT * FROM api_keys WHERE organization_id = %s", [organization.id]
        ).fetchall()
    return row


# The spelling of a key


def test_a_key_is_a_brand_28_random_characters_and_their_checksum():
    minted = [api_keys.new_key() for _ in range(200)]
    for key in minted:
        assert re.fullmatch(r"am_live_[0-9A-Za-z]{28}[0-9A-Za-z]{6}", key)
        assert len(key) == 42
        assert key[36:] == checksum(key[:36])
        assert api_keys.is_well_formed(key)
    assert len({key[:36] for key in minted}) == 200
    assert len(set("".join(key[8:36] for key in minted))) == 62


@pytest.mark.parametrize(
    "key",
    [
        "am_live_0000000000000000000000000000" + "0pDlpL",
        "am_live_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZ" + "2qfSh2",
        # A small CRC, padded.
        "am_live_0000000000000000000000000134" + "00hRrq",
    ],
)
def test_checksums_that_were_computed_once_stay_valid(key):
    assert key[36:] == checksum(key[:36])
    assert api_keys.is_well_formed(key)


@given(st.text(DIGITS, min_size=28, max_size=28))
def test_the_checksum_is_the_one_of_the_description(random):
    text = "am_live_" + random
    assert api_keys.is_well_formed(text + checksum(text))


@given(
    st.text(DIGITS, min_size=28, max_size=28), st.integers(0, 41), st.sampled_from(DIGITS + "_ ")
)
def test_every_wrong_character_is_noticed(random, place, wrong):
    key = "am_live_" + random + checksum("am_live_" + random)
    typo = key[:place] + wrong + key[place + 1 :]
    assert api_keys.is_well_formed(typo) == (typo == key)


CHANGES = [
    lambda key: key[:-1],
    lambda key: key + "0",
    lambda key: key + "\n",
    lambda key: " " + key,
    lambda key: key.replace("am_live_", "am_test_"),
    lambda key: key.replace("am_live_", "AM_LIVE_"),
    lambda key: key[8:],
    lambda key: key[:9] + key[10] + key[9] + key[11:] if key[9] != key[10] else key[:-1],
    lambda key: key[:20] + "\u0661" + key[21:],
    lambda key: "",
]


def test_whatever_mint_cannot_have_returned_is_refused(subtests):
    for change in CHANGES:
        with subtests.test(change=change):
            assert not api_keys.is_well_formed(change(api_keys.new_key()))


# The look-up


def test_a_key_with_a_wrong_checksum_costs_no_statement(alice, log_lines):
    wrong = alice.key[:-1] + ("0" if alice.key[-1] != "0" else "1")
    for key in (wrong, alice.key[:-1], "am_live_", "x" * 5000):
        assert status_of(alice, key) == 401
        assert log_lines()[-1].endswith(" statements=0")
    assert status_of(alice, api_keys.new_key()) == 401
    assert log_lines()[-1].endswith(" statements=1")


def test_only_the_hash_and_the_display_prefix_are_stored(alice):
    row = stored_key(alice)
    assert row["key_hash"] == hashlib.sha256(alice.key.encode()).digest()
    assert row["prefix"] == alice.key[:12]
    assert re.fullmatch(r"am_live_[0-9A-Za-z]{4}", row["prefix"])
    for value in row.values():
        assert alice.key[12:] not in str(value)


def test_a_key_expires_at_its_instant(client):
    organization = new_organization(client)
    never = organization.key
    soon = api_keys.create_api_key(organization.id, api_keys.SCOPES, "soon", timedelta(days=90))
    past = api_keys.create_api_key(organization.id, api_keys.SCOPES, "past", timedelta(seconds=-1))
    assert status_of(organization, never) == 200
    assert status_of(organization, soon) == 200
    assert status_of(organization, past) == 401
    rows = queries.fetch_all("list_api_keys", organization_id=organization.id)
    lifetimes = {
        row["label"]: row["expires_at"] and row["expires_at"] - row["created_at"] for row in rows
    }
    assert lifetimes == {"test": None, "soon": timedelta(days=90), "past": timedelta(seconds=-1)}
    change_key(organization, "expires_at = now() - interval '1 microsecond'")
    assert status_of(organization, never) == 401
    assert status_of(organization, soon) == 401


def test_a_revoked_key_is_refused_on_the_next_request(alice):
    id = stored_key(alice)["id"]
    other = api_keys.create_api_key(alice.id, api_keys.SCOPES, "other")
    assert status_of(alice, alice.key) == 200
    queries.execute("revoke_api_key", organization_id=alice.id, id=id)
    headers = {"Authorization": f"Bearer {alice.key}"}
    assert_error(alice.client.get(LIST, headers=headers), 401, "UNAUTHORIZED")
    assert status_of(alice, other) == 200


def test_a_key_that_was_revoked_keeps_its_first_instant(alice):
    id = stored_key(alice)["id"]
    queries.execute("revoke_api_key", organization_id=alice.id, id=id)
    first = stored_key(alice)["revoked_at"]
    assert queries.execute("revoke_api_key", organization_id=alice.id, id=id) == 0
    assert stored_key(alice)["revoked_at"] == first


def test_last_used_at_is_written_at_most_once_a_minute(alice, log_lines):
    assert stored_key(alice)["last_used_at"] is None
    assert status_of(alice, alice.key) == 200
    first = stored_key(alice)["last_used_at"]
    assert first is not None
    assert log_lines()[-1].endswith(" statements=3")

    for _ in range(3):
        assert status_of(alice, alice.key) == 200
        assert log_lines()[-1].endswith(" statements=2")
    assert stored_key(alice)["last_used_at"] == first

    change_key(alice, "last_used_at = now() - interval '61 seconds'")
    assert status_of(alice, alice.key) == 200
    assert stored_key(alice)["last_used_at"] > first
    change_key(alice, "last_used_at = now() - interval '50 seconds'")
    assert status_of(alice, alice.key) == 200
    assert log_lines()[-1].endswith(" statements=2")


def test_a_refused_key_is_not_noted_as_used(alice):
    change_key(alice, "revoked_at = now()")
    assert status_of(alice, alice.key) == 401
    assert stored_key(alice)["last_used_at"] is None


def test_workers_that_ask_at_once_write_last_used_at_once(alice):
    id = stored_key(alice)["id"]
    touched = [queries.execute("touch_api_key", organization_id=alice.id, id=id) for _ in range(5)]
    assert touched == [1, 0, 0, 0, 0]


def test_a_view_without_a_scope_does_not_start():
    with pytest.raises(LookupError, match="receive_pigeons has no scope"):
        require_scopes(["v1.list_consent", "public.livez", "hooks.receive_pigeons"])
