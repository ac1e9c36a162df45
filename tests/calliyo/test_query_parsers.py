"""What reads a query string, a header or a path: any text gives a value of its kind or a refusal, and nothing else."""

import contextlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django import forms
from django.http import Http404, QueryDict
from hypothesis import example, given
from hypothesis import strategies as st

from apikeys import tokens
from calliyo.api.etags import named_etags
from calliyo.api.filters import FlagField, IdField, MomentField, WordField
from calliyo.api.pagination import MAX_LIMIT, Cursor, read_limit
from calliyo.api.parameters import check_parameters
from calliyo.api.problems import Refusal
from calliyo.api.views import id_in_path
from calliyo.ids import BIGGEST_ID
from webhooks.feed.place import Place, UnknownPlace, uid_of

ODD = ["", "\0", "�", "9" * 400, "-1", "1e400", "10" * 15, "٣", "²", " 5", "+5", "NaN", "'", "../.."]
# Django decodes what is no UTF-8 to "�", so that no half of a surrogate pair gets here.
texts = st.text() | st.sampled_from(ODD)
_DAY = r"[0-9]{1,6}-[0-9]{2}-[0-9]{2}"
_TIME = r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
_ZONE = r"Z|[+ -][0-9]{2}:[0-9]{2}"
moments = (
    texts
    | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    | st.from_regex(f"{_DAY}({_TIME})?({_ZONE})?")
)

FIRST, LAST = datetime.fromisoformat("0001-01-02"), datetime.fromisoformat("9999-12-30")


def read(field: forms.Field, text: str) -> Any:
    """The value; None where the field refuses the text, or takes it for nothing."""
    with contextlib.suppress(forms.ValidationError):
        return field.clean(text)
    return None


@given(texts | st.integers().map(str))
@example("0" * 25)
def test_an_id_is_a_number_of_64_bits(text):
    number = read(IdField(required=False), text)
    assert number is None or 0 <= number <= BIGGEST_ID


@given(moments)
@example("0000-01-01T00:00:00Z")
@example("99999-01-01T00:00:00Z")
@example("0001-01-01T00:00:00+14:00")
@example("9999-12-31T23:59:59-14:00")
@example("2026-11-24T22:48:60Z")
@example("2026-02-30")
def test_a_time_is_one_of_the_calendar_with_its_offset(text):
    moment = read(MomentField(required=False), text)
    assert moment is None or (moment.tzinfo is not None and moment.astimezone(UTC).year >= 1)


@given(
    st.datetimes(min_value=FIRST, max_value=LAST),
    st.integers(-14 * 60, 14 * 60),
)
def test_every_time_with_an_offset_is_read_as_what_it_is(moment, minutes):
    sign, (hours, left) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    spelled = f"{moment.isoformat()}{sign}{hours:02}:{left:02}"
    assert MomentField().clean(spelled) == datetime.fromisoformat(spelled)
    # A "+" that was not escaped arrives as a space.
    assert MomentField().clean(spelled.replace("+", " ")) == datetime.fromisoformat(spelled)


@given(texts)
def test_a_word_or_a_truth_is_one_that_is_known(text):
    assert read(WordField(words=["open", "resolved"], required=False), text) in {"open", "resolved", None}
    assert read(FlagField(required=False), text) in {True, False, None}


@given(texts | st.integers().map(str))
def test_a_limit_is_a_number_of_rows_that_a_page_may_have(text):
    query = QueryDict(mutable=True)
    query["limit"] = text
    with contextlib.suppress(Refusal):
        assert 1 <= read_limit(query) <= MAX_LIMIT


@given(texts)
def test_a_cursor_that_we_did_not_sign_is_refused(text):
    with pytest.raises(Refusal) as refused:
        Cursor.read(text, "a list")
    assert refused.value.problem.code == "invalid_cursor"


@given(st.tuples(st.integers(0, BIGGEST_ID)), st.booleans(), st.booleans())
def test_a_cursor_is_read_again_for_its_own_list_alone(position, backwards, inclusive):
    cursor = Cursor(
        position=position, backwards=backwards, inclusive=inclusive, as_of="2026-11-24T00:00:00.000Z"
    )
    text = cursor.signed("a list")
    assert Cursor.read(text, "a list") == cursor
    with pytest.raises(Refusal):
        Cursor.read(text, "another list")


@given(texts)
def test_a_place_in_the_log_is_one_that_we_spelled(text):
    with contextlib.suppress(UnknownPlace):
        place = Place.spelled(text)
        assert Place.spelled(str(place)).position == place.position


@given(texts | st.uuids().map(lambda uid: f"evt_{uid.hex}"))
def test_an_events_id_is_a_uuid_or_none(text):
    uid = uid_of(text)
    assert uid is None or (isinstance(uid, UUID) and text == f"evt_{uid.hex}")


@given(texts)
def test_a_path_names_an_id_or_nothing(text):
    try:
        assert 0 <= id_in_path(text) <= BIGGEST_ID
    except Http404:
        assert not (text.isascii() and text.isdigit() and int(text) <= BIGGEST_ID and len(text) <= 19)


@given(st.text(st.characters(codec="latin-1")))
def test_any_authorization_is_a_token_or_none(text):
    token = tokens.parse(text)
    assert token is None or token == text


@given(st.text(st.characters(codec="latin-1")))
def test_any_header_names_tags_or_none(text):
    class Asking:
        headers = {"If-None-Match": text}

    assert all(tag == tag.strip() and tag for tag in named_etags(Asking(), "If-None-Match"))


@given(st.dictionaries(texts, st.lists(texts, min_size=1, max_size=3), max_size=4))
def test_a_query_that_is_let_through_holds_known_names_alone(query):
    sent = QueryDict(mutable=True)
    for name, values in query.items():
        sent.setlist(name, values)
    with contextlib.suppress(Refusal):
        check_parameters(sent, known={"limit"})
        assert set(query) <= {"limit"}
