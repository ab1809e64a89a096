"""Whose turn it is, and who makes room when the queue is full."""

from router.core.bounded.fair_queue import FairQueue


def queue_of(text: str) -> FairQueue[str]:
    """Return a queue with these keys, such as `a1 a2 b1`; the letter is the client."""
    queue = FairQueue[str]()
    for key in text.split():
        queue.add(key[0], key)
    return queue


def taken(queue: FairQueue[str], **loads: int) -> str:
    """Return all keys in the order of their turns."""
    order: list[str] = []
    while queue:
        key = queue.next_key(loads)
        queue.discard(key[0], key)
        order.append(key)
    return " ".join(order)


def test_keys_of_one_client_come_first_in_first_out() -> None:
    assert taken(queue_of("a1 a2 a3")) == "a1 a2 a3"


def test_clients_take_turns() -> None:
    assert taken(queue_of("a1 a2 a3 b1 c1 c2")) == "a1 b1 c1 a2 c2 a3"


def test_the_client_that_has_least_comes_first() -> None:
    assert taken(queue_of("a1 a2 b1 b2"), a=2) == "b1 b2 a1 a2"


def test_a_client_that_comes_back_is_behind_those_that_waited() -> None:
    queue = queue_of("a1 b1")
    queue.discard("a", queue.next_key({}))
    queue.add("a", "a2")
    assert taken(queue) == "b1 a2"


def test_what_does_not_wait_is_discarded_without_effect() -> None:
    queue = queue_of("a1")
    queue.discard("b", "b1")
    queue.discard("a", "a2")
    assert len(queue) == 1
    assert not queue.has_several_clients


def test_a_client_with_many_keys_makes_room_for_one_with_few() -> None:
    queue = queue_of("a1 a2 a3 b1")
    assert queue.has_several_clients
    assert queue.key_to_drop_for("c") == "a3"
    assert queue.key_to_drop_for("b") == "a3"


def test_a_place_does_not_go_back_and_forth() -> None:
    queue = queue_of("a1 a2 b1")
    assert queue.key_to_drop_for("b") is None
    assert queue.key_to_drop_for("a") is None
    assert queue_of("a1 b1").key_to_drop_for("c") is None
    assert FairQueue[str]().key_to_drop_for("a") is None
