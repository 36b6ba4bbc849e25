from conftest import assert_error, contact


def test_a_message_lists_as_a_conversation(alice):
    alice.receive(contact(1), "2026-04-28T12:00:01+00:00", "Cancel my appointment please")
    (row,) = alice.conversations()
    assert list(row) == [
        "id",
        "phone_number_id",
        "phone_number",
        "contact_number",
        "last_message_at",
        "last_message_direction",
        "last_message_preview",
        "last_message_body_redacted_at",
        "message_count",
        "consent",
    ]
    assert row["message_count"] == 1


def test_bad_limit(alice):
    assert_error(
        alice.get("/v1/conversations", {"limit": "0"}),
        422,
        "VALIDATION_FAILED",
        limit="must be 1..200",
    )


def test_post(alice):
    response = alice.post(
        "/v1/messages",
        {"direction": "inbound", "from": contact(2), "to": alice.number, "body": "STOP"},
    )
    assert response.status_code == 201, response.text
    (row,) = alice.conversations()
    assert row["consent"] == {"opted_in": False, "opted_in_at": None}
    response = alice.post(
        "/v1/consent",
        {
            "phone_number_id": str(alice.phone_number_id),
            "contact_number": contact(2),
            "opted_in": True,
        },
    )
    assert response.status_code == 200, response.text
    assert len(alice.conversations(opted_in="true")) == 1
    id = row["id"]
    assert alice.get(f"/v1/conversations/{id}/messages").json["meta"]["total"] == 1
    assert alice.get("/readyz").json["success"]
