"""The token's form, against the contract's *Tokens* section."""

import hashlib
import string
import zlib

from hypothesis import given
from hypothesis import strategies as st

from apikeys import tokens

bodies = st.text(alphabet=string.digits + string.ascii_letters, min_size=32, max_size=32)


def test_a_minted_token_has_the_contracts_form() -> None:
    token = tokens.mint()
    assert len(token.text) == 9 + 32 + 6
    assert token.text.startswith("cly_live_")
    assert set(token.text[9:]) <= set(string.digits + string.ascii_letters)
    assert token.prefix == token.text[:13]
    assert token.digest == hashlib.sha256(token.text.encode()).hexdigest()
    assert tokens.parse(token.text) == token.text


def test_a_token_is_not_shown_by_its_repr() -> None:
    token = tokens.mint()
    assert token.text[13:] not in repr(token)
    assert token.digest not in repr(token)


def test_two_tokens_differ() -> None:
    assert len({tokens.mint().text for _ in range(100)}) == 100


@given(bodies)
def test_the_checksum_is_the_bodys_crc32_in_base62(body: str) -> None:
    value = 0
    for character in tokens.checksum(body):
        value = value * 62 + (string.digits + string.ascii_uppercase + string.ascii_lowercase).index(
            character
        )
    assert value == zlib.crc32(body.encode())
    assert len(tokens.checksum(body)) == 6


def test_a_small_checksum_is_padded_with_zeros() -> None:
    # 32 characters whose CRC-32 is below 62 to the fifth: found by search, kept as data.
    body = next(b for n in range(100_000) if zlib.crc32((b := f"{n:032}").encode()) < 62**4)
    assert tokens.checksum(body).startswith("00")


@given(bodies, st.integers(min_value=0, max_value=37), st.sampled_from(string.digits + string.ascii_letters))
def test_a_single_mistyped_character_is_always_noticed(body: str, place: int, other: str) -> None:
    good = body + tokens.checksum(body)
    typed = good[:place] + other + good[place + 1 :]
    assert (tokens.parse(f"cly_live_{typed}") is not None) == (typed == good)


@given(st.text())
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    assert tokens.parse(text) in {text, None}
    assert tokens.parse(f"cly_live_{text}") in {f"cly_live_{text}", None}


@given(st.sampled_from(["", " ", "\n", "x", "\x00"]))
def test_nothing_may_stand_around_a_token(around: str) -> None:
    token = tokens.mint().text
    assert (tokens.parse(token + around) is None) == bool(around)
    assert (tokens.parse(around + token) is None) == bool(around)
