"""Which tokens were refused for their limit lately."""

from apikeys.throttling import MANY, Refusals


def test_a_token_is_held_until_its_wait_is_over() -> None:
    now = 1000.0
    refusals = Refusals(lambda: now)
    refusals.note("one", 2)
    assert refusals.hold("one") and not refusals.hold("other")
    now += 2
    assert not refusals.hold("one")


def test_tokens_without_number_do_not_fill_the_memory() -> None:
    refusals = Refusals()
    for number in range(MANY + 10):
        refusals.note(str(number), 60)
    assert refusals.hold(str(MANY + 9)) and len(refusals._until) <= MANY
