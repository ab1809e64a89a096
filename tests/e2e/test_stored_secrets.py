"""Secrets in the router's own file: how they get there, who gets them, and where they never are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from tests.e2e.processes import RouterProcess, router_command, run_command
from tests.e2e.secured_router import ask, rpc
from tests.e2e.workspace import CHAOS

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

TOKEN: Final = "canary-token-of-the-router-0123456789"
FIRST: Final = "canary-secret-number-one"
SECOND: Final = "canary-secret-number-two"


def test_secret_is_kept_encrypted_and_a_change_restarts_its_instance_alone(
    workspace: Workspace,
) -> None:
    keys, seen = workspace.path / "keys", workspace.path / "seen"
    keys.mkdir()
    (keys / "mcp-router-secrets-key").write_text("0123456789abcdef" * 4)
    environ = os.environ | {"CREDENTIALS_DIRECTORY": str(keys), "HOME": str(workspace.path)}
    said: list[str] = []

    def secret(*words: str, value: str = "") -> None:
        done = subprocess.run(
            router_command("secret", *words, "-c", str(workspace.config_file)),
            input=value,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environ,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout + done.stderr)

    workspace.configure(
        security={"bearer_token": "${secret:ROUTER}"},
        api={"enabled": True, "port": 0},
        logging={"level": "DEBUG"},
        watcher={},
    )
    chaos = f'"{sys.executable}" -B "{CHAOS}" plain "{workspace.path}"'
    script = f'echo "$S" >> "{seen}"; exec {chaos}'
    workspace.add_command("one", "sh", "-c", script, env={"S": "${secret:A.b-c}"})
    workspace.add_chaos("two")
    secret("set", "ROUTER", value=TOKEN)
    secret("set", "A.b-c", value=f"{FIRST}\n")
    words = ["serve", "--transport", "http", *workspace.words]
    with RouterProcess(words, env=environ) as router:
        router.stderr.wait_for("All 2 instances are up")
        mcp, api = router.netloc("/mcp"), router.netloc()
        assert ask(mcp, "POST", "/mcp", TOKEN, rpc("ping"))[0] == 200
        assert ask(mcp, "POST", "/mcp", "${secret:ROUTER}", rpc("ping"))[0] == 401

        secret("set", "A.b-c", value=SECOND)
        router.stderr.wait_for("data: changed one$")
        router.stderr.wait_for("one is started anew")
        ends_at_s = time.monotonic() + 30
        while seen.read_text().split() != [FIRST, SECOND]:
            assert time.monotonic() < ends_at_s, router.stderr.text
            time.sleep(0.02)  # a file has no event to wait for
        url = ["--url", f"http://{api}", "--token", TOKEN]
        doctor = run_command("doctor", "--json", *url, *workspace.words, **environ)
        said += [str(ask(api, "GET", "/api/config", TOKEN)), doctor.stdout]
        secret("remove", "A.b-c", "--yes")
        router.stderr.wait_for("there is no secret A.b-c; set it with: mcp-router secret set A.b-c")
        secret("list")
        said.append(router.stderr.text)
        assert "two is started anew" not in router.stderr.text
    assert "A.b-c   is not set, and used in data/one/mcp_settings.json: env.S" in said[-2]
    findings = json.loads(doctor.stdout)
    assert {one["topic"] for one in findings if one["severity"] == "error"} == set()
    said += [path.read_text() for path in (workspace.path / "logs").iterdir()]
    said.append((workspace.path / "secrets.json").read_text())
    for canary in (TOKEN, FIRST, SECOND):
        assert canary not in "\n".join(said)
