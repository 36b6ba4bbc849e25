import random
import re
import string
import sys
import unicodedata
import uuid
from datetime import datetime

import pytest

from conversations.database import queries
from conversations.inbox import keywords, retention
from conversations.inbox.messages import Outcome, record_messages
from tests.conftest import contact

OPT_OUT = ["STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE"]
OPT_OUT += ["OPTOUT", "OPT OUT", "ARRET", "ARRÊT"]
OPT_IN = ["START", "UNSTOP"]
AT = "2026-04-28T12:00:01Z"

WHITE_SPACE = ["\t", "\n", "\r\n", "\x0b\x0c", "\x85", "\u00a0", "\u2003", "\u2028", "\u3000"]


def text(organization, body: str | None, at: str = AT, **fields) -> None:
    """A contact texts the organization, which must be a 201."""
    message = {
        "direction": "inbound",
        "from": contact(1),
        "to": organization.number,
        "body": body,
        "created_at": at,
    }
    response = organization.post("/v1/messages", message | fields)
    assert response.status_code == 201, response.text


def consent(organization) -> dict | None:
    (row,) = organization.conversations()
    return row["consent"]


@pytest.mark.parametrize("word", OPT_OUT)
def test_an_opt_out_word_opts_out(alice, word):
    alice.record_consent(contact(1), True, "2026-04-01T09:00:00+00:00")
    text(alice, word)
    assert consent(alice) == {"opted_in": False, "opted_in_at": "2026-04-01T09:00:00Z"}
    assert alice.conversations(opted_in="true") == []


@pytest.mark.parametrize("word", OPT_IN)
def test_an_opt_in_word_opts_in_at_the_instant_of_the_message(alice, word):
    text(alice, word)
    assert consent(alice) == {"opted_in": True, "opted_in_at": AT}
    assert len(alice.conversations(opted_in="true")) == 1


def test_the_first_message_may_be_an_opt_out(alice):
    text(alice, "STOP")
    assert consent(alice) == {"opted_in": False, "opted_in_at": None}


def test_these_are_all_the_words():
    assert dict.fromkeys(OPT_OUT, False) | dict.fromkeys(OPT_IN, True) == keywords.KEYWORDS


@pytest.mark.parametrize(
    "word", ["stop", "Stop", "sToP", "start", "Unstop", "optOut", "arrêt", "Arret"]
)
def test_case_does_not_matter(alice, word):
    text(alice, word)
    assert consent(alice) is not None


@pytest.mark.parametrize("space", [" ", "   ", *WHITE_SPACE])
def test_white_space_around_the_word_does_not_matter(alice, space):
    text(alice, f"{space}Stop{space}")
    assert consent(alice) == {"opted_in": False, "opted_in_at": None}


DECORATED = [
    *("STOP.", "Stop!", "¿Stop?", "'STOP'", '"STOP"', "«Arrêt»", "(stop)", "- stop -"),
    *("STOP 🛑", "🛑🏽stop", "Stop ❤️", "stop\ufe0f", "\U000e0100stop", "stop €", "~stop~"),
    # Characters that nobody sees.
    *("STOP\u200b", "\ufeffSTOP", "\u200eSTOP\u200f", "\x00STOP", "STOP\x1f", "STOP\ue000"),
]


def test_punctuation_and_symbols_around_the_word_do_not_matter(subtests):
    for body in DECORATED:
        with subtests.test(body=body):
            assert keywords.opted_in_by(body) is False


TWO_WORDS = [
    *("opt-out", "Opt - Out", "OPT\n OUT", "opt\u2010out", "opt--out", "stop-all"),
    *("stop   all", "STOP\u00a0ALL", "Opt-Out."),
]


def test_white_space_and_hyphens_inside_are_one_space(subtests):
    for body in TWO_WORDS:
        with subtests.test(body=body):
            assert keywords.opted_in_by(body) is False


def plain_verdict(body: str) -> bool | None:
    """What a text of ASCII and accented letters says, without any shortcut."""
    text = unicodedata.normalize("NFC", body).strip(string.punctuation + string.whitespace)
    return keywords.KEYWORDS.get(re.sub(r"[-\s]+", " ", text).upper())


def test_looking_at_the_ends_first_changes_no_verdict():
    chance = random.Random(7)
    words = sorted(keywords.KEYWORDS)
    texts = []
    for _ in range(400):
        word = list(chance.choice(words))
        for _ in range(chance.randrange(3)):
            word[chance.randrange(len(word))] = chance.choice(["", "s", "T", "-", " ", "!", "p."])
        texts.append(chance.choice(["", " ", "(", "x"]) + "".join(word) + chance.choice(["", "!"]))
    verdicts = {text: keywords.opted_in_by(text) for text in texts}
    assert {True, False, None} == set(verdicts.values())
    assert [text for text in texts if verdicts[text] is not plain_verdict(text)] == []


def test_every_hyphen_that_unicode_has_counts():
    hyphens = [chr(n) for n in range(sys.maxunicode) if unicodedata.category(chr(n)) == "Pd"]
    assert [each for each in hyphens if keywords.opted_in_by(f"opt{each}out") is not False] == []


def test_a_letter_and_its_accent_may_be_two_characters(alice):
    text(alice, "ARRE\u0302T")
    assert consent(alice) == {"opted_in": False, "opted_in_at": None}


OTHER_TEXTS = [
    "Cancel my appointment please",
    "STOP STOP",
    "stop it",
    "STOP\n\nSent from my phone",
    "STOP: ALL",
    "OPT_OUT",
    "OPT.OUT",
    "UN-STOP",
    "ARRÈT",
    "STOP 1",
    "S TOP",
    "STO\nP",
    "DON'T STOP",
    "STOPP",
    "NONSTOP",
    "RESTART",
    "OPTIN",
    "OPT IN",
    "YES",
    "HELP",
    " ",
    # Upper case of a long s is S, of a dotless i is I; a Kelvin sign's lower case is k.
    "\u017ftop",
    "\u017fTART",
    "QU\u0131T",
    "\uff33\uff34\uff2f\uff30",
    "\u0405\u0422\u041e\u0420",
    "ST\u200bOP",
    "S\u0301TOP",
    "STOP\u0301",
]


def test_other_texts_are_neither(alice, subtests):
    for body in OTHER_TEXTS:
        with subtests.test(body=body):
            text(alice, body)
            assert consent(alice) is None


def test_what_the_organization_sends_is_neither(alice):
    ends = {"direction": "outbound", "from": alice.number, "to": contact(1)}
    text(alice, "STOP", **ends)
    text(alice, "START", **ends)
    assert consent(alice) is None


def test_a_picture_without_a_text_is_neither_and_one_with_a_word_counts(alice):
    picture = {"media_urls": ["https://example.com/stop.jpg"]}
    text(alice, None, **picture)
    assert consent(alice) is None
    text(alice, "STOP", **picture)
    assert consent(alice)["opted_in"] is False


def test_a_late_word_is_recorded_at_its_own_instant(alice):
    text(alice, "START", "2026-04-28T12:00:00Z")
    text(alice, "STOP", "2026-04-28T11:00:00Z")
    assert consent(alice) == {"opted_in": True, "opted_in_at": "2026-04-28T12:00:00Z"}
    text(alice, "STOP", "2026-04-28T13:00:00Z")
    assert consent(alice) == {"opted_in": False, "opted_in_at": "2026-04-28T12:00:00Z"}


def test_a_word_and_an_event_at_the_same_instant_leave_an_opt_out(alice):
    text(alice, "STOP")
    alice.record_consent(contact(1), True, AT)
    assert consent(alice) == {"opted_in": False, "opted_in_at": AT}


def test_the_same_word_redelivered_changes_nothing(alice):
    id = "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"
    text(alice, "STOP", id=id)
    alice.record_consent(contact(1), True, "2026-04-28T13:00:00+00:00")
    message = alice.message(contact(1), AT, "STOP", id=uuid.UUID(id))
    assert record_messages(alice.id, [message]) == [Outcome.KNOWN]
    assert consent(alice)["opted_in"] is True


def test_words_in_one_batch_count_whatever_their_order(alice):
    stop = alice.message(contact(1), "2026-04-28T11:00:00Z", "STOP")
    start = alice.message(contact(1), "2026-04-28T12:00:00Z", "start")
    record_messages(alice.id, [start, stop])
    assert consent(alice) == {"opted_in": True, "opted_in_at": "2026-04-28T12:00:00Z"}


def test_a_word_counts_for_the_number_that_it_was_sent_to(alice):
    alice.new_number("+15551113333")
    text(alice, "hello")
    text(alice, "STOP", to="+15551113333")
    rows = {row["phone_number"]: row["consent"] for row in alice.conversations()}
    assert rows[alice.number] is None
    assert rows["+15551113333"] == {"opted_in": False, "opted_in_at": None}


def test_a_word_outlives_its_text(alice):
    text(alice, "STOP")
    retention.erase_contact(alice.id, contact(1))
    assert consent(alice) == {"opted_in": False, "opted_in_at": None}


# What the carrier says


@pytest.mark.parametrize(
    ("body", "carrier", "opted_in", "events"),
    [
        ("hello", True, True, [True]),
        ("BAJA", False, False, [False]),
        ("START", False, False, [True, False]),
        ("STOP", True, False, [True, False]),
        ("STOP", False, False, [False]),
        ("START", None, True, [True]),
    ],
)
def test_the_carriers_verdict_and_the_keyword_both_count(alice, body, carrier, opted_in, events):
    message = alice.message(contact(1), AT, body, opted_in=carrier)
    assert record_messages(alice.id, [message]) == [Outcome.CREATED]
    assert record_messages(alice.id, [message | {"has_carrier_id": True}]) == [Outcome.KNOWN]
    assert consent(alice)["opted_in"] is opted_in
    recorded = queries.fetch_all("export_consent", organization_id=alice.id)
    assert sorted(event["opted_in"] for event in recorded) == sorted(events)
    assert {event["captured_at"] for event in recorded} == {datetime.fromisoformat(AT)}


def test_a_keyword_is_looked_for_in_the_text_without_the_subject(alice):
    fields = {"body": "Re: offer\nSTOP", "keyword_text": "STOP"}
    message = alice.message(contact(1), AT, fields.pop("body"), **fields)
    assert "keyword_text" not in message
    record_messages(alice.id, [message])
    assert consent(alice)["opted_in"] is False


def test_a_verdict_that_comes_with_the_second_report_is_recorded_at_the_message(alice):
    id = alice.receive(contact(1), AT, "hello", has_carrier_id=True)
    again = alice.message(contact(1), AT, "hello", id=id, has_carrier_id=True, opted_in=False)
    assert record_messages(alice.id, [again]) == [Outcome.FILLED]
    events = queries.fetch_all("export_consent", organization_id=alice.id)
    told = [(event["opted_in"], event["captured_at"]) for event in events]
    assert told == [(False, datetime.fromisoformat(AT))]
    assert record_messages(alice.id, [again]) == [Outcome.KNOWN]


def test_what_an_organization_sends_opts_nobody_in_or_out(alice):
    fields = {"direction": "outbound", "opted_in": True}
    message = alice.message(contact(1), AT, "START", **fields)
    assert "verdicts" not in message
    assert "opted_in" not in message
