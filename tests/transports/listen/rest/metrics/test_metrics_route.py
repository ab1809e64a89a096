"""The route `/metrics`: who may ask, and where the numbers come from."""

import subprocess
import sys
from typing import Final

from router.messages.commands import ShowMetrics
from router.messages.errors import NOT_ALLOWED, RpcError
from router.messages.observability.metrics import ActorCounts, CoreMetrics
from tests.transports.listen.rest.rest_client import rest_site
from transports.listen.rest.metric_sources import MetricSources

NO_METRICS: Final = CoreMetrics((), {}, 0, (), {}, 0, 0)


async def test_numbers_come_from_the_core_and_from_the_rest_of_the_router() -> None:
    async with rest_site(metrics=MetricSources(ActorCounts(events=5))) as site:
        site.actor.answers.append(NO_METRICS)
        got = await site.ask("GET", "/metrics", token="one")
    assert site.actor.question == ShowMetrics()
    assert site.actor.asked[-1].principal.name == "one"
    assert got.status == 200
    assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\nmcp_router_actor_events_total 5.0\n" in got.body
    assert b'mcp_router_info{version="9"} 1.0\n' in got.body


async def test_who_may_not_read_gets_no_numbers() -> None:
    async with rest_site() as site:
        assert (await site.ask("GET", "/metrics", token=None)).status == 401
        site.actor.answers.append(RpcError(NOT_ALLOWED, "no"))
        got = await site.ask("GET", "/metrics", token="caller")
        assert (got.status, got.json["detail"]["code"]) == (403, "SECURITY_ERROR")
        assert (await site.ask("POST", "/metrics", {})).status == 405


def test_the_library_is_not_imported_before_it_is_asked_for() -> None:
    code = "import sys, transports.listen.rest.rest_app; print('prometheus_client' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
