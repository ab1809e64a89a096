"""Asks each real server for its tools, and keeps what it said in the cache of this benchmark.

Invariants:

- A server has `LIMIT_S` in all; one that does not list its tools by then is left out.
- Where the system lets anybody do that, a server has no network, so that made-up credentials
  reach nobody.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from benchmarks.search.catalogues import Catalogue
from benchmarks.search.real_servers import CACHE, FILES, MissingServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.search.real_servers import Server

LIMIT_S: Final = 60.0
"""For a start and the listing: some servers read megabytes of source first."""

AT_A_TIME: Final = 2

LISTED: Final = CACHE / "listed"
LOCK: Final = Path(__file__).parent / "servers" / "package-lock.json"

_HELLO: Final = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"roots": {}},
    "clientInfo": {"name": "benchmark", "version": "1"},
}


class NotListedError(Exception):
    """A server did not list its tools."""


def catalogues(
    servers: Iterable[Server], say: Callable[[str], None], *, anew: bool = False
) -> list[Catalogue]:
    """Return what the servers list; say in a line which one is left out, and why.

    Args:
        servers: are started only where the cache has no list of the same version.
        say: takes a line.
        anew: True to ask all of them again.
    """
    FILES.mkdir(parents=True, exist_ok=True)
    LISTED.mkdir(exist_ok=True)

    def listed(server: Server) -> Catalogue | None:
        try:
            return _listed(server, anew=anew)
        except (NotListedError, MissingServerError, OSError) as error:
            say(f"Left out: {server.name}: {error}")
            return None

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return [one for one in pool.map(listed, servers) if one is not None]


def _listed(server: Server, *, anew: bool) -> Catalogue:
    file, key = LISTED / f"{server.name}.json", _key(server)
    if not anew and file.exists():
        kept = json.loads(file.read_text("utf-8"))
        if kept.pop("key") == key:
            return Catalogue(**kept)
    catalogue = list_tools(server.name, without_network(server.command()), server.variables())
    file.write_text(json.dumps({"key": key, **attrs.asdict(catalogue)}), "utf-8")
    return catalogue


def _key(server: Server) -> str:
    """Return a text that is another one if the server or a version of it is."""
    return hashlib.sha256(LOCK.read_bytes() + repr(server).encode()).hexdigest()


@functools.cache
def _isolation() -> tuple[str, ...]:
    """Return words that run a command without network; none where that is not allowed."""
    words = ("unshare", "--map-root-user", "--net")
    if shutil.which(words[0]) is None:
        return ()
    ended = subprocess.run([*words, "true"], capture_output=True, check=False, timeout=10)
    return words if ended.returncode == 0 else ()


def without_network(command: list[str]) -> list[str]:
    """Return a command that runs this one without a network, where the system allows that."""
    return [*_isolation(), *command]


def list_tools(
    name: str, command: list[str], environment: dict[str, str], limit_s: float = LIMIT_S
) -> Catalogue:
    """Start a server, and return what it lists; it has ended then.

    Raises:
        NotListedError: it lists no tools within `limit_s`.
        OSError: it does not start.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=FILES,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with _Asked(process, time.monotonic() + limit_s) as asked:
            return asked.catalogue(name)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Asked:
    """A server and the pipes to it."""

    def __init__(self, process: subprocess.Popen[bytes], ends_at_s: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._ends_at_s = ends_at_s
        self._unread = b""
        self._id = 0

    def __enter__(self) -> _Asked:
        return self

    def __exit__(self, *_: object) -> None:
        self._stdout.close()
        with contextlib.suppress(BrokenPipeError):  # it may have ended by itself
            self._stdin.close()

    def catalogue(self, name: str) -> Catalogue:
        hello = self._request("initialize", _HELLO)
        self._send({"method": "notifications/initialized"})
        tools: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self._request("tools/list", cursor)
            tools += page["tools"]
            if not page.get("nextCursor"):
                break
            cursor = {"cursor": page["nextCursor"]}
        if not tools:
            raise NotListedError("it lists no tools")
        title = hello.get("serverInfo", {}).get("title")
        return Catalogue(name, title or "", hello.get("instructions") or "", tools)

    def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("method") == "roots/list":
                self._send({"id": message["id"], "result": {"roots": []}})
            elif message.get("id") == self._id and "method" not in message:
                if "result" not in message:
                    raise NotListedError(f"{method} was answered with {message.get('error')}")
                return message["result"]

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # what it said before its end is read next
            self._stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self._stdin.flush()

    def _read(self) -> dict[str, Any]:
        """Return the next message; lines that are none are passed over."""
        while True:
            line, found, rest = self._unread.partition(b"\n")
            if found:
                self._unread = rest
                try:
                    message = json.loads(line)
                except ValueError:
                    continue
                if isinstance(message, dict):
                    return message
                continue
            left_s = max(0.0, self._ends_at_s - time.monotonic())
            if not select.select([self._stdout], [], [], left_s)[0]:
                raise NotListedError("it has not listed its tools in time")
            chunk = os.read(self._stdout.fileno(), 1 << 20)
            if not chunk:
                raise NotListedError("it ended before it had listed its tools")
            self._unread += chunk
