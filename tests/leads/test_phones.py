"""Any spelling becomes one E.164 number, or is refused in clear words."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leads.phones import PhoneRefused, is_region, readable, to_e164

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.mark.parametrize(
    "spelling",
    [
        "9876543210",
        "98765 43210",
        "098765-43210",
        "919876543210",
        "+919876543210",
        "+91 (0) 98765.43210",
        "0091 98765 43210",
        "tel:+91-98765-43210",
        "TEL: 9876543210",
        "'9876543210",
        "\ufeff9876543210\n",
        "\u202a+91 98765 43210\u202c",
        "+91\u00a098765\u201143210",
        "９８７６５４３２１０",
        "९८७६५४३२१०",
    ],
)
def test_every_spelling_of_a_number_is_the_same_number(spelling: str) -> None:
    assert to_e164(spelling, region="IN") == "+919876543210"


@pytest.mark.parametrize(
    ("spelling", "region", "e164"),
    [
        ("(415) 555-0100", "US", "+14155550100"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("06 1234567", "IT", "+39061234567"),
        ("+1 555 123 4567", "IN", "+15551234567"),
        ("1800 123 4567", "IN", "+9118001234567"),
    ],
)
def test_plain_digits_are_read_in_the_companys_country(spelling: str, region: str, e164: str) -> None:
    assert to_e164(spelling, region=region) == e164


@pytest.mark.parametrize(
    ("spelling", "words"),
    [
        ("", "empty"),
        ("  \u200b ", "empty"),
        ("n/a", "not a phone number"),
        ("98765 4321O", "not a phone number"),
        ("9.87654E+09", "not a phone number"),
        ("9876543210\x00", "not a phone number"),
        ("9876543210/11", "not a phone number"),
        ("9876543210, 9876543211", "not a phone number"),
        ("9876543210 ext 5", "not a phone number"),
        ("+", "not a phone number"),
        ("1", "not a phone number"),
        ("12", "too few"),
        ("12345", "too few"),
        ("12345678", "too few"),
        ("98765432101", "too few or too many"),
        ("9876543210.0", "too few or too many"),
        ("0000000000", "too few or too many"),
        ("+999 1234 5678", "unknown country code"),
        ("9876543210987654321", "too many"),
        ("9" * 65, "at most 64 characters"),
    ],
)
def test_what_is_no_number_is_refused_in_clear_words(spelling: str, words: str) -> None:
    with pytest.raises(PhoneRefused, match=words) as refused:
        to_e164(spelling, region="IN")
    assert refused.value.code == "invalid_phone"
    assert refused.value.field == "phone"


@given(text=st.text(max_size=80), region=st.sampled_from(REGIONS))
def test_any_text_is_a_number_or_a_refusal_and_nothing_else(text: str, region: str) -> None:
    try:
        e164 = to_e164(text, region=region)
    except PhoneRefused:
        return
    assert e164[0] == "+" and e164[1:].isascii() and e164[1:].isdigit() and len(e164) <= 16


@given(
    digits=st.from_regex(r"\+?[0-9]{3,17}", fullmatch=True),
    region=st.sampled_from(REGIONS),
    other_region=st.sampled_from(REGIONS),
)
def test_what_was_accepted_stays_the_same_number_in_every_spelling(
    digits: str, region: str, other_region: str
) -> None:
    try:
        e164 = to_e164(digits, region=region)
    except PhoneRefused:
        return
    assert to_e164(e164, region=other_region) == e164
    assert to_e164(readable(e164), region=other_region) == e164


def test_a_number_is_shown_as_people_write_it() -> None:
    assert readable("+919876543210") == "+91 98765 43210"
    assert readable("unknown") == "unknown"


def test_only_countries_with_a_numbering_plan_are_regions() -> None:
    assert is_region("IN") and is_region("US")
    assert not is_region("in") and not is_region("XX") and not is_region("")
