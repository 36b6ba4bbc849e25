"""Twilio's exports of messages, as the tests make them."""

import csv
import io

from tests.conftest import contact

COLUMNS = [
    *("From", "To", "Body", "Status", "SentDate", "ApiVersion", "NumSegments", "ErrorCode"),
    *("AccountSid", "Sid", "Direction", "Price", "PriceUnit"),
]


CSV_NAMES = {
    "from": "From",
    "to": "To",
    "body": "Body",
    "status": "Status",
    "date_sent": "SentDate",
    "num_segments": "NumSegments",
    "sid": "Sid",
    "direction": "Direction",
}


def tally(imported=0, there=0, skipped=0, refused=0) -> str:
    return f"imported {imported}, already there {there}, skipped {skipped}, refused {refused}\n"


def sid(number: int, kind: str = "SM") -> str:
    return f"{kind}{number:032x}"


def resource(organization, **fields) -> dict:
    """A message resource as in a bulk export, inbound unless said otherwise."""
    return {
        "sid": sid(1),
        "from": contact(1),
        "to": organization.number,
        "body": "hello",
        "direction": "inbound",
        "date_sent": "2026-04-28T12:00:01Z",
        "date_created": "2026-04-28T11:59:59Z",
        "num_segments": "1",
        "num_media": "0",
        "status": "received",
        "account_sid": "AC0",
        "error_code": None,
        **fields,
    }


def csv_bytes(*resources: dict, columns: list[str] = COLUMNS, end: str = "\n") -> bytes:
    """The same resources as the console's message log."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator=end)
    writer.writeheader()
    for each in resources:
        cells = {CSV_NAMES[name]: value for name, value in each.items() if name in CSV_NAMES}
        writer.writerow({"ApiVersion": "2010-04-01", "AccountSid": "AC0", **cells})
    return text.getvalue().encode()
