"""How numbers are spelled, and what a number without a plus sign is."""

import random
import re

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from schemas.numbers import PHONE_NUMBER, to_e164

ACCEPTED = (
    *("+12", "+123456789012345", "123", "12345678"),
    *("DHL", "My Bank", "B&B-1_2.3", "1und1", "24-7 Taxi", "O'Reilly", "Disney+", "1a", "a+b"),
    *("A" * 11, "1" * 10 + "a", "a'"),
)
REFUSED = (
    *("", "+", "+1", "+012345", "+1234567890123456", "12", "012", "123456789", "1-2", "24 7", "1+"),
    *("D", "A" * 12, " DHL", "DHL ", "-DHL", "+DHL", "'n", "_a", "DHL/2", "My\tBank", "Caf\u00e9"),
    *("DHL\0", "DHL\n", "whatsapp:+1555", "\u0661\u0662\u0663", "\u0661a\u0661"),
)

# Text, region, number.
READINGS = (
    # Networks in Germany give international numbers without a plus sign.
    *(("4915112345678", "DE", "+4915112345678"), ("015112345678", "DE", "+4915112345678")),
    *(("+4915112345678", "DE", "+4915112345678"), ("004915112345678", "DE", "+4915112345678")),
    *(("0049 30 123456", "NL", "+4930123456"), ("06 12345678", "NL", "+31612345678")),
    *(("2125550100", "US", "+12125550100"), ("12125550100", "US", "+12125550100")),
    *(("(212) 555-0100", "US", "+12125550100"), ("011 49 151 12345678", "US", "+4915112345678")),
    *(("628123456789", "ID", "+628123456789"), ("08123456789", "ID", "+628123456789")),
    # A number of another country.
    *(("4915112345678", region, "+4915112345678") for region in ("AT", "CN", "FR", "GB", "PL")),
    *(("41791234567", "DE", "+41791234567"), ("31612345678", "CH", "+31612345678")),
    *(("4740421019", "CN", "+4740421019"), ("447400123456", "US", "+447400123456")),
    # A short code stays one unless it is a valid number there; a sender ID is never a number.
    *(("54321", "US", "54321"), ("911", "US", "911"), ("81234567", "SG", "+6581234567")),
    *(
        ("1und1", "DE", "1und1"),
        ("24-7 Taxi", "US", "24-7 Taxi"),
        ("A650555121", "US", "A650555121"),
    ),
    # Neither reading is a number, or no country is known.
    *(("123456789", "US", "123456789"), ("4915112345678", None, "4915112345678")),
)

# Some numbers there are dialed without the 0 of the others. Where such a number is an international
# one as well, the rule takes it for that: 13123456789 is +1 312 345 6789.
DIALED_WITHOUT_ZERO = {"CN", "CO"}
# 008 dials abroad there, so that 00852 begins with a 5 after it.
DIALS_008 = {"HK"}


def test_the_spellings_of_a_number():
    assert [text for text in ACCEPTED if not PHONE_NUMBER.fullmatch(text)] == []
    assert [text for text in REFUSED if PHONE_NUMBER.fullmatch(text)] == []


def test_a_number_without_a_plus_has_one_of_two_readings():
    wrong = [
        (text, region, to_e164(text, region))
        for text, region, number in READINGS
        if to_e164(text, region) != number
    ]
    assert wrong == []


def mobile_numbers(region: str, seed: random.Random) -> set[str]:
    """Valid mobile numbers of a region in E.164: the example, and others with its beginning."""
    example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    if example is None:
        return set()
    number = phonenumbers.format_number(example, PhoneNumberFormat.E164)
    found = {number}
    for _ in range(40):
        tail = "".join(seed.choices("0123456789", k=seed.randint(1, 6)))
        other = number[: -len(tail)] + tail
        try:
            parsed = phonenumbers.parse(other)
        except phonenumbers.NumberParseException:
            continue
        kind = phonenumbers.number_type(parsed)
        is_mobile = kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
        if is_mobile and phonenumbers.is_valid_number_for_region(parsed, region):
            found.add(other)
    return found


def spellings(number: str, region: str) -> list[str]:
    """A number as a network, a phone or a person writes it, but for the exceptions."""
    written = [number, number[1:]]
    if region not in DIALED_WITHOUT_ZERO:
        national = phonenumbers.format_number(
            phonenumbers.parse(number), PhoneNumberFormat.NATIONAL
        )
        written.append(national)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    # Most of America and some others dial abroad with another prefix, and 00 means nothing there.
    if re.fullmatch(metadata.international_prefix, "00") and region not in DIALS_008:
        written.append(f"00{number[1:]}")
    return written


def test_every_spelling_of_a_mobile_number_of_any_country_is_the_same_number():
    seed = random.Random(2026)
    tried, wrong = 0, []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for number in sorted(mobile_numbers(region, seed)):
            for text in spellings(number, region):
                tried += 1
                if to_e164(text, region) != number:
                    wrong.append((region, text, to_e164(text, region), number))
    assert wrong == []
    assert tried > 10_000
