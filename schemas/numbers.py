"""Phone numbers: their spelling, and numbers without a plus sign as E.164."""

import re

import phonenumbers

# An E.164 number, a short code, or an alphanumeric sender ID, which has a letter.
PHONE_NUMBER = re.compile(
    r"\+[1-9][0-9]{1,14}|[1-9][0-9]{2,7}"
    r"|(?=[^A-Za-z]*[A-Za-z])[0-9A-Za-z][0-9A-Za-z _.&+'-]{0,9}[0-9A-Za-z_.&+'-]"
)
SHORT_CODE = re.compile("[1-9][0-9]{2,7}")
# Without letters, which libphonenumber would read as digits, as on a keypad.
NUMBER_WITHOUT_PLUS = re.compile(r"[0-9(][0-9 ()/.-]{1,30}")


def to_e164(text: str, region: str | None) -> str:
    """Return a number as E.164 if it has no plus sign and is valid for the region, else unchanged.

    Networks leave the plus sign out, so there are two readings: a number as it is dialed in the
    region, and an international one. If both are valid, the national one counts only with the `0`
    that the region's numbers begin with, unless they begin otherwise there. A short code stays one
    unless it is a valid national number.
    """
    if region is None or not NUMBER_WITHOUT_PLUS.fullmatch(text):
        return text
    national = _valid_e164(text, region)
    if SHORT_CODE.fullmatch(text):
        return national or text
    digits = re.sub("[^0-9]", "", text)
    international = _valid_e164(f"+{digits}", None)
    if national and international:
        has_trunk_zero = phonenumbers.ndd_prefix_for_region(region, True) == "0"
        return international if has_trunk_zero and not digits.startswith("0") else national
    return national or international or text


def _valid_e164(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164 if phonenumbers.is_valid_number(number) else None
