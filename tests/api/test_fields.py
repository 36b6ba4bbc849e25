"""What each query parameter takes and refuses, over HTTP. Refusals are one sentence a field."""

import pytest
from werkzeug.datastructures import MultiDict

from tests.conftest import assert_error, contact
from tests.expectations import COMPLAINTS

PATH = "/v1/conversations"
AT = "2026-04-28T12:00:01+00:00"

ARABIC_INDIC_TEN = "\u0661\u0660"
FULLWIDTH_TWO = "\uff12"

REFUSED = {
    "limit": (
        ("", "0", "201", "1000", "-1", "5.0", "+5", "5+", " 5", "5 ", "5\n", "007", "05", "1_0"),
        ("1e2", "0x10", "1,0", "ten", "NaN", "None", "5;since=x", "9" * 5000),
        (ARABIC_INDIC_TEN, FULLWIDTH_TWO, "\u00b2"),
    ),
    "cursor": (
        ("", "x", "0", "null", "A" * 31, "A" * 33, "A" * 64, "A" * 5000),
        ("A" * 30 + "==", "A" * 31 + "=", "A" * 32 + "=", "+" + "A" * 31, "A" * 31 + "/"),
        ("A" * 32 + "\n", " " + "A" * 32, " " + "A" * 31, "\u00e9" + "A" * 31, "\uff21" + "A" * 31),
        # 24 bytes, but of an instant after the year 9999, and of one before the year 1.
        ("f" + "_" * 31, "g" + "A" * 31),
    ),
    "phone_number_id": (
        ("", "7c1f0a2d", "7c1f0a2d9e8b4c3a9d2e1f0a2b3c4d5e", "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5"),
        ("{7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e}", "urn:uuid:7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"),
        ("7c1f0a2d-9e8b-4c3a-9d2e1f0a2b3c4d5e-", "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5g"),
        ("7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e\n", " 7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"),
        (FULLWIDTH_TWO + "c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e", "-".join(("0" * 8,) * 4)),
    ),
    "contact_number": (
        ("", "+", "+1", "+0155512345", "+1234567890123456", "++15551234567", "tel:+15551234567"),
        ("+1 555 123 4567", "+1-555-123-4567", "+1555123456x", "+15551234567\n", "+15551234567 "),
        ("15551234567", "123456789", "12", "012", "A", "whatsapp:+15551234567", "  123"),
        (" +15551234567", "+" + ARABIC_INDIC_TEN * 4, ARABIC_INDIC_TEN * 2),
        ("A" * 12, " DHL", "DHL ", "D", "My\tBank", "Caf\u00e9", "_DHL", "DHL/2", "DHL\0", "+DHL"),
        ("1-2", "24 7", "'n", "Disney ", "1" * 10 + "ab"),
    ),
    "since": (
        ("", "now", "infinity", "1777377601", "2026-04-28", "2026-04-28T12:00:01"),
        ("2026-04-28 12:00:01Z", "2026-04-28_12:00:01Z", "2026-04-28T12:00Z", "2026-04-28T12Z"),
        ("2026-04-28T12:00:60Z", "2026-06-30T23:59:60Z", "2026-W18-2T12:00:01Z"),
        ("2026-118T12:00:01Z", "20260428T120001Z", "2026-4-28T12:00:01Z", "2026-04-28T1:00:01Z"),
        ("2026-04-28T12:00:01,5Z", "2026-04-28T12:00:01.Z", "2026-04-28T12:00:01.1234567890Z"),
        ("2026-04-28T24:00:00Z", "2026-04-28T12:60:00Z", "2026-13-01T00:00:00Z"),
        ("2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-01T00:00:00Z"),
        ("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-2026-04-28T12:00:01Z"),
        ("2026-04-28T12:00:01+24:00", "2026-04-28T12:00:01+02:60"),
        (
            "2026-04-28T12:00:01+02",
            "2026-04-28T12:00:01+2400",
            "2026-04-28T12:00:01+02:0",
            "2026-04-28T12:00:01+02:00:00",
            "2026-04-28T12:00:01Z+02:00",
        ),
        ("2026-04-28T12:00:01 UTC", "2026-04-28T12:00:01Z[UTC]", "2026-04-28T12:00:01Z\n"),
        (" 2026-04-28T12:00:01Z", "2026-04-28T12:00:01  02:00", "2026-04-28 12:00"),
        (FULLWIDTH_TWO + "026-04-28T12:00:01Z",),
    ),
    "opted_in": (
        ("", "1", "0", "yes", "no", "on", "off", "t", "TRUE", "True", "fALSE", "null"),
        ("true ", " true", "true\n", "true,false"),
    ),
}


SPELLINGS = [(name, value) for name, rows in REFUSED.items() for row in rows for value in row]


def test_a_parameter_refuses_every_other_spelling(alice, subtests):
    for name, value in SPELLINGS:
        with subtests.test(name=name, value=value):
            response = alice.get(PATH, {name: value})
            assert_error(response, 422, "VALIDATION_FAILED", **{name: COMPLAINTS[name]})


# NUL alone and behind something good; bytes, code points and escapes that UTF-8 does not have.
ODD_BYTES = ["%00", "true%00", "5%00", "%FF", "%C3%28", "%ED%A0%80", "%F4%90%80%80", "\xff", "%"]


def get_raw(organization, query: str):
    """GET with these very bytes as the query string, as a server hands them to an application."""
    environ = {"QUERY_STRING": query}
    return organization.client.get(PATH, headers=organization.auth, environ_overrides=environ)


def test_nul_and_what_is_not_utf8_are_refused_as_any_other_value(alice, subtests):
    for odd in ODD_BYTES:
        for name in COMPLAINTS:
            with subtests.test(odd=odd, name=name):
                response = get_raw(alice, f"{name}={odd}")
                assert_error(response, 422, "VALIDATION_FAILED", **{name: COMPLAINTS[name]})


def test_nul_and_what_is_not_utf8_are_refused_in_a_name_too(alice, subtests):
    for odd in ODD_BYTES:
        with subtests.test(odd=odd):
            response = get_raw(alice, f"{odd}=1")
            assert response.status_code == 422
            assert list(response.json["error"]["details"].values()) == ["unknown parameter"]


GOOD = [
    ("cursor", "A" * 32),
    ("limit", "5"),
    ("phone_number_id", "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"),
    ("contact_number", "12345"),
    ("since", "2026-04-28T12:00:01Z"),
    ("opted_in", "true"),
]


def test_a_repeated_parameter_is_refused_even_with_the_same_value(alice, subtests):
    for name, value in GOOD:
        with subtests.test(name=name, value=value):
            assert alice.get(PATH, {name: value}).status_code == 200
            for values in ([value, value], [value, ""], ["", ""], [value] * 3):
                response = alice.get(PATH, MultiDict({name: values}))
                assert_error(response, 422, "VALIDATION_FAILED", **{name: "must be given once"})


def test_a_parameter_without_a_value_is_refused(alice):
    for name, complaint in COMPLAINTS.items():
        response = alice.get(f"{PATH}?{name}")
        assert_error(response, 422, "VALIDATION_FAILED", **{name: complaint})


def test_limit_takes_1_to_200(alice, subtests):
    for limit in ("1", "2", "9", "10", "99", "100", "199", "200"):
        with subtests.test(limit=limit):
            assert alice.get(PATH, {"limit": limit}).json["meta"]["limit"] == int(limit)


def test_phone_number_id_takes_any_case(alice):
    alice.receive(contact(1), AT)
    id = str(alice.phone_number_id)
    for spelling in (id, id.upper(), id.title()):
        assert len(alice.conversations(phone_number_id=spelling)) == 1


NUMBERS = [
    "+12",
    "+123456789012345",
    "123",
    "12345678",
    "DHL",
    "24-7 Taxi",
    "O'Reilly",
    "a+",
    "A" * 11,
]


def test_contact_number_takes_e164_and_short_codes(alice, subtests):
    for number in NUMBERS:
        with subtests.test(number=number):
            alice.receive(number, AT)
            alice.receive(contact(1), AT)
            (row,) = alice.conversations(contact_number=number)
            assert row["contact_number"] == number


def test_a_raw_plus_in_contact_number_works_like_its_encoded_form(alice):
    alice.receive("+15550000001", AT)
    alice.receive(contact(2), AT)
    raw = alice.get(f"{PATH}?contact_number=+15550000001")
    assert raw.json == alice.get(f"{PATH}?contact_number=%2B15550000001").json
    assert [row["contact_number"] for row in raw.json["data"]] == ["+15550000001"]


@pytest.mark.parametrize("offset", ["02:00", "0200"])
@pytest.mark.parametrize("fraction", ["", ".0", ".000000999"])
def test_a_raw_plus_in_since_works_like_its_encoded_form(alice, fraction, offset):
    alice.receive(contact(1), "2026-04-28T09:59:59.999999+00:00")
    alice.receive(contact(2), "2026-04-28T10:00:00+00:00")
    raw = alice.get(f"{PATH}?since=2026-04-28T12:00:00{fraction}+{offset}")
    encoded = alice.get(f"{PATH}?since=2026-04-28T12:00:00{fraction}%2B02:00")
    assert raw.json == encoded.json
    assert [row["contact_number"] for row in raw.json["data"]] == [contact(2)]


INSTANTS = [
    "2026-04-28T12:00:01Z",
    "2026-04-28t12:00:01z",
    "2026-04-28T14:00:01+02:00",
    "2026-04-28T06:30:01-05:30",
    "2026-04-28T14:00:01+0200",
    "2026-04-28T06:30:01.0-0530",
    "2026-04-28T12:00:01+00:00",
    "2026-04-28T12:00:01-00:00",
    "2026-04-28T12:00:01.0Z",
    "2026-04-28T12:00:01.000000999Z",
    "2026-04-29T11:59:01+23:59",
]


def test_since_takes_every_spelling_of_rfc3339(alice, subtests):
    alice.receive(contact(1), "2026-04-28T12:00:00.999999+00:00")
    alice.receive(contact(2), "2026-04-28T12:00:01+00:00")
    for since in INSTANTS:
        with subtests.test(since=since):
            (row,) = alice.conversations(since=since)
            assert row["contact_number"] == contact(2)


def test_since_cuts_fractions_beyond_the_microsecond(alice, subtests):
    alice.receive(contact(1), "2026-04-28T12:00:01.123456+00:00")
    for digits in range(1, 10):
        with subtests.test(digits=digits):
            same = "123456999"[:digits]
            later = str(int(same[:6]) + 1) + same[6:]
            assert len(alice.conversations(since=f"2026-04-28T12:00:01.{same}Z")) == 1
            assert len(alice.conversations(since=f"2026-04-28T12:00:01.{later}Z")) == 0


ENDS = [
    ("0001-01-01T00:00:00Z", 1),
    ("0001-01-01T00:00:00+23:59", 1),
    ("2000-02-29T00:00:00Z", 1),
    ("9999-12-31T23:59:59.999999Z", 0),
    ("9999-12-31T23:59:59.999999-23:59", 0),
]


def test_since_reaches_both_ends_of_the_calendar(alice, subtests):
    alice.receive(contact(1), AT)
    for since, count in ENDS:
        with subtests.test(since=since, count=count):
            answer = alice.get(PATH, {"since": since}).json
            assert len(answer["data"]) == answer["meta"]["total"] == count
