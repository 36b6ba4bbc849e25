"""CSV with named columns: messages and consent of any program."""

import csv
import io
import re
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest

from conversations.inbox.message_ids import carrier_message_id
from tests.command_line import flask
from tests.conftest import contact

START = datetime(2026, 3, 28, 20, 30, tzinfo=UTC)


def tally(imported=0, there=0, skipped=0, refused=0) -> str:
    return f"imported {imported}, already there {there}, skipped {skipped}, refused {refused}\n"


def table(rows: list[list], **dialect) -> bytes:
    text = io.StringIO()
    csv.writer(text, **{"lineterminator": "\n", **dialect}).writerows(rows)
    return text.getvalue().encode()


@pytest.fixture
def imports(alice, tmp_path):
    """Import bytes or rows as CSV and return the result."""

    def run(content, *arguments, command="import-messages", format="csv", ends_with=0):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else table(content))
        given = (command, alice.id, path, "--format", format, *arguments)
        return flask(*given, ends_with=ends_with)

    return run


def messages(organization, number: str | None = None) -> list[dict]:
    (row,) = organization.conversations(**({"contact_number": number} if number else {}))
    return organization.get(f"/v1/conversations/{row['id']}/messages", {"limit": 200}).json["data"]


HEADER = ["contact", "direction", "body", "created_at"]
AT = "2026-04-28T12:00:01Z"


def one(**fields) -> list[list]:
    """A table of one message from contact 1."""
    row = {"contact": contact(1), "direction": "in", "body": "hello", "created_at": AT} | fields
    return [list(row), list(row.values())]


def thousand() -> list[dict]:
    """Messages of every minute of a night in which Berlin's clocks go forward."""
    bodies = ["hello", 'two\nlines, "quoted"; and\ttabs', "Grüße 👋", ""]
    return [
        {
            "direction": "inbound" if n % 3 else "outbound",
            "contact": f"+1212555{n % 100:04}",
            "body": f"{bodies[n % 4]} {n}",
            "created_at": START + timedelta(minutes=n),
        }
        for n in range(1000)
    ]


def berlin(at: datetime, format: str) -> str:
    return at.astimezone(ZoneInfo("Europe/Berlin")).strftime(format)


def national(number: str) -> str:
    return f"({number[2:5]}) {number[5:8]}-{number[8:]}"


def test_a_thousand_messages_in_eight_dialects_are_the_same_rows(alice, imports, tmp_path):
    own = "+12125559999"
    alice.new_number(own)
    rows = thousand()
    names = {"inbound": ["from", "to"], "outbound": ["to", "from"]}
    lines = [
        {
            **dict(zip(names[row["direction"]], (row["contact"], own), strict=True)),
            **{"direction": row["direction"], "body": row["body"]},
            "created_at": row["created_at"].isoformat(),
        }
        for row in rows
    ]
    (tmp_path / "rows.ndjson").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    result = flask("import-messages", alice.id, tmp_path / "rows.ndjson")
    assert result.stdout == tally(imported=1000)

    def cells(direction: dict, contact, created_at) -> list[list]:
        return [
            [
                *(contact(row["contact"]), direction[row["direction"]], row["body"]),
                created_at(row["created_at"]),
            ]
            for row in rows
        ]

    def words(inbound: str, outbound: str) -> dict:
        return {"inbound": inbound, "outbound": outbound}

    def zoned(at: datetime) -> str:
        return at.isoformat().replace("+00:00", "Z")

    ends = [["from", "to", "body", "created_at"]]
    ends += [[line["from"], line["to"], line["body"], line["created_at"]] for line in lines]
    number = ("--number", own)
    us, zone = ("--region", "US"), ("--timezone", "Europe/Berlin")
    mapped = "contact=Phone,direction=Type,body=Text,created_at=When"
    german = [["Phone", "Type", "Text", "When"]]
    german += cells(words("Received", "Sent"), str, lambda at: berlin(at, "%d.%m.%Y %H:%M"))
    semicolons = {"delimiter": ";", "lineterminator": "\r\n"}
    dialects = [
        (table([HEADER, *cells(words("in", "out"), str, zoned)]), number),
        (table(ends), ()),
        (
            b"\xef\xbb\xbf" + table(german, **semicolons),
            (*(*number, *zone, "--columns", mapped, "--date-format", "%d.%m.%Y %H:%M"),),
        ),
        (
            table(
                [HEADER, *cells(words("1", "2"), national, lambda at: int(at.timestamp()))],
                delimiter="\t",
            ),
            (*number, *us),
        ),
        (
            table(
                [
                    HEADER,
                    *cells(
                        words("IN", "outbound-api"), national, lambda at: int(at.timestamp() * 1000)
                    ),
                ],
                quoting=csv.QUOTE_ALL,
            ),
            (*number, *us),
        ),
        (
            table(
                [
                    HEADER,
                    *cells(
                        words("incoming", "outgoing"),
                        lambda n: f'="{n}"',
                        lambda at: berlin(at, "%Y-%m-%d %H:%M"),
                    ),
                ]
            ),
            (*number, *zone),
        ),
        (
            table(
                [
                    HEADER,
                    *cells(
                        words("INBOUND", " Outbound "),
                        lambda n: f"'{n}",
                        lambda at: berlin(at, "%Y-%m-%d %H:%M:%S.%f"),
                    ),
                ]
            ),
            (*number, *zone),
        ),
        (
            table(
                [
                    HEADER,
                    *cells(
                        words("received", "sent"),
                        lambda n: n[1:],
                        lambda at: berlin(at, "%Y-%m-%dT%H:%M:%S%z"),
                    ),
                ]
            ),
            (*number, *us),
        ),
    ]
    offenders = []
    for place, (content, arguments) in enumerate(dialects):
        result = imports(content, *arguments)
        if result.stdout != tally(there=1000) or result.stderr:
            offenders.append((place, result.output[:300]))
    assert offenders == []


def test_days_of_summer_time_are_read_in_both_directions(alice, imports):
    local = {
        "2026-03-29 01:59:59": "2026-03-29T00:59:59Z",
        "2026-03-29 03:00": "2026-03-29T01:00:00Z",
        "2026-10-25 01:59": "2026-10-24T23:59:00Z",
        "2026-10-25 02:30": "2026-10-25T00:30:00Z",  # Twice: the first one counts.
        "2026-10-25 03:00": "2026-10-25T02:00:00Z",
    }
    rows = [[contact(1), "in", at, at] for at in local]
    rows.append([contact(1), "in", "none", "2026-03-29 02:30"])
    result = imports([HEADER, *rows], "--timezone", "Europe/Berlin", ends_with=1)
    assert result.stdout == tally(imported=5, refused=1)
    assert result.stderr == (
        "line 7: created_at does not exist in Europe/Berlin, because of summer time\n"
    )
    assert {m["body"]: m["created_at"] for m in messages(alice)} == local


def test_every_id_is_the_one_that_it_should_be(alice, imports):
    id, sid = str(uuid.uuid4()), "SM" + "0" * 32
    ids = [id.upper(), sid, "MM1", "4711", "row 4712"]
    header = ["id", *HEADER]
    rows = [[each, contact(1), "in", f"text {each}", AT] for each in ids]
    assert imports([header, *rows]).stdout == tally(imported=5)
    stored = {message["body"]: message for message in messages(alice)}
    assert stored[f"text {id.upper()}"]["id"] == id
    assert stored[f"text {sid}"]["id"] == str(carrier_message_id(sid))
    assert stored["text MM1"]["channel"] == "mms"
    assert all(
        uuid.UUID(message["id"]).version == 5 for message in stored.values() if message["id"] != id
    )
    assert imports([header, *rows]).stdout == tally(there=5)
    # A number of a row is another message for another contact.
    assert imports([header, ["4711", contact(2), "in", "x", AT]]).stdout == tally(imported=1)
    again = imports([header, ["4711", contact(1), "in", "x", AT]], ends_with=1)
    assert again.stderr == "line 2: same id, different content\n"


def test_media_channel_and_segments_are_read(alice, imports):
    urls = ["https://a/1,2.jpg", "HTTP://a/3.jpg", "https://a/4.jpg", "https://a/5.jpg"]
    media = f"{urls[0]}, {urls[1]}|{urls[2]} {urls[3]}"
    content = one(media_urls=media, segment_count="2", body="")
    content.append([contact(1), "in", "", "2026-04-28T12:00:02Z", "", "0"])
    assert imports(content).stdout == tally(imported=2)
    first, second = messages(alice)
    assert (first["media_urls"], first["channel"], first["body"]) == (urls, "mms", None)
    assert first["segment_count"] == 2
    assert (second["media_urls"], second["channel"], second["body"]) == ([], "sms", "")
    assert imports(one(channel="MMS", body="", created_at="1777377609")).stdout == tally(imported=1)


def test_messages_that_were_not_exchanged_are_skipped(imports):
    words = ["failed", " Undelivered ", "CANCELED", "delivery_failed", "sending_failed", "expired"]
    words += ["queued", "pending", "scheduled", "draft", "accepted", "sending", "receiving"]
    rows = [["?", "?", "", "?", word] for word in words]
    exchanged = [contact(1), "in", "hello", AT]
    content = [[*HEADER, "status"], *rows, [*exchanged, "read by them"], [*exchanged, ""]]
    assert imports(content).stdout == tally(imported=1, there=1, skipped=len(words))


REFUSED = [
    ({"created_at": "2026-04-28 12:00:01"}, "created_at has no zone: name it with --timezone"),
    ({"created_at": "04/28/2026"}, "created_at must be RFC 3339, YYYY-MM-DD HH:MM[:SS], seconds"),
    ({"created_at": ""}, "created_at must be RFC 3339"),
    ({"created_at": "1000000000000000"}, "created_at must be RFC 3339"),
    ({"created_at": "45775"}, "created_at must not be before 1992-12-03"),
    ({"contact": "1.21256E+10"}, "contact was shortened by a spreadsheet"),
    ({"contact": ""}, "contact must be E.164"),
    ({"contact": "whatsapp:+15554443333"}, "contact must be E.164"),
    ({"direction": "both"}, "direction must be one of inbound, incoming, received"),
    ({"direction": ""}, "direction must be one of"),
    ({"channel": "rcs"}, "channel must be sms or mms"),
    ({"media_urls": "ftp://a"}, "media_urls must be up to 10 http(s) URLs"),
    ({"segment_count": "two"}, "segment_count must be 1..100"),
    ({"number": "+15559999999"}, "number is not one of your phone numbers"),
    ({"body": "x" * 10_001}, "body must be 0..10000 chars"),
]


def test_every_refusal_names_the_column_of_the_file(alice, imports, tmp_path):
    offenders = []
    for fields, said in REFUSED:
        name = next(iter(fields))
        header, row = one(**fields)
        renamed = [f"The {each}" for each in header]
        columns = ",".join(f"{each}=The {each}" for each in header)
        rejected = tmp_path / "rejected.csv"
        given = ("--columns", columns, "--rejected", rejected)
        result = imports([renamed, row], *given, ends_with=1)
        if result.stderr[: len(said) + 12] != f"line 2: The {said}"[: len(said) + 12]:
            offenders.append((name, result.output))
        if rejected.read_bytes() != table([renamed, row]):
            offenders.append((name, rejected.read_bytes()))
    assert offenders == []


def test_the_end_that_is_yours_tells_the_direction(alice, imports):
    alice.new_number(contact(9))
    own = alice.number
    ends = [(contact(1), own), (own, contact(1)), (own, contact(9)), (contact(1), contact(2))]
    rows = [[*each, f"text {n}", AT] for n, each in enumerate(ends)]
    result = imports([["from", "to", "body", "created_at"], *rows], ends_with=1)
    assert result.stdout == tally(imported=2, refused=2)
    said = "from or to must be one of your phone numbers, and not both"
    assert result.stderr.splitlines() == [f"line 4: {said}", f"line 5: {said}"]
    assert {m["body"]: m["direction"] for m in messages(alice)} == {
        "text 0": "inbound",
        "text 1": "outbound",
    }


def test_columns_that_a_file_lacks_are_named_with_what_it_has(imports):
    cases = [
        ([["Phone", "\x1b[2J"]], (), "has no column body: say which one that is with --columns"),
        ([["contact", "body", "created_at"]], (), "has no column direction"),
        ([["body", "created_at", "from"]], (), "has no column contact"),
        ([[*HEADER]], ("--columns", "body=Text"), "must have one column Text; it has: contact,"),
        ([[*HEADER, "body"]], (), "must have one column body"),
        ([[]], (), "has no column body"),
    ]
    offenders = []
    for content, arguments, said in cases:
        result = imports(content, *arguments, ends_with=1)
        one_sentence = len(result.stderr.splitlines()) == 1 and "\x1b" not in result.stderr
        if result.stdout or said not in result.stderr or not one_sentence:
            offenders.append((said, result.output))
    assert offenders == []


def test_options_that_do_not_fit_are_wrong_usage(alice, imports):
    cases = [
        (("--columns", "colour=Phone"), "colour is none of id, from, to"),
        (("--columns", "body"), "must be NAME=COLUMN"),
        (("--columns", "body=a,body=b"), "must be NAME=COLUMN"),
        (("--timezone", "Mars/Olympus"), "must be an IANA time zone"),
        (("--timezone", "Europe"), "must be an IANA time zone"),
        (("--date-format", "%d.%m"), "must be a format of strptime"),
        (("--date-format", "%Y-%m-%d %Z"), "must be a format of strptime"),
        (("--number", f"1={alice.number}"), "--number takes a SUB_ID with --format sms-backup"),
        (("--number", "+15559999999"), "--number is not one of your phone numbers"),
    ]
    offenders = [
        (arguments, result.output)
        for arguments, said in cases
        if said not in (result := imports(one(), *arguments, ends_with=2)).stderr
    ]
    assert offenders == []
    for format in ("ndjson", "twilio-csv", "twilio-json", "httpsms", "sms-backup"):
        result = imports(b"", "--timezone", "UTC", format=format, ends_with=2)
        assert f"--timezone is no option of --format {format}" in result.stderr
    alice.new_number(contact(9))
    assert "--number is missing" in imports(one(), ends_with=2).stderr
    assert imports(one(), "--number", alice.number).stdout == tally(imported=1)


def test_the_number_of_the_option_is_that_of_rows_that_name_none(alice, imports):
    alice.new_number(contact(9))
    content = one(number=contact(9))
    content.append([contact(1), "in", "hello", AT, ""])
    assert imports(content, "--number", alice.number).stdout == tally(imported=2)
    found = {row["phone_number"] for row in alice.conversations(contact_number=contact(1))}
    assert found == {alice.number, contact(9)}
    result = imports(content, ends_with=1)
    assert result.stderr == "line 3: number must be E.164\n"


def test_a_dry_run_of_a_table_writes_nothing(alice, imports):
    content = [*one(), [contact(1), "?", "hello", AT]]
    assert imports(content, "--dry-run", ends_with=1).stdout == tally(imported=1, refused=1)
    listed = [["contact", "opted_in"], [contact(1), "no"], [contact(1), "yes"]]
    result = imports(listed, "--dry-run", command="import-consent", ends_with=1)
    assert result.stdout == tally(imported=1, refused=1)
    assert (alice.conversations(), consents(alice)) == ([], {})


def test_a_table_without_plus_signs_gets_one_sentence(alice, imports):
    content = one(contact="15550000001", number=alice.number[1:])
    result = imports(content, ends_with=1)
    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)
    assert "took away the plus signs" in result.stderr


def consents(organization) -> dict:
    rows = organization.get("/v1/consent", {"limit": 200}).json["data"]
    return {row["contact_number"]: (row["opted_in"], row["opted_in_at"]) for row in rows}


def test_consent_is_read_in_every_word_that_lists_have(alice, imports):
    yes = "true,YES,y,1,Subscribed,opted in,opt-in,opted_in,start"
    no = "False,no,N,0,unsubscribed,non-subscribed,Opted Out,opt-out,opted_out,STOP"
    words = f"{yes},{no}".split(",")
    rows = [[contact(n), word, AT] for n, word in enumerate(words)]
    rows.append([contact(99), "cleaned", AT])
    header = ["contact", "opted_in", "captured_at"]
    result = imports([header, *rows], command="import-consent", ends_with=1)
    assert result.stdout == tally(imported=19, refused=1)
    assert result.stderr.startswith("line 21: opted_in must be a word such as subscribed")
    found = consents(alice)
    assert {k: v[0] for k, v in found.items()} == {contact(n): n < 9 for n in range(19)}
    assert imports([header, *rows[:-1]], command="import-consent").stdout == tally(there=19)


def test_a_list_of_one_state_takes_it_and_the_instant_from_options(alice, imports):
    content = [["Phone Number", "Email"], [f"({contact(1)[2:5]}) 000-0001", "a@example.com"]]
    given = ("--columns", "contact=Phone Number", "--region", "US", "--opted-in", "true")
    content[1][0] = "(212) 555-0123"
    refused = imports(content, *given, command="import-consent", ends_with=1)
    assert refused.stderr == "line 2: captured_at is required of an opt-in: see --at\n"
    result = imports(content, *given, "--at", AT, command="import-consent")
    assert result.stdout == tally(imported=1)
    assert consents(alice) == {"+12125550123": (True, AT)}
    # An opt-out may be one of now.
    given = (*given[:-1], "false")
    assert imports(content, *given, command="import-consent").stdout == tally(imported=1)
    assert consents(alice) == {"+12125550123": (False, AT)}


def test_a_consent_names_its_columns_and_its_number(alice, imports):
    header = ["Mobile", "Line", "State", "When"]
    columns = ("--columns", "contact=Mobile,number=Line,opted_in=State,captured_at=When")
    rows = [
        ["?", alice.number, "yes", AT],
        [contact(1), contact(9), "yes", AT],
        [contact(1), alice.number, "perhaps", AT],
        [contact(1), alice.number, "yes", "28.04.2026"],
        [contact(1), alice.number, "yes", "2026-04-28 14:00"],
    ]
    given = (*columns, "--timezone", "Europe/Berlin")
    result = imports([header, *rows], *given, command="import-consent", ends_with=1)
    starts = ["Mobile must be", "Line is not one", "State must be", "When must be"]
    found = [re.sub(r"line \d+: ", "", line) for line in result.stderr.splitlines()]
    assert [bool(a.startswith(b)) for a, b in zip(found, starts, strict=True)] == [True] * 4
    assert consents(alice) == {contact(1): (True, "2026-04-28T12:00:00Z")}
