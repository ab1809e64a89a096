"""The routes that tell what tools cost."""

import pytest

from router.messages.commands import ShowCosts, ShowStatus, ShowViewCost, ShowViews
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError
from tests.transports.listen.rest.rest_client import COUNTED_IN, rest_site

COSTS = {"total_tokens": 9, "limit_tokens": 10, "instances": [], "dearest": []}


@pytest.mark.parametrize(
    ("target", "instance"), [("/api/costs", None), ("/api/costs/文件", "文件")]
)
async def test_costs_are_asked_for_after_all_tools_were_counted(
    target: str, instance: str | None
) -> None:
    views = [{"place": None}, {"place": "work"}]
    async with rest_site() as site:
        site.actor.answers[:] = [COSTS | {"places": [None, "work"]}, *views]
        got = await site.ask("GET", target)
        assert site.actor.counted == COUNTED_IN
    assert (got.status, got.json) == (200, COSTS | {"views": views})
    assert [asked.what for asked in site.actor.asked] == [
        ShowCosts(instance),
        ShowViewCost(None),
        ShowViewCost("work"),
    ]


async def test_an_instance_that_is_not_there_is_404() -> None:
    async with rest_site() as site:
        site.actor.answers[:] = [RpcError(INSTANCE_NOT_FOUND, "Instance not found: x")]
        assert (await site.ask("GET", "/api/costs/x")).status == 404
        assert (await site.ask("GET", "/api/costs/-x")).status == 422


async def test_status_comes_after_all_tools_were_counted() -> None:
    async with rest_site() as site:
        site.actor.answers[:] = [[]]
        await site.ask("GET", "/api/status")
        assert site.actor.counted == COUNTED_IN
    assert site.actor.question == ShowStatus()


async def test_views_are_asked_of_the_actor() -> None:
    rows = [{"place": None, "client": "c 1", "kind": "direct", "reason": "r", "sessions": 1}]
    async with rest_site() as site:
        site.actor.answers[:] = [rows]
        got = await site.ask("GET", "/api/views")
    assert (got.status, got.json) == (200, rows)
    assert site.actor.question == ShowViews()
