"""The inbox page in a real browser: what it shows, keeps fresh, says, and never does."""

import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import orjson
import pytest
from werkzeug.serving import make_server

from conversations.api import public
from conversations.database import pool, queries
from conversations.inbox import api_keys, retention
from conversations.inbox.messages import record_messages
from tests.conftest import assert_error, contact, new_organization, using_database
from tests.servers import running_postgres, running_service, wait_until
from tools import inbox_picture

AT = datetime(2026, 4, 28, 12, 0, 1, tzinfo=UTC)
OUT_OF_REACH = "The service is out of reach. This page goes on by itself."
UNAVAILABLE = (
    "The inbox is not available: its database is away or busy. This page goes on by itself."
)
REFUSED = "The service does not accept this key: it is wrong, expired or revoked."
LACKS_SCOPE = "This key may not read the inbox: it lacks the scope conversations:read."
HOSTILE = {
    "markup": "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>&amp;",
    "right to left": "\u202eevil\u202c \u0645\u0631\u062d\u0628\u0627 \u2066hidden\u2069",
    "zero width": "\u200b\u200d\ufeff\u2060",
    "combining": "Z" + "\u0322\u0348\u0352" * 100 + "algo",
    "one word": "x" * 10_000,
    "lines": "one\n\n  two",
}


class Inbox:
    """The page, opened in a browser with a key."""

    def __init__(self, browser, url: str, key: str = "", fragment: str = ""):
        self.browser = browser
        browser.resize(1280, 860)
        browser.open(f"{url}/inbox#key={key}{fragment}")

    def loaded(self) -> "Inbox":
        wait_until(lambda: self.browser.text("#total") != "")
        return self

    def poll(self) -> None:
        """Have the page ask now, as it does when a reader comes back to its tab."""
        self.browser.run("document.dispatchEvent(new Event('visibilitychange'))")

    def texts(self, selector: str) -> list[str]:
        nodes = f"[...document.querySelectorAll({selector!r})]"
        return self.browser.run(f"return {nodes}.map((node) => node.textContent)")

    def contacts(self) -> list[str]:
        return self.texts("#list .contact")

    def bodies(self) -> list[str]:
        return self.texts(".message > p")

    def choose(self, name: str, value: str) -> None:
        """Choose an option, or write a text."""
        field = f"document.querySelector('[name={name}]')"
        event = "new Event('input', { bubbles: true })"
        self.browser.run(f"{field}.value = {value!r}; {field}.dispatchEvent({event})")

    def open(self, number: str) -> None:
        """Click on the conversation with a contact."""
        contacts = self.contacts()
        self.browser.click(f"#list li:nth-child({contacts.index(number) + 1}) a")
        wait_until(lambda: number in self.texts("#about h2"))
        wait_until(lambda: self.texts(".message"))

    def scroll(self, pane: str, top: int) -> None:
        self.browser.run(f"document.querySelector('{pane} .scroller').scrollTop = {top}")

    def top_of(self, selector: str) -> int:
        """How far below the top of the page an element is, in whole CSS pixels."""
        return self.browser.run(
            f"return Math.round(document.querySelector({selector!r}).getBoundingClientRect().top)"
        )

    def says(self, sentence: str) -> None:
        wait_until(lambda: self.browser.text("#banner") == sentence)

    def assert_nothing_overflows(self) -> None:
        wide = self.browser.run(
            "return ['html', '#list .scroller', '#thread .scroller', '#about', '#filters']"
            ".map((name) => document.querySelector(name))"
            ".filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.outerHTML)"
        )
        assert wide == []


@pytest.fixture
def inbox(browser, demo_service):
    """Open the page with a key; the service serves all organizations of the tests."""
    return lambda key, fragment="": Inbox(browser, demo_service.url, key, fragment).loaded()


def fill(organization, count: int) -> None:
    """Give an organization so many conversations, a minute apart, the last one the newest."""
    record_messages(
        organization.id,
        [
            organization.message(contact(number), AT + timedelta(minutes=number), f"no {number}")
            for number in range(count)
        ],
    )


def test_a_link_with_a_key_opens_the_demo_inbox_and_keeps_the_key_to_itself(
    inbox, demo_service, demo_key
):
    page = inbox(demo_key)
    rows = demo_service.request("GET", "/v1/conversations", demo_key)[2]["data"]
    assert page.contacts() == [row["contact_number"] for row in rows]
    assert page.browser.text("#total") == "8 conversations"
    assert page.texts("#list li .note") == ["[media]", "[redacted]"]
    first = page.browser.text("#list li")
    for text in ("2026", "← Cancel my appointment please", "14 messages", "opted in"):
        assert text in first
    assert page.texts("#list .badge") == ["opted in", "opted out"]

    assert page.browser.run("return location.href") == f"{demo_service.url}/inbox#"
    assert page.browser.run("return document.cookie") == ""
    assert page.browser.run("return Object.values(sessionStorage)") == [demo_key]
    urls = [urlsplit(url) for url in page.browser.requested_urls()]
    remote = [url for url in urls if url.scheme != "data"]
    assert {url.netloc for url in remote} == {urlsplit(demo_service.url).netloc}
    assert not any(demo_key in url.query + url.path for url in remote)
    assert {url.path for url in remote} == {
        *(path for path in public.FILES if path.startswith("/inbox")),
        "/inbox/scopes",
        "/v1/conversations",
        "/v1/phone-numbers",
    }
    assert page.browser.console() == []


def test_filters_narrow_the_list(inbox, demo_key):
    page = inbox(demo_key)
    numbers = page.texts("[name=phone_number_id] option")
    assert numbers == ["All numbers", "+15551112222", "+15551113333"]
    second = page.browser.run(
        "return document.querySelector('[name=phone_number_id]').options[2].value"
    )

    page.choose("phone_number_id", second)
    wait_until(lambda: page.contacts() == ["+15553390452", "+15557640213"])
    page.choose("opted_in", "false")
    wait_until(lambda: page.browser.text("#total") == "2 conversations")
    page.choose("opted_in", "true")
    wait_until(lambda: page.browser.text("#list .end") == "No conversations.")
    page.choose("phone_number_id", "")
    wait_until(lambda: page.contacts() == ["+15554443333"])
    page.choose("opted_in", "")
    page.choose("contact_number", " +1 (555) 803-4417 ")
    wait_until(lambda: page.contacts() == ["+15558034417"])
    page.choose("contact_number", "nobody!")
    wait_until(lambda: page.browser.text("#found") == "None of all 8")
    page.choose("contact_number", "")
    wait_until(lambda: len(page.contacts()) == 8)
    assert page.browser.text("#found") == ""


def test_a_person_is_found_by_their_number_as_people_write_it(inbox, alice, bob):
    fill(alice, 300)  # The person has written long ago: her row is not loaded.
    bob.new_number("+4930901820")
    bob.receive("+4915112345678", AT, own="+4930901820")
    bob.receive("DHL", AT - timedelta(days=1))
    bob.receive("24242", AT - timedelta(days=2))
    typed = {
        alice.key: {  # One after the other are different people.
            "15550000000": contact(0),
            "0015550000001": contact(1),
            "(555) 000-0000": contact(0),
            "011 1 555 000 0001": contact(1),
            "555.000.0000": contact(0),
            "\u202a+1\xa0555\u2011000 0001": contact(1),
        },
        bob.key: {
            "0151 12345678": "+4915112345678",
            "DHL": "DHL",
            "+49 (0)151 1234-5678": "+4915112345678",
            "24242": "24242",
            "0049151/12345678": "+4915112345678",
        },
    }
    for key, expected in typed.items():
        page = inbox(key)
        for text, number in expected.items():
            page.choose("contact_number", text)
            wait_until(lambda page=page, number=number: page.contacts() == [number])
            assert page.browser.text("#found") == "", text
            assert page.browser.text("#total") == "1 conversation", text


def test_less_than_a_whole_number_is_looked_for_in_what_is_loaded(inbox, alice):
    fill(alice, 400)
    page = inbox(alice.key)
    page.choose("contact_number", "000-029")
    wait_until(lambda: page.contacts() == [contact(number) for number in range(299, 289, -1)])
    of_250 = "10 of the 250 loaded; type the whole number to search all"
    assert page.browser.text("#found") == of_250
    page.choose("contact_number", "1 555 000 002")
    wait_until(lambda: page.browser.text("#found").startswith("None of the 250 loaded"))
    page.browser.click("#list .end button")
    wait_until(lambda: page.contacts() == [contact(number) for number in range(29, 19, -1)])
    assert page.browser.text("#found") == "10 of all 400"
    page.choose("contact_number", "(555) 900-0000")
    wait_until(lambda: page.browser.text("#found") == "No conversation with +15559000000")
    page.choose("opted_in", "false")
    nobody = "No conversation with +15559000000 among those filtered"
    wait_until(lambda: page.browser.text("#found") == nobody)
    page.choose("contact_number", "aunt may")
    by_name = "None of the 250 loaded; type the whole name to search all"
    wait_until(lambda: page.browser.text("#found") == by_name)
    assert page.browser.text("#banner") == ""
    assert page.browser.console() == []


def test_the_opted_out_are_listed_with_or_without_messages(inbox, alice):
    alice.receive(contact(1), AT, "STOP")
    alice.receive(contact(2), AT, "hello")
    alice.record_consent(contact(3), False, "2026-04-29T12:00:00+00:00")
    page = inbox(alice.key)
    choices = page.texts("[name=opted_in] option")
    assert [choice.strip() for choice in choices] == [
        *("Any", "Opted in", "Opted out or never asked", "Opted out")
    ]
    page.choose("opted_in", "out")
    wait_until(lambda: page.contacts() == [contact(3), contact(1)])
    assert page.browser.text("#total") == "2 opted out"
    assert page.texts("#list .badge") == ["opted out"] * 2
    page.choose("contact_number", "555 000 0001")
    wait_until(lambda: page.contacts() == [contact(1)])
    page.browser.click("#list li a")  # It leads to the conversations with the contact.
    wait_until(lambda: page.browser.text("#total") == "1 conversation")
    page.open(contact(1))
    assert page.bodies() == ["STOP"]
    page.browser.run("history.go(-2)")
    wait_until(lambda: page.browser.text("#total") == "1 opted out")
    page.choose("contact_number", "")
    wait_until(lambda: page.contacts() == [contact(3), contact(1)])
    page.browser.click("#list li a")
    nobody = f"No conversation with {contact(3)} among those filtered"
    wait_until(lambda: page.browser.text("#found") == nobody)


def test_a_key_for_the_inbox_alone_is_refused_nothing(inbox, alice):
    alice.receive(contact(1), AT, "STOP")
    key = api_keys.create_api_key(alice.id, ["conversations:read"], "test")
    page = inbox(key, "&opted_in=out")
    wait_until(lambda: alice.number in page.texts("[name=phone_number_id] option"))
    assert "Opted out" not in page.texts("[name=opted_in] option")
    assert page.contacts() == [contact(1)]
    assert {status for _, status in page.browser.responses()} <= {200, 304}
    assert page.browser.console() == []


def test_the_scopes_of_a_key_are_those_it_has_and_none_while_it_is_not_live(client, alice):
    assert client.get("/inbox/scopes").json["data"] == {"scopes": []}
    wrong = {"Authorization": f"Bearer {alice.key[::-1]}"}
    assert client.get("/inbox/scopes", headers=wrong).json["data"] == {"scopes": []}
    assert alice.get("/inbox/scopes").json["data"] == {"scopes": list(api_keys.SCOPES)}
    (key,) = queries.fetch_all("list_api_keys", organization_id=alice.id)
    api_keys.revoke_api_key(alice.id, key["id"])
    assert alice.get("/inbox/scopes").json["data"] == {"scopes": []}
    assert_error(alice.client.post("/inbox/scopes"), 405, "METHOD_NOT_ALLOWED")


def test_the_filters_are_in_the_address_and_the_key_is_not(inbox, browser, alice, demo_service):
    fill(alice, 3)
    second = alice.new_number("+15551113333")
    alice.receive(contact(1), AT + timedelta(days=1), own="+15551113333")
    page = inbox(alice.key)
    page.choose("phone_number_id", str(second))
    page.choose("opted_in", "false")
    page.choose("contact_number", "000 0001")
    wait_until(lambda: page.contacts() == [contact(1)])
    page.open(contact(1))
    address = page.browser.run("return location.href")
    assert alice.key not in address

    def shows_the_same() -> bool:
        values = "return [...document.querySelector('#filters').elements].map((one) => one.value)"
        return (
            page.browser.run(values) == [str(second), "false", "000 0001"]
            and page.contacts() == [contact(1)]
            and page.texts("#about h2") == [contact(1)]
        )

    browser.run("location.reload()")
    wait_until(shows_the_same)
    browser.open("about:blank")
    browser.open(address)
    wait_until(shows_the_same)
    page.browser.click("#forget")
    wait_until(lambda: browser.run("return document.body.dataset.view") == "key")
    assert browser.run("return location.href") == f"{demo_service.url}/inbox#"


NEWS = "return document.querySelectorAll('#list .mark').length"


def test_what_came_in_is_marked_until_it_is_opened_in_this_browser(inbox, browser, alice):
    for number in range(3):
        alice.receive(contact(number), AT)
    page = inbox(alice.key)
    assert (page.browser.run(NEWS), page.browser.run("return document.title")) == (0, "Inbox")
    alice.receive(contact(1), AT + timedelta(seconds=1, microseconds=500))
    alice.receive(contact(3), AT + timedelta(minutes=1))
    alice.receive(contact(2), AT + timedelta(minutes=2), direction="outbound")
    page.poll()
    wait_until(lambda: page.browser.run("return document.title") == "(2) Inbox")
    assert page.texts("#list li .mark") == ["New"] * 2
    assert page.texts("#list .new .contact") == [contact(3), contact(1)]
    page.browser.run("location.reload()")
    wait_until(lambda: page.browser.run(NEWS) == 2)
    page.browser.click("#list li:nth-child(3) a")
    wait_until(lambda: page.browser.run("return document.title") == "(1) Inbox")
    wait_until(lambda: page.texts("#list .new .contact") == [contact(3)])
    alice.receive(contact(1), AT + timedelta(minutes=3), "to the open one")
    page.poll()
    wait_until(lambda: page.bodies()[-1:] == ["to the open one"])
    wait_until(lambda: page.texts("#list .new .contact") == [contact(3)])

    stored = page.browser.run("return {...localStorage}")
    assert list(stored) == ["news"]
    news = orjson.loads(stored["news"])
    assert set(news) == {"since", "seen"}
    assert list(news["since"]) == [str(alice.phone_number_id)]
    conversation = alice.conversations(contact_number=contact(1))[0]["id"]
    assert news["seen"] == {conversation: "2026-04-28T12:03:01Z"}
    page.browser.click("#forget")
    wait_until(lambda: browser.run("return document.body.dataset.view") == "key")
    assert browser.run("return {...localStorage}") == {}


def test_a_browser_that_may_notifies_while_nobody_looks_and_tells_no_text(
    inbox, browser, alice, demo_service
):
    alice.receive(contact(1), AT)
    browser.devtools(
        "Browser.setPermission",
        permission={"name": "notifications"},
        setting="granted",
        origin=demo_service.url,
    )
    page = inbox(alice.key)
    assert page.browser.run("return document.querySelector('#notify').hidden")
    page.browser.run(
        "window.shown = []; const { permission } = Notification;"
        "window.Notification = class { constructor(...all) { window.shown.push(all); } };"
        "Notification.permission = permission;"
        "Object.defineProperty(document, 'hasFocus', { value: () => false });"
    )
    alice.receive(contact(2), AT + timedelta(minutes=1), "a secret")
    page.poll()
    wait_until(lambda: page.browser.run("return window.shown.length") == 1)
    title, options = page.browser.run("return window.shown[0]")
    assert title == f"New message from {contact(2)}"
    assert "secret" not in str(options)


def test_a_conversation_is_printed_whole_with_numbers_and_dates_with_zone(inbox, browser, alice):
    hours = [AT + timedelta(hours=number) for number in range(120)]
    messages = [alice.message(contact(1), at, f"no {n}") for n, at in enumerate(hours)]
    record_messages(alice.id, messages)
    browser.devtools("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    page = inbox(alice.key)
    page.open(contact(1))
    browser.run("window.print = () => { window.printed = true; }")
    shown = len(page.bodies())
    assert shown < 120
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    not_all = "return getComputedStyle(document.querySelector('#thread .end'), '::after').content"
    assert "Not all" in browser.run(not_all)
    page.browser.run("document.querySelector('#print').click()")
    wait_until(lambda: browser.run("return window.printed === true"))
    assert len(page.bodies()) == 120
    assert browser.run("return document.querySelector('#thread .end').textContent") == ""
    paper = browser.run("return document.body.innerText").replace("\u202f", " ")
    assert contact(1) in paper
    assert f"with {alice.number}" in paper
    assert "times in Asia/Tokyo" in paper
    first = "Tuesday, April 28, 2026 at 9:00:01 PM GMT+9"
    assert f"{contact(1)} to {alice.number}, {first}" in paper
    for word in ("Forget key", "Print", "Consent", "New messages"):
        assert word not in paper
    document = browser.run("return document.documentElement.scrollHeight")
    assert document > 5_000  # Nothing is cut off by a scroller.
    browser.devtools("Emulation.setEmulatedMedia", media="")


def test_a_walk_through_a_thousand_conversations_ends_with_each_of_them_once(inbox, alice):
    fill(alice, 1000)
    page = inbox(alice.key)
    assert page.browser.text("#total") == "1,000 conversations"
    assert len(page.contacts()) < 300

    def reached_the_end() -> bool:
        page.scroll("#list", 1_000_000)
        return page.browser.text("#list .end") == ""

    wait_until(reached_the_end)
    assert page.contacts() == [contact(number) for number in reversed(range(1000))]

    # The reader is in the middle. What comes in leaves the rows where they are.
    page.scroll("#list", 40_000)
    visible = page.browser.run(
        "const { left, top } = document.querySelector('#list .scroller').getBoundingClientRect();"
        "return document.elementFromPoint(left + 50, top + 150).closest('li').id"
    )
    before = page.top_of(f"[id='{visible}']")
    alice.receive(contact(5), AT + timedelta(days=1), "from far below")
    alice.receive("+15559999999", AT + timedelta(days=2), "from nowhere")
    page.poll()
    wait_until(lambda: page.contacts()[:2] == ["+15559999999", contact(5)])
    assert page.top_of(f"[id='{visible}']") == before
    assert len(page.contacts()) == len(set(page.contacts())) == 1001
    page.browser.click("#list .pill")
    wait_until(lambda: page.browser.run("return document.querySelector('#list .pill').hidden"))
    assert page.browser.run("return document.querySelector('#list .scroller').scrollTop") == 0


def test_a_thread_is_read_backwards_and_keeps_its_place(inbox, alice):
    hours = [AT + timedelta(hours=number) for number in range(300)]
    messages = [alice.message(contact(1), at, f"no {n}") for n, at in enumerate(hours)]
    record_messages(alice.id, messages)
    page = inbox(alice.key)
    page.open(contact(1))
    assert (
        page.browser.text("#about .facts") == f"with {alice.number} · 300 messages · times in UTC"
    )
    newest = page.bodies()
    assert newest == [f"no {number}" for number in range(300 - len(newest), 300)]
    assert len(newest) < 300
    assert 0 < page.top_of(".message:last-child") < 860

    def reached_the_beginning() -> bool:
        page.scroll("#thread", -1_000_000)
        return len(page.bodies()) == 300

    wait_until(reached_the_beginning)
    assert page.bodies() == [f"no {number}" for number in range(300)]
    assert len(page.texts(".day")) == len({at.date() for at in hours})

    page.scroll("#thread", -3_000)
    page.browser.run(
        "const { left, top } = document.querySelector('#thread ol').getBoundingClientRect();"
        "const all = [...document.querySelectorAll('.message')];"
        "all.find((each) => each.getBoundingClientRect().top > 200).id = 'mark'"
    )
    before = page.top_of("#mark")
    alice.receive(contact(1), AT + timedelta(days=30), "the latest")
    page.poll()
    wait_until(lambda: page.bodies()[-1:] == ["the latest"])
    assert page.top_of("#mark") == before
    page.browser.click("#thread .pill")
    wait_until(lambda: 0 < page.top_of(".message:last-child") < 860)


def test_a_message_posted_meanwhile_appears_and_until_then_each_request_is_a_304(
    inbox, alice, demo_service
):
    alice.receive(contact(1), AT)
    page = inbox(alice.key)
    page.open(contact(1))
    seen = []

    def statuses() -> list[int]:
        seen.extend(page.browser.responses())
        return [status for path, status in seen if path == "/v1/conversations"]

    wait_until(lambda: statuses()[-1:] == [304])
    assert statuses()[0] == 200
    assert set(statuses()[1:]) == {304}
    message = alice.inbound(body="news")
    assert demo_service.request("POST", "/v1/messages", alice.key, message)[0] == 201
    wait_until(lambda: page.bodies() == ["hello", "news"])
    wait_until(lambda: "news" in page.browser.text("#list li"))
    assert statuses()[-1] == 200
    assert page.browser.text("#news") == f"New: {contact(1)}"
    assert page.browser.console() == []


def test_a_redaction_and_consent_show_without_a_new_message(inbox, alice):
    alice.receive(contact(1), AT)
    page = inbox(alice.key)
    page.open(contact(1))
    assert page.texts(".badge") == []
    alice.record_consent(contact(1), True, "2026-04-29T12:00:00+00:00")
    page.poll()
    wait_until(lambda: page.texts(".badge") == ["opted in"] * 2)
    retention.erase_contact(alice.id, contact(1))
    page.poll()
    wait_until(lambda: page.texts("#list li .note") == ["[redacted]"])
    wait_until(lambda: "".join(page.texts(".message .note")[:1]).startswith("[redacted] on "))
    assert page.bodies() == []


def test_texts_of_strangers_are_shown_as_they_are_and_break_nothing(inbox, alice):
    for number, text in enumerate(HOSTILE.values()):
        at = AT + timedelta(minutes=number)
        alice.receive(contact(number), at, text)
        alice.receive("+15559999999", at, text)
    page = inbox(alice.key)
    page.open("+15559999999")
    assert page.bodies() == list(HOSTILE.values())
    previews = page.texts("#list li:not(:first-child) bdi")
    assert previews == [
        text if len(text) <= 160 else text[:159] + "…" for text in reversed(HOSTILE.values())
    ]
    assert page.browser.run("return window.hacked === undefined")
    assert page.browser.run("return document.querySelectorAll('main script, main img').length") == 0
    heights = "return [...document.querySelectorAll('#list li')].map((item) => item.offsetHeight)"
    assert len(set(page.browser.run(heights))) == 1
    page.assert_nothing_overflows()
    page.browser.resize(360, 740)
    page.assert_nothing_overflows()
    assert page.browser.console() == []


def test_what_the_browser_is_told_to_refuse_it_refuses(inbox, alice):
    page = inbox(alice.key)
    attempts = """
        return [
            () => { document.body.innerHTML = '<b>'; },
            () => { document.createElement('script').text = 'window.hacked = 1'; },
            () => { document.body.setAttribute('onclick', 'window.hacked = 1'); },
        ].map((attempt) => { try { attempt(); } catch (error) { return error.name; } });
    """
    assert page.browser.run(attempts) == ["TypeError"] * 3


def test_media_are_links_that_tell_the_other_side_nothing(inbox, alice):
    urls = ["https://example.com/\u202egpj.exe", "javascript:alert(1)", "https://example.com/1"]
    alice.receive(contact(1), AT, None, media_urls=urls)
    alice.receive(contact(2), AT - timedelta(days=1), None, channel="mms")
    alice.receive(contact(3), AT - timedelta(days=2), "")
    page = inbox(alice.key)
    assert page.texts("#list li .note") == ["[media]", "[media]", "[no text]"]
    page.open(contact(1))
    links = (
        "return [...document.querySelectorAll('.message a')]"
        ".map((link) => [link.textContent, link.href, link.rel, link.target])"
    )
    rest = ["noopener noreferrer", "_blank"]
    encoded = "https://example.com/%E2%80%AEgpj.exe"
    assert page.browser.run(links) == [
        [encoded, encoded, *rest],
        ["https://example.com/1", "https://example.com/1", *rest],
    ]
    assert page.texts(".message .note") == ["javascript:alert(1)"]
    assert page.browser.console() == []
    page.open(contact(2))
    assert page.texts(".message .note") == ["[media]"]
    page.open(contact(3))
    assert page.texts(".message .note") == ["[no text]"]


def test_addresses_in_texts_are_links_that_say_where_they_lead(inbox, alice):
    text = (
        "See https://example.com/a_(b), http://us@evil.example/\u202egpj.exe or "
        "(HTTPS://B\xdcCHER.example/x?y=1#z). Not javascript:alert(1), https:// or http://[x"
    )
    twilio = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"
    alice.receive(contact(1), AT, text, media_urls=[twilio, "https://us:pw@evil.example/1.jpg"])
    page = inbox(alice.key)
    page.open(contact(1))
    links = (
        "return [...document.querySelectorAll('.message a')]"
        ".map((link) => [link.textContent, link.href, link.rel, link.target])"
    )
    found = page.browser.run(links)
    assert [link[0] for link in found] == [
        "https://example.com/a_(b)",
        "http://us@evil.example/%E2%80%AEgpj.exe",
        "https://xn--bcher-kva.example/x?y=1#z",
        twilio,
        "https://us:pw@evil.example/1.jpg",
    ]
    for text, address, rel, target in found:
        assert (text, rel, target) == (address, "noopener noreferrer", "_blank")
    assert page.texts(".message .note") == [
        " leads to evil.example",
        "Twilio may ask for a password here: your Account SID and Auth Token",
        " leads to evil.example",
    ]
    (body,) = page.bodies()
    assert body.startswith("See https://example.com/a_(b), http://us@evil")
    assert body.endswith("#z). Not javascript:alert(1), https:// or http://[x")


def test_a_screen_reader_finds_landmarks_and_headings_wherever_it_is(inbox, browser, demo_key):
    def roles(name: str) -> list[str]:
        nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
        return [
            node["name"]["value"]
            for node in nodes
            if not node["ignored"] and node["role"]["value"] == name
        ]

    page = inbox(demo_key)
    assert (roles("main"), roles("heading")[0]) == ([""], "Inbox")
    browser.resize(360, 740)
    page.browser.click("#list li a")
    wait_until(lambda: roles("heading") == ["Inbox", "+15554443333"])
    page.browser.click("#back")
    page.browser.click("#forget")
    wait_until(lambda: browser.run("return document.body.dataset.view") == "key")
    wait_until(lambda: page.browser.text("#key-form h2") == "Inbox")
    assert len(roles("main")) == 1
    inside = "return document.querySelector('main').contains(document.querySelector('#key'))"
    assert browser.run(inside)


def test_days_and_times_are_those_of_the_reader(inbox, browser, alice):
    alice.receive(contact(1), "2026-04-28T23:30:00Z")
    today = datetime.now(UTC)
    alice.receive(contact(2), today)
    for zone, day, hour in (("Asia/Tokyo", "April 29", "8:30"), ("UTC", "April 28", "11:30")):
        browser.open_tab()
        browser.devtools("Emulation.setTimezoneOverride", timezoneId=zone)
        page = inbox(alice.key)
        page.open(contact(1))
        assert day in page.texts(".day")[0]
        assert hour in page.texts(".message time")[0]
        assert ":" in page.texts("#list time")[0]
        assert "2026" in page.texts("#list time")[1]


def test_a_phone_shows_one_pane_at_a_time(inbox, demo_key):
    page = inbox(demo_key)
    page.browser.resize(360, 740)

    def visible() -> list[str]:
        return page.browser.run(
            "return [...document.querySelectorAll('section')]"
            ".filter((each) => getComputedStyle(each).visibility === 'visible')"
            ".map((each) => each.id)"
        )

    assert visible() == ["list"]
    page.assert_nothing_overflows()
    page.browser.click("#list li a")
    wait_until(lambda: visible() == ["thread"])
    wait_until(lambda: "Cancel my appointment please" in page.bodies())
    page.assert_nothing_overflows()
    page.browser.click("#back")
    wait_until(lambda: visible() == ["list"])
    page.browser.run("history.back()")
    wait_until(lambda: visible() == ["thread"])


def test_the_keyboard_alone_is_enough(inbox, demo_key):
    page = inbox(demo_key)
    focused = "return document.activeElement.closest('li')?.querySelector('.contact').textContent"
    first, second, *_ = page.contacts()
    page.browser.press("Down")
    assert page.browser.run(focused) == first
    page.browser.press("Down")
    assert page.browser.run(focused) == second
    page.browser.press("Up", "Up")
    assert page.browser.run(focused) == first
    page.browser.press("Down", "Enter")
    wait_until(lambda: page.texts("#about h2") == [second])
    assert page.texts("#list [aria-current=true] .contact") == [second]
    assert page.browser.run("return document.activeElement.className") == "scroller"
    page.browser.press("Escape")
    wait_until(lambda: page.browser.run("return document.body.dataset.pane") == "list")
    assert page.browser.run(focused) == second
    assert page.texts("#list [aria-current]") == []


def test_whatever_takes_the_focus_has_a_name(inbox, demo_key):
    page = inbox(demo_key)
    page.open("+15554443333")
    nodes = page.browser.devtools("Accessibility.getFullAXTree")["nodes"]
    focusable = [
        (node["role"]["value"], node["name"]["value"].strip())
        for node in nodes
        if any(each["name"] == "focusable" for each in node.get("properties", []))
    ]
    assert [each for each in focusable if each[0] != "RootWebArea" and not each[1]] == []
    assert ("combobox", "Number") in focusable
    assert ("searchbox", "Contact") in focusable
    assert ("region", "Messages, newest last") in focusable
    (row,) = [name for role, name in focusable if role == "link" and "+15554443333" in name]
    assert "Received Cancel my appointment please" in row


def test_the_page_follows_what_the_reader_prefers(inbox, demo_key):
    page = inbox(demo_key)
    style = "return getComputedStyle(document.querySelector({!r})).{}"
    colour, motion = (
        style.format("body", "backgroundColor"),
        style.format("a", "transitionDuration"),
    )
    assert page.browser.run(colour) == "rgb(243, 244, 246)"
    assert page.browser.run(motion) == "0.15s"
    page.browser.prefer(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
    assert page.browser.run(colour) == "rgb(18, 21, 24)"
    assert page.browser.run(motion) == "0s"


def test_without_a_key_the_page_asks_for_one_and_says_what_is_wrong_with_it(
    browser, demo_service, demo_key, alice
):
    page = Inbox(browser, demo_service.url)
    assert page.browser.text("#key-form h2") == "Inbox"
    assert page.browser.text("#banner") == ""
    assert page.browser.responses()[-1][0].startswith("/inbox")

    narrow = new_organization(alice.client, scopes=["consent:write"]).key
    for key, sentence in (
        (demo_key[:-1] + "!", None),
        (demo_key[::-1], None),
        (narrow, LACKS_SCOPE),
    ):
        page.browser.run("document.querySelector('#key').value = ''; window.isBefore = true")
        page.browser.type("#key", key)
        page.browser.click("#key-form button")
        if sentence:
            wait_until(lambda: page.browser.run("return !window.isBefore"))
            page.says(sentence)
        else:  # The field itself complains, and nothing is asked.
            assert page.browser.run("return !document.querySelector('#key').validity.valid")
    wrong = demo_key[:-1] + ("a" if demo_key[-1] != "a" else "b")
    for key, sentence in ((wrong, REFUSED), (demo_key, "")):
        page.browser.run("document.querySelector('#key').value = ''; window.isBefore = true")
        page.browser.type("#key", key)
        page.browser.click("#key-form button")
        wait_until(lambda: page.browser.run("return !window.isBefore"))
        page.says(sentence)
    page.loaded()
    assert page.browser.run("return document.body.dataset.view") == "inbox"
    page.browser.click("#forget")
    wait_until(lambda: page.browser.run("return document.body.dataset.view") == "key")
    assert page.browser.run("return Object.values(sessionStorage).join('')") == ""


def test_a_key_that_is_revoked_hides_the_inbox_and_one_that_comes_back_shows_it(inbox, alice):
    alice.receive(contact(1), AT)
    page = inbox(alice.key)
    (key,) = queries.fetch_all("list_api_keys", organization_id=alice.id)
    api_keys.revoke_api_key(alice.id, key["id"])
    page.poll()
    page.says(REFUSED)
    assert page.browser.text("#list") == ""
    with pool.connection() as connection:
        connection.execute("UPDATE api_keys SET revoked_at = NULL WHERE id = %s", [key["id"]])
    page.poll()
    page.says("")
    assert contact(1) in page.browser.text("#list")


def test_a_lost_database_and_a_lost_service_are_said_and_the_page_goes_on_by_itself(browser):
    with running_postgres() as postgres:
        with using_database(postgres.url):
            alice = new_organization(None)
            alice.receive(contact(1), AT)
        with running_service(postgres.url, WEB_CONCURRENCY=1) as service:
            page = Inbox(browser, service.url, alice.key).loaded()
            page.open(contact(1))
            postgres.stop()
            page.poll()
            page.says(UNAVAILABLE)
            assert page.bodies() == ["hello"]
            postgres.start()
            page.says("")  # By itself: nobody came back to the tab.
            service.kill()
            page.poll()
            page.says(OUT_OF_REACH)
            service.start()
            page.poll()
            page.says("")
            assert page.contacts() == [contact(1)]
            assert page.bodies() == ["hello"]


@pytest.fixture
def prefixed_url(app):
    """The application behind a proxy that publishes it under a prefix and says nothing of it."""

    def stripped(environ, start_response):
        assert environ["PATH_INFO"].startswith("/tools/sms/")
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/tools/sms")
        return app(environ, start_response)

    server = make_server("127.0.0.1", 0, stripped, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/tools/sms"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_page_works_under_the_prefix_of_a_proxy(browser, prefixed_url, demo_key):
    page = Inbox(browser, prefixed_url, demo_key).loaded()
    page.open("+15554443333")
    assert "Cancel my appointment please" in page.bodies()
    paths = {urlsplit(url).path for url in page.browser.requested_urls() if url[:4] == "http"}
    assert {path for path in paths if not path.startswith("/tools/sms/")} == set()
    page.browser.open(f"{prefixed_url}/")
    wait_until(lambda: page.browser.run("return location.pathname") == "/tools/sms/inbox")


def test_an_address_opens_its_conversation_whatever_the_list_shows(inbox, alice):
    fill(alice, 300)
    (oldest,) = alice.conversations(contact_number=contact(0))
    page = inbox(alice.key, f"&conversation={oldest['id']}")
    wait_until(lambda: page.texts("#about h2") == [contact(0)])
    wait_until(lambda: page.bodies() == ["no 0"])
    assert contact(0) not in page.contacts()
    assert page.browser.run("return location.hash") == f"#conversation={oldest['id']}"


@pytest.mark.soak
def test_a_page_that_nobody_sees_asks_seldom(inbox, alice):
    page = inbox(alice.key)
    page.browser.run(
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true })"
    )
    page.poll()
    time.sleep(4)
    page.browser.requested_urls()
    time.sleep(7)
    assert page.browser.requested_urls() == []
    page.browser.run("Object.defineProperty(document, 'hidden', { value: false })")
    page.poll()
    wait_until(page.browser.requested_urls)


@pytest.mark.soak
def test_the_picture_of_the_page_can_be_taken_again(demo_service, demo_key, tmp_path):
    if not shutil.which("chromium"):
        pytest.skip("no chromium: apt-get install chromium, or make test")
    picture = tmp_path / "inbox.png"
    inbox_picture.take(f"{demo_service.url}/inbox#key={demo_key}", picture)
    assert picture.read_bytes()[16:24] == (2320).to_bytes(4) + (1440).to_bytes(4)


def test_the_page_is_guarded_by_its_headers(client):
    headers = client.get("/inbox").headers
    policy = headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    for word in ("http", "unsafe", "*"):
        assert word not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/inbox/", "/inbox/page.html", "/inbox//page.js", "/inbox/..%2F__init__.py"]
)
def test_nothing_else_is_served(client, path):
    assert_error(client.get(path), 404, "NOT_FOUND")


def test_the_page_stays_small():
    pages = [content for path, content in public.CONTENTS.items() if path.startswith("/inbox")]
    assert len(pages) == len(list((public.HERE / "inbox_page").iterdir()))
    lines = [line for content in pages for line in content.splitlines() if line.strip()]
    assert len(lines) <= 720
