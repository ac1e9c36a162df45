"""Leads by what somebody remembers of a phone number: the whole in any spelling, or its first digits."""

from typing import Final

from django.db.models import Q

from leads.operations.company import company_region
from leads.phones import PhoneRefused, country_code, to_e164

FEWEST_DIGITS: Final = 4


def phone_condition(text: str, path: str) -> Q | None:
    """The rows whose phone at `path` is, or begins with, what was typed; none when that is no phone."""
    region = company_region()
    try:
        return Q(**{path: to_e164(text, region=region)})
    except PhoneRefused:
        pass  # not a whole number: perhaps its first digits
    digits = "".join(character for character in text if character not in " -.()")
    if not digits.removeprefix("+").isdecimal() or len(digits) < FEWEST_DIGITS:
        return None
    start = digits if digits.startswith("+") else f"+{country_code(region)}{digits.lstrip('0')}"
    # The range lets the index find them, in whatever order the database sorts text; the rest is exact.
    found = Q(**{f"{path}__startswith": start, f"{path}__gte": start})
    after = f"+{int(start[1:]) + 1}"
    return found & Q(**{f"{path}__lt": after}) if len(after) == len(start) else found
