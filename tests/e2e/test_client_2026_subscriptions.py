"""A raw client of 2026-07-28 that listens: the acknowledgement first, then changes, then the end.

`test_client_2026_sdk` shows that the SDK's client understands the same messages.
"""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.client_2026 import SUBSCRIPTION, Client2026, bare, request, tool_call
from tests.e2e.processes import running_with, still_running
from tests.e2e.raw_client import StdioRouter
from tests.e2e.sdk_client import OWN_TOOLS
from tests.e2e.shared_router import shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.shared_router import SharedRouter

ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
CHANGED: Final = "notifications/tools/list_changed"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("subscriptions"))
    with shared_router(workspace.add_chaos("plain")) as shared:
        yield shared


@pytest.fixture
def client(shared: SharedRouter) -> Client2026:
    return shared.client()


def _listen(request_id: str = "listen", **wanted: Any) -> dict[str, Any]:
    wanted = wanted or {"toolsListChanged": True}
    return request("subscriptions/listen", request_id, notifications=wanted)


def _use(instance: str) -> dict[str, Any]:
    return request("tools/call", name="mcp.router.use", arguments={"instance_name": instance})


def _names(client: Client2026) -> list[str]:
    return [tool["name"] for tool in client.post(request("tools/list")).result["tools"]]


def _check_acknowledged(message: Any, request_id: str = "listen") -> None:
    assert message["method"] == ACKNOWLEDGED
    assert message["params"]["_meta"][SUBSCRIPTION] == request_id
    assert message["params"]["notifications"] == {"toolsListChanged": True}


def _check_changed(message: Any, request_id: str = "listen") -> None:
    assert message["method"] == CHANGED
    assert message["params"]["_meta"][SUBSCRIPTION] == request_id


# --- Over HTTP -------------------------------------------------------------------------------


def test_acknowledgement_comes_first_and_then_each_change(
    client: Client2026, shared: SharedRouter
) -> None:
    before = _names(client)
    with client.stream(_listen()) as stream:
        _check_acknowledged(stream.next())
        shared.change_own_tools()
        _check_changed(stream.next())
        assert _names(client) != before
        shared.change_own_tools()
        _check_changed(stream.next())
        assert _names(client) == before


def test_each_stream_of_a_principal_is_told_under_its_own_id(
    client: Client2026, shared: SharedRouter
) -> None:
    with ExitStack() as stack:
        ids = ["one", "two", "three"]
        streams = [stack.enter_context(client.stream(_listen(each))) for each in ids]
        for each, stream in zip(ids, streams, strict=True):
            _check_acknowledged(stream.next(), each)
        shared.change_own_tools()
        for each, stream in zip(ids, streams, strict=True):
            _check_changed(stream.next(), each)


def test_streams_with_the_same_id_are_told_each(shared: SharedRouter) -> None:
    """Ids are of a client's own choice, and two clients may choose the same."""
    mine, other = shared.client(), shared.client()
    with mine.stream(_listen()) as stream, other.stream(_listen()) as beside:
        _check_acknowledged(stream.next())
        _check_acknowledged(beside.next())
        shared.change_own_tools()
        _check_changed(stream.next())
        _check_changed(beside.next())


def test_answer_and_progress_of_a_call_do_not_come_on_a_subscription(
    client: Client2026, shared: SharedRouter
) -> None:
    with client.stream(_listen()) as stream:
        _check_acknowledged(stream.next())
        with client.stream(tool_call("plain", "steps", {"count": 3}, "steps")) as call:
            assert len(call.rest()) == 4
        shared.change_own_tools()
        _check_changed(stream.next())


def test_listening_to_nothing_is_refused(client: Client2026) -> None:
    answer = client.post(request("subscriptions/listen", "listen"))
    assert answer.refusal == (400, -32602)


@pytest.mark.parametrize("wanted", [None, [], "all", 1])
def test_listening_to_no_object_is_refused(wanted: Any, client: Client2026) -> None:
    answer = client.post(request("subscriptions/listen", notifications=wanted))
    assert answer.refusal == (400, -32602)


def test_many_streams_that_are_left_again_leave_nothing(client: Client2026) -> None:
    for number in range(200):
        with client.stream(_listen(f"listen-{number}")) as stream:
            _check_acknowledged(stream.next(), f"listen-{number}")
    with client.stream(_listen()) as stream:
        _check_acknowledged(stream.next())


# --- The end ---------------------------------------------------------------------------------


def _check_ended(message: Any, request_id: str = "listen") -> None:
    assert message["id"] == request_id
    assert message["result"]["resultType"] == "complete"
    assert message["result"]["_meta"][SUBSCRIPTION] == request_id


def test_stream_ends_with_its_result_when_the_router_stops(workspace: Workspace) -> None:
    workspace.add_chaos("plain")
    with shared_router(workspace) as shared:
        client, other = shared.client(), shared.client()
        client.post(tool_call("plain", "pid"))
        with client.stream(_listen()) as stream, other.stream(_listen("other")) as beside:
            _check_acknowledged(stream.next())
            _check_acknowledged(beside.next(), "other")
            shared.router.popen.send_signal(signal.SIGTERM)
            for end, request_id in ((stream.rest(), "listen"), (beside.rest(), "other")):
                (message,) = end
                _check_ended(message, request_id)
        assert shared.router.wait() == 0


def test_each_stream_is_told_what_it_asked_for_and_concerns_it_and_nothing_else(
    workspace: Workspace,
) -> None:
    """The choice of a client without a session is nobody's, so nobody is told of it."""
    workspace.add_chaos("plain")
    with shared_router(workspace) as shared, ExitStack() as stack:
        user, stranger = shared.client(), shared.client()
        opened = {
            "user": (user, _listen()),
            "prompts": (user, _listen(promptsListChanged=True)),
            "nothing": (user, _listen(toolsListChanged=False)),
            "stranger": (stranger, _listen()),
        }
        streams = {
            name: stack.enter_context(client.stream(message))
            for name, (client, message) in opened.items()
        }
        for stream in streams.values():
            assert stream.next()["method"] == ACKNOWLEDGED
        assert user.post(_use("plain")).result["structuredContent"]["active"]
        assert _names(user) == _names(stranger) == OWN_TOOLS
        shared.change_own_tools()
        for name in ("user", "stranger"):
            _check_changed(streams[name].next())
        shared.router.popen.send_signal(signal.SIGTERM)
        came = {name: stream.rest() for name, stream in streams.items()}
        for end in came.values():
            (message,) = end
            _check_ended(message)
        assert shared.router.wait() == 0


def test_stream_that_is_open_does_not_hold_up_a_call_that_ends_while_the_router_stops(
    workspace: Workspace,
) -> None:
    """The drain waits for calls, and neither for streams nor for long."""
    workspace.add_chaos("plain")
    with shared_router(workspace) as shared:
        client = shared.client()
        client.post(tool_call("plain", "pid"))
        call = tool_call("plain", "hang", {"label": "in flight"}, "hang")
        with client.stream(_listen()) as stream, client.stream(call) as hanging:
            _check_acknowledged(stream.next())
            assert hanging.next()["method"] == "notifications/progress"
            shared.router.popen.send_signal(signal.SIGTERM)
            (end,) = stream.rest()
            _check_ended(end)
        assert shared.router.wait() == 0


# --- On stdio --------------------------------------------------------------------------------


@pytest.fixture
def stdio(shared: SharedRouter) -> Iterator[StdioRouter]:
    with StdioRouter(shared.workspace.stdio_command) as router:
        yield router


def test_changes_come_among_the_answers_on_stdio(stdio: StdioRouter) -> None:
    stdio.send(**bare(_listen()))
    _check_acknowledged(stdio.read())
    stdio.send(**bare(_use("plain") | {"id": "use"}))
    came = [stdio.read(), stdio.read()]
    (changed,) = [one for one in came if "method" in one]
    (answer,) = [one for one in came if "method" not in one]
    _check_changed(changed)
    assert answer["id"] == "use"


def test_cancelled_listening_is_told_no_more_on_stdio(stdio: StdioRouter) -> None:
    stdio.send(**bare(_listen("left")))
    _check_acknowledged(stdio.read(), "left")
    stdio.send(**bare(_listen("stays")))
    _check_acknowledged(stdio.read(), "stays")
    params = {"requestId": "left"}
    stdio.send(method="notifications/cancelled", params=params)
    stdio.send(**bare(_use("plain") | {"id": "use"}))
    came = [stdio.read(), stdio.read()]
    (changed,) = [one for one in came if "method" in one]
    _check_changed(changed, "stays")


def test_id_that_listens_can_be_had_again_after_it_was_cancelled(stdio: StdioRouter) -> None:
    for _ in range(3):
        stdio.send(**bare(_listen()))
        _check_acknowledged(stdio.read())
        stdio.send(method="notifications/cancelled", params={"requestId": "listen"})
    stdio.send(**bare(request("tools/list", "list")))
    assert stdio.read()["id"] == "list"


@pytest.mark.parametrize("how", ["SIGTERM", "end of stdin"])
def test_listening_ends_with_its_result_and_does_not_hold_up_the_end_on_stdio(
    how: str, stdio: StdioRouter, shared: SharedRouter
) -> None:
    stdio.send(**bare(tool_call("plain", "pid", request_id="pid")))
    stdio.answer_to("pid")
    stdio.send(**bare(_listen()))
    _check_acknowledged(stdio.read())
    if how == "SIGTERM":
        stdio.popen.send_signal(signal.SIGTERM)
        _check_ended(stdio.read())
    else:
        stdio.end_stdin()
    assert stdio.popen.wait(30) == 0
    own = [row for row in running_with(str(shared.workspace.path)) if " stdio " in row.command]
    assert not still_running(own)


def test_handshake_and_2026_on_one_connection_keep_apart(stdio: StdioRouter) -> None:
    """A client may send requests of 2026-07-28 after a handshake too, as a probe does."""
    stdio.initialize()
    result = stdio.request("tools/list")
    assert "resultType" not in result
    stdio.send(**bare(request("tools/list", "modern")))
    assert stdio.answer_to("modern")["result"]["resultType"] == "complete"
