"""Any client with any server: clients of every revision, over two transports, three servers.

`eras` plays the clients. The servers are one and the same `dual_upstream`, met at 2026-07-28 over
stdio and over streamable HTTP, and with a handshake over stdio.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import dual, dual_upstream, eras
from tests.e2e.clients import OWN_TOOLS
from tests.e2e.dual import SERVERS, STATELESS_SERVERS
from tests.e2e.eras import EVERYTHING, LOG, NAMED, PREFIX, ROOTS, SAMPLED, STATELESS, TOKEN, VISITED
from tests.e2e.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.clients import Target
    from tests.e2e.eras import EraClient, Told

CLIENTS: Final = [
    f"{transport}-{revision}" for transport in ("http", "stdio") for revision in eras.REVISIONS
]

FORMS_SINCE: Final = "2025-06-18"
"""Brought elicitation, and structured results."""

URLS_SINCE: Final = "2025-11-25"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with dual.served(Site(tmp_path_factory.mktemp("eras"))) as place:
        yield place


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest, place: Target) -> Iterator[EraClient]:
    """A client of each revision over each transport, that can be asked anything."""
    transport, _, revision = request.param.partition("-")
    if transport == "http":
        assert place.router is not None
        with eras.over_http(place.router, revision) as client:
            yield client
    else:
        with eras.over_stdio(place.site, revision) as client:
            yield client


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return request.param


# --- Lists and results -----------------------------------------------------------------------


def test_tools_are_listed_and_called_by_their_own_names(client: EraClient, server: str) -> None:
    client.call(server, "echo", text="so that it is there")
    used = client.own("use", instance_name=server)
    tools = client.ask("tools/list").result["tools"]
    offered = [tool.name for tool in dual_upstream.TOOLS]
    if server in STATELESS_SERVERS:
        offered += [tool.name for tool in dual_upstream.STATELESS_TOOLS]
    assert [tool["name"] for tool in tools] == OWN_TOOLS + offered
    assert used["tools"] == offered
    told = client.ask("tools/call", name="echo", arguments={"text": "za\u017c\u00f3\u0142\u0107"})
    assert told.text == "za\u017c\u00f3\u0142\u0107"


@pytest.mark.parametrize("server", STATELESS_SERVERS)
def test_only_clients_without_sessions_are_told_of_outputs_that_are_no_objects(
    client: EraClient, server: str
) -> None:
    client.call(server, "echo", text="so that it is there")
    client.own("use", instance_name=server)
    tools = {tool["name"]: tool for tool in client.ask("tools/list").result["tools"]}
    assert tools["object"]["outputSchema"] == dual_upstream.SUM
    assert ("outputSchema" in tools["numbers"]) == client.is_stateless


def test_result_is_what_the_server_said_in_the_words_of_the_client(
    client: EraClient, server: str
) -> None:
    result = client.call(server, "object").result
    expected = {
        "content": [{"type": "text", "text": '{"sum": 3}'}],
        "structuredContent": {"sum": 3},
        "isError": False,
    }
    said = {key: value for key, value in result.items() if key != "_meta"}
    assert said == expected | ({"resultType": "complete"} if client.is_stateless else {})


@pytest.mark.parametrize("server", STATELESS_SERVERS)
def test_structured_result_that_is_no_object_is_wrapped_for_sessions(
    client: EraClient, server: str
) -> None:
    result = client.call(server, "numbers").result
    assert result["content"] == [{"type": "text", "text": "[1, 2, 3]"}]
    if client.is_stateless:
        assert result["structuredContent"] == [1, 2, 3]
    elif client.revision >= FORMS_SINCE:
        assert result["structuredContent"] == {"result": [1, 2, 3]}
    else:
        assert "structuredContent" not in result


def test_failure_and_refusal_come_as_the_server_meant_them(client: EraClient, server: str) -> None:
    failed = client.call(server, "fail")
    assert (failed.result["isError"], failed.text) == (True, "It did not work")
    refused = client.call(server, "refuse").answer["error"]
    assert refused == {"code": -32602, "message": "I refuse", "data": {"because": [1, "of it"]}}


# --- On the way ------------------------------------------------------------------------------


def test_progress_comes_in_order_before_the_result(client: EraClient, server: str) -> None:
    told = client.call(server, "steps", count=5)
    assert told.text == "done"
    assert told.progress == [(TOKEN, step) for step in range(1, 6)]


def test_cancelling_reaches_the_server(
    client: EraClient, server: str, request: pytest.FixtureRequest
) -> None:
    label = request.node.name
    hanging = client.begin(server, "hang", label=label)
    assert client.next_notification(eras.PROGRESS)["progressToken"] == TOKEN
    client.wire.cancel(hanging)
    assert client.call(server, "await_cancelled", label=label).text == "cancelled"


def test_logs_come_from_the_level_that_was_asked_for(client: EraClient, server: str) -> None:
    if not client.is_stateless:
        assert client.ask("logging/setLevel", level="warning").result == {}
    told = client.call(server, "logs", log_level="warning")
    assert told.text == "logged"
    logs = [one["params"] for one in told.before if one["method"] == LOG]
    while not logs or logs[-1]["level"] != dual_upstream.LEVELS[-1]:
        logs.append(client.next_notification(LOG))  # a session may have them on another stream
    assert [(log["level"], log["data"]) for log in logs] == [
        ("warning", "a warning"),
        ("error", "a error"),
    ]


# --- Questions -------------------------------------------------------------------------------

SAID: Final[dict[str, list[dict[str, Any]]]] = {
    "form": [NAMED],
    "url": [VISITED],
    "sampling": [SAMPLED],
    "roots": [ROOTS],
    "both": [NAMED, SAMPLED],
    "twice": [NAMED, NAMED],
    "state": [],
}
"""What `ask` is to ask -> what the server gets."""


ASKED: Final = [
    *((server, what) for server in STATELESS_SERVERS for what in SAID),
    *(("handshake-stdio", what) for what in SAID.keys() - {"url", "state"}),
]
"""The router declares no URLs to servers with sessions, and these have no state to give back."""


def _methods(what: str) -> list[str]:
    rounds = dual_upstream.ROUNDS[what]
    return [dual_upstream.QUESTIONS[kind].method for kinds in rounds for kind in kinds]


def _needs(what: str) -> str:
    """The first revision in which all of it can be asked."""
    if what == "url":
        return URLS_SINCE
    return FORMS_SINCE if "elicitation/create" in _methods(what) else ""


@pytest.mark.parametrize(("server", "what"), sorted(ASKED))
def test_question_reaches_the_client_whose_call_it_is_if_its_revision_has_it(
    client: EraClient, server: str, what: str
) -> None:
    told = client.call(server, "ask", what=what)
    asked = sorted(method for method, _ in told.asked)
    if client.revision < _needs(what):
        assert "The client does not support elicitation" in json.dumps(told.answer)
        assert "elicitation/create" not in asked
        return
    assert (json.loads(told.text), asked) == (SAID[what], sorted(_methods(what)))
    if server in STATELESS_SERVERS:
        _check_states(client, told, len(dual_upstream.ROUNDS[what]))
    if what == "url":
        _check_url(client, told)


def _check_states(client: EraClient, told: Told, rounds: int) -> None:
    """The server takes each state once, and only if no character of it has changed."""
    assert len(set(told.states)) == (rounds if client.is_stateless else 0)
    assert all(state.endswith(dual_upstream.STATE) for state in told.states)


def _check_url(client: EraClient, told: Told) -> None:
    """Handshake clients tell such questions by an id, 2026-07-28 has none."""
    ((_, params),) = told.asked
    assert params["url"] == "https://login.example.test/device?code=1"
    assert ("elicitationId" in params) != client.is_stateless


@pytest.mark.parametrize("server", STATELESS_SERVERS)
def test_server_learns_who_asks_and_what_that_can_be_asked(client: EraClient, server: str) -> None:
    meta = json.loads(client.call(server, "meta", log_level="error").text)
    assert meta[f"{PREFIX}protocolVersion"] == STATELESS
    assert meta[f"{PREFIX}clientInfo"] == eras.CLIENT_INFO
    assert meta[f"{PREFIX}clientCapabilities"] == EVERYTHING
