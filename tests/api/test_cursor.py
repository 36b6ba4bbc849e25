"""A cursor is a position: 8 bytes of microseconds and 16 of an id, in 32 base64url characters."""

import base64
import re
import struct
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.fields import decode_base64url, decode_cursor, encode_base64url, encode_cursor
from tests.conftest import assert_error, contact, new_organization

PATH = "/v1/conversations"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

instants = st.datetimes(timezones=st.just(UTC))
ids = st.binary(min_size=16, max_size=16)
# Most numbers of 8 bytes are far from any calendar; these are on both sides of its ends.
numbers = st.integers(-(2**58), 2**58) | st.integers(-(2**63), 2**63 - 1)
over_http = settings(max_examples=30, deadline=None)


def microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def pack(number: int, id: bytes) -> str:
    """A cursor's text, written a second time from its description."""
    raw = number.to_bytes(8, "big", signed=True) + id
    return base64.b64encode(raw, b"-_").decode()


@given(instants, ids)
@example(EPOCH, bytes(16))
@example(FIRST, b"\xff" * 16)
@example(LAST, bytes(16))
@example(EPOCH - timedelta(microseconds=1), bytes(16))
def test_a_position_survives_encoding(instant, id):
    text = encode_cursor(instant, id)
    assert text == pack(microseconds(instant), id)
    assert re.fullmatch(r"[0-9A-Za-z_-]{32}", text)
    assert decode_cursor(text) == (instant, uuid.UUID(bytes=id))


@given(numbers, ids)
@example(microseconds(FIRST), bytes(16))
@example(microseconds(FIRST) - 1, bytes(16))
@example(microseconds(LAST), bytes(16))
@example(microseconds(LAST) + 1, bytes(16))
def test_any_24_bytes_are_a_position_if_the_instant_can_be_represented(number, id):
    text = pack(number, id)
    if microseconds(FIRST) <= number <= microseconds(LAST):
        instant, decoded_id = decode_cursor(text)
        assert microseconds(instant) == number
        assert decoded_id.bytes == id
    else:
        with pytest.raises((ValueError, OverflowError)):
            decode_cursor(text)


@given(st.text() | st.text("AQgw_-=+/ \n", min_size=30, max_size=34))
@example("A" * 32)
@example("A" * 31 + "=")
def test_any_text_is_refused_or_is_the_one_spelling_of_its_position(text):
    try:
        instant, id = decode_cursor(text)
    except (ValueError, OverflowError):
        return
    assert encode_cursor(instant, id.bytes) == text


@given(st.binary(max_size=40))
def test_base64url_has_one_spelling_for_each_text(raw):
    text = encode_base64url(raw)
    assert decode_base64url(text, len(raw)) == raw
    for other in (text + "=", text + "A", text[:-1], text + "\n", " " + text):
        if other != text:
            with pytest.raises(ValueError, match=r"."):
                decode_base64url(other, len(raw))


# Over HTTP


@pytest.fixture(scope="module")
def inbox(app):
    """An organization with 20 conversations, half of them in one microsecond, and its rows."""
    alice = new_organization(app.test_client())
    for number in range(20):
        second = max(number, 10)
        alice.receive(contact(number), f"2026-04-28T12:00:{second}.000007+00:00")
    return alice, alice.conversations()


def place(row: dict) -> tuple[datetime, bytes]:
    return datetime.fromisoformat(row["last_message_at"]), decode_base64url(row["id"], 16)


def test_next_cursor_is_the_place_of_the_last_row(inbox):
    alice, rows = inbox
    for limit in range(1, 20):
        cursor = alice.get(PATH, {"limit": limit}).json["meta"]["next_cursor"]
        at, id = place(rows[limit - 1])
        assert cursor == pack(microseconds(at), id)
        number, raw_id = struct.unpack(">q16s", base64.b64decode(cursor, b"-_", validate=True))
        assert (number, raw_id) == (microseconds(at), id)


@over_http
@given(data=st.data())
def test_the_page_behind_any_position_is_exactly_what_stands_behind_it(inbox, data):
    alice, rows = inbox
    near = st.sampled_from([place(row)[0] for row in rows]).flatmap(
        lambda at: st.sampled_from([at + timedelta(microseconds=step) for step in (-1, 0, 1)])
    )
    position = data.draw(
        st.tuples(near | instants, ids | st.sampled_from([place(r)[1] for r in rows]))
    )
    answer = alice.get(PATH, {"cursor": encode_cursor(*position)})
    assert answer.status_code == 200
    assert answer.json["data"] == [row for row in rows if place(row) < position]
    assert answer.json["meta"]["total"] == len(rows)


@over_http
@given(
    st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"[\w-]{32}", fullmatch=True)
)
@example("A" * 32)
@example("f" + "_" * 31)
def test_any_text_is_a_position_or_a_422(inbox, text):
    alice, rows = inbox
    response = alice.get(PATH, {"cursor": text})
    try:
        position = decode_cursor(text)
    except (ValueError, OverflowError):
        complaint = "must be a next_cursor of an earlier answer"
        assert_error(response, 422, "VALIDATION_FAILED", cursor=complaint)
        return
    at, id = position[0], position[1].bytes
    assert response.json["data"] == [row for row in rows if place(row) < (at, id)]


@over_http
@given(number=numbers, id=ids)
@example(number=microseconds(FIRST), id=bytes(16))
@example(number=microseconds(FIRST) - 1, id=bytes(16))
@example(number=microseconds(LAST), id=b"\xff" * 16)
@example(number=microseconds(LAST) + 1, id=bytes(16))
def test_any_24_bytes_are_answered_from_their_position_or_refused(inbox, number, id):
    alice, rows = inbox
    response = alice.get(PATH, {"cursor": pack(number, id)})
    if microseconds(FIRST) <= number <= microseconds(LAST):
        at = EPOCH + timedelta(microseconds=number)
        assert response.json["data"] == [row for row in rows if place(row) < (at, id)]
    else:
        assert response.status_code == 422
        assert list(response.json["error"]["details"]) == ["cursor"]
