"""The router as it is measured: each view answers over each transport, with all checks on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from benchmarks.native import native
from benchmarks.native.native import LoadError, echo_command, load
from benchmarks.proxies.processes import call
from benchmarks.proxies.proxy import Upstream
from benchmarks.proxies.router import ROUTER, Router

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.proxies.router import View

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(native.obstacle() is not None, reason=str(native.obstacle())),
]

CALLS = 20


def upstreams() -> list[Upstream]:
    return [Upstream("echo", echo_command())]


@pytest.mark.parametrize(("kind", "view"), [("http", "direct"), ("sse", "transparent")])
def test_router_answers_those_who_have_its_token(kind: str, view: View, tmp_path: Path) -> None:
    router = Router(view=view)
    assert kind in ("http", "sse")
    with router.serve(kind, upstreams(), tmp_path) as running:
        assert call(kind, running, calls=CALLS, callers=2).calls == CALLS
        with pytest.raises(LoadError):
            call(kind, attrs.evolve(running, headers={}), calls=CALLS)


def test_router_on_stdio_answers_through_its_own_tool(tmp_path: Path) -> None:
    router = Router(view="router")
    command = router.command(upstreams(), tmp_path)
    tool, arguments = router.called_over_stdio(upstreams())
    found = load("stdio", command, calls=CALLS, callers=2, tool=tool, arguments=arguments)
    assert found.calls == CALLS


def test_settings_say_which_checks_are_on(tmp_path: Path) -> None:
    ROUTER.command([Upstream("echo", ("echo",))], tmp_path / "on")
    off = Router("off", fast_lane=False, token=False, check_arguments=False, metrics=False)
    off.command([Upstream("echo", ("echo",))], tmp_path / "off")
    on, off = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("on", "off"))
    assert on["server"]["http"]["fast_lane"]
    assert on["security"]["bearer_token"]
    assert on["security"]["check_arguments"]
    assert on["api"]["enabled"]
    assert not off["server"]["http"]["fast_lane"]
    assert not off["security"]["bearer_token"]
    assert not off["security"]["check_arguments"]
    assert not off["api"]["enabled"]
