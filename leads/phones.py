"""Telephone numbers: from any spelling that people and programs use to E.164, and back to a readable one.

Pure: which country plain digits belong to is an argument (`Company` knows the company's own).
"""

import re
import unicodedata

import phonenumbers
from django.utils.translation import gettext
from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)

from calliyo.errors import DomainError

MAX_SPELLING = 64

# Digits of any script, the plus in both widths, and what people put between digits: spaces, dashes, dots,
# brackets. Letters are refused: "98765 4321O" or "9.87654E+09" would become somebody else's number.
_SPELLING = re.compile(r"[\d\s+＋().\-‐-―−－]+")
_SCHEME = re.compile(r"^\s*tel:", re.IGNORECASE)


class PhoneRefused(DomainError):
    """The text is no telephone number that could be dialled."""

    code = "invalid_phone"
    field = "phone"


def to_e164(text: str, *, region: str) -> str:
    """The number in E.164 (`+919876543210`); plain digits are read in `region`, an ISO country such as `IN`.

    Accepts every length that a fixed line or mobile of the country may have, even in a range that is not
    known to be in use: such tables are always behind, and a lead that is turned away is lost. Raises
    `PhoneRefused` for everything else, with a sentence that says what is wrong.
    """
    spelling = _cleaned(text)
    try:
        number = phonenumbers.parse(spelling, region)
    except NumberParseException as error:
        raise PhoneRefused(_reason(error, text=text, region=region)) from error
    if not _dialable(number):
        raise PhoneRefused(
            gettext("%(text)r has too few or too many digits for a phone number of its country.")
            % {"text": text.strip()}
        )
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def readable(e164: str) -> str:
    """The number as people write it: `+91 98765 43210`. What can't be read is given back."""
    try:
        number = phonenumbers.parse(e164, None)
    except NumberParseException:
        return e164
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def is_region(region: str) -> bool:
    """Whether this is the ISO code of a country whose numbers can be read (upper case, such as `IN`)."""
    return region in phonenumbers.SUPPORTED_REGIONS


def country_code(region: str) -> int:
    """The calling code of a country: 91 of `IN`."""
    code: int = phonenumbers.country_code_for_region(region)
    return code


def _cleaned(text: str) -> str:
    """The spelling without what copying from a chat or a sheet adds; refused when it is no number at all."""
    if len(text) > MAX_SPELLING:
        raise PhoneRefused(
            gettext("A phone number has at most %(most)d characters.") % {"most": MAX_SPELLING}
        )
    # Messengers wrap numbers in invisible marks, sheets put byte order marks and apostrophes before them.
    spelling = "".join(character for character in text if unicodedata.category(character) != "Cf")
    spelling = _SCHEME.sub("", spelling).strip().removeprefix("'")
    if not spelling:
        raise PhoneRefused(gettext("The phone number is empty."))
    if not _SPELLING.fullmatch(spelling):
        raise PhoneRefused(_no_number() % {"text": text.strip()})
    return spelling


def _reason(error: NumberParseException, *, text: str, region: str) -> str:
    match error.error_type:
        case NumberParseException.INVALID_COUNTRY_CODE:
            words = gettext("%(text)r has an unknown country code (plain digits are read in %(region)s).")
        case NumberParseException.TOO_LONG:
            words = gettext("%(text)r has too many digits for a phone number.")
        case NumberParseException.TOO_SHORT_NSN | NumberParseException.TOO_SHORT_AFTER_IDD:
            words = gettext("%(text)r has too few digits for a phone number.")
        case _:
            words = _no_number()
    return words % {"text": text.strip(), "region": region}


def _no_number() -> str:
    return gettext("%(text)r is not a phone number: use digits, with + and the country code if abroad.")


def _dialable(number: PhoneNumber) -> bool:
    if phonenumbers.is_valid_number(number):
        return True
    if number.italian_leading_zero:
        return False  # only where a valid number says so: elsewhere a leading 0 is a mistyped prefix
    return any(
        phonenumbers.is_possible_number_for_type_with_reason(number, kind) == ValidationResult.IS_POSSIBLE
        for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)
    )
