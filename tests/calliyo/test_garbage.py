"""The garbage collector in processes that live long."""

import gc

from calliyo.garbage import pass_over_what_is_loaded


def test_what_is_loaded_is_not_looked_through_again_and_what_comes_later_is() -> None:
    loaded = [[] for _ in range(100)]
    try:
        pass_over_what_is_loaded()
        later = [[]]
        known = {id(each) for each in gc.get_objects()}
        assert gc.get_freeze_count() > 10_000
        assert known.isdisjoint(map(id, loaded)) and id(later[0]) in known
    finally:
        gc.unfreeze()
