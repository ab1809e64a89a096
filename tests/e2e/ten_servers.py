"""Ten servers that others made, each with the requests that its answers are compared for.

Each server runs twice: behind a router, and alone. Both get the same requests in the same order,
so they are in the same state. What they write to lies in a folder of each side's own; what they
read is the same.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e import peers
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.real_servers import git_repository, npm_server, python_server

if TYPE_CHECKING:
    from pathlib import Path

HANDSHAKE: Final = "2025-11-25"
"""The newest revision of those servers that do not speak 2026-07-28."""

SERVERS: Final = {
    "everything": HANDSHAKE,
    "filesystem": HANDSHAKE,
    "memory": HANDSHAKE,
    "thinking": HANDSHAKE,
    "apps": HANDSHAKE,
    "sqlite": HANDSHAKE,
    "calculator": HANDSHAKE,
    "git": REVISION_2026,
    "time": REVISION_2026,
    "fetch": REVISION_2026,
}
"""Server -> the revision that it speaks with the router."""


@attrs.frozen
class Request:
    """A request and what its answer is: a result, a tool's `isError`, or an error."""

    method: str
    params: dict[str, Any]
    outcome: str = "result"

    def at(self, work: Path, page: str) -> Request:
        """Return the request with `WORK` and `PAGE` replaced."""
        text = json.dumps(self.params).replace(WORK, str(work)).replace(PAGE, page)
        return attrs.evolve(self, params=json.loads(text))


def tool(name: str, outcome: str = "result", /, **arguments: Any) -> Request:
    """Return a call of a tool."""
    return Request("tools/call", {"name": name, "arguments": arguments}, outcome)


def prompt(name: str, outcome: str = "result", /, **arguments: Any) -> Request:
    """Return a request for a prompt."""
    return Request("prompts/get", {"name": name, "arguments": arguments}, outcome)


def resource(uri: str, outcome: str = "result") -> Request:
    """Return a request for a resource."""
    return Request("resources/read", {"uri": uri}, outcome)


def completion(argument: str, value: str, **ref: str) -> Request:
    """Return a request for completions of an argument."""
    asked = {"name": argument, "value": value}
    return Request("completion/complete", {"ref": ref, "argument": asked})


# --- What is asked ---------------------------------------------------------------------------

WORK: Final = "WORK"
"""Stands for the repository that all servers may read."""

PAGE: Final = "PAGE"
"""Stands for the URL of a text."""

_ENTITY: Final = {"name": "Żuk", "entityType": "beetle", "observations": ["six legs", "甲虫"]}
_THOUGHT: Final = {"thought": "First things first", "thoughtNumber": 1, "totalThoughts": 2}
_TEMPLATE: Final = "demo://resource/dynamic/text/{resourceId}"

REQUESTS: Final = {
    "everything": [
        tool("echo", message="złość 😀 \u0000 </script>"),
        tool("get-sum", a=1, b=2.5),
        tool("get-sum", "isError", a="one", b=2),
        tool("get-structured-content", location="Chicago"),
        tool("get-tiny-image"),
        tool("get-annotated-message", messageType="error", includeImage=True),
        tool("get-resource-links", count=3),
        tool(
            "gzip-file-as-resource",
            name="a.gz",
            data="data:text/plain,hello",
            outputType="resource",
        ),
        tool("trigger-long-running-operation", duration=0.1, steps=2),
        prompt("simple-prompt"),
        prompt("args-prompt", city="Łódź", state="PL"),
        prompt("args-prompt", "error"),
        completion("department", "E", type="ref/prompt", name="completable-prompt"),
        completion("resourceId", "1", type="ref/resource", uri=_TEMPLATE),
        resource("demo://resource/static/document/features.md"),
        resource("demo://resource/session/a.gz"),
        resource("demo://resource/static/document/nothing.md", "error"),
    ],
    "filesystem": [
        tool("list_allowed_directories"),
        tool("read_text_file", path=f"{WORK}/note.txt"),
        tool("read_media_file", path=f"{WORK}/pixel.png"),
        tool("read_text_file", "isError", path="/no"),
        tool("read_text_file", "isError", path=7),
        tool("write_file", path=f"{WORK}/written.txt", content="zażółć\n"),
        tool("directory_tree", path=WORK, excludePatterns=[".git"]),
    ],
    "memory": [
        tool("create_entities", entities=[_ENTITY]),
        tool("search_nodes", query="legs"),
        tool("read_graph"),
        tool("search_nodes", "isError"),
        resource("memory://knowledge-graph"),
        tool("delete_entities", entityNames=["Żuk"]),
    ],
    "thinking": [
        tool("sequentialthinking", **_THOUGHT, nextThoughtNeeded=True),
        tool("sequentialthinking", **_THOUGHT | {"thoughtNumber": 2}, nextThoughtNeeded=False),
        tool("sequentialthinking", "isError", thought="Nothing else is said"),
    ],
    "apps": [  # Its only tool tells the time.
        tool("nothing", "error"),
        resource("ui://get-time/mcp-app.html"),
        resource("ui://get-time/other.html", "error"),
    ],
    "sqlite": [
        tool("create_table", query="CREATE TABLE IF NOT EXISTS beetles (name TEXT, legs INTEGER)"),
        tool("write_query", query="INSERT INTO beetles VALUES ('Żuk', 6)"),
        tool("read_query", query="SELECT * FROM beetles"),
        tool("describe_table", table_name="beetles"),
        tool("append_insight", insight="Beetles have six legs"),
        resource("memo://insights"),
        prompt("mcp-demo", topic="beetles"),
    ],
    "calculator": [
        tool("calculate", expression="6 * 7"),
        tool("calculate", "isError", expression="6 *"),
        tool("calculate", "isError"),
    ],
    "git": [
        tool("git_status", repo_path=WORK),
        tool("git_log", repo_path=WORK, max_count=1),
        tool("git_show", repo_path=WORK, revision="HEAD"),
        tool("git_status", "isError", repo_path="/no"),
    ],
    "time": [
        tool("convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo"),
        tool("get_current_time", "isError", timezone="No/Where"),
    ],
    "fetch": [
        tool("fetch", url=PAGE, max_length=20),
        tool("fetch", url=PAGE, start_index=20, raw=True),
        tool("fetch", "isError", url=f"{PAGE}/nothing"),
        prompt("fetch", url=PAGE),
    ],
}
"""Server -> the requests that it gets."""


# --- How they are started --------------------------------------------------------------------

_PIXEL: Final = bytes.fromhex("89504e470d0a1a0a")


def make_work(folder: Path) -> Path:
    """Make the repository that the servers read, with one commit."""
    work = git_repository(folder)
    (work / "note.txt").write_text("two words\n")
    (work / "pixel.png").write_bytes(_PIXEL)
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    git = [peers.program("git"), "-C", str(work), *who]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "A note"], check=True)
    return work


def command_of(server: str, work: Path, own: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command of a server and what it needs in its environment.

    Args:
        server: its name in `SERVERS`.
        work: the repository from `make_work`.
        own: a folder for what it writes.
    """
    commands = {
        "everything": lambda: [*npm_server("server-everything"), "stdio"],
        "filesystem": lambda: [*npm_server("server-filesystem"), str(work)],
        "memory": lambda: npm_server("server-memory"),
        "thinking": lambda: npm_server("server-sequential-thinking"),
        "apps": lambda: [*npm_server("server-basic-vanillajs"), "--stdio"],
        "sqlite": lambda: [
            python_server("mcp-server-sqlite", "servers-mcp1"),
            "--db-path",
            str(own / "beetles.db"),
        ],
        "calculator": lambda: [python_server("mcp-server-calculator", "servers-mcp1")],
        "git": lambda: [python_server("mcp-server-git"), "--repository", str(work)],
        "time": lambda: [python_server("mcp-server-time"), "--local-timezone", "UTC"],
        "fetch": lambda: [
            python_server("mcp-server-fetch"),
            "--ignore-robots-txt",
            "--allow-private-ips",
        ],
    }
    env = {"memory": {"MEMORY_FILE_PATH": str(own / "memory.jsonl")}}
    return commands[server](), env.get(server, {})
