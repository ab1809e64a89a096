"""Calls that wait for a yes, with a real router: of the SDK's client, by REST and by a command."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
import attrs
import mcp_types as types
import pytest

from tests.e2e.client_2026 import REVISION_2026, Client2026, asked, retried, tool_call
from tests.e2e.processes import RouterProcess, run_command
from tests.e2e.raw_client import HttpClient
from tests.e2e.rest_client import RestClient
from tests.e2e.sdk_client import HANDSHAKE, Target, call, error_of, run, text_of
from tests.e2e.workspace import CHAOS, CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENT: Final = "canary-token-of-the-agent-0123456789"
OPS: Final = "canary-token-of-the-operator-0123456789"
SECURITY: Final = {
    "tokens": {
        "agent": {"token": AGENT, "permissions": ["call", "read", "approve"]},
        "ops": {"token": OPS, "permissions": ["approve"]},
    }
}
FORM: Final = {"elicitation": {"form": {}}}
YES: Final = {"action": "accept", "content": {"approve": True}}
STOPPING: Final = "not approved: the router is stopping"
MESSAGE: Final = (
    "May this tool be called?\n\nInstance: plain\nTool: echo\n"
    'Arguments:\n{\n  "text": "a\\u202eb"\n}'
)
TEXT: Final = "a\u202eb"


@attrs.frozen
class Site:
    """A router whose tool `echo` needs a yes."""

    workspace: Workspace
    router: RouterProcess

    def target(self, mode: str, transport: str = "http") -> Target:
        return Target(transport, self.workspace, self.router, mode, AGENT)

    def api(self, token: str) -> RestClient:
        return RestClient(int(self.router.netloc().rpartition(":")[2]), token)

    @contextmanager
    def client(self) -> Iterator[HttpClient]:
        """A client that fills in no forms."""
        with closing(HttpClient(self.router.url("/mcp"), AGENT)) as client:
            client.initialize()
            yield client

    def command(self, *words: str) -> str:
        """Run a command as the user of the router, and return what it prints."""
        done = run_command(*words, *self.workspace.words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def waiting_row(self) -> dict[str, Any]:
        """Return the only call that waits for an approver, once there is one."""
        while not (rows := self.api(OPS).ask("GET", "/api/approvals").json):
            pass  # The router answers each time in its turn, so the call comes in between.
        (row,) = rows
        return row


@contextmanager
def served(workspace: Workspace) -> Iterator[Site]:
    workspace.configure(
        server=CONFIG["server"] | {"drain_s": 1},
        api={"enabled": True, "port": 0},
        security=SECURITY,
        logging={"audit": True},
    )
    if not (workspace.path / "data" / "plain").exists():
        chaos = [sys.executable, "-B", str(CHAOS), "plain", str(workspace.path)]
        workspace.add_command("plain", *chaos, tools={"approve": ["ech?"]})
    with workspace.serve("http") as router:
        yield Site(workspace, router)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(Workspace(tmp_path_factory.mktemp("approvals"))) as site:
        yield site


# --- The client is asked ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", [HANDSHAKE, REVISION_2026])
@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_the_sdks_client_is_asked_and_its_answer_counts(
    site: Site, mode: str, transport: str
) -> None:
    messages: list[str] = []
    answers: list[dict[str, Any]] = [
        YES,
        {"action": "accept", "content": {"approve": False}},
        {"action": "decline"},
    ]

    async def answer(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        await anyio.lowlevel.checkpoint()
        messages.append(params.message)
        return types.ElicitResult.model_validate(answers[len(messages) - 1])

    async def scenario() -> None:
        async with site.target(mode, transport).connect(elicitation_callback=answer) as client:
            assert text_of(await call(client, "plain", "echo", {"text": TEXT})) == TEXT
            for _ in range(2):
                refused = await call(client, "plain", "echo", {"text": TEXT})
                why = "not approved: the user of the client did not agree"
                assert error_of(refused) == (why, "NOT_APPROVED")

    run(scenario)
    assert messages == [MESSAGE] * 3


# --- An approver is asked --------------------------------------------------------------------


def test_a_call_waits_for_the_command_of_the_routers_user(site: Site) -> None:
    progress: list[Any] = []

    async def heard(*told: Any) -> None:
        await anyio.lowlevel.checkpoint()
        progress.append(told[2])

    async def scenario() -> None:
        results: list[Any] = []

        async def calling() -> None:
            arguments = {"text": TEXT}
            results.append(await call(client, "plain", "echo", arguments, progress_callback=heard))

        async with site.target(HANDSHAKE).connect() as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(calling)
                id_ = (await anyio.to_thread.run_sync(site.waiting_row))["id"]
                shown = await anyio.to_thread.run_sync(site.command, "approvals")
                assert f"{id_}  plain  echo\n  by 'agent' (" in shown
                assert '    "text": "a\\u202eb"\n' in shown
                done = await anyio.to_thread.run_sync(site.command, "approve", id_, "--yes")
                assert done.endswith("approved\n")
            assert text_of(results[0]) == TEXT

    run(scenario)
    assert "Waiting for approval" in progress
    assert site.command("approvals") == "No call waits for approval\n"


def test_a_token_approves_over_rest_what_another_one_calls(site: Site) -> None:
    agent, ops = site.api(AGENT), site.api(OPS)
    answers: list[Any] = []

    def calling() -> None:
        answers.append(agent.call("echo", text="x"))

    for approve in (True, False):
        thread = threading.Thread(target=calling)
        thread.start()
        row = site.waiting_row()
        assert (row["principal"], row["arguments"]) == ("agent", {"text": "x"})
        target = f"/api/approvals/{row['id']}"
        body = {"approve": approve, "arguments_sha256": row["arguments_sha256"]}
        other = {"approve": True, "arguments_sha256": "0" * 64}
        assert agent.ask("POST", target, body | {"approve": True}).status == 403
        assert ops.ask("POST", target, other).status == 409
        assert ops.ask("POST", target, body).json["approved"] is approve
        assert ops.ask("POST", target, body).status == 409
        thread.join(30)
    assert ops.ask("POST", "/api/approvals/12345678", {"approve": False}).status == 404
    assert answers[0].json["content"][0]["text"] == "x"
    assert (answers[1].status, answers[1].code) == (403, "NOT_APPROVED")
    assert site.api("").ask("GET", "/api/approvals").status == 401


# --- A restart -------------------------------------------------------------------------------


def test_a_restart_refuses_what_waits(workspace: Workspace) -> None:
    answers: list[Any] = []
    question = tool_call("plain", "echo", {"text": "x"}, capabilities=FORM)
    with served(workspace) as site:
        needed = Client2026(site.router.url("/mcp"), AGENT).post(question).result
        with site.client() as client:
            thread = threading.Thread(
                target=lambda: answers.append(client.call(1, "plain", "echo", text="x"))
            )
            thread.start()
            id_ = site.waiting_row()["id"]
            assert site.router.stop() == 0
            thread.join(30)
            site.router.stderr.wait_for(f"waits for approval: mcp-router approve {id_}")
    lines = map(json.loads, (workspace.path / "logs" / "audit.jsonl").read_text().splitlines())
    calls = [line for line in lines if "approval" in line]
    assert [(one["approval_asked"], one["approval"]) for one in calls] == [
        ("client", "asked"),
        ("approver", "ended"),
    ]
    (refused,) = answers
    assert refused["isError"] is True
    assert json.loads(refused["content"][0]["text"])["error"] == STOPPING
    with served(workspace) as site:
        again = retried(question, needed, dict.fromkeys(asked(needed), YES))
        error = Client2026(site.router.url("/mcp"), AGENT).post(again).error
        assert error["data"] == {"reason": "invalid_request_state"}
        assert site.api(OPS).ask("GET", "/api/approvals").json == []
        late = site.api(OPS).ask("POST", f"/api/approvals/{id_}", {"approve": False})
        assert (late.status, late.code) == (404, "APPROVAL_NOT_FOUND")
