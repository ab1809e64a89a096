"""Proxies that others made: where each is installed, how it is started, and when it answers.

`make bench-peers` installs each at a fixed version (`benchmarks/peers`), in an environment of its
own.

Invariants:

- A peer runs in an empty folder, with the settings that its own documentation shows, and with its
  log off or at errors only.
- A peer is measured only after a call through it was answered rightly.
"""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.native.native import LoadError
from benchmarks.proxies.processes import ROOT, START_LIMIT_S, call_once, started
from benchmarks.proxies.proxy import Running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.proxies.processes import Started
    from benchmarks.proxies.proxy import Kind, Upstream

PYTHON_PEERS: Final = ROOT / ".cache" / "bench" / "peers"
NPM_PEERS: Final = ROOT / "benchmarks" / "peers" / "node_modules"
_POLL_S: Final = 0.002


class LeftOutError(Exception):
    """A peer cannot be measured here; the text says why, and what would help."""


@attrs.frozen
class Launch:
    """One start of a peer.

    Attributes:
        kind: the transport that it is to serve.
        port: the port that it is to listen on; 0 on stdio.
        upstreams: what it is to serve.
        folder: the current folder of its process.
    """

    kind: Kind
    port: int
    upstreams: Sequence[Upstream]
    folder: Path


@attrs.frozen
class Peer:
    """A proxy that others made.

    Attributes:
        name: its name in tables, with its version.
        stamp: a file that is there once it is installed.
        places: the path of its endpoint, by transport; no path on stdio.
        words: its command, and the files that it needs, written into the folder of a launch.
        tool: the name of the echo of the first upstream and its arguments, as in `Running`.
        environment: variables of its process.
        wrapped: as in `Running`.
    """

    name: str
    stamp: Path
    places: Mapping[Kind, str] = attrs.field(hash=False)
    words: Callable[[Launch], list[str]]
    tool: Callable[[Sequence[Upstream]], tuple[str, str]] = lambda _: ("echo", ECHO_ARGUMENTS)
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str], hash=False)
    wrapped: bool = False

    @property
    def kinds(self) -> frozenset[Kind]:
        return frozenset(self.places)

    def require(self) -> None:
        """Return if the peer is installed.

        Raises:
            LeftOutError: it is not.
        """
        if not self.stamp.exists():
            raise LeftOutError(f"{self.name} is not installed; `make bench-peers` says why")

    @contextmanager
    def serve(self, kind: Kind, upstreams: Sequence[Upstream], folder: Path) -> Iterator[Running]:
        """Run the peer until the context ends.

        Raises:
            LoadError: it does not answer a call rightly within `START_LIMIT_S`.
        """
        launch = Launch(kind, free_port(), upstreams, folder)
        tool, arguments = self.tool(upstreams)
        with started(self._command(launch)) as process:
            url = f"http://127.0.0.1:{launch.port}{self.places[kind]}"
            running = Running(process.pid, url, tool, arguments, wrapped=self.wrapped)
            self._wait_until_it_answers(kind, running, launch.port, process)
            yield running

    def command(self, upstreams: Sequence[Upstream], folder: Path) -> list[str]:
        """Return the command that a client runs to have this peer on stdio."""
        return self._command(Launch("stdio", 0, upstreams, folder))

    def called_over_stdio(self, upstreams: Sequence[Upstream]) -> tuple[str, str]:
        """Return the name of the echo and its arguments."""
        return self.tool(upstreams)

    def _command(self, launch: Launch) -> list[str]:
        """Return a command that sets folder and variables, and then becomes the peer."""
        if launch.kind not in self.places:
            raise ValueError(f"{self.name} does not serve {launch.kind}")
        launch.folder.mkdir(parents=True, exist_ok=True)
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", "-C", str(launch.folder), *variables, *self.words(launch)]

    def _wait_until_it_answers(
        self, kind: Kind, running: Running, port: int, process: Started
    ) -> None:
        ends_at_s = time.monotonic() + START_LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                call_once(kind, running)
            except (OSError, LoadError) as error:
                if (status := process.status()) is not None:
                    said = process.stderr.text[-200:]
                    raise LoadError(f"{self.name} ended with {status}: {said}") from error
                if time.monotonic() > ends_at_s:
                    raise LoadError(f"{self.name} does not answer: {error}") from error
                time.sleep(_POLL_S)  # it says nothing that all peers have in common
            else:
                return


ECHO_ARGUMENTS: Final = '{"text":"%TEXT%"}'


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
