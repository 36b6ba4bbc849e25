"""The erasure of a long conversation over HTTP, whose client or proxy does not wait for its end."""

import socket
import uuid
from datetime import UTC, datetime, timedelta

from conversations.database import pool
from conversations.inbox.messages import record_messages
from tests.conftest import DATABASE_URL, contact, new_organization
from tests.servers import running_service, wait_until

MESSAGES = 6000
AT = datetime(2026, 4, 28, 12, tzinfo=UTC)


def readable(organization) -> int:
    with pool.connection() as conn:
        row = conn.execute(
            "SELECT count(*) FROM messages WHERE organization_id = %s AND body IS NOT NULL",
            [organization.id],
        ).fetchone()
    return row["count"]


def test_an_erasure_goes_on_without_its_client_and_a_repeat_finds_nothing_left(client):
    alice = new_organization(client)
    first = alice.message(contact(1), AT)
    ids = (uuid.uuid4() for _ in range(MESSAGES))
    record_messages(
        alice.id,
        [
            first | {"id": id, "created_at": AT + timedelta(seconds=second)}
            for second, id in enumerate(ids)
        ],
    )
    path = f"/v1/contacts/{contact(1)}/erase"
    with running_service(DATABASE_URL, WEB_CONCURRENCY=1) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n"
            connection.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
            # As a proxy does whose time is up: after the first of several transactions.
            wait_until(lambda: readable(alice) < MESSAGES)
        wait_until(lambda: readable(alice) == 0)
        status, _, answer = service.request("POST", path, alice.key)
    assert (status, answer["data"]["messages_redacted"]) == (200, 0)
