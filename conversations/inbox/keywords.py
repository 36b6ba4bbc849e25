"""Keywords: texts with which a contact opts out or in."""

OPT_OUT_KEYWORDS = frozenset(
    ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")
)
OPT_IN_KEYWORDS = frozenset(("START", "UNSTOP"))


def opted_in_by(body: str) -> bool | None:
    """Return whether a text opts in (True) or out (False); None if it is no keyword.

    The whole text decides, because "Cancel my appointment please" is no opt-out.
    """
    word = body.strip()
    # Only ASCII, because str.upper would also turn a long s into S.
    word = word.upper() if word.isascii() else ""
    if word in OPT_IN_KEYWORDS:
        return True
    return False if word in OPT_OUT_KEYWORDS else None
