"""Phone numbers: their spelling, and national numbers of a country as E.164."""

import re

import phonenumbers

# An E.164 number, a short code, or an alphanumeric sender ID.
PHONE_NUMBER = re.compile(
    r"\+[1-9][0-9]{1,14}|[1-9][0-9]{2,7}|[A-Za-z][0-9A-Za-z _.&-]{0,9}[0-9A-Za-z_.&-]"
)
# Without letters, which libphonenumber would read as digits, as on a keypad.
NATIONAL_NUMBER = re.compile(r"[0-9(][0-9 ()/.-]{1,30}")


def to_e164(text: str, region: str | None) -> str:
    """Return a number as E.164 if it is a valid national number of the region, else unchanged.

    So a short code stays one, unless it is also a valid number there.
    """
    if region is None or not NATIONAL_NUMBER.fullmatch(text):
        return text
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_valid_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
