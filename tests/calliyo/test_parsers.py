"""Bodies: what is read, and that everything else is a refusal with a name."""

import contextlib
import io
import json
import math
from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError, UnsupportedMediaType

from calliyo.api.parsers import (
    FormParser,
    JSONParser,
    MalformedBody,
    MultiPartParser,
    parse_form,
    parse_json,
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def code_of(error: pytest.ExceptionInfo[MalformedBody]) -> str:
    problem = error.value.problem
    assert (problem.status, problem.code) == (400, "malformed_body")
    return problem.errors[0].code


@given(values, st.booleans())
def test_every_json_value_is_read_as_it_is(value: Any, escaped: bool) -> None:
    body = json.dumps(value, ensure_ascii=escaped).encode()
    assert parse_json(body) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for parse in (parse_json, parse_form):
        with contextlib.suppress(MalformedBody):
            parse(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"a": 1,}', "invalid_json"),
        (b"{'a': 1}", "invalid_json"),
        (b'"\x00"', "invalid_json"),
        (b'{"a": "\xff"}', "invalid_utf8"),
        (b'"\xed\xa0\x80"', "invalid_utf8"),
        (b'{"a": "\\u0000"}', "nul_byte"),
        (b'{"\\u0000": 1}', "nul_byte"),
        (b'{"a": ["\\ud800"]}', "lone_surrogate"),
        (b'{"a": "\\uDFFF"}', "lone_surrogate"),
        (b'{"a": NaN}', "not_a_number"),
        (b'{"a": -Infinity}', "not_a_number"),
        (b'{"a": 1, "b": 2, "a": 3}', "duplicate_key"),
        (b'[{"x": {"a": 1, "\\u0061": 3}}]', "duplicate_key"),
        (b"9223372036854775808", "number_too_big"),
        (b"1" + b"0" * 400, "number_too_big"),
        (b"1" * 10_000, "number_too_big"),
        (b"-1" + b"0" * 400, "number_too_big"),
        (b"1e400", "number_too_big"),
        (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 50_000, "too_deep"),
        (b"[" * 34 + b"]" * 34, "too_deep"),
    ],
)
def test_bad_json_is_refused_by_name(body: bytes, code: str) -> None:
    with pytest.raises(MalformedBody) as error:
        parse_json(body)
    assert code_of(error) == code


def test_what_only_looks_suspect_is_read() -> None:
    assert parse_json(b'"\\\\u0000 \\\\ud800"') == "\\u0000 \\ud800"
    assert parse_json(b'"\\ud83d\\ude00"') == "😀"
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert parse_json(b"[" * 32 + b"]" * 32)
    assert parse_json(b"[" + b"[]," * 1000 + b"1]")
    assert parse_json(b"1e300") == 1e300
    assert math.copysign(1, float(str(parse_json(b"-0.0")))) == -1


def test_a_form_keeps_every_value_and_blank_ones() -> None:
    assert parse_form(b"tags=a&tags=b&email=&x=%C3%A4+b") == {"tags": ["a", "b"], "email": [""], "x": ["ä b"]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"a=%ff", "invalid_utf8"),
        (b"a=\xff", "invalid_utf8"),
        (b"a=%00", "nul_byte"),
        (b"%00=a", "nul_byte"),
        (b"&".join(b"a=1" for _ in range(501)), "too_many_fields"),
    ],
)
def test_a_bad_form_is_refused_by_name(body: bytes, code: str) -> None:
    with pytest.raises(MalformedBody) as error:
        parse_form(body)
    assert code_of(error) == code


@pytest.mark.parametrize("parser", [JSONParser, FormParser, MultiPartParser])
@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "bz2_codec", "no-such", "base64"])
def test_no_other_charset_is_read(parser: type[JSONParser], charset: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        parser().parse(io.BytesIO(b"{}"), "application/json", {"encoding": charset})


def parse_multipart(body: bytes) -> dict[str, list[str]]:
    told = "multipart/form-data; boundary=x"
    request = RequestFactory().generic("POST", "/public/leads", body, told, CONTENT_TYPE=told)
    context = {"request": request, "encoding": "utf-8"}
    _ = request.body
    return MultiPartParser().parse(io.BytesIO(body), told, context)


PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda value: PART + value + b"\r\n--x--\r\n"))
def test_any_bytes_are_a_multipart_form_or_refused(body: bytes) -> None:
    with contextlib.suppress(MalformedBody, ParseError):
        assert all(isinstance(values, list) for values in parse_multipart(body).values())


def test_a_multipart_form_may_be_empty_but_must_be_one() -> None:
    assert parse_multipart(b"--x--\r\n") == parse_multipart(b"") == {}
    assert parse_multipart(PART + b"1\r\n--x--\r\n") == {"a": ["1"]}
    for body in (b"[1, 2]", b"--y--", b"--x\r\n0.99999--x--\r\n"):
        with pytest.raises(MalformedBody) as error:
            parse_multipart(body)
        assert code_of(error) == "no_parts"
