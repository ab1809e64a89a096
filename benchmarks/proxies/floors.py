"""The floors: proxies that check nothing, to which every other figure is compared."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.native.native import http_echo_command
from benchmarks.proxies.processes import started
from benchmarks.proxies.proxy import Running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.proxies.proxy import Kind, Upstream


@attrs.frozen
class Floor:
    """A program of `benchmarks/floors`; it serves the first upstream only.

    Attributes:
        name: its name in tables.
        module: its module.
        option: an option of it, such as `--events`.
    """

    name: str
    module: str
    kinds: frozenset[Kind]
    option: str | None = None
    wrapped: bool = False

    @contextmanager
    def serve(self, kind: Kind, upstreams: Sequence[Upstream], folder: Path) -> Iterator[Running]:
        """Run the floor until the context ends."""
        del folder
        if kind not in self.kinds:
            raise ValueError(f"{self.name} does not serve {kind}")
        with started(self._command(upstreams)) as process:
            url = process.stderr.wait_for(r"Listening on (\S+)")[1]
            yield Running(process.pid, url)

    def command(self, upstreams: Sequence[Upstream], folder: Path) -> list[str]:
        """Return the command that a client runs to have the floor on stdio."""
        del folder
        if "stdio" not in self.kinds:
            raise ValueError(f"{self.name} does not serve stdio")
        return self._command(upstreams)

    def called_over_stdio(self, upstreams: Sequence[Upstream]) -> tuple[str, str]:
        del upstreams
        return "echo", '{"text":"%TEXT%"}'

    def _command(self, upstreams: Sequence[Upstream]) -> list[str]:
        program = [sys.executable, "-m", self.module, *([self.option] if self.option else [])]
        return [*program, *upstreams[0].command]


@attrs.frozen
class HttpEcho:
    """The echo in C, served over HTTP without any proxy: the reach of the load generator."""

    name: str = "no proxy, HTTP in C"
    kinds: frozenset[Kind] = frozenset({"http"})
    wrapped: bool = False

    @contextmanager
    def serve(self, kind: Kind, upstreams: Sequence[Upstream], folder: Path) -> Iterator[Running]:
        """Run the echo until the context ends."""
        del upstreams, folder
        if kind not in self.kinds:
            raise ValueError(f"{self.name} does not serve {kind}")
        with started(http_echo_command()) as process:
            yield Running(process.pid, process.stderr.wait_for(r"Listening on (\S+)")[1])

    def command(self, upstreams: Sequence[Upstream], folder: Path) -> list[str]:
        raise ValueError(f"{self.name} does not serve stdio")

    def called_over_stdio(self, upstreams: Sequence[Upstream]) -> tuple[str, str]:
        raise ValueError(f"{self.name} does not serve stdio")


HTTP_ECHO: Final = HttpEcho()
BYTE_PROXY: Final = Floor("byte proxy", "benchmarks.floors.byte_proxy", frozenset({"http"}))
HTTPTOOLS_PROXY: Final = Floor(
    "byte proxy, httptools", "benchmarks.floors.httptools_proxy", frozenset({"http"})
)
HYPERCORN_PROXY: Final = Floor(
    "byte proxy, Hypercorn", "benchmarks.floors.hypercorn_proxy", frozenset({"http"})
)
SSE_PROXY: Final = Floor("byte proxy", "benchmarks.floors.sse_proxy", frozenset({"sse"}))
STDIO_PROXY: Final = Floor("byte proxy", "benchmarks.floors.stdio_proxy", frozenset({"stdio"}))
LINES_PROXY: Final = Floor(
    "byte proxy, by line", "benchmarks.floors.stdio_proxy", frozenset({"stdio"}), "--lines"
)
