import gzip
import re
import uuid

import orjson
import pytest

from conversations.files import csv_rows
from conversations.files import rows as shared
from conversations.inbox import checks, retention
from conversations.inbox.message_ids import carrier_message_id
from tests.command_line import flask
from tests.conftest import contact
from tests.files.twilio import COLUMNS, CSV_NAMES, csv_bytes, resource, sid, tally

NO_DATE = "must be a date and time with a UTC offset"


def json_bytes(*resources: dict) -> bytes:
    return b"".join(orjson.dumps(each) + b"\n" for each in resources)


FORMATS = {"twilio-csv": csv_bytes, "twilio-json": json_bytes}


@pytest.fixture
def imports(alice, tmp_path):
    """Import bytes in a format as Alice and return the result."""

    def run(format: str, content: bytes, *arguments: object, ends_with: int = 0):
        path = tmp_path / "export"
        path.write_bytes(content)
        given = ("import-messages", alice.id, path, "--format", format, *arguments)
        return flask(*given, ends_with=ends_with)

    return run


@pytest.fixture(params=FORMATS)
def take(request, imports):
    """Import message resources, once as a log and once as a bulk export."""

    def run(*resources: dict, ends_with: int = 0):
        return imports(request.param, FORMATS[request.param](*resources), ends_with=ends_with)

    run.first_line = 2 if request.param == "twilio-csv" else 1
    run.name = lambda name: CSV_NAMES[name] if request.param == "twilio-csv" else name
    return run


def messages(organization, number: str | None = None) -> list[dict]:
    (row,) = organization.conversations(contact_number=number or contact(1))
    return organization.get(f"/v1/conversations/{row['id']}/messages").json["data"]


def variants(organization, name: str, values: list) -> list[dict]:
    """A message for each value of a field, told apart by their bodies: the values' positions."""
    own = [{"sid": sid(n), "body": str(n), name: value} for n, value in enumerate(values)]
    return [resource(organization, **fields) for fields in own]


def assert_all_refused(result, take, count: int, name: str, complaint: str) -> None:
    """Every row is refused, and the complaint names the field as the export does."""
    assert result.stdout == tally(refused=count)
    lines = range(take.first_line, take.first_line + count)
    said = f"{take.name(name)} {complaint}"
    assert result.stderr.splitlines() == [f"line {line}: {said}" for line in lines]


def test_a_message_is_read_with_all_that_twilio_keeps_of_it(alice, take):
    result = take(
        resource(alice, body='two\nlines, "quoted", Grüße 👋'),
        resource(
            alice,
            **{"sid": sid(2, "MM"), "from": alice.number, "to": contact(1), "num_segments": "3"},
            **{"direction": "outbound-api", "date_sent": "2026-04-28T12:00:02Z"},
        ),
    )
    assert (result.stdout, result.stderr) == (tally(imported=2), "")
    received, sent = messages(alice)
    assert uuid.UUID(received.pop("id")).version == 5
    assert received == {
        "direction": "inbound",
        "phone_number_id": str(alice.phone_number_id),
        "from_number": contact(1),
        "to_number": alice.number,
        "body": 'two\nlines, "quoted", Grüße 👋',
        "media_urls": [],
        "channel": "sms",
        "segment_count": 1,
        "created_at": "2026-04-28T12:00:01Z",
        "redacted_at": None,
    }
    assert (sent["direction"], sent["channel"], sent["segment_count"]) == ("outbound", "mms", 3)


def test_one_message_is_the_same_in_either_export(alice, imports):
    assert imports("twilio-csv", csv_bytes(resource(alice))).stdout == tally(imported=1)
    assert imports("twilio-json", json_bytes(resource(alice))).stdout == tally(there=1)


def test_the_id_that_a_sid_stands_for_never_changes(alice, take):
    # A change would import everybody's history a second time.
    take(resource(alice, sid="SM" + "0123456789abcdef" * 2))
    (message,) = messages(alice)
    assert message["id"] == "28bf6606-3392-5ce3-94dd-32d6192875de"


def test_a_sid_with_other_content_is_refused(alice, take):
    result = take(resource(alice), resource(alice, body="other"), ends_with=1)
    assert result.stdout == tally(imported=1, refused=1)
    assert result.stderr == f"line {take.first_line + 1}: same id, different content\n"


def test_every_outbound_direction_is_outbound(alice, take):
    directions = ["outbound-api", "outbound-call", "outbound-reply"]
    rows = variants(alice, "direction", directions)
    take(*(row | {"from": alice.number, "to": contact(1)} for row in rows))
    assert [message["direction"] for message in messages(alice)] == ["outbound"] * 3


def test_a_message_that_was_not_exchanged_is_skipped_whatever_is_in_it(alice, take):
    statuses = ["failed", "undelivered", "canceled"]
    statuses += ["accepted", "scheduled", "queued", "sending", "receiving"]
    rows = variants(alice, "status", statuses)
    broken = [row | {"sid": "", "from": "x", "date_sent": ""} for row in rows]
    result = take(*broken, resource(alice))
    assert (result.stdout, result.stderr) == (tally(imported=1, skipped=8), "")


def test_a_message_that_was_on_its_way_is_read_from_a_later_export(alice, take):
    assert take(resource(alice, status="queued")).stdout == tally(skipped=1)
    assert take(resource(alice, status="delivered")).stdout == tally(imported=1)


def test_a_status_is_read_in_any_case_and_with_blanks_around_it(alice, take):
    statuses = ["received", "delivered", "sent", "read", "partially_delivered", " Delivered\t"]
    statuses += ["Failed", "UNDELIVERED ", " canceled"]
    result = take(*variants(alice, "status", statuses))
    assert result.stdout == tally(imported=6, skipped=3)


def test_a_message_whose_status_is_not_known_is_refused(alice, take):
    rows = variants(alice, "status", ["", "sent to nobody", "delivery_unknown"])
    complaint = "must be a status of Twilio, such as delivered"
    assert_all_refused(take(*rows, ends_with=1), take, 3, "status", complaint)


def test_a_message_of_a_bulk_export_without_a_status_is_refused(alice, imports):
    rows = [resource(alice, status=None), resource(alice)]
    del rows[1]["status"]
    assert imports("twilio-json", json_bytes(*rows), ends_with=1).stdout == tally(refused=2)


def test_cells_that_a_spreadsheet_left_out_are_empty_if_they_are_not_read(alice, imports):
    header, row = csv_bytes(resource(alice)).splitlines()
    assert row.endswith(b",inbound,,")
    content = b"\n".join([header, row.removesuffix(b",,"), b"," * 12, b" , ,", row[:-11], b""])
    result = imports("twilio-csv", content, ends_with=1)
    assert result.stdout == tally(imported=1, refused=1)
    assert result.stderr == "line 5: has 10 columns where the header has 13\n"


def test_a_log_without_plus_signs_gets_one_sentence_and_a_region_reads_it(alice, imports):
    alice.new_number("+12125550100")
    rows = [resource(alice, to="+12125550100", sid=sid(n), body=str(n)) for n in range(3)]
    rows[0] |= {"status": "failed"}
    rows += [resource(alice, sid=sid(7), direction="outbound-api", to="+12125550101")]
    rows[-1]["from"] = "+12125550100"
    content = csv_bytes(*rows).replace(b"+", b"").replace(contact(1)[1:].encode(), b"2125550123")
    result = imports("twilio-csv", content, ends_with=1)
    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)
    assert "took away the plus signs" in result.stderr
    assert "--region" in result.stderr
    result = imports("twilio-csv", content, "--region", "US")
    assert result.stdout == tally(imported=3, skipped=1)


def test_the_names_of_twilios_command_line_are_read(alice, imports):
    def camel(name):
        return re.sub("_(.)", lambda match: match[1].upper(), name)

    rows = resource(alice), resource(alice, sid=sid(2, "MM"), body=None, date_sent=None)
    content = json_bytes(*({camel(name): each[name] for name in each} for each in rows))
    assert imports("twilio-json", content).stdout == tally(imported=2)
    assert imports("twilio-json", json_bytes(*rows)).stdout == tally(there=2)


def test_the_uuids_of_signalwire_are_read_as_its_hook_reads_them(alice, take):
    id = "0c579624-2e69-4393-87c9-bc7775d8c1a2"
    assert take(resource(alice, sid=id)).stdout == tally(imported=1)
    (message,) = messages(alice)
    assert message["id"] == str(carrier_message_id(id))
    assert message["channel"] == "sms"


def test_a_picture_of_signalwire_is_told_by_its_number_of_media(alice, imports):
    rows = resource(alice, sid=str(uuid.uuid4()), body="", num_media="1")
    assert imports("twilio-json", json_bytes(rows)).stdout == tally(imported=1)
    (message,) = messages(alice)
    assert (message["body"], message["channel"]) == (None, "mms")


def test_every_spelling_of_an_instant_is_read(alice, take):
    dates = [
        "2026-04-28T12:00:01Z",
        "2026-04-28t12:00:01z",
        "2026-04-28T14:00:01+02:00",
        "2026-04-28T12:00:01.000Z",
        "2026-04-28 12:00:01 UTC",
        "2026-04-28 12:00:01UTC",
        "2026-04-28 12:00:01 GMT",
        "2026-04-28 12:00:01GMT",
        "2026-04-28 12:00:01 Z",
        "2026-04-28 12:00:01Z",
        "2026-04-28 14:00:01 +02:00",
        "2026-04-28 14:00:01+02:00",
        "2026-04-28 14:00:01 +0200",
        "2026-04-28 07:30:01-0430",
        "Tue, 28 Apr 2026 12:00:01 +0000",
        "Tue, 28 Apr 2026 14:00:01 +0200",
        "Tue, 28 Apr 2026 12:00:01 GMT",
        "28 Apr 2026 12:00:01 -0000",
    ]
    assert take(*variants(alice, "date_sent", dates)).stderr == ""
    instants = {message["body"]: message["created_at"] for message in messages(alice)}
    assert instants == dict.fromkeys(map(str, range(len(dates))), "2026-04-28T12:00:01Z")


def test_an_instant_without_a_known_zone_is_refused(alice, take):
    dates = [
        "2026-04-28T12:00:01",
        "2026-04-28 12:00:01",
        "2026-04-28 12:00:01 EST",
        "2026-04-28 12:00:01 Europe/Berlin",
        "2026-04-28 12:00:01  UTC",
        "2026-04-28 12:00:01 +25:00",
        "2026-04-28 12:00 UTC",
        "2026-04-31 12:00:01 UTC",
        "2026-04-28 24:00:01 UTC",
        "2026-04-28",
        "Tue, 28 Apr 2026 12:00:01 EST",
        "Tue, 28 Apr 2026 12:00:01",
        "Tue, 31 Apr 2026 12:00:01 GMT",
        "Tue, 28 Foo 2026 12:00:01 GMT",
        "Tue, 28 Apr 2026 12:00:01 +9999",
        "04/28/2026 12:00:01",
        "1777377601",
        "٢٠٢٦-04-28 12:00:01 UTC",
        "",
    ]
    result = take(*variants(alice, "date_sent", dates), ends_with=1)
    assert_all_refused(result, take, len(dates), "date_sent", NO_DATE)


def test_an_instant_far_in_the_future_is_refused(alice, take):
    result = take(resource(alice, date_sent="9998-04-28T12:00:01Z"), ends_with=1)
    assert "at most 24 hours in the future" in result.stderr


def test_a_message_without_a_date_sent_was_sent_when_it_was_created(alice, imports):
    imports("twilio-json", json_bytes(resource(alice, date_sent=None)))
    assert [message["created_at"] for message in messages(alice)] == ["2026-04-28T11:59:59Z"]


def test_a_message_without_any_date_is_refused(alice, imports):
    rows = variants(alice, "date_created", [None, "", 7])
    content = json_bytes(*(row | {"date_sent": None} for row in rows))
    assert imports("twilio-json", content, ends_with=1).stdout == tally(refused=3)


def test_a_picture_without_a_text_is_a_message_without_a_text(alice, take):
    assert take(resource(alice, sid=sid(1, "MM"), body="")).stdout == tally(imported=1)
    (message,) = messages(alice)
    assert (message["body"], message["media_urls"], message["channel"]) == (None, [], "mms")
    (row,) = alice.conversations()
    assert row["last_message_preview"] == "[media]"
    assert row["last_message_body_redacted_at"] is None


def test_a_null_body_is_an_empty_one(alice, imports):
    content = json_bytes(resource(alice, sid=sid(1, "MM"), body=None), resource(alice, body=None))
    assert imports("twilio-json", content).stdout == tally(imported=2)
    assert [message["body"] for message in messages(alice)] in ([None, ""], ["", None])


def test_a_text_message_without_a_text_has_an_empty_one(alice, take):
    assert take(resource(alice, body="")).stdout == tally(imported=1)
    (message,) = messages(alice)
    assert (message["body"], message["channel"]) == ("", "sms")
    (row,) = alice.conversations()
    assert (row["last_message_preview"], row["last_message_body_redacted_at"]) == ("", None)


def test_a_text_has_at_most_10_000_characters(alice, take):
    rows = [resource(alice, sid=sid(1), body="x" * 10_001)]
    assert_all_refused(take(*rows, ends_with=1), take, 1, "body", "must be 0..10000 chars")
    assert take(resource(alice, body="👋" * 10_000)).stdout == tally(imported=1)


def test_a_nul_becomes_a_replacement_character(alice, take):
    assert take(resource(alice, body="a\0b")).stdout == tally(imported=1)
    assert [message["body"] for message in messages(alice)] == ["a\ufffdb"]


def test_a_text_that_one_of_two_exports_lacks_is_no_difference(alice, take):
    assert take(resource(alice)).stdout == tally(imported=1)
    assert take(resource(alice, body="")).stdout == tally(there=1)
    assert [message["body"] for message in messages(alice)] == ["hello"]


def test_a_text_that_an_earlier_export_lacked_is_filled_in(alice, take):
    take(resource(alice, sid=sid(2), body="", date_sent="2026-04-28T12:00:02Z"))
    (before,) = alice.conversations()
    assert before["last_message_preview"] == ""
    take(resource(alice, sid=sid(1), body=""))
    later = resource(alice, sid=sid(2), body="two", date_sent="2026-04-28T12:00:02Z")
    assert take(resource(alice, body="one"), later).stdout == tally(there=2)
    assert [message["body"] for message in messages(alice)] == ["one", "two"]
    (row,) = alice.conversations()
    assert (row["last_message_preview"], row["message_count"]) == ("two", 2)
    assert list(checks.check(alice.id, repair=False)) == []


def test_a_keyword_that_is_filled_in_counts_at_the_instant_of_its_message(alice, take):
    take(resource(alice, body=""))
    assert alice.conversations()[0]["consent"] is None
    take(resource(alice, body="START", date_sent="2026-04-29T12:00:01Z"))
    assert alice.conversations()[0]["consent"]["opted_in_at"] == "2026-04-28T12:00:01Z"


def test_a_text_that_was_erased_here_is_not_filled_in(alice, take):
    take(resource(alice))
    retention.erase_contact(alice.id, contact(1))
    assert take(resource(alice)).stdout == tally(there=1)
    assert take(resource(alice, body="")).stdout == tally(there=1)
    assert [message["body"] for message in messages(alice)] == [None]
    assert alice.conversations()[0]["last_message_preview"] == "[redacted]"


def test_instants_segments_and_channels_are_no_difference(alice, take):
    take(resource(alice))
    other = {"date_sent": "2026-04-28T12:00:09Z", "num_segments": "3"}
    assert take(resource(alice, **other)).stdout == tally(there=1)
    (message,) = messages(alice)
    assert (message["created_at"], message["segment_count"]) == ("2026-04-28T12:00:01Z", 1)


def test_other_numbers_and_another_direction_are_a_difference(alice, take):
    take(resource(alice))
    alice.new_number(contact(1))
    rows = [{"from": contact(2)}, {"direction": "outbound-api"}]
    result = take(*(resource(alice, **fields) for fields in rows), ends_with=1)
    assert result.stdout == tally(refused=2)


@pytest.mark.parametrize("region", ["US", "us"])
def test_numbers_without_a_plus_are_national_ones_of_the_region(alice, imports, region):
    alice.new_number("+16505551212")
    senders = ["6505551213", "(650) 555-1213", "1 650.555.1213", "+16505551213", "011 1 6505551213"]
    rows = [row | {"to": "650-555-1212"} for row in variants(alice, "from", senders)]
    assert imports("twilio-csv", csv_bytes(*rows), "--region", region).stdout == tally(imported=5)
    (row,) = alice.conversations()
    assert (row["phone_number"], row["contact_number"]) == ("+16505551212", "+16505551213")


def test_short_codes_and_sender_ids_stay_what_they_are_in_a_region(alice, imports):
    senders = ["54321", "911", "DHL", "My Bank", "A650555121"]
    content = csv_bytes(*variants(alice, "from", senders))
    assert imports("twilio-csv", content, "--region", "US").stdout == tally(imported=5)
    assert {row["contact_number"] for row in alice.conversations()} == set(senders)


def test_a_valid_national_number_wins_over_a_short_code(alice, imports):
    # Eight digits are a whole number in Singapore.
    content = csv_bytes(resource(alice, **{"from": "81234567"}))
    imports("twilio-csv", content, "--region", "SG")
    assert [row["contact_number"] for row in alice.conversations()] == ["+6581234567"]


def test_what_is_no_number_of_the_region_either_is_refused(alice, imports):
    senders = ["650555-1212x", "1-800-FLOWERS", "٦٥٠٥٥٥١٢١٢", "+1 6505551213", "whatsapp:1"]
    content = csv_bytes(*variants(alice, "from", senders))
    result = imports("twilio-csv", content, "--region", "US", ends_with=1)
    assert result.stdout == tally(refused=5)


@pytest.mark.parametrize("region", ["", "USA", "XX", "1", "U\0"])
def test_an_unknown_region_is_wrong_usage(imports, region):
    result = imports("twilio-csv", b"", "--region", region, ends_with=2)
    assert "must be an ISO 3166 country code, such as US" in result.stderr


def test_a_number_of_segments_that_is_not_known_is_null(alice, take):
    take(*variants(alice, "num_segments", ["0", "", "1", "10", "01"]))
    counts = {message["body"]: message["segment_count"] for message in messages(alice)}
    assert counts == {"0": None, "1": None, "2": 1, "3": 10, "4": 1}


def test_a_number_of_segments_may_be_a_number(alice, imports):
    imports("twilio-json", json_bytes(*variants(alice, "num_segments", [0, None, 2])))
    counts = {message["body"]: message["segment_count"] for message in messages(alice)}
    assert counts == {"0": None, "1": None, "2": 2}


def test_a_number_of_segments_that_is_none_is_refused(alice, take):
    rows = variants(alice, "num_segments", ["x", "1.0", "-1", "101", "٣", "9" * 5000])
    assert_all_refused(take(*rows, ends_with=1), take, 6, "num_segments", "must be 1..100")


def test_a_short_code_is_a_contact(alice, take):
    assert take(resource(alice, **{"from": "54321"})).stdout == tally(imported=1)
    assert len(messages(alice, "54321")) == 1


def test_a_sender_id_is_a_contact(alice, take):
    assert take(resource(alice, **{"from": "My Bank"})).stdout == tally(imported=1)
    assert len(messages(alice, "My Bank")) == 1


def test_a_sender_that_has_no_number_is_refused(alice, take):
    senders = ["B", "whatsapp:+15554443333", "12", "123456789", "555/x", "", "+1 555"]
    rows = variants(alice, "from", senders)
    assert_all_refused(take(*rows, ends_with=1), take, 7, "from", "must be E.164")


def test_a_message_between_strangers_is_refused(alice, take):
    result = take(
        resource(alice, to=contact(2)), resource(alice, direction="outbound-api"), ends_with=1
    )
    assert result.stderr == (
        f"line {take.first_line}: {take.name('to')} is not one of your phone numbers\n"
        f"line {take.first_line + 1}: {take.name('from')} is not one of your phone numbers\n"
    )


def test_a_sid_that_is_no_messages_is_refused(alice, take):
    sids = ["", "SM", "CA" + "0" * 32, "sm" + "0" * 32, "SM 1", "SMé"]
    rows = [resource(alice, sid=each) for each in sids]
    assert_all_refused(take(*rows, ends_with=1), take, 6, "sid", "must be a Twilio message SID")


def test_a_direction_that_twilio_does_not_have_is_refused(alice, take):
    rows = variants(alice, "direction", ["", "outbound", "Inbound", "trunking-originating"])
    complaint = "must be one of inbound, outbound-api, outbound-call, outbound-reply"
    assert_all_refused(take(*rows, ends_with=1), take, 4, "direction", complaint)


def test_a_value_of_another_type_is_refused(alice, imports):
    names = ("sid", "from", "to", "body", "direction", "date_sent", "num_segments")
    values = (["x"], {"x": 1}, True, 1.5)
    rows = [resource(alice, **{name: value}) for name in names for value in values]
    result = imports("twilio-json", json_bytes(*rows), ends_with=1)
    assert result.stdout == tally(refused=len(rows))


def test_a_keyword_counts(alice, take):
    take(resource(alice, body="Stop"))
    (row,) = alice.conversations()
    assert row["consent"] == {"opted_in": False, "opted_in_at": None}


def test_a_bulk_export_is_read_as_twilio_packs_it(alice, imports):
    content = gzip.compress(json_bytes(resource(alice)))
    content += gzip.compress(json_bytes(resource(alice, sid=sid(2))))
    assert imports("twilio-json", content).stdout == tally(imported=2)
    assert imports("twilio-json", gzip.decompress(content)).stdout == tally(there=2)


@pytest.mark.parametrize("damage", ["cut", "flipped", "trailing"])
def test_a_damaged_archive_gives_what_it_can_and_says_where_it_ends(alice, imports, damage):
    rows = [resource(alice, sid=sid(n), body=str(uuid.uuid4())) for n in range(5000)]
    content = bytearray(gzip.compress(json_bytes(*rows)))
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        content += b"not gzip"
    result = imports("twilio-json", bytes(content), ends_with=1)
    assert result.stdout.endswith("refused 1\n") or damage == "flipped"
    assert 0 < alice.conversations()[0]["message_count"] <= 5000
    # A flipped bit can also repeat an id, which shows only when the rows are stored.
    ends = r"^line \d+: cannot be read, nor what follows: .+$"
    assert len(re.findall(ends, result.stderr, re.MULTILINE)) == 1


def test_columns_are_found_by_name(alice, imports):
    columns = ["Extra", *reversed(COLUMNS)]
    content = csv_bytes(resource(alice, body="a,b"), columns=columns)
    assert imports("twilio-csv", content).stdout == tally(imported=1)
    assert [message["body"] for message in messages(alice)] == ["a,b"]


def test_windows_files_are_read_byte_order_mark_and_all(alice, imports):
    rows = [resource(alice), resource(alice, sid=sid(2), body="two\r\nlines")]
    content = b"\xef\xbb\xbf" + csv_bytes(*rows, end="\r\n")
    assert imports("twilio-csv", content).stdout == tally(imported=2)
    assert {message["body"] for message in messages(alice)} == {"hello", "two\r\nlines"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "From"),
        (b"\n\n", "From"),
        (csv_bytes().replace(b"Sid,Direction", b"Side,Direction"), "Sid"),
        (csv_bytes().replace(b"ApiVersion", b"Body"), "Body"),
        (b'"From', "From"),
    ],
)
def test_a_file_without_the_header_is_refused_as_a_whole(imports, tmp_path, content, named):
    refused = tmp_path / "refused.csv"
    refused.write_text("of an earlier import")
    result = imports("twilio-csv", content, "--refused", refused, ends_with=1)
    assert result.stdout == ""
    assert "the header must have one column" in result.stderr
    assert named in result.stderr
    assert refused.read_text() == "of an earlier import"


def test_a_message_may_hold_what_looks_like_a_page_of_the_api(alice, imports):
    content = json_bytes(resource(alice, body='{"messages": [1]}'))
    assert imports("twilio-json", content).stdout == tally(imported=1)


def test_a_row_is_named_by_the_line_that_it_starts_on(alice, imports):
    content = csv_bytes(
        resource(alice, body="one\n\ntwo\nthree"),
        resource(alice, sid="x", body="a\nb"),
        resource(alice, sid=sid(2)),
    )
    content += b"\n  \n" + csv_bytes(resource(alice, direction="x")).split(b"\n", 1)[1]
    result = imports("twilio-csv", content, ends_with=1)
    assert result.stdout == tally(imported=2, refused=2)
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["line 6", "line 11"]


def test_what_is_no_csv_is_refused_and_the_rest_is_read(alice, imports, tmp_path):
    header, good, other = csv_bytes(resource(alice), resource(alice, sid=sid(2))).splitlines(True)
    bad = [
        b"one,two\n",
        good.replace(b"hello", b'"hel"lo'),
        good.replace(b"hello", b"h\xffllo"),
        good.replace(b"hello", b"x" * 200_000),
        good.replace(b"\n", b",\n"),
    ]
    refused = tmp_path / "refused.csv"
    content = header + bad[0] + bad[1] + good + bad[2] + bad[3] + bad[4] + other
    result = imports("twilio-csv", content, "--refused", refused, ends_with=1)
    assert result.stdout == tally(imported=2, refused=5)
    assert refused.read_bytes() == header + b"".join(bad)
    complaints = [line.partition(": ")[2] for line in result.stderr.splitlines()]
    assert complaints[0] == "has 2 columns where the header has 13"
    assert complaints[1].startswith("is not CSV: ")
    assert complaints[2] == "is not UTF-8"
    assert complaints[3].startswith("is not CSV: field larger than")
    assert complaints[4] == "has 14 columns where the header has 13"


@pytest.mark.parametrize("rows_after", [1, 2000])
def test_a_quote_that_is_never_closed_loses_no_row(alice, imports, tmp_path, rows_after):
    rows = [resource(alice, sid=sid(n), body=f"{n:0100}") for n in range(rows_after + 2)]
    content = csv_bytes(*rows)
    start = content.index(f"{1:0100}".encode())
    content = content[:start] + b'"' + content[start:]
    refused = tmp_path / "refused.csv"
    result = imports("twilio-csv", content, "--refused", refused, ends_with=1)
    assert result.stderr.startswith("line 3: is not CSV: ")

    mended = refused.read_bytes().replace(b',"', b",", 1)
    assert imports("twilio-csv", mended).stdout.startswith("imported")
    assert len(alice.conversations()) == 1
    assert alice.conversations()[0]["message_count"] == rows_after + 2


def test_refused_rows_are_copied_as_they_are_with_their_header(alice, imports, tmp_path):
    good = resource(alice)
    bad = resource(alice, sid=sid(2), body="two\nlines", to=contact(9))
    mark, end = b"\xef\xbb\xbf", "\r\n"
    refused = tmp_path / "refused.csv"
    content = mark + csv_bytes(good, bad, end=end)
    imports("twilio-csv", content, "--refused", refused, ends_with=1)
    assert refused.read_bytes() == mark + csv_bytes(bad, end=end)


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_refused_can_be_mended_and_imported_again(alice, imports, tmp_path, format):
    rows = resource(alice), resource(alice, sid=sid(2), to=contact(9))
    refused = tmp_path / "refused"
    result = imports(format, FORMATS[format](*rows), "--refused", refused, ends_with=1)
    assert result.stdout == tally(imported=1, refused=1)
    flask("create-phone-number", alice.id, contact(9))
    assert imports(format, refused.read_bytes()).stdout == tally(imported=1)


# The longest row of the tests, smaller than the real one.
MOST = 100_000


@pytest.mark.parametrize(
    "bomb", [b"x" * (MOST + 1), b'"' + b"x" * (3 * MOST) + b'"'], ids=["a line", "a quoted cell"]
)
def test_a_row_of_any_length_is_rejected_and_the_rest_goes_in(alice, imports, monkeypatch, bomb):
    for module in (shared, csv_rows):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", MOST)
    rows = [resource(alice, sid=sid(n), body=f"message {n}") for n in (1, 2)]
    header, first, second = csv_bytes(*rows).splitlines()
    content = b"\n".join([header, first, bomb, second, b""])
    result = imports("twilio-csv", content, ends_with=1)
    assert result.stdout.startswith("imported 2, ")
    assert "line 3: is longer than 16 MiB; only its beginning is kept" in result.stderr
    assert len(messages(alice)) == 2


def test_a_row_over_any_number_of_lines_is_rejected(alice, imports, monkeypatch):
    monkeypatch.setattr(csv_rows, "MAX_LINE_BYTES", MOST)
    content = csv_bytes(resource(alice)) + b'"x\n",' * (MOST // 4)
    result = imports("twilio-csv", content, ends_with=1)
    assert result.stdout.startswith("imported 1, ")
    assert "line 3: is longer than 16 MiB; only its beginning is kept" in result.stderr


def test_a_bomb_in_an_archive_is_rejected_and_the_rest_goes_in(alice, imports):
    bomb = b'{"body": "' + b"x" * (3 * shared.MAX_LINE_BYTES) + b'"}\n'
    result = imports("twilio-json", gzip.compress(bomb + json_bytes(resource(alice))), ends_with=1)
    assert result.stdout == tally(imported=1, refused=1)
    assert result.stderr == "line 1: is longer than 16 MiB; only its beginning is kept\n"
