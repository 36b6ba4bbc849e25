"""An inbox in plain Python, which the answers of the service are compared with."""

from datetime import datetime


def text(instant: datetime | None) -> str | None:
    """An instant as the API prints it."""
    return instant and instant.isoformat().replace("+00:00", "Z")


class Model:
    """What an inbox must say, in the plainest code."""

    def __init__(self):
        self.messages = {}
        self.events = []

    def add(self, given: dict) -> str:
        """Say what becomes of a message: created, known or conflict."""
        id = given["id"]
        if id in self.messages:
            stored = self.messages[id]
            gone = ("body", "media_urls") if stored["redacted_at"] else ()
            same = all(stored[name] == given[name] for name in given if name not in gone)
            return "known" if same else "conflict"
        inbound = given["direction"] == "inbound"
        message = {
            "body": None,
            "media_urls": [],
            "channel": "mms" if given.get("media_urls") else "sms",
            "redacted_at": None,
            **given,
            "pair": (given["to"], given["from"]) if inbound else (given["from"], given["to"]),
            "had_text": given.get("body") is not None,
        }
        self.messages[id] = message
        word = (message["body"] or "").strip().lower()
        if inbound and word in ("stop", "start"):
            self.events.append((*message["pair"], word == "start", message["created_at"]))
        return "created"

    def latest(self, pair: tuple, opted_in: bool) -> datetime | None:
        """Say when the last opt-in or opt-out of a pair was."""
        same = (at for *who, kind, at in self.events if (*who, kind) == (*pair, opted_in))
        return max(same, default=None)

    def is_opted_in(self, pair: tuple) -> bool:
        """Say whether a pair may be messaged."""
        opt_in, opt_out = self.latest(pair, True), self.latest(pair, False)
        return opt_in is not None and (opt_out is None or opt_in > opt_out)

    def redact(self, at: datetime, which) -> int:
        """Remove what can be read of those messages and say how many they were."""
        found = [m for m in self.messages.values() if (m["body"] or m["media_urls"]) and which(m)]
        for message in found:
            message.update(body=None, media_urls=[], redacted_at=at)
        return len(found)

    def conversation(self, pair: tuple) -> list[dict]:
        """Give the messages of a pair, oldest first."""
        own = [m for m in self.messages.values() if m["pair"] == pair]
        return sorted(own, key=lambda m: (m["created_at"], m["id"]))

    def last(self, pair: tuple) -> dict:
        """Give the newest message of a pair."""
        return self.conversation(pair)[-1]

    def pairs(self) -> set[tuple]:
        """Give the pairs that exchanged a message."""
        return {message["pair"] for message in self.messages.values()}

    def row(self, pair: tuple) -> dict:
        """Give the row of a conversation, but for the ids."""
        last = self.last(pair)
        body, is_redacted = last["body"], bool(last["had_text"] and last["redacted_at"])
        if is_redacted:
            preview = "[redacted]"
        elif body is None:
            preview = "[media]"
        else:
            preview = body if len(body) <= 160 else body[:159] + "…"
        opt_in = self.latest(pair, True)
        known = opt_in or self.latest(pair, False)
        return {
            "phone_number": pair[0],
            "contact_number": pair[1],
            "last_message_at": text(last["created_at"]),
            "last_message_direction": last["direction"],
            "last_message_preview": preview,
            "last_message_body_redacted_at": text(last["redacted_at"]) if is_redacted else None,
            "message_count": len(self.conversation(pair)),
            "consent": {"opted_in": self.is_opted_in(pair), "opted_in_at": text(opt_in)}
            if known
            else None,
        }
