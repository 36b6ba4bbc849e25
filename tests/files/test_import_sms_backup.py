"""Backups of a phone: what their rows become, beside a reader of the tests' own."""

import html
import io
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from conversations.files import sms_backup
from conversations.files.rows import Options
from conversations.inbox import organizations
from tests.api.hooks import Hook
from tests.command_line import FLASK, ROOT, flask
from tests.conftest import contact

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AT = 1777377601000  # 2026-04-28T12:00:01Z in milliseconds
PROLOG = (
    "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\n"
    "<!--File Created By SMS Backup & Restore v10.19 on 28/04/2026 <sms -->\n"
    '<?xml-stylesheet type="text/xsl" href="sms.xsl"?>\n'
)


def tally(imported=0, there=0, skipped=0, refused=0) -> str:
    return f"imported {imported}, already there {there}, skipped {skipped}, refused {refused}\n"


def attribute(text: object) -> str:
    """A value as the app writes it: an emoji as two references of surrogates."""
    units = str(text).encode("utf-16-le", "surrogatepass")
    codes = [int.from_bytes(units[at : at + 2], "little") for at in range(0, len(units), 2)]
    special = {ord(char) for char in "&<>\"'\n\t\r"}
    return "".join(
        f"&#{code};" if code in special or 0xD800 <= code < 0xE000 else chr(code) for code in codes
    )


def element(name: str, attributes: dict, content: str | None = None) -> str:
    given = "".join(
        f' {key}="{attribute(value)}"' for key, value in attributes.items() if value is not ...
    )
    return f"<{name}{given} />" if content is None else f"<{name}{given}>{content}</{name}>"


def sms(address: str = contact(1), body: str = "hello", type: int = 1, date=AT, **fields) -> str:
    given = {"protocol": "0", "address": address, "date": date, "type": type, "subject": "null"}
    given |= {"body": body, "toa": "null", "read": "1", "status": "-1", "date_sent": "0"}
    return "  " + element("sms", given | fields) + "\n"


def mms(address=None, parts=(), addrs=(), msg_box=1, date=AT, **fields) -> str:
    given = {"date": date, "msg_box": msg_box, "address": address, "m_type": 132, "sub": "null"}
    given["address"] = address or contact(1)
    smil = {"seq": "-1", "ct": "application/smil", "text": "<smil><par/></smil>"}
    inside = "".join("\n" + element("part", part) for part in (smil, *parts))
    listed = "".join(element("addr", {"address": a, "type": t, "charset": 106}) for a, t in addrs)
    content = f"<parts>{inside}\n</parts>" + (f"<addrs>{listed}</addrs>" if addrs else "")
    return "  " + element("mms", given | fields, content) + "\n"


def text_part(text: str, seq: int = 0, **fields) -> dict:
    return {"seq": seq, "ct": "text/plain", "name": "null", "text": text, **fields}


def backup(*rows: str) -> bytes:
    root = f'<smses count="{len(rows)}" backup_set="x" backup_date="{AT}" type="full">\n'
    return (PROLOG + root + "".join(rows) + "</smses>").encode()


@pytest.fixture
def imports(alice, tmp_path):
    """Import bytes as a backup of Alice's phone and return the result."""

    def run(content: bytes, *arguments: object, ends_with: int = 0):
        path = tmp_path / "sms.xml"
        path.write_bytes(content)
        given = ("import-messages", alice.id, path, "--format", "sms-backup", *arguments)
        return flask(*given, ends_with=ends_with)

    return run


def stored(organization) -> Counter:
    """All messages: direction, own number, contact, text, channel, instant."""
    found: Counter = Counter()
    for row in organization.conversations(limit=200):
        path = f"/v1/conversations/{row['id']}/messages"
        for each in organization.get(path, {"limit": 200}).json["data"]:
            fields = (each["direction"], row["phone_number"], row["contact_number"])
            at = datetime.fromisoformat(each["created_at"])
            found[*fields, each["body"], each["channel"], at] += 1
    return found


def value_of(tag: str, name: str) -> str | None:
    """A value of a tag, read by the tests' own rules."""
    match = re.search(rf"\s{name}=(?:\"([^\"]*)\"|'([^']*)')", tag)
    if not match:
        return None
    raw = match[1] if match[1] is not None else match[2]

    def read(reference: re.Match) -> str:
        digits = reference[1]
        code = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
        return "\ufffd" if code < 32 and code not in (9, 10, 13) else chr(code)

    text = html.unescape(re.sub(r"&#([xX]?[0-9a-fA-F]+);", read, raw))
    text = re.sub(
        "([\ud800-\udbff])([\udc00-\udfff])",
        lambda pair: (pair[1] + pair[2]).encode("utf-16", "surrogatepass").decode("utf-16"),
        text,
    )
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def expected(content: bytes, own: str, sims: dict) -> Counter:
    """What a backup holds, by a reader without an XML parser. For numbers in E.164."""
    found: Counter = Counter()
    rows = re.findall(r"<sms\s[^>]*>|<mms\s.*?</mms>", content.decode(), re.DOTALL)
    for row in rows:
        head = row.split(">", 1)[0]
        is_mms = row.startswith("<mms")
        box = value_of(head, "msg_box" if is_mms else "type")
        address = value_of(head, "address")
        addrs = [
            (value_of(tag, "address"), value_of(tag, "type"))
            for tag in re.findall("<addr [^>]*>", row)
        ]
        number = sims.get(value_of(head, "sub_id"), own)
        everybody = [address, *(each for each, _ in addrs)]
        if box not in ("1", "2") or value_of(head, "status") == "64":
            continue
        if value_of(head, "m_type") == "130" or any("@rcs" in each for each in everybody):
            continue
        others = [each for each in address.split("~") if each.startswith("+") and each != number]
        if is_mms and box == "1":
            senders = [each for each, type in addrs if type == "137"]
            others = senders or [value_of(head, "from_address") or others[0]]
        body = value_of(head, "body")
        if is_mms:
            parts = re.findall(r"<part [^>]*/>", row)
            texts = [
                (int(value_of(part, "seq")), value_of(part, "text"))
                for part in parts
                if value_of(part, "ct") == "text/plain" and value_of(part, "text") != "null"
            ]
            lines = [text for _, text in sorted(texts)]
            subject = value_of(head, "sub")
            body = "\n".join(([subject] if subject not in (None, "null") else []) + lines) or None
        at = EPOCH + timedelta(milliseconds=int(value_of(head, "date")))
        for other in others:
            direction = "inbound" if box == "1" else "outbound"
            found[direction, number, other, body, "mms" if is_mms else "sms", at] += 1
    return found


SECOND = "+15551113333"


def everything(own: str) -> bytes:
    """A backup with every element that the format has."""
    group = f"{contact(1)}~{contact(2)}~{contact(3)}~{contact(4)}~{own}"
    everybody = [(contact(n), 151) for n in (1, 2, 3, 4)]
    picture = {"seq": 0, "ct": "image/jpeg", "name": "a.jpg", "cl": "a.jpg", "text": "null"}
    rows = [
        sms(body="emoji 👋🏽 & <tags> \"quoted\" 'single'\nsecond line\ttab"),
        sms(body="x").replace('body="x"', 'body="hex &#xD83D;&#xDC4B; dec &#128075;"'),
        sms(body="x", date=AT + 1).replace('body="x"', 'body="&#55357;lone &#xDC4B;&#0;&#11;!"'),
        sms(body="x", date=AT + 2).replace('body="x"', 'body=\'says "data" &amp; data="y"\''),
        sms(body="null", date=AT + 3),
        sms(body="", date=AT + 4),
        sms(contact(2), "sent", 2, sub_id="1", sim_slot="1"),
        sms(contact(2), "sent by the second", 2, sub_id="2"),
        sms(contact(2), "of no SIM", 1, sub_id="-1"),
        *(sms(contact(5), "never exchanged", type) for type in (3, 4, 5, 6, 0)),
        sms(contact(5), "not delivered", 2, status="64"),
        sms(contact(5), "pending", 2, status="32"),
        mms(parts=[text_part("one", 0), picture | {"data": "QUJD" * 100}, text_part("two", 1)]),
        mms(parts=[text_part("later", 2), text_part("first", 1)], date=AT + 5000),
        mms(parts=[picture | {"data": "QUJD"}], date=AT + 6000, sub="a subject"),
        mms(parts=[text_part("a text")], date=AT + 7000, sub="subject 👋", sub_cs=106),
        mms(parts=[text_part("null"), picture], date=AT + 8000, text_only=0),
        mms(group, [text_part("to all")], [(contact(3), 137), *everybody], date=AT + 9000),
        mms(group, [text_part("told")], date=AT + 9500, from_address=contact(4)),
        mms(
            *(group, [text_part("from me")], [("insert-address-token", 137), *everybody], 2),
            **{"date": AT + 10_000, "m_type": 128, "resp_st": 128},
        ),
        mms(f"{contact(6)}~{contact(7)}", [text_part("no addrs")], (), 2, AT + 11_000),
        mms(parts=[text_part("not loaded")], m_type=130),
        mms(parts=[text_part("a draft")], msg_box=3),
        mms(f"{contact(1)}@rcs.google.com", [text_part("rcs")]),
    ]
    return backup(*rows)


def test_every_element_of_a_backup_is_read_as_a_reader_of_the_tests_reads_it(alice, imports):
    alice.new_number(SECOND)
    content = everything(alice.number)
    numbers = "--number", alice.number, "--number", f"2={SECOND}"
    found = expected(content, alice.number, {"2": SECOND})
    result = imports(content, *numbers)
    assert result.stderr == ""
    assert stored(alice) == found
    assert result.stdout == tally(imported=found.total(), skipped=9)
    bodies = {body for _, _, _, body, _, _ in found}
    assert {"hex 👋 dec 👋", "\ufffdlone \ufffd\ufffd\ufffd!", "null", "", None} <= bodies
    assert imports(content, *numbers).stdout == tally(there=found.total(), skipped=9)


def test_a_newer_backup_with_parts_in_another_order_brings_only_what_is_new(alice, imports):
    parts = [text_part(word, seq, cl=f"{word}.txt") for word, seq in (("b", 0), ("a", 0), ("c", 1))]
    people = [(contact(1), 151), (contact(2), 151)]
    group = f"{contact(1)}~{contact(2)}"
    old = [sms(), mms(parts=parts), mms(group, parts, people, 2, AT + 1)]
    assert imports(backup(*old)).stdout == tally(imported=4)
    # Another program cuts the instants of MMS to seconds and lists people otherwise.
    turned = f"{contact(2)}~{contact(1)}"
    new = [mms(turned, parts[::-1], people[::-1], 2, AT), mms(parts=parts[::-1], date=AT), sms()]
    assert imports(backup(*new, sms(body="new"))).stdout == tally(imported=1, there=4)


def received(hook: Hook, body: str, at: str) -> dict:
    """Let SMSGate's hook record a text of contact 1, and return the response."""
    own = hook.organization.number
    payload = {"sender": contact(1), "recipient": own, "message": body, "receivedAt": at}
    payload |= {"messageId": "x", "simNumber": 1}
    event = {"event": "sms:received", "id": "x", "deviceId": "d", "payload": payload}
    response = hook.organization.client.post(f"/v1/hooks/smsgate?key={hook.key}", json=event)
    assert response.status_code == 200, response.text
    return response.json["data"]


def test_what_the_hook_of_smsgate_has_recorded_is_already_there_in_either_order(alice, imports):
    hook = Hook(alice)
    texts = {n: (f"text {n} 👋", EPOCH + timedelta(milliseconds=AT + n * 1000)) for n in (1, 2)}
    # The phone's own clock is some seconds off.
    rows = [
        sms(body=body, date=AT + n * 1000 + 2345, date_sent=AT + n * 1000)
        for n, (body, _) in texts.items()
    ]
    assert received(hook, texts[1][0], texts[1][1].isoformat())["recorded"] == 1
    assert imports(backup(*rows)).stdout == tally(imported=1, there=1)
    late = texts[2][1] + timedelta(hours=2)
    at = late.isoformat(timespec="milliseconds").replace("+00:00", "+02:00")
    assert received(hook, texts[2][0], at)["already_there"] == 1
    assert stored(alice).total() == 2


def test_an_opt_out_in_a_backup_counts_and_a_subject_is_no_keyword(alice, imports):
    imports(backup(sms(body="Stop"), sms(contact(2), "hello")))
    consent = {row["contact_number"]: row["consent"] for row in alice.conversations()}
    assert consent == {contact(1): {"opted_in": False, "opted_in_at": None}, contact(2): None}


def test_numbers_are_read_without_what_people_write_around_them(alice, imports):
    numbers = ["(212) 555-0123", "'212.555.0123", '="+12125550123"', "\u202a212 555 0123\u202c"]
    rows = [sms(number, str(n)) for n, number in enumerate(numbers)]
    rows += [sms("54321"), sms("My Bank"), sms("1.21256E+10")]
    result = imports(backup(*rows), "--region", "US", ends_with=1)
    assert result.stdout == tally(imported=6, refused=1)
    assert result.stderr == "line 11: address was shortened by a spreadsheet\n"
    contacts = {row["contact_number"]: row["message_count"] for row in alice.conversations()}
    assert contacts == {"+12125550123": 4, "54321": 1, "My Bank": 1}


def test_what_has_no_other_side_is_skipped(alice, imports):
    rows = [sms(address) for address in ("", "null", ..., "__textsecure_group__!abc")]
    rows += [mms("null"), mms("bot@rbm.goog"), '<call number="1" date="1" type="1" />\n']
    assert imports(backup(*rows)).stdout == tally(skipped=7)
    # Whatever SIM they came on.
    hidden = backup(sms("null", sub_id="5"))
    assert imports(hidden, "--number", f"1={alice.number}").stdout == tally(skipped=1)


def test_a_dry_run_of_a_backup_writes_nothing(alice, imports):
    content = backup(sms(), mms(), sms("x")).replace(b"</smses>", b"")
    result = imports(content, "--dry-run", ends_with=1)
    assert result.stdout == tally(imported=2, refused=1)
    assert len(result.stderr.splitlines()) == 2
    assert alice.conversations() == []


REFUSED = [
    (sms(sub_id="3"), "sub_id must be one that --number names"),
    (sms(sub_id="-1"), "sub_id must be one that --number names"),
    (sms(), "sub_id must be one that --number names"),
    (sms("555"[:2], sub_id="1"), "address must be E.164"),
    (sms(date="today", sub_id="1"), "date must be milliseconds since 1970"),
    (sms(date="0", sub_id="1"), "date must not be before 1992-12-03"),
    (sms(date="9" * 14, sub_id="1"), "date must be an RFC 3339 date-time with an offset, at most"),
    (sms(date_sent="x", sub_id="1"), "date_sent must be milliseconds since 1970"),
    (sms(type=..., sub_id="1"), "type is required"),
    (sms(body="x" * 10_001, sub_id="1"), "body must be 0..10000 chars"),
    (
        mms(f"{contact(1)}~{contact(2)}", sub_id="1"),
        "address names a group, and addrs does not say who sent it",
    ),
    (sms(sub_id="1").replace("hello", "a & b"), "is not well-formed XML"),
    (sms(sub_id="1").replace("hello", "a < b"), "is not well-formed XML"),
    (sms(sub_id="1").replace("hello", "&lol;"), "is not well-formed XML"),
    (sms(sub_id="1").replace('body="hello"', 'body="hello'), "is not well-formed XML"),
    (mms(sub_id="1").replace("</mms>", ""), "is not well-formed XML"),
]


def test_a_row_that_cannot_be_stored_is_refused_with_the_line_and_the_reason(
    alice, imports, tmp_path
):
    rejected = tmp_path / "rejected.xml"
    good = sms(body="good", sub_id="1")
    content = backup(good, *(row for row, _ in REFUSED), sms(body="last", sub_id="1"))
    result = imports(content, "--number", f"1={alice.number}", "--rejected", rejected, ends_with=1)
    lines, offenders, line = result.stderr.splitlines(), [], 6
    for said, (row, reason) in zip(lines, REFUSED, strict=True):
        if not said.startswith(f"line {line}: {reason}"):
            offenders.append((said, line, reason))
        line += row.count("\n")
    assert offenders == []
    assert result.stdout == tally(imported=2, refused=len(REFUSED))
    # What was rejected is a backup again, which the same command takes.
    again = imports(rejected.read_bytes(), "--number", f"1={alice.number}", ends_with=1)
    assert again.stdout == tally(refused=len(REFUSED))
    mended = rejected.read_bytes().replace(b'sub_id="3"', b'sub_id="1"')
    again = imports(mended, "--number", f"1={alice.number}", ends_with=1)
    assert again.stdout == tally(imported=1, refused=len(REFUSED) - 1)


def test_rows_that_are_not_well_formed_are_told_from_hundreds_around_them(alice, imports):
    rows = [sms(body=f"text {n}", sub_id="1") for n in range(350)]
    for n, wrong in ((20, "<sms a='1' <!-- />"), (120, "<sms a='1' />-->"), (301, "<sms a=1 />")):
        rows[n] = f"  {wrong}\n"
    # Together with the row after it, this is a row and one in a comment.
    rows[200:202] = ["  <sms a='1' /><!-- />\n", "  <sms a='--></sms' />\n"]
    result = imports(backup(*rows), "--number", f"1={alice.number}", ends_with=1)
    reasons = [said.split(": ", 1) for said in result.stderr.splitlines()]
    wrong = [line for line, reason in reasons if reason == "is not well-formed XML"]
    assert wrong == [f"line {5 + n}" for n in (20, 200, 201, 301)]
    assert [line for line, _ in reasons if line not in wrong] == [f"line {5 + 120}"]
    assert result.stdout == tally(imported=345, refused=5)


WHOLE = backup(sms(), sms(body="2"))
UNREADABLE = [
    (WHOLE.replace(b"UTF-8", b"ISO-8859-1"), "declares another encoding than UTF-8"),
    (
        WHOLE.replace(b"<smses", b'<!DOCTYPE smses [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><smses'),
        "has a DOCTYPE, which no backup of a phone has",
    ),
    (WHOLE.replace(b"smses", b"calls"), "is a phone's backup of calls"),
    (WHOLE.replace(b"smses", b"feed"), "is no backup of SMS Backup & Restore"),
    (b"", "is no backup of SMS Backup & Restore"),
    (WHOLE.decode().encode("utf-16"), "is UTF-16"),
    (b"[]", "is JSON, not XML"),
    (b"From,To\n1,2\n", "is CSV: it needs --format csv"),
    (WHOLE.replace(b"hello", "Grüße".encode("cp1252")), "is not UTF-8"),
]


def test_a_file_that_is_no_backup_gets_one_sentence(imports):
    offenders = []
    for content, said in UNREADABLE:
        result = imports(content, ends_with=1)
        if said not in result.stderr or result.stdout or len(result.stderr.splitlines()) != 1:
            offenders.append((said, result.output))
    assert offenders == []


def test_a_file_that_is_cut_off_keeps_what_came_before(imports):
    content = backup(*(sms(body=f"text {n}") for n in range(10)))
    start = content.index(b"text 5")
    for end, count in ((start, 5), (content.index(b"</smses>"), 10), (len(content) - 3, 10)):
        result = imports(content[:end], ends_with=1)
        assert sum(map(int, re.findall(r"(?:imported|there) (\d+)", result.stdout))) == count
        assert "refused 0" in result.stdout
        (sentence,) = result.stderr.splitlines()
        assert sentence.endswith("the file ends here, in the middle: what came before it counts")


def test_the_own_number_is_asked_for_where_it_is_not_known(alice, imports):
    assert imports(backup(sms())).stdout == tally(imported=1)
    alice.new_number(SECOND)
    assert "--number is missing" in imports(backup(sms()), ends_with=2).stderr
    for numbers in (["1=x"], ["+15559999999"], ["x=" + SECOND], [SECOND, SECOND]):
        given = [word for number in numbers for word in ("--number", number)]
        assert "--number" in imports(backup(sms()), *given, ends_with=2).stderr
    assert imports(backup(sms()), "--number", SECOND).stdout == tally(imported=1)


def test_rows_on_one_line_and_pieces_of_any_size_are_the_same_rows(alice, monkeypatch):
    content = everything(alice.number).replace(b"\n<mms", b"<mms").replace(b"\n  <sms", b"<sms")
    numbers = organizations.list_phone_numbers(alice.id)
    options = Options(numbers, organizations.get_id_namespace(alice.id))
    whole = [row[2:] for row in sms_backup.read_messages(io.BytesIO(content), options).rows]
    head = content.index(b">", content.index(b"<smses")) + 1
    monkeypatch.setattr("conversations.files.xml_rows.HEAD_BYTES", head)
    for size in (1, 7, 100, 1000):
        monkeypatch.setattr("conversations.files.xml_rows.CHUNK_BYTES", size)
        export = sms_backup.read_messages(io.BytesIO(content), options)
        assert [row[2:] for row in export.rows] == whole


class Pictures:
    """A backup with pictures of any size, made while it is read; each holds line ends."""

    def __init__(self, sizes: list[int]):
        self._pieces = self._make(sizes)
        self._rest = b""

    def _make(self, sizes):
        yield (PROLOG + "<smses>\n").encode()
        block = b"QUJD" * 2**18 + b"\n"
        for number, size in enumerate(sizes):
            head, tail = (
                mms(
                    parts=[text_part(f"text {number}"), {"ct": "image/jpeg", "data": "QUJD"}],
                    date=AT + number * 1000,
                )
                .encode()
                .split(b"QUJD")
            )
            yield head
            for _ in range(size // len(block)):
                yield block
            yield tail
        yield sms(body="last", type="x").encode() + sms(body="", date="x").encode() + b"</smses>"

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, None)):
            self._rest += piece
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


def test_pictures_of_any_size_take_no_memory(alice):
    numbers = organizations.list_phone_numbers(alice.id)
    options = Options(numbers, organizations.get_id_namespace(alice.id))
    sizes = [150 * 2**20, 10, 3 * 2**20]
    tracemalloc.start()
    try:
        rows = list(sms_backup.read_messages(Pictures(sizes), options).rows)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
    assert [row.given["body"] for row in rows[:3]] == ["text 0", "text 1", "text 2"]
    assert max(len(row.raw) for row in rows) < 2000
    # The line ends in the pictures count: each row stands where an editor shows it.
    height, line, lines = mms(parts=[{}, {}]).count("\n"), 5, []
    for size in sizes:
        lines.append(line)
        line += height + size // (2**20 + 1)
    assert [row.line for row in rows] == [*lines, line, line + 1]


def test_a_row_of_any_length_is_rejected_and_the_rest_goes_in(imports, tmp_path):
    rejected = tmp_path / "rejected.xml"
    rows = [sms(body="LONG"), mms(parts=[text_part("LONG")])]
    rows = [row.replace("LONG", "x\n" * 2**23) for row in rows]
    content = backup(sms(), *rows, sms(body="last"))
    result = imports(content, "--rejected", rejected, ends_with=1)
    assert result.stdout == tally(imported=2, refused=2)
    said = "is longer than 16 MiB; only its beginning is kept"
    lines = [6, 6 + rows[0].count("\n")]
    assert result.stderr == "".join(f"line {line}: {said}\n" for line in lines)
    assert rejected.stat().st_size < 2**25 + 1000


@pytest.mark.soak
def test_a_gigabyte_of_pictures_imports_in_little_memory(alice):
    command = [
        *(sys.executable, "-c"),
        "import resource, subprocess, sys\n"
        "code = subprocess.call(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(code)",
        *(str(FLASK), "import-messages", str(alice.id), "-", "--format", "sms-backup"),
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        pictures = Pictures([400 * 2**20, 300 * 2**20, 324 * 2**20])
        while piece := pictures.read(2**20):
            process.stdin.write(piece)
        stdout, _ = process.communicate(timeout=300)
    printed, kilobytes = stdout.decode().splitlines()
    assert printed + "\n" == tally(imported=3, skipped=1, refused=1)
    assert int(kilobytes) < 200 * 1024
