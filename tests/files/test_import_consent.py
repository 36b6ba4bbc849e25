import uuid

import orjson
import pytest

from tests.command_line import flask
from tests.conftest import contact


def tally(imported=0, there=0, skipped=0, refused=0) -> str:
    return f"imported {imported}, already there {there}, skipped {skipped}, refused {refused}\n"


def event(organization, opted_in: bool, day: int, **fields) -> dict:
    """A consent event at nine o'clock of a day in April."""
    return {
        "phone_number_id": str(organization.phone_number_id),
        "contact_number": contact(1),
        "opted_in": opted_in,
        "captured_at": f"2026-04-{day:02}T09:00:00Z",
        **fields,
    }


@pytest.fixture
def imports(alice, tmp_path):
    """Import rows, or lines as they are, as Alice and return the result."""

    def run(*rows: dict | bytes, arguments: tuple = (), ends_with: int = 0):
        lines = (row if isinstance(row, bytes) else orjson.dumps(row) for row in rows)
        path = tmp_path / "consent.ndjson"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return flask("import-consent", alice.id, path, *arguments, ends_with=ends_with)

    return run


def consent(organization, number: int = 1) -> dict | None:
    organization.receive(contact(number), "2026-04-28T12:00:01+00:00")
    (row,) = organization.conversations(contact_number=contact(number))
    return row["consent"]


def test_a_row_is_the_event_that_it_would_be_if_it_had_been_posted(alice, imports):
    result = imports(event(alice, True, 1))
    assert (result.stdout, result.stderr) == (tally(imported=1), "")
    assert consent(alice) == {"opted_in": True, "opted_in_at": "2026-04-01T09:00:00Z"}


def test_consent_before_the_first_message_is_no_conversation_yet(alice, imports):
    imports(event(alice, True, 1))
    assert alice.conversations() == []


@pytest.mark.parametrize("order", [list, reversed])
def test_the_order_of_events_leaves_no_trace(alice, imports, order):
    events = [event(alice, True, 1), event(alice, False, 2), event(alice, True, 3)]
    imports(*order(events))
    assert consent(alice) == {"opted_in": True, "opted_in_at": "2026-04-03T09:00:00Z"}


def test_an_event_that_is_no_news_is_already_there(alice, imports):
    history = [event(alice, True, 1), event(alice, False, 3), event(alice, True, 2)]
    assert imports(*history).stdout == tally(imported=3)
    assert imports(*history).stdout == tally(there=3)
    assert imports(event(alice, False, 2), event(alice, False, 4)).stdout == tally(1, 1)
    assert consent(alice) == {"opted_in": False, "opted_in_at": "2026-04-02T09:00:00Z"}


def test_the_opt_out_wins_at_the_same_instant(alice, imports):
    imports(event(alice, False, 1), event(alice, True, 1))
    assert consent(alice)["opted_in"] is False


def test_an_event_without_an_instant_happens_now(alice, imports):
    row = event(alice, True, 1)
    del row["captured_at"]
    assert imports(event(alice, False, 1), row).stdout == tally(imported=2)
    assert consent(alice)["opted_in"] is True


def test_the_number_of_another_organization_is_refused(alice, bob, imports):
    stranger = event(bob, True, 1)
    nobody = event(alice, True, 1, phone_number_id=str(uuid.UUID(int=0)))
    result = imports(stranger, event(alice, True, 1), nobody, ends_with=1)
    assert result.stdout == tally(imported=1, refused=2)
    assert result.stderr.splitlines() == [
        "line 1: phone_number_id is not one of your phone numbers",
        "line 3: phone_number_id is not one of your phone numbers",
    ]
    assert consent(bob) is None


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"opted_in": "true"}, "opted_in must be true or false"),
        ({"opted_in": 1}, "opted_in must be true or false"),
        ({"opted_in": None}, "opted_in must be true or false"),
        ({"contact_number": "5554443333#"}, "contact_number must be E.164"),
        ({"phone_number_id": "+15551112222"}, "phone_number_id must be a UUID"),
        ({"captured_at": "2026-04-01"}, "captured_at must be an RFC 3339 date-time"),
        ({"captured_at": "9998-04-01T09:00:00Z"}, "at most 24 hours in the future"),
        ({"source": "web"}, "source unknown field"),
    ],
)
def test_a_row_that_a_request_would_be_refused_for_is_refused(alice, imports, fields, complaint):
    result = imports(event(alice, True, 1) | fields, ends_with=1)
    assert result.stdout == tally(refused=1)
    assert complaint in result.stderr


def test_refused_rows_can_be_mended_and_imported_again(alice, imports, tmp_path):
    refused = tmp_path / "refused.ndjson"
    bad = orjson.dumps(event(alice, True, 1)).replace(b"true", b"TRUE")
    result = imports(event(alice, False, 2), bad, arguments=("--refused", refused), ends_with=1)
    assert result.stderr == "line 2: is not JSON\n"
    assert refused.read_bytes() == bad + b"\n"
    mended = refused.read_bytes().strip().replace(b"TRUE", b"true")
    assert imports(mended).stdout == tally(imported=1)
