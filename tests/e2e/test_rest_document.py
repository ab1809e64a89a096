"""The REST API against its own OpenAPI document, with requests that a fuzzer makes up."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.e2e import peers

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

TOKEN: Final = "a-token-for-the-fuzzer"
LIMIT_S: Final = 150

FUZZER: Final = (
    *("run", "--checks", "all"),
    # What a value means cannot all be said in a schema: whether an entry can run, for one.
    *("--exclude-checks", "positive_data_acceptance"),
    # The same requests each time.
    *("--generation-deterministic", "--max-examples", "10", "--continue-on-failure"),
    *("--request-timeout", "20", "--header", f"Authorization: Bearer {TOKEN}"),
)


def test_every_answer_is_as_the_document_says(workspace: Workspace) -> None:
    # Made-up commands must not run.
    security = {"bearer_token": TOKEN, "allow_stdio_via_api": "never"}
    workspace.configure(
        api={"enabled": True, "port": 0, "enable_realtime_logs": True}, security=security
    )
    workspace.add_chaos("plain")
    fuzzer = Path(peers.python_of("fuzzer")).with_name("schemathesis")
    with workspace.serve("api") as router:
        router.stderr.wait_for("plain is ready")
        url = f"http://{router.netloc()}"
        done = subprocess.run(
            [fuzzer, *FUZZER, f"{url}/openapi.json"],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            cwd=workspace.path,
        )
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in router.stderr.text
    assert " failed" not in router.stderr.text
