"""Files that do not have the format that was named: one sentence says what they are."""

import bz2
import gzip
import io
import zipfile

import pytest

from tests.command_line import flask
from tests.conftest import contact

LOG = (
    b"From,To,Body,Status,SentDate,ApiVersion,NumSegments,ErrorCode,AccountSid,Sid,Direction\n"
    b"+15554443333,+15551112222,hello,received,2026-04-28T12:00:01Z,,1,,AC0,SM0,inbound\n"
)
TWILIO = b'{"body": "hello", "account_sid": "AC0", "sid": "SM1", "direction": "inbound"}\n'
CLI = b'{"accountSid": "AC0", "sid": "SM1"}\n'
PLAIN = b'{"direction": "inbound", "from": "+15554443333", "to": "+15551112222"}\n'
CONSENT = b'{"phone_number_id": "x", "contact_number": "+15554443333", "opted_in": true}\n'
HTTPSMS = b'{"id": "x", "owner": "+15551112222", "contact": "+15554443333", "content": "hello"}\n'
BACKUP = b"<?xml version='1.0' encoding='UTF-8' ?>\n<!--By a phone-->\n<smses count='1'>"
CALLS = BACKUP.replace(b"smses", b"calls")
UMLAUTS = "From,To,Body\n+15554443333,+15551112222,Grüße\n".encode("cp1252")


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("sms.xml", BACKUP)
    return file.getvalue()


# What the file is, the formats it is given as, and what the sentence says.
MESSAGES = [
    (b'[{"sid": "SM1"}]', "ndjson twilio-json", "is one JSON array: write an object a line"),
    (b"\n [\n" + PLAIN, "ndjson", "is one JSON array"),
    (gzip.compress(b"[]", mtime=0), "twilio-json", "is one JSON array"),
    (b'{"end": 0, "messages": [{"sid": "SM1"}]}', "ndjson twilio-json", "page of Twilio's API"),
    (b'{\n  "end": 0,\n  "messages": [', "twilio-json", "is a page of Twilio's API"),
    (b'{"data": [{"id": 1}], "status": "success"}', "ndjson", "is a page of httpSMS's API"),
    (b'{\r\n  "from": "+15554443333",\r\n', "ndjson", "is JSON over several lines"),
    (LOG, "ndjson", "is CSV: Twilio's message log needs --format twilio-csv"),
    (b"\xef\xbb\xbf" + LOG.replace(b"\n", b"\r\n"), "ndjson", "needs --format twilio-csv"),
    (LOG, "twilio-json", "needs --format twilio-csv"),
    (TWILIO, "ndjson", "needs --format twilio-json"),
    (CLI, "ndjson", "needs --format twilio-json"),
    (HTTPSMS, "ndjson twilio-json", "needs --format httpsms"),
    (CONSENT, "ndjson", "is consent, not messages: use import-consent"),
    (b"contact,opted_in\n+1555,yes\n", "ndjson twilio-csv", "use import-consent"),
    (b"Phone;Text\n+1555;hello\n", "ndjson twilio-json", "is CSV: it needs --format csv"),
    (gzip.compress(b"{}", mtime=0), "ndjson", "is compressed with gzip: unpack it first"),
    (gzip.compress(LOG), "twilio-csv", "is compressed with gzip: unpack it first"),
    (bz2.compress(LOG), "ndjson twilio-csv", "is compressed with bzip2: unpack it first"),
    (archive(), "ndjson twilio-csv twilio-json", "is a ZIP archive: unpack a backup, save an"),
    (LOG.decode().encode("utf-16"), "ndjson twilio-csv", "is UTF-16: save it as UTF-8"),
    (LOG.decode().encode("utf-16-be"), "twilio-csv", "is UTF-16: save it as UTF-8"),
    (b"{}".decode().encode("utf-16-le"), "ndjson", "is UTF-16: save it as UTF-8"),
    (UMLAUTS, "ndjson twilio-csv", "is not UTF-8: save it as UTF-8"),
    (LOG.replace(b"hello", "Grüße".encode("cp1252")), "twilio-csv", "is not UTF-8: save it as"),
    (LOG.replace(b",", b";"), "twilio-csv", "is not separated by commas: save it with commas"),
    (LOG.replace(b",", b"\t"), "twilio-csv", "is not separated by commas: save it with commas"),
    (b"sep=;\r\n" + LOG.replace(b",", b";"), "twilio-csv ndjson", "begins with a sep= line"),
    (b"\xef\xbb\xbfsep=,\n" + LOG, "twilio-csv", "begins with a sep= line"),
    (LOG.replace(b"\n", b"\r"), "ndjson twilio-csv", "ends its lines with CR alone"),
    (PLAIN.replace(b"\n", b"\r") * 2, "ndjson csv", "ends its lines with CR alone"),
    (PLAIN, "twilio-csv", "is JSON, not CSV: --format is twilio-json for"),
    (b"[]", "twilio-csv", "is JSON, not CSV"),
    (BACKUP, "ndjson twilio-csv twilio-json", "is a phone's backup: it needs --format sms-backup"),
    (CALLS, "ndjson", "is a phone's backup of calls"),
    (b"<?xml version='1.0'?><feed/>", "ndjson twilio-csv", "is XML, and no phone's backup"),
    (b"<!DOCTYPE html>\n<html>", "ndjson twilio-csv", "is a web page (HTML)"),
]
CONSENTS = [
    (LOG, "ndjson", "is CSV, which holds no consent: use import-messages"),
    (TWILIO, "ndjson", "holds no consent: use import-messages"),
    (PLAIN, "ndjson", "is a list of messages, which holds no consent: use import-messages"),
    (HTTPSMS, "ndjson", "holds no consent: use import-messages"),
    (BACKUP, "ndjson", "is a phone's backup, which holds no consent: use import-messages"),
    (CALLS, "ndjson", "is a phone's backup of calls"),
    (b"contact,opted_in\n+1555,yes\n", "ndjson", "is CSV: it needs --format csv"),
    (b"Phone;Status\n+1555;yes\n", "ndjson", "is CSV: it needs --format csv"),
    (archive(), "ndjson", "is a ZIP archive"),
    (b"[" + CONSENT + b"]", "ndjson", "is one JSON array"),
    (UMLAUTS, "ndjson", "is not UTF-8"),
    (b"<!DOCTYPE html>\n<html>", "ndjson", "is a web page (HTML)"),
]


@pytest.mark.parametrize(
    ("command", "cases"), [("import-messages", MESSAGES), ("import-consent", CONSENTS)]
)
def test_a_file_of_another_format_gets_one_sentence(alice, tmp_path, command, cases):
    path, rejected = tmp_path / "export", tmp_path / "rejected"
    rejected.write_text("of an earlier import")
    offenders = []
    for content, names, said in cases:
        path.write_bytes(content * (100 if content in (TWILIO, HTTPSMS, PLAIN) else 1))
        for name in names.split():
            given = (alice.id, path, "--format", name, "--rejected", rejected)
            result = flask(command, *given, ends_with=1)
            is_one = result.stdout == "" and len(result.stderr.splitlines()) == 1
            if not is_one or said not in result.stderr:
                offenders.append((content[:40], name, result.output))
            if command == "import-consent" and "--format" in result.stderr:
                assert re_formats(result.stderr) <= {"ndjson", "csv"}
    assert offenders == []
    assert rejected.read_text() == "of an earlier import"


def re_formats(sentence: str) -> set[str]:
    """The formats that a sentence names."""
    return set(sentence.partition("--format")[2].split()[:1])


def test_a_row_with_bytes_of_another_encoding_in_a_file_of_utf_8_is_one_rejected_row(
    alice, tmp_path
):
    path = tmp_path / "export"
    line = b'{"direction": "inbound", "from": "%b", "to": "%b", "body": "%b", "created_at": "%b"}\n'
    own, at = alice.number.encode(), b"2026-04-28T12:00:01Z"
    bodies = "Grüße".encode(), "Grüße".encode("cp1252")
    path.write_bytes(b"".join(line % (contact(1).encode(), own, body, at) for body in bodies))
    result = flask("import-messages", alice.id, path, ends_with=1)
    assert result.stdout.startswith("imported 1, already there 0, skipped 0, refused 1")
    assert result.stderr == "line 2: is not JSON\n"
