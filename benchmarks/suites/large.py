"""Results of 1 KiB and of 256 KiB over streamable HTTP."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.context import rows_of_timed, timed_call
from benchmarks.native.native import echo_command
from benchmarks.proxies.floors import BYTE_PROXY, HTTPTOOLS_PROXY
from benchmarks.proxies.proxy import Upstream
from benchmarks.proxies.router import ROUTER, Router

if TYPE_CHECKING:
    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Proxy
    from benchmarks.rows import Row

SUITE: Final = "large"
CALLERS: Final = 16
SIZES_KIB: Final = (1, 256)
PROXIES: Final[tuple[Proxy, ...]] = (
    BYTE_PROXY,
    HTTPTOOLS_PROXY,
    ROUTER,
    Router("router, transparent", view="transparent"),
)


def run(context: Context) -> list[Row]:
    """Measure each size; the echo fills up its results to it."""
    rows: list[Row] = []
    for size_kib in SIZES_KIB:
        size_bytes = 1024 * size_kib
        upstream = Upstream("echo", echo_command(result_bytes=size_bytes))
        proxies = context.with_peers("http", PROXIES)
        with context.serving("http", proxies, [upstream]) as running:
            figures = context.interleaved(
                {
                    name: partial(
                        timed_call,
                        "http",
                        one,
                        callers=CALLERS,
                        seconds=context.seconds,
                        result_bytes=size_bytes,
                    )
                    for name, one in running.items()
                }
            )
        rows += rows_of_timed(SUITE, f"{size_kib} KiB", figures)
    return rows
