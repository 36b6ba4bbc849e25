"""The wall between organizations: nobody sees or touches what is somebody else's."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

import app as service
from conversations.inbox import checks, retention
from schemas.fields import decode_base64url, encode_cursor
from tests.api.hooks import MAKE, Hook
from tests.conftest import assert_error, contact, new_organization
from tests.database.tenants import OVER_ALL_ORGANIZATIONS

LIST = "/v1/conversations"
BOBS_NUMBERS = [contact(number) for number in range(9, 13)]
BOBS_SECOND_NUMBER = "+15559990000"


@dataclass
class Twins:
    """Alice and Bob with the same number, number id and contact; Bob has more besides."""

    alice: object
    bob: object
    shared_id: str
    bobs_id: str
    bobs_message_ids: list[uuid.UUID]
    bobs_phone_number_id: uuid.UUID

    def assert_nothing_of_bobs(self, response) -> None:
        """What Alice reads names nobody and nothing that is only Bob's."""
        assert "bob" not in response.text
        secrets = [*BOBS_NUMBERS, BOBS_SECOND_NUMBER, *self.bobs_message_ids, self.bobs_id]
        for secret in (*secrets, self.bobs_phone_number_id, self.bob.id):
            assert str(secret) not in response.text


@pytest.fixture
def twins(client) -> Twins:
    """Alice with one conversation of two messages, Bob with the same one and five more."""
    phone_number_id = uuid.uuid4()
    alice = new_organization(client, phone_number_id=phone_number_id)
    bob = new_organization(client, phone_number_id=phone_number_id)
    second_id = bob.new_number(BOBS_SECOND_NUMBER)
    for second in range(2):
        alice.receive(contact(1), f"2026-04-28T12:00:0{second}+00:00", "alice's words")
    ids = [
        bob.receive(number, f"2026-04-28T12:00:0{second}+00:00", "bob's words", own=own)
        for number in (contact(1), *BOBS_NUMBERS)
        for second, own in enumerate((bob.number, bob.number, BOBS_SECOND_NUMBER))
    ]
    bob.record_consent(contact(1), True, "2026-04-28T12:00:03+00:00")
    bob.record_consent(contact(9), True, "2026-04-28T12:00:03+00:00")
    (shared,) = alice.conversations()
    (same,) = bob.conversations(contact_number=contact(1), phone_number_id=phone_number_id)
    assert shared["id"] == same["id"], "the ids of a pair are the same in every organization"
    (other,) = bob.conversations(contact_number=contact(9), phone_number_id=phone_number_id)
    return Twins(alice, bob, shared["id"], other["id"], ids, second_id)


def read_everything(organization) -> list:
    """All that an organization can read."""
    rows = organization.conversations(limit=200)
    assert rows
    paths = [f"{LIST}/{row['id']}/messages" for row in rows]
    paths += [LIST, "/v1/consent", "/v1/phone-numbers"]
    return [organization.get(path).json for path in paths]


# Every route of the API and what Alice tries there. Each yields her answers.


def attack_list_conversations(twins: Twins) -> Iterator:
    rows = twins.bob.conversations()
    places = [(row["last_message_at"], decode_base64url(row["id"], 16)) for row in rows]
    queries = [
        {},
        {"since": "2026-04-28T12:00:00Z"},
        {"opted_in": "true"},
        {"opted_in": "false"},
        {"phone_number_id": twins.bob.phone_number_id},
        {"phone_number_id": twins.bobs_phone_number_id},
        *({"contact_number": number} for number in (contact(1), *BOBS_NUMBERS)),
        *({"cursor": encode_cursor(datetime.fromisoformat(at), id)} for at, id in places),
    ]
    for query in queries:
        for page in ({"limit": 1}, {"limit": 200}):
            response = twins.alice.get(LIST, {**query, **page})
            assert response.status_code == 200
            assert response.json["meta"]["total"] in (0, 1)
            assert response.json["meta"]["next_cursor"] is None
            yield response


def attack_list_messages(twins: Twins) -> Iterator:
    path = f"{LIST}/{twins.shared_id}/messages"
    cursor = twins.bob.get(path, {"limit": 1}).json["meta"]["next_cursor"]
    for query in ({}, {"limit": 1}, {"cursor": cursor}, {"cursor": "A" * 32}):
        response = twins.alice.get(path, query)
        assert response.json["meta"]["total"] == 2
        yield response
    for query in ({}, {"cursor": cursor}):
        response = twins.alice.get(f"{LIST}/{twins.bobs_id}/messages", query)
        assert_error(response, 404, "NOT_FOUND")
        yield response


def attack_create_message(twins: Twins) -> Iterator:
    alice = twins.alice
    body = alice.inbound(body="mine now")
    taken = alice.post("/v1/messages", {**body, "id": str(twins.bobs_message_ids[0])})
    assert taken.status_code == 201, "an id is only looked up inside the organization"
    assert taken.json["data"]["body"] == "mine now"
    again = alice.post("/v1/messages", {**body, "id": str(twins.bobs_message_ids[0])})
    assert again.status_code == 200
    opt_out = alice.post("/v1/messages", {**body, "body": "STOP"})
    assert opt_out.status_code == 201
    stolen = alice.post("/v1/messages", {**body, "to": BOBS_SECOND_NUMBER})
    assert_error(stolen, 422, "VALIDATION_FAILED", to="is not one of your phone numbers")
    yield from (opt_out, stolen)


def attack_record_consent(twins: Twins) -> Iterator:
    for contact_number in (contact(1), contact(9)):
        body = {
            "phone_number_id": str(twins.alice.phone_number_id),
            "contact_number": contact_number,
            "opted_in": False,
        }
        response = twins.alice.post("/v1/consent", body)
        assert response.json["data"]["opted_in_at"] is None
    yield twins.alice.get(LIST, {"opted_in": "true"})
    body["phone_number_id"] = str(twins.bobs_phone_number_id)
    stolen = twins.alice.post("/v1/consent", body)
    complaint = "is not one of your phone numbers"
    assert_error(stolen, 422, "VALIDATION_FAILED", phone_number_id=complaint)
    yield stolen


def attack_list_consent(twins: Twins) -> Iterator:
    twins.alice.record_consent(contact(1), False, "2026-04-28T12:00:03+00:00")
    path = "/v1/consent"
    cursor = encode_cursor(datetime.now(UTC), uuid.UUID(int=2**128 - 1).bytes)
    queries = [
        {},
        {"since": "2020-01-01T00:00:00Z"},
        {"opted_in": "true"},
        {"opted_in": "false"},
        {"phone_number_id": twins.bob.phone_number_id},
        {"phone_number_id": twins.bobs_phone_number_id},
        *({"contact_number": number} for number in (contact(1), *BOBS_NUMBERS)),
        {"cursor": cursor},
    ]
    for query in queries:
        response = twins.alice.get(path, query)
        assert response.status_code == 200
        assert response.json["meta"]["total"] in (0, 1)
        assert not any(row["opted_in"] for row in response.json["data"])
        yield response


def attack_list_phone_numbers(twins: Twins) -> Iterator:
    for query in ({}, {"limit": 1}, {"cursor": "A" * 32}):
        response = twins.alice.get("/v1/phone-numbers", query)
        assert [row["phone_number"] for row in response.json["data"]] == [twins.alice.number]
        assert response.json["meta"]["total"] == 1
        yield response


def attack_erase_contact(twins: Twins) -> Iterator:
    # What Alice asks for is repeated to her, so each answer is left to names that are not Bob's.
    for number, redacted in ((contact(1), 2), (contact(1), 0)):
        response = twins.alice.post(f"/v1/contacts/{number}/erase", None)
        assert response.json["data"] == {"contact_number": number, "messages_redacted": redacted}
        yield response
    for number in BOBS_NUMBERS:
        response = twins.alice.post(f"/v1/contacts/{number}/erase", None)
        assert response.json["data"] == {"contact_number": number, "messages_redacted": 0}


def attack_hook(twins: Twins, carrier: str) -> Iterator:
    for own, status in ((twins.alice.number, 200), (BOBS_SECOND_NUMBER, 422)):
        response = Hook(twins.alice).call(carrier, MAKE[carrier](own))
        assert response.status_code == status
        yield response


def attack_receive_twilio(twins: Twins) -> Iterator:
    yield from attack_hook(twins, "twilio")


def attack_receive_telnyx(twins: Twins) -> Iterator:
    yield from attack_hook(twins, "telnyx")


def attack_receive_smsgate(twins: Twins) -> Iterator:
    yield from attack_hook(twins, "smsgate")


def attack_receive_httpsms(twins: Twins) -> Iterator:
    yield from attack_hook(twins, "httpsms")


V1_ROUTES = {
    (rule.endpoint.rpartition(".")[2], method)
    for rule in service.app.url_map.iter_rules()
    for method in rule.methods - {"HEAD", "OPTIONS"}
    if rule.rule.startswith("/v1")
}


@pytest.mark.parametrize(("endpoint", "method"), sorted(V1_ROUTES))
def test_no_route_shows_or_changes_what_is_anothers(twins, endpoint, method):
    before = read_everything(twins.bob)
    attack = globals()[f"attack_{endpoint}"]
    responses = list(attack(twins))
    assert {response.request.method for response in responses} >= {method}
    for response in responses:
        twins.assert_nothing_of_bobs(response)
    assert read_everything(twins.bob) == before


def test_what_alice_lists_is_the_same_with_and_without_bob(client, twins):
    loner = new_organization(client, phone_number_id=twins.alice.phone_number_id)
    for second in range(2):
        loner.receive(contact(1), f"2026-04-28T12:00:0{second}+00:00", "alice's words")
    assert loner.conversations() == twins.alice.conversations()
    assert loner.get(LIST).json["meta"] == twins.alice.get(LIST).json["meta"]


@pytest.mark.parametrize(
    "change",
    [
        lambda alice: retention.erase_contact(alice.id, contact(1)),
        lambda alice: retention.redact_expired(alice.id, datetime.now(UTC)),
        lambda alice: alice.record_consent(contact(1), False, "2026-04-29T00:00:00+00:00"),
        lambda alice: alice.receive(contact(1), "2026-04-29T00:00:00+00:00", "STOP"),
        lambda alice: list(checks.check(alice.id, repair=True)),
    ],
    ids=["erase", "redact", "consent", "keyword", "repair"],
)
def test_no_change_in_one_organization_reaches_another(twins, change):
    before = read_everything(twins.bob)
    change(twins.alice)
    assert read_everything(twins.bob) == before


def test_a_key_opens_its_own_organization_whatever_the_request_says(twins):
    for query in ({"organization_id": twins.bob.id}, {"organization": twins.bob.id}):
        response = twins.alice.get(LIST, query)
        assert_error(
            response, 422, "VALIDATION_FAILED", **dict.fromkeys(query, "unknown parameter")
        )
    headers = {"X-Organization-Id": str(twins.bob.id)}
    assert twins.alice.get(LIST, **headers).json == twins.alice.get(LIST).json


def test_no_request_but_those_for_health_runs_a_query_over_all_organizations():
    folder = Path(service.__file__).parent / "conversations" / "api"
    sources = [path.read_text() for path in folder.rglob("*.py") if path.name != "metrics.py"]
    for name in OVER_ALL_ORGANIZATIONS:
        assert not [source for source in sources if f'"{name}"' in source]
