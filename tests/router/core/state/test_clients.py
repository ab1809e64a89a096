"""The row of a client: ids of its questions, and log levels."""

import pytest

from router.core.protocol.severities import LOG_LEVELS
from router.core.state.clients import Client
from router.messages.commands import Principal
from tests.router.core.conversation import Mailbox


def test_ids_of_questions_are_never_given_out_twice() -> None:
    client = Client("c", Mailbox(), Principal(), one_shot=False)
    assert [client.next_server_request_id() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("wanted", LOG_LEVELS)
def test_a_client_wants_its_level_and_those_more_severe(wanted: str) -> None:
    client = Client("c", Mailbox(), Principal(), one_shot=False, log_level=wanted)
    levels = list(LOG_LEVELS)
    wants = [level for level in levels if client.wants_log(level)]
    assert wants == levels[levels.index(wanted) :]


def test_the_default_level_is_info() -> None:
    client = Client("c", Mailbox(), Principal(), one_shot=False)
    assert (client.wants_log("debug"), client.wants_log("info")) == (False, True)
