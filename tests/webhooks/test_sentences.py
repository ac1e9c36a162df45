"""Sentences of the log: stored in English, told again in the reader's language."""

import re

import pytest
from django.utils import translation

from webhooks.delivery.failures import failure_of, status_failure
from webhooks.delivery.sentences import Sentence, translated


@pytest.fixture
def shouted(monkeypatch):
    """A language that says the same in capitals."""
    translation.gettext("so that the real one is there to be replaced")
    shout = re.compile(r"%\(\w+\)s|[^%]+")
    monkeypatch.setattr(
        translation._trans,
        "gettext",
        lambda text: shout.sub(lambda part: part[0] if part[0][0] == "%" else part[0].upper(), text),
    )


@pytest.mark.parametrize("sentence", Sentence)
def test_each_sentence_is_found_again_with_its_parts(shouted, sentence):
    names = re.findall(r"%\((\w+)\)s", sentence.value)
    stored = sentence.told(**{name: f"part: {name}\nof it" for name in names})
    assert translated(stored) == re.sub(
        r"%\((\w+)\)s", lambda part: f"part: {part[1]}\nof it", shouted_text(sentence.value)
    )


def shouted_text(text):
    return "".join(
        part if part.startswith("%(") else part.upper() for part in re.split(r"(%\(\w+\)s)", text) if part
    )


def test_no_sentence_is_taken_for_another():
    for sentence in Sentence:
        names = re.findall(r"%\((\w+)\)s", sentence.value)
        assert translated(sentence.told(**dict.fromkeys(names, "x"))) == sentence.told(
            **dict.fromkeys(names, "x")
        )


@pytest.mark.parametrize("stored", ["", "an older release said this", "100 %(odd)s", "the endpoint answered"])
def test_what_is_no_sentence_of_ours_stays_as_it_is(shouted, stored):
    assert translated(stored) == stored


def test_failures_are_stored_in_english_whatever_the_language(shouted):
    assert status_failure(503).words == "the endpoint answered 503"
    assert failure_of(TimeoutError(), timeout=15).words == "no answer within 15 s"
    assert translated("no answer within 15 s") == "NO ANSWER WITHIN 15 S"
