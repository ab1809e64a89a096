"""A router whose token is a reference: who is let in, how it changes, and what stays hidden."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Final

from tests.e2e.processes import RouterProcess, run_command
from tests.e2e.secured_router import ask, rpc

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

FIRST: Final = "canary-token-number-one-0123456789"
SECOND: Final = "canary-token-number-two-0123456789"
SHADOW: Final = "canary-of-a-file-that-no-client-may-read"


def test_only_the_value_of_a_reference_lets_in_and_hup_exchanges_it(workspace: Workspace) -> None:
    credential, shadow = workspace.path / "router-token", workspace.path / "shadow"
    credential.write_text(f"{FIRST}\n")
    shadow.write_text(SHADOW)
    tokens = {"ci": {"token": "ci-${ROUTER_CI}"}}
    references = {"bearer_token": "${credential:router-token}", "tokens": tokens}
    workspace.configure(
        security=references,
        api={"enabled": True, "port": 0},
        logging={"level": "DEBUG"},
    )
    environ = dict(os.environ)
    environ |= {"CREDENTIALS_DIRECTORY": str(workspace.path), "ROUTER_CI": SECOND[:20]}
    words = ["serve", "--transport", "http", *workspace.words]
    said: list[str] = []

    def status(token: str) -> int:
        answer = ask(mcp, "POST", "/mcp", token, rpc("ping"))
        said.append(str(answer))
        return answer[0]

    with RouterProcess(words, env=environ) as router:
        mcp, api = router.netloc("/mcp"), router.netloc()
        assert status(FIRST) == status(f"ci-{SECOND[:20]}") == 200
        assert status("${credential:router-token}") == status("ci-${ROUTER_CI}") == 401

        # What comes through the API is never resolved.
        reference = f"${{file:{shadow}}}"
        entry = {"provider": "p", "name": "p", "command": "true", "args": [reference]}
        added = ask(api, "POST", "/api/instances", FIRST, entry)
        assert added[0] == 422
        assert b"only works where it stands in the file" in added[2]
        assert ask(api, "PUT", "/api/profiles/work", FIRST, {"instances": ["p"]})[0] == 201
        shown = ask(api, "GET", "/api/config", FIRST)
        assert shown[0] == 200
        said += [str(added), str(shown)]

        credential.write_text(SECOND)
        router.popen.send_signal(signal.SIGHUP)
        router.stderr.wait_for("changed: security.bearer_token")
        assert (status(FIRST), status(SECOND)) == (401, 200)
    said.append(router.stderr.text)
    logs = (workspace.path / "logs").iterdir()
    said += [log.read_text() for log in logs if log.is_file()]
    assert [one for one in (FIRST, SECOND, SHADOW) if one in "".join(said)] == []
    assert json.loads(workspace.config_file.read_bytes())["security"] == references


def test_token_that_cannot_be_resolved_or_can_be_guessed_ends_the_start(
    workspace: Workspace,
) -> None:
    words = ["serve", "--transport", "http", *workspace.words]
    place = "mcp-router: config.json: security.bearer_token:"
    for token, host, problem in (
        ("${ROUTER_TEST_TOKEN}", "127.0.0.1", " ${ROUTER_TEST_TOKEN} is not set"),
        ("abc", "0.0.0.0", " is shorter than 16 characters"),
    ):
        server = {"host": host, "http": {"port": 0}}
        workspace.configure(server=server, security={"bearer_token": token})
        ended = run_command(*words)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith(place + problem)
        assert len(ended.stderr.splitlines()) == 1
