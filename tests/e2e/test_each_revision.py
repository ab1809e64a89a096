"""Any client with any server: clients of every revision, over two transports, three servers.

`client_each_revision` plays the clients. The three servers are one `sdk_upstream`: at 2026-07-28
over stdio and over streamable HTTP, and with a handshake over stdio.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import client_each_revision, sdk_upstream, sdk_upstream_router
from tests.e2e.client_answers import ALL_CAPABILITIES, FORM_FILLED, ROOTS, SAMPLED, URL_VISITED
from tests.e2e.client_each_revision import LOG, PREFIX, REVISION_2026, TOKEN
from tests.e2e.sdk_client import OWN_TOOLS
from tests.e2e.sdk_upstream_router import SERVERS, SERVERS_2026
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.client_each_revision import Outcome, RevisionClient
    from tests.e2e.sdk_client import Target

CLIENTS: Final = [
    f"{transport}-{revision}"
    for transport in ("http", "stdio")
    for revision in client_each_revision.REVISIONS
]

FORMS_SINCE: Final = "2025-06-18"
"""Brought elicitation, and structured results."""

URLS_SINCE: Final = "2025-11-25"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with sdk_upstream_router.served(Workspace(tmp_path_factory.mktemp("each-revision"))) as target:
        yield target


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest, target: Target) -> Iterator[RevisionClient]:
    """A client of each revision over each transport, that can be asked anything."""
    transport, _, revision = request.param.partition("-")
    if transport == "http":
        assert target.router is not None
        with client_each_revision.over_http(target.router, revision) as client:
            yield client
    else:
        with client_each_revision.over_stdio(target.workspace, revision) as client:
            yield client


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return request.param


# --- Lists and results -----------------------------------------------------------------------


def _use(client: RevisionClient, server: str) -> dict[str, str]:
    """Use a server; return its tools' names -> the names by which this client may call them."""
    client.call(server, "echo", text="so that it is there")
    used = client.call_router_tool("use", instance_name=server)
    direct = [tool["name"] for tool in used.get("direct", [])]
    return dict(zip(used["tools"], direct or used["tools"], strict=True))


def test_tools_are_called_by_the_names_that_use_makes_known(
    client: RevisionClient, server: str
) -> None:
    used = _use(client, server)
    tools = client.ask("tools/list").result["tools"]
    offered = [tool.name for tool in sdk_upstream.TOOLS]
    if server in SERVERS_2026:
        offered += [tool.name for tool in sdk_upstream.TOOLS_OF_2026]
    assert list(used) == offered
    is_selected = used["echo"] == "echo"
    assert [tool["name"] for tool in tools] == OWN_TOOLS + (offered if is_selected else [])
    for name in (used["echo"], f"{server}__echo"):
        outcome = client.ask(
            "tools/call", name=name, arguments={"text": "za\u017c\u00f3\u0142\u0107"}
        )
        assert outcome.text == "za\u017c\u00f3\u0142\u0107"


@pytest.mark.parametrize("server", SERVERS_2026)
def test_only_clients_of_2026_are_told_of_outputs_that_are_no_objects(
    client: RevisionClient, server: str
) -> None:
    if _use(client, server)["echo"] != "echo":
        pytest.skip("without a session no server's tools are listed")
    tools = {tool["name"]: tool for tool in client.ask("tools/list").result["tools"]}
    assert tools["object"]["outputSchema"] == sdk_upstream.SUM
    assert ("outputSchema" in tools["numbers"]) == client.is_2026


def test_result_is_what_the_server_said_in_the_words_of_the_client(
    client: RevisionClient, server: str
) -> None:
    result = client.call(server, "object").result
    expected = {
        "content": [{"type": "text", "text": '{"sum": 3}'}],
        "structuredContent": {"sum": 3},
        "isError": False,
    }
    said = {key: value for key, value in result.items() if key != "_meta"}
    assert said == expected | ({"resultType": "complete"} if client.is_2026 else {})


@pytest.mark.parametrize("server", SERVERS_2026)
def test_structured_result_that_is_no_object_is_wrapped_for_handshake_clients(
    client: RevisionClient, server: str
) -> None:
    result = client.call(server, "numbers").result
    assert result["content"] == [{"type": "text", "text": "[1, 2, 3]"}]
    if client.is_2026:
        assert result["structuredContent"] == [1, 2, 3]
    elif client.revision >= FORMS_SINCE:
        assert result["structuredContent"] == {"result": [1, 2, 3]}
    else:
        assert "structuredContent" not in result


def test_failure_and_refusal_come_as_the_server_meant_them(
    client: RevisionClient, server: str
) -> None:
    failed = client.call(server, "fail")
    assert (failed.result["isError"], failed.text) == (True, "It did not work")
    refused = client.call(server, "refuse").answer["error"]
    assert refused == {"code": -32602, "message": "I refuse", "data": {"because": [1, "of it"]}}


# --- On the way ------------------------------------------------------------------------------


def test_progress_comes_in_order_before_the_result(client: RevisionClient, server: str) -> None:
    outcome = client.call(server, "steps", count=5)
    assert outcome.text == "done"
    assert outcome.progress == [(TOKEN, step) for step in range(1, 6)]


def test_cancelling_reaches_the_server(
    client: RevisionClient, server: str, request: pytest.FixtureRequest
) -> None:
    label = request.node.name
    hanging = client.begin(server, "hang", label=label)
    assert client.next_notification(client_each_revision.PROGRESS)["progressToken"] == TOKEN
    client.cancel(hanging)
    assert client.call(server, "await_cancelled", label=label).text == "cancelled"


def test_logs_come_from_the_level_that_was_asked_for(client: RevisionClient, server: str) -> None:
    if not client.is_2026:
        assert client.ask("logging/setLevel", level="warning").result == {}
    outcome = client.call(server, "logs", log_level="warning")
    assert outcome.text == "logged"
    logs = [one["params"] for one in outcome.before if one["method"] == LOG]
    while not logs or logs[-1]["level"] != sdk_upstream.LEVELS[-1]:
        logs.append(client.next_notification(LOG))  # a session may have them on another stream
    assert [(log["level"], log["data"]) for log in logs] == [
        ("warning", "a warning"),
        ("error", "a error"),
    ]


# --- Questions -------------------------------------------------------------------------------

SAID: Final[dict[str, list[dict[str, Any]]]] = {
    "form": [FORM_FILLED],
    "url": [URL_VISITED],
    "sampling": [SAMPLED],
    "roots": [ROOTS],
    "both": [FORM_FILLED, SAMPLED],
    "twice": [FORM_FILLED, FORM_FILLED],
    "state": [],
}
"""What `ask` is to ask -> what the server gets."""


ASKED: Final = [
    *((server, what) for server in SERVERS_2026 for what in SAID),
    *(("handshake-stdio", what) for what in SAID.keys() - {"url", "state"}),
]
"""The router declares no URLs to servers with sessions, and these have no state to give back."""


def _methods(what: str) -> list[str]:
    rounds = sdk_upstream.ROUNDS[what]
    return [sdk_upstream.QUESTIONS[kind].method for kinds in rounds for kind in kinds]


def _needs(what: str) -> str:
    """Return the first revision in which these questions can be asked."""
    if what == "url":
        return URLS_SINCE
    return FORMS_SINCE if "elicitation/create" in _methods(what) else ""


@pytest.mark.parametrize(("server", "what"), sorted(ASKED))
def test_question_reaches_the_client_whose_call_it_is_if_its_revision_has_it(
    client: RevisionClient, server: str, what: str
) -> None:
    outcome = client.call(server, "ask", what=what)
    asked = sorted(method for method, _ in outcome.asked)
    if client.revision < _needs(what):
        assert "The client does not support elicitation" in json.dumps(outcome.answer)
        assert "elicitation/create" not in asked
        return
    assert (json.loads(outcome.text), asked) == (SAID[what], sorted(_methods(what)))
    if server in SERVERS_2026:
        _check_states(client, outcome, len(sdk_upstream.ROUNDS[what]))
    if what == "url":
        _check_url(client, outcome)


def _check_states(client: RevisionClient, outcome: Outcome, rounds: int) -> None:
    """The server takes each state once, and only if no character of it has changed."""
    assert len(set(outcome.states)) == (rounds if client.is_2026 else 0)
    assert all(state.endswith(sdk_upstream.STATE) for state in outcome.states)


def _check_url(client: RevisionClient, outcome: Outcome) -> None:
    """Handshake clients tell such questions by an id, 2026-07-28 has none."""
    ((_, params),) = outcome.asked
    assert params["url"] == "https://login.example.test/device?code=1"
    assert ("elicitationId" in params) != client.is_2026


@pytest.mark.parametrize("server", SERVERS_2026)
def test_server_learns_who_asks_and_what_that_can_be_asked(
    client: RevisionClient, server: str
) -> None:
    meta = json.loads(client.call(server, "meta", log_level="error").text)
    assert meta[f"{PREFIX}protocolVersion"] == REVISION_2026
    assert meta[f"{PREFIX}clientInfo"] == client_each_revision.CLIENT_INFO
    assert meta[f"{PREFIX}clientCapabilities"] == ALL_CAPABILITIES
