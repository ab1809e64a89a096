"""The records of sessions: a begin and an end for each."""

from typing import Any

from router.core.protocol.bridging import CLIENT_INFO_KEY
from router.messages.commands import Principal
from router.messages.events import ClientOpened
from router.messages.observability.records import Record, SessionRecord
from tests.router.core.conversation import Conversation, FakeClient

AUDIT: Any = {"records": frozenset({"audit"})}
ADA = {"name": "ada", "version": "1.2"}
ADDRESS = "192.0.2.7"


def begins(talk: Conversation, client: FakeClient, info: Any = ADA) -> None:
    principal = Principal("token")
    talk.happens(ClientOpened(client.id, client.outbox, principal, address=ADDRESS))
    handshake = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    client.asks("initialize", handshake)


def record(client: FakeClient, *, is_open: bool, info: str = "ada 1.2", reason: str = "") -> Record:
    return SessionRecord("token", ADDRESS, client.id, is_open, info, reason)


def test_a_session_is_recorded_at_its_handshake_and_at_its_end() -> None:
    talk = Conversation(**AUDIT)
    client = FakeClient(talk, "c")
    begins(talk, client)
    assert talk.records == [record(client, is_open=True)]
    client.asks("ping")
    client.leaves("it left")
    assert talk.records[1:] == [record(client, is_open=False, reason="it left")]


def test_a_client_that_reads_too_slowly_is_recorded_with_that_reason() -> None:
    talk = Conversation(**AUDIT)
    client = FakeClient(talk, "c")
    begins(talk, client)
    client.overflows()
    client.leaves()  # Its listener reports the end as well.
    reason = "The client reads too slowly"
    assert talk.records[1:] == [record(client, is_open=False, reason=reason)]


def test_what_a_client_says_of_itself_is_taken_as_far_as_it_makes_sense() -> None:
    talk = Conversation(**AUDIT)
    infos: list[Any] = [None, 5, {"name": 5, "version": "2"}, {"name": "x" * 300}]
    for number, info in enumerate(infos):
        begins(talk, FakeClient(talk, str(number)), info)
    told = [one.client_info for one in talk.records if isinstance(one, SessionRecord)]
    assert told == ["", "", "2", "x" * 200]


def test_a_connection_without_a_handshake_begins_with_its_first_request() -> None:
    talk = Conversation(**AUDIT)
    talk.configured()
    client = talk.stateless_connection()
    client.meta = {CLIENT_INFO_KEY: ADA}
    assert talk.records == []
    client.calls("mcp.router.list")
    client.calls("mcp.router.list")
    client.leaves("end of stdin")
    sessions = [one for one in talk.records if isinstance(one, SessionRecord)]
    assert [(one.is_open, one.client_info) for one in sessions] == [(True, "ada 1.2"), (False, "")]
    assert sessions[0] is talk.records[0]


def test_a_session_that_said_nothing_is_recorded_when_it_ends() -> None:
    talk = Conversation(**AUDIT)
    client = talk.client()
    client.leaves("bye")
    opened, closed = talk.records
    assert isinstance(opened, SessionRecord)
    assert isinstance(closed, SessionRecord)
    assert (opened.is_open, closed.is_open, closed.reason) == (True, False, "bye")


def test_lone_requests_have_no_session() -> None:
    talk = Conversation(**AUDIT)
    talk.configured()
    client = talk.client(one_shot=True)
    client.calls("mcp.router.list")
    client.leaves()
    stateless = talk.stateless_client()
    stateless.calls("mcp.router.list")
    stateless.leaves()
    assert [type(one).__name__ for one in talk.records] == ["CallRecord", "CallRecord"]


def test_a_session_that_was_open_when_records_were_asked_for_begins_with_its_next_request() -> None:
    talk = Conversation()
    client = FakeClient(talk, "c")
    begins(talk, client)
    talk.settings_change(**AUDIT)
    client.asks("ping")
    client.leaves("bye")
    opened, closed = talk.records
    assert opened == record(client, is_open=True, info="")
    assert closed == record(client, is_open=False, reason="bye")
