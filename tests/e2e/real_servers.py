"""Starts MCP servers of other makers, and states the answers that each has to give."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.e2e import peers
from tests.e2e.ports import free_port
from tests.e2e.processes import Lines
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_EVERYTHING: Final = "@modelcontextprotocol/server-everything"

# --- What they offer -------------------------------------------------------------------------

_EVERYTHING_TOOLS: Final = {
    "echo",
    "get-annotated-message",
    "get-env",
    "get-resource-links",
    "get-resource-reference",
    "get-structured-content",
    "get-sum",
    "get-tiny-image",
    "gzip-file-as-resource",
    "toggle-simulated-logging",
    "toggle-subscriber-updates",
    "trigger-long-running-operation",
}

TOOLS_FOR_CAPABLE_CLIENTS: Final = {
    "get-roots-list",
    "trigger-elicitation-request",
    "trigger-sampling-request",
}
"""What the everything-server adds when its client has declared roots, elicitation, sampling."""

TOOLS: Final[dict[str, set[str]]] = {
    "everything": _EVERYTHING_TOOLS,
    "everything-http": _EVERYTHING_TOOLS,
    "everything-sse": _EVERYTHING_TOOLS,
    "example": {"add", "echo", "now", "word_count", "countdown", "fail"},
    "filesystem": {"read_text_file", "write_file", "list_directory", "list_allowed_directories"},
    "git": {"git_status", "git_log", "git_commit", "git_diff"},
    "growing": {"grow"},
    "memory": {"create_entities", "create_relations", "read_graph", "search_nodes"},
    "time": {"get_current_time", "convert_time"},
}

TYPES: Final = dict.fromkeys(TOOLS, "stdio") | {
    "everything-http": "http",
    "everything-sse": "sse",
}


# --- What they answer ------------------------------------------------------------------------

WORK: Final = "WORK"
"""Stands in arguments and texts for the folder that the servers work on."""


@attrs.frozen
class Answer:
    """One call and the answer that it must get.

    `text` is a regular expression for all of the first content; `structured` is compared exactly.
    """

    instance: str
    tool: str
    arguments: dict[str, Any]
    text: str
    structured: Any = None
    is_error: bool = False

    def __str__(self) -> str:
        return f"{self.instance}-{self.tool}{'-fails' if self.is_error else ''}"

    def in_folder(self, work: Path) -> Answer:
        """Return the call with `WORK` replaced by a folder."""
        arguments = {
            key: value.replace(WORK, str(work)) if isinstance(value, str) else value
            for key, value in self.arguments.items()
        }
        text = self.text.replace(WORK, re.escape(str(work)))
        return attrs.evolve(self, arguments=arguments, text=text)

    def fits(self, text: str) -> bool:
        """Return whether a text is the expected one."""
        return re.fullmatch(self.text, text, re.DOTALL) is not None


_CHICAGO: Final = {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}
_COUNTS: Final = {"characters": 13, "words": 2, "lines": 2}


def _of_everything(instance: str) -> list[Answer]:
    return [
        Answer(
            instance,
            "echo",
            {"message": "z\u0142o\u015b\u0107 \U0001f600"},
            "Echo: z\u0142o\u015b\u0107 \U0001f600",
        ),
        Answer(instance, "get-sum", {"a": 1, "b": 2.5}, r"The sum of 1 and 2\.5 is 3\.5\."),
        Answer(instance, "get-structured-content", {"location": "Chicago"}, "{.*}", _CHICAGO),
        Answer(instance, "get-sum", {"a": "one", "b": 2}, ".*a.*", is_error=True),
    ]


ANSWERS: Final = [
    *_of_everything("everything"),
    *_of_everything("everything-http"),
    *_of_everything("everything-sse"),
    Answer("example", "add", {"a": 1, "b": 2}, "3"),
    Answer("example", "word_count", {"text": "hello\nrouters"}, "{.*}", _COUNTS),
    Answer("example", "fail", {"reason": "on purpose"}, ".*on purpose.*", is_error=True),
    Answer(
        "filesystem",
        "read_text_file",
        {"path": f"{WORK}/note.txt"},
        "two words\n",
        {"content": "two words\n"},
    ),
    Answer("filesystem", "read_text_file", {"path": "/no"}, "Access denied.*", is_error=True),
    Answer("filesystem", "list_allowed_directories", {}, f"Allowed directories:\n{WORK}"),
    Answer("git", "git_status", {"repo_path": WORK}, "Repository status:\nOn branch trunk.*"),
    Answer("git", "git_status", {"repo_path": f"{WORK}/.git/hooks"}, ".*", is_error=True),
    Answer(
        "memory", "search_nodes", {"query": "nobody"}, "{.*}", {"entities": [], "relations": []}
    ),
    Answer(
        "time",
        "convert_time",
        {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
        r".*T21:00:00\+09:00.*",
    ),
    Answer("time", "get_current_time", {"timezone": "No/Where"}, ".*No/Where.*", is_error=True),
]


def tiny_image() -> str:
    """Return the picture of `get-tiny-image`, in base64, as it stands in the server's source."""
    source = Path(peers.npm_script(_EVERYTHING, "dist/tools/get-tiny-image.js")).read_text()
    found = re.search(r'MCP_TINY_IMAGE = "([^"]+)"', source)
    assert found is not None
    return found[1]


# --- How they are started --------------------------------------------------------------------


def npm_server(package: str) -> list[str]:
    """Return the command of a server from npm, on stdio."""
    return [peers.NODE, peers.npm_script(f"@modelcontextprotocol/{package}", "dist/index.js")]


def python_server(name: str, venv: str = "servers") -> str:
    """Return the program of a server from PyPI."""
    return str(Path(peers.python_of(venv)).with_name(name))


def write_workspace(folder: Path, *, http_port: int, sse_port: int) -> Workspace:
    """Configure all servers for a router that runs in `folder`; they work on `folder/work`."""
    work = git_repository(folder / "work")
    (work / "note.txt").write_text("two words\n")
    memory = {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")}
    return (
        Workspace(folder)
        .add_command("everything", *npm_server("server-everything"), "stdio")
        .add("everything-http", type="http", url=f"http://127.0.0.1:{http_port}/mcp")
        .add("everything-sse", type="sse", url=f"http://127.0.0.1:{sse_port}/sse")
        .add_example()
        .add_command("filesystem", *npm_server("server-filesystem"), str(work))
        .add_command("git", python_server("mcp-server-git"), "--repository", str(work))
        .add_chaos("growing", "growing")
        .add_command("memory", *npm_server("server-memory"), env=memory)
        .add_command("time", python_server("mcp-server-time"), "--local-timezone", "UTC")
    )


def git_repository(folder: Path) -> Path:
    """Make an empty repository at a folder."""
    command = [peers.program("git"), "init", "--quiet", "--initial-branch=trunk", str(folder)]
    subprocess.run(command, check=True)
    return folder


@contextmanager
def remote(transport: str) -> Iterator[int]:
    """Run the everything-server over `streamableHttp` or `sse`; yields its port."""
    port = free_port()
    command = [*npm_server("server-everything"), transport]
    with listening(command, rf"on port {port}\b", env=os.environ | {"PORT": str(port)}):
        yield port


@contextmanager
def listening(
    command: list[str], says: str, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server that listens; `says` is a regular expression for its stderr by then.

    On leaving, the server is killed with its connections open.
    """
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = Lines(process.stderr)
    try:
        said.wait_for(says)
        yield
    finally:
        process.kill()
        process.wait()
        said.join()
        process.stderr.close()
