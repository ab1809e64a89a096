"""Clients of 2026-07-28 that answer a server with a handshake: `input_required`, and the retry.

`asking_upstream` asks for forms, samples and roots, several times and several at once. Clients that
retry late or never are in `test_client_2026_held_calls`; attacks on the state in between are in
`test_client_2026_request_state`.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from mcp import MCPError

from tests.e2e import peers
from tests.e2e.asking_upstream import FORM, SAMPLE, SECOND_FORM, URL
from tests.e2e.client_2026 import Client2026, asked, retried, tool_call
from tests.e2e.client_answers import ANSWERING, FORM_FILLED, ROOTS, SAMPLED, URL_VISITED
from tests.e2e.sdk_client import BACKENDS, call, run, text_of
from tests.e2e.shared_router import add_asking, shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import Client

    from tests.e2e.shared_router import SharedRouter

ANSWERS: Final[dict[str, list[dict[str, Any]]]] = {
    "form": [FORM_FILLED],
    "url": [URL_VISITED],
    "sample": [SAMPLED],
    "roots": [ROOTS],
    "twice": [FORM_FILLED, FORM_FILLED],
    "both": [FORM_FILLED, SAMPLED],
}
"""Tool -> what the upstream must get for its questions."""

PLAY_LIMIT_S: Final = 60.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("input-required"))
    add_asking(workspace)
    with shared_router(workspace) as shared:
        yield shared


@pytest.fixture
def client(shared: SharedRouter) -> Client2026:
    return shared.client()


def _check_heard(text: str, tool: str) -> None:
    """Assert that the upstream got the answers; members that an SDK adds do not matter."""
    heard = json.loads(text)
    assert len(heard) == len(ANSWERS[tool])
    for got, given in zip(heard, ANSWERS[tool], strict=True):
        assert got | given == got


# --- SDKs that answer by themselves ----------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_python_client_answers_every_kind_of_question_by_its_callbacks(
    transport: str, backend: str, shared: SharedRouter
) -> None:
    async def scenario() -> None:
        async with shared.target(transport).connect(**ANSWERING) as client:
            for tool in ANSWERS:
                _check_heard(text_of(await call(client, "asking", tool)), tool)

    run(scenario, backend)


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_npm_client_2_answers_every_kind_of_question_by_its_handlers(
    transport: str, shared: SharedRouter
) -> None:
    address = (
        shared.workspace.stdio_command if transport == "stdio" else [shared.router.url("/mcp")]
    )
    command = [*peers.node_script("client2_input_required.mjs"), transport, *address]
    played = subprocess.run(
        command,
        env={"TOKEN": shared.token()},
        capture_output=True,
        text=True,
        timeout=PLAY_LIMIT_S,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    saw = json.loads(played.stdout)
    assert saw.pop("era") == "modern"
    assert saw.pop("url_required") == "logged in"
    assert saw.keys() == ANSWERS.keys()
    for tool, text in saw.items():
        _check_heard(text, tool)


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_calls_of_one_client_at_the_same_time_are_all_asked(
    transport: str, workspace: Workspace
) -> None:
    """On stdio a server does not say which call it asks about, but all calls are of one client."""
    add_asking(workspace)

    async def ask(client: Client) -> None:
        _check_heard(text_of(await call(client, "asking", "form")), "form")

    async def scenario(shared: SharedRouter) -> None:
        connect = shared.target(transport).connect(**ANSWERING)
        async with connect as client, anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, client)

    with shared_router(workspace) as shared:
        run(lambda: scenario(shared))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_login_that_an_upstream_wants_first_is_a_question_and_then_the_call_is_made_again(
    transport: str, backend: str, shared: SharedRouter
) -> None:
    """2026-07-28 has no error -32042; the router bridges it to `input_required`."""
    label = {"label": f"{transport}-{backend}"}

    async def scenario() -> None:
        async with shared.target(transport).connect(**ANSWERING) as client:
            assert text_of(await call(client, "asking", "needs_url", label)) == "logged in"

    run(scenario, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_python_client_without_callbacks_is_not_asked(
    transport: str, backend: str, shared: SharedRouter
) -> None:
    async def scenario() -> None:
        async with shared.target(transport).connect() as client:
            for tool in ("form", "sample", "roots", "url"):
                (heard,) = json.loads(text_of(await call(client, "asking", tool)))
                assert heard["error"]["code"] in {-32601, -32602}
            with pytest.raises(MCPError) as caught:
                await call(client, "asking", "needs_url", {"label": f"nobody-{backend}"})
            assert caught.value.error.code == -32021

    run(scenario, backend)


# --- What is said on the wire ----------------------------------------------------------------

QUESTIONS: Final = {
    "form": {"method": "elicitation/create", "params": FORM},
    "sample": {"method": "sampling/createMessage", "params": SAMPLE},
    "roots": {"method": "roots/list"},
    "url": {
        "method": "elicitation/create",
        "params": {key: value for key, value in URL.items() if key != "elicitationId"},
    },
}
"""Tool -> its question, as a client of 2026-07-28 may be asked."""


@pytest.mark.parametrize("tool", QUESTIONS)
def test_question_is_passed_on_in_an_input_required_result(tool: str, client: Client2026) -> None:
    asking = tool_call("asking", tool)
    answer = client.post(asking)
    (key,) = asked(answer.result)
    assert asked(answer.result)[key] == QUESTIONS[tool]
    assert answer.result.keys() == {"resultType", "inputRequests", "requestState", "_meta"}
    done = client.post(retried(asking, answer.result, {key: ANSWERS[tool][0]})).result
    assert done["resultType"] == "complete"
    assert json.loads(done["content"][0]["text"]) == ANSWERS[tool]


def test_second_question_gets_another_state(client: Client2026) -> None:
    asking = tool_call("asking", "twice")
    first = client.post(asking).result
    (key,) = asked(first)
    second = client.post(retried(asking, first, {key: FORM_FILLED}, "second")).result
    (again,) = asked(second)
    assert asked(second)[again]["params"] == SECOND_FORM
    assert second["requestState"] != first["requestState"]
    done = client.post(retried(asking, second, {again: FORM_FILLED}, "third")).result
    assert json.loads(done["content"][0]["text"]) == [FORM_FILLED, FORM_FILLED]


def test_questions_at_once_are_each_answered_by_what_they_asked_for(client: Client2026) -> None:
    """The second may come in the first result, or when the client is back."""
    asking = tool_call("asking", "both")
    result, rounds = client.post(asking).result, 0
    while result["resultType"] == "input_required":
        rounds += 1
        by_method = {"elicitation/create": FORM_FILLED, "sampling/createMessage": SAMPLED}
        answers = {key: by_method[one["method"]] for key, one in asked(result).items()}
        result = client.post(retried(asking, result, answers, f"round-{rounds}")).result
    assert rounds <= 2
    assert json.loads(result["content"][0]["text"]) == [FORM_FILLED, SAMPLED]


def test_answer_goes_to_the_upstream_as_it_came(client: Client2026) -> None:
    strange = {"action": "accept", "content": {"n": 1e2, "\u0142": None}, "more": [{}, 2**60]}
    asking = tool_call("asking", "form")
    first = client.post(asking).result
    (key,) = asked(first)
    done = client.post(retried(asking, first, {key: strange})).result
    assert json.loads(done["content"][0]["text"]) == [strange]


def test_question_comes_on_the_stream_of_a_call_that_has_made_progress(client: Client2026) -> None:
    asking = tool_call("asking", "progress_then_form")
    with client.stream(asking) as stream:
        progress, answer = stream.rest()
    assert progress["method"] == "notifications/progress"
    (key,) = asked(answer["result"])
    done = client.post(retried(asking, answer["result"], {key: FORM_FILLED}, "retry")).result
    assert json.loads(done["content"][0]["text"]) == [FORM_FILLED]


@pytest.mark.parametrize(
    ("tool", "capabilities", "code"),
    [
        ("form", {}, -32601),
        ("form", {"sampling": {}, "roots": {}}, -32601),
        ("form", {"elicitation": {"url": {}}}, -32602),
        ("url", {"elicitation": {}}, -32602),
        ("url", {"elicitation": {"form": {}}}, -32602),
        ("sample", {"elicitation": {}}, -32601),
        ("roots", {"elicitation": {}}, -32601),
    ],
)
def test_upstream_gets_an_error_for_what_the_request_did_not_declare(
    tool: str, capabilities: dict[str, Any], code: int, client: Client2026
) -> None:
    result = client.post(tool_call("asking", tool, capabilities=capabilities)).result
    (heard,) = json.loads(result["content"][0]["text"])
    assert heard["error"]["code"] == code


# --- Logging in first (-32042) ---------------------------------------------------------------


def test_login_is_asked_for_without_the_upstreams_own_id(client: Client2026) -> None:
    asking = tool_call("asking", "needs_url", {"label": "wire"})
    first = client.post(asking).result
    (key,) = asked(first)
    assert asked(first)[key] == QUESTIONS["url"]
    done = client.post(retried(asking, first, {key: URL_VISITED})).result
    assert done["content"][0]["text"] == "logged in"


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}])
def test_login_that_the_client_cannot_be_asked_for_is_an_error_that_says_what_it_lacks(
    capabilities: dict[str, Any], client: Client2026
) -> None:
    asking = tool_call("asking", "needs_url", {"label": client.token}, capabilities=capabilities)
    answer = client.post(asking)
    assert answer.refusal == (400, -32021)
    assert answer.error["data"] == {"requiredCapabilities": {"elicitation": {"url": {}}}}
