"""Many: 1, 20 and 100 stdio servers of 20 tools each, and 1,000 that start when they are used.

The time is from the start of the proxy until each server has answered a call rightly. The memory is
that of its main process after that. Only proxies that serve many servers at one place take part.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.client import Client
from benchmarks.context import BASE
from benchmarks.native.native import LoadError, echo_command
from benchmarks.proxies.aggregators import AGGREGATORS
from benchmarks.proxies.many import ManyFloor
from benchmarks.proxies.proxy import Running, Upstream
from benchmarks.proxies.router import AS_SHIPPED, ROUTER
from benchmarks.rows import Row
from tests.e2e.process_resources import resident_bytes
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Proxy

SUITE: Final = "many"
NUMBERS: Final = (1, 20, 100)
TOOLS: Final = 20
LAZY: Final = 1000
CALLABLE_LIMIT_S: Final = 120.0
LISTED_LIMIT_S: Final = 600.0
_RETRY_S: Final = 0.005

Figures = tuple[float, float]
"""Seconds until the last server was callable; resident memory in MB."""


def run(context: Context) -> list[Row]:
    """Start each proxy in turn with each number of servers."""
    proxies: list[Proxy] = [ManyFloor(BASE), ROUTER, AS_SHIPPED]
    proxies += [one for one in context.peers if one in AGGREGATORS]
    rows: list[Row] = []
    for number in NUMBERS:
        rows += _measure(context, proxies, number)
    return rows + _rows(f"{LAZY:,} servers, lazy", {AS_SHIPPED.name: [_lazy()]})


def _upstreams(number: int) -> list[Upstream]:
    command = echo_command(tools=TOOLS)
    return [Upstream(f"echo{place}", command) for place in range(number)]


def _measure(context: Context, proxies: Sequence[Proxy], number: int) -> list[Row]:
    upstreams = _upstreams(number)
    with tempfile.TemporaryDirectory() as folder:
        work = {
            proxy.name: lambda proxy=proxy: _until_all_answer(proxy, upstreams, Path(folder))
            for proxy in proxies
        }
        servers = "1 server" if number == 1 else f"{number} servers"
        return _rows(servers, context.interleaved(work))


def _until_all_answer(proxy: Proxy, upstreams: Sequence[Upstream], among: Path) -> Figures:
    folder = Path(tempfile.mkdtemp(dir=among))
    began_s = time.perf_counter()
    with proxy.serve("http", upstreams, folder) as running:
        with closing(Client(running)) as client:
            client.open_session()
            for place, one in enumerate(upstreams):
                others = [*upstreams[:place], *upstreams[place + 1 :]]
                tool, arguments = proxy.called_over_stdio([one, *others])
                _call_until_right(client, tool, arguments, began_s + CALLABLE_LIMIT_S)
        took_s = time.perf_counter() - began_s
        return took_s, resident_bytes(running.pid) / 1e6


def _call_until_right(client: Client, tool: str, arguments: str, until_s: float) -> None:
    """Call a tool again and again, as long as the answer is an error.

    Raises:
        LoadError: the time is over; or the answer has another text.
    """
    text = f"for {tool}"
    while True:
        if time.perf_counter() > until_s:
            raise LoadError(f"{tool} is not callable {CALLABLE_LIMIT_S:.0f} s after the start")
        try:
            answer = client.text_of(tool, arguments, text)
        except LoadError:
            time.sleep(_RETRY_S)
            continue
        if text not in answer:
            raise LoadError(f"{tool} gave back {answer!r}")
        return


def _lazy() -> Figures:
    """Start a router whose servers start when they are used, after a start that listed them.

    Its lists are on disk then; only the last server is called.
    """
    upstreams = _upstreams(LAZY)
    last = f"{upstreams[-1].name}__echo"
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        server = CONFIG["server"] | {"view": "direct"}
        client = {"start": "lazy", "start_timeout_s": LISTED_LIMIT_S}
        workspace.configure(server=server, mcp_client=client, watcher={"enabled": False})
        for one in upstreams:
            workspace.add_command(one.name, *one.command)
        _wait_for_lists(workspace)
        began_s = time.perf_counter()
        with workspace.serve("http") as router:
            running = Running(router.pid, router.url("/mcp"))
            with closing(Client(running)) as session:
                session.open_session()
                limit_s = began_s + CALLABLE_LIMIT_S
                _call_until_right(session, last, '{"text":"%TEXT%"}', limit_s)
            took_s = time.perf_counter() - began_s
            return took_s, resident_bytes(router.pid) / 1e6


def _wait_for_lists(workspace: Workspace) -> None:
    """Run the router until the lists of all servers are on disk."""
    lists = workspace.path / "cache" / "catalogues"
    ends_at_s = time.perf_counter() + LISTED_LIMIT_S
    with workspace.serve("http"):
        while not lists.exists() or len(list(lists.iterdir())) < LAZY:
            if time.perf_counter() > ends_at_s:
                raise LoadError(f"Not all of {LAZY} servers were listed in {LISTED_LIMIT_S:.0f} s")
            time.sleep(0.1)


def _rows(load: str, figures: dict[str, list[Figures]]) -> list[Row]:
    rows: list[Row] = []
    for name, values in figures.items():
        seconds = [one for one, _ in values]
        rows.append(Row.of(SUITE, load, name, "time", seconds, "s"))
        rows.append(Row.of(SUITE, load, name, "memory", [one for _, one in values], "MB"))
        if BASE in figures:
            floor = [one for one, _ in figures[BASE]]
            ratios = [one / other for one, other in zip(seconds, floor, strict=True)]
            rows.append(Row.of(SUITE, load, name, "ratio", ratios))
    return rows
