"""What is kept of results, for how long, and what goes first."""

import pytest

from router.core.bounded import kept_results
from router.core.bounded.kept_results import KEPT_S, KeptResults
from router.core.bounded.long_text import LongText


def text(size: int) -> LongText:
    return LongText.of(b"x" * size, 1024)


def kept(store: KeptResults, *keys: int) -> list[int]:
    return [key for key in keys if store.find(key) is not None]


@pytest.fixture(autouse=True)
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_results, "MAX_KEPT_BYTES", 100)
    monkeypatch.setattr(kept_results, "MAX_OF_PRINCIPAL_BYTES", 50)


def test_a_result_is_kept_for_a_while() -> None:
    store = KeptResults()
    store.keep(1, text(10), "a", 5.0)
    store.keep(2, text(10), "a", 6.0)
    assert store.next_s() == 5.0 + KEPT_S
    store.expire(5.0 + KEPT_S)
    assert kept(store, 1, 2) == [2]
    store.expire(6.0 + KEPT_S)
    assert (len(store), store.next_s()) == (0, None)


def test_the_oldest_of_a_principal_goes_first() -> None:
    store = KeptResults()
    store.keep(1, text(10), "b", 0.0)
    for key in (2, 3, 4):
        assert store.keep(key, text(25), "a", 0.0)
    assert kept(store, 1, 2, 3, 4) == [1, 3, 4]


def test_then_the_oldest_of_all_goes() -> None:
    store = KeptResults()
    for key, principal in enumerate("aabbc"):
        store.keep(key, text(25), principal, 0.0)
    assert kept(store, *range(5)) == [1, 2, 3, 4]


def test_a_result_that_is_too_long_is_not_kept_and_nothing_goes_for_it() -> None:
    store = KeptResults()
    store.keep(1, text(50), "a", 0.0)
    assert not store.keep(2, text(51), "a", 0.0)
    assert kept(store, 1, 2) == [1]
