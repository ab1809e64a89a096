"""Arguments that do not fit, sent by the SDK's client to a server that converts what it can.

The server is the example, which is built with the SDK: it takes "1" for a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.rest_client import TOKEN, RestClient
from tests.e2e.sdk_client import HANDSHAKE, Target, call, error_of, run, text_of

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

CHECKED: Final = {"bearer_token": TOKEN, "check_arguments": True}
WRONG: Final[dict[str, Any]] = {"a": "1"}
MISTAKES: Final = (
    'arguments: "b" is a required property; arguments.a: the value is not of type "number"'
)


@pytest.fixture(params=[HANDSHAKE, "auto"])
def mode(request: pytest.FixtureRequest) -> str:
    """The client has a session, or none."""
    return request.param


def test_without_checks_the_server_converts_what_it_can(workspace: Workspace, mode: str) -> None:
    workspace.add_example()

    async def scenario() -> None:
        async with Target("stdio", workspace, mode=mode).connect() as client:
            result = await call(client, "example", "add", {"a": "1", "b": "2"})
            assert (result.is_error, text_of(result)) == (False, "3")

    run(scenario)


def test_where_checks_are_on_all_mistakes_are_a_tool_result_in_every_way_of_calling(
    workspace: Workspace, mode: str
) -> None:
    workspace.configure(security={"check_arguments": True})
    workspace.add_example()

    async def scenario() -> None:
        async with Target("stdio", workspace, mode=mode).connect() as client:
            routed = await call(client, "example", "add", WRONG)
            await client.call_tool("mcp.router.use", {"instance_name": "example"})
            selected = await client.call_tool("add", WRONG)
            for result in (routed, selected):
                message, code = error_of(result)
                assert code == "VALIDATION_ERROR"
                assert sorted(message.split("; ")) == sorted(MISTAKES.split("; "))
            assert text_of(await call(client, "example", "add", {"a": 1, "b": 2})) == "3"

    run(scenario)


def test_rest_answers_400_and_an_instance_may_be_left_out(workspace: Workspace) -> None:
    workspace.configure(security=CHECKED, api={"enabled": True, "port": 0})
    workspace.add_example()
    with workspace.serve("http") as router:
        api = RestClient(int(router.netloc().split(":")[1]))
        router.stderr.wait_for("example is ready")
        refused = api.call("add", "example", **WRONG)
        assert (refused.status, refused.json["detail"]["code"]) == (400, "VALIDATION_ERROR")
        left_out = api.ask("PATCH", "/api/instances/example", {"check_arguments": False})
        assert left_out.status == 200
        got = api.call("add", "example", a="1", b=2)
        assert got.json["content"][0]["text"] == "3"
