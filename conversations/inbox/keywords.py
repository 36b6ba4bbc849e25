"""Keywords: texts with which a contact opts out or in."""

import re
import string
import unicodedata

OPT_OUT = "STOP,STOPALL,STOP ALL,UNSUBSCRIBE,CANCEL,END,QUIT,REVOKE,OPTOUT,OPT OUT,ARRET,ARRÊT"
# What each keyword does: it opts in (True) or out (False).
KEYWORDS = {**dict.fromkeys(OPT_OUT.split(","), False), "START": True, "UNSTOP": True}
# The characters with which keywords begin and end, in both cases.
BEGINNINGS = {character for word in KEYWORDS for character in (word[0], word[0].lower())}
ENDINGS = {character for word in KEYWORDS for character in (word[-1], word[-1].lower())}

# str.upper would also turn a long s into S.
UPPER_CASE = str.maketrans(string.ascii_lowercase + "ê", string.ascii_uppercase + "Ê")
# The characters of Unicode's class Pd.
HYPHENS = (
    "\\-\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u301c\u3030\u30a0"
    "\ufe31\ufe32\ufe58\ufe63\uff0d\U00010d6e\U00010ead"
)
SEPARATORS = re.compile(f"[\\s{HYPHENS}]+")
VARIATION_SELECTOR = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def opted_in_by(body: str) -> bool | None:
    """Return whether a text opts in (True) or out (False); None if it is no keyword.

    The whole text decides, because "Cancel my appointment please" is no opt-out. Neither case nor
    punctuation makes an opt-out invalid: `Stop.`, `opt-out` and `STOP 🛑` are opt-outs.
    """
    text = unicodedata.normalize("NFC", body)
    start, end = 0, len(text)
    while start < end and _is_around_a_word(text[start]):
        start += 1
    # Most texts end here, before the costly part.
    if text[start : start + 1] not in BEGINNINGS:
        return None
    while start < end and _is_around_a_word(text[end - 1]):
        end -= 1
    if text[end - 1] not in ENDINGS:
        return None
    return KEYWORDS.get(SEPARATORS.sub(" ", text[start:end]).translate(UPPER_CASE))


def _is_around_a_word(character: str) -> bool:
    if character.isalnum():
        return False
    is_selector = VARIATION_SELECTOR.fullmatch(character) is not None
    return is_selector or unicodedata.category(character)[0] in "ZCPS"
