"""The floor in front of many servers, for the proxies that serve many at one place."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.proxies.processes import started
from benchmarks.proxies.proxy import Running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.proxies.proxy import Kind, Upstream

_ARGUMENTS: Final = '{"text":"%TEXT%"}'


@attrs.frozen
class ManyFloor:
    """`benchmarks.floors.many_proxy`; it starts all servers at once, and parses nothing."""

    name: str
    kinds: frozenset[Kind] = frozenset({"http"})
    wrapped: bool = False

    @contextmanager
    def serve(self, kind: Kind, upstreams: Sequence[Upstream], folder: Path) -> Iterator[Running]:
        """Run the floor until the context ends."""
        if kind not in self.kinds:
            raise ValueError(f"{self.name} does not serve {kind}")
        commands = folder / "commands.json"
        commands.write_text(json.dumps({one.name: one.command for one in upstreams}))
        program = [sys.executable, "-m", "benchmarks.floors.many_proxy", str(commands)]
        with started(program) as process:
            url = process.stderr.wait_for(r"Listening on (\S+)")[1]
            yield Running(process.pid, url, *self.called_over_stdio(upstreams))

    def command(self, upstreams: Sequence[Upstream], folder: Path) -> list[str]:
        """Refuse: it serves no stdio."""
        raise ValueError(f"{self.name} does not serve stdio")

    def called_over_stdio(self, upstreams: Sequence[Upstream]) -> tuple[str, str]:
        """Return the name of the echo of the first upstream, and its arguments."""
        return f"{upstreams[0].name}__echo", _ARGUMENTS
