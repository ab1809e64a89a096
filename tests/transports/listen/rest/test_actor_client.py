"""Commands to the actor for HTTP requests, and the statuses of its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages import errors
from router.messages.commands import CallTool, ListTools, Principal
from router.messages.errors import RpcError
from router.messages.events import Abandoned, AdminCommand
from tests.transports.listen.fake_actor import FakeActor
from tests.transports.listen.rest.rest_client import rest_site
from transports.listen.rest.actor_client import (
    ABANDONED_SEND_S,
    ROUTER_STOPPING,
    ActorClient,
    error_body,
    http_status,
    retry_after_s,
)

if TYPE_CHECKING:
    from router.messages.commands import RouterCommand

SOMEBODY: Final = Principal("somebody")
CALL: Final = CallTool("files", "read", Raw(b"{}"))


async def ask(actor: FakeActor, answers: list[Any]) -> None:
    """Ask for all tools, and append the answer or the error."""
    try:
        answers.append(await ActorClient(actor.inbox).ask(SOMEBODY, ListTools()))
    except RpcError as error:
        answers.append(error)


# --- Answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"files": []}, None, RpcError(errors.NOT_ALLOWED, "Why")])
async def test_answer_is_returned_and_an_error_is_raised(
    actor: FakeActor, nursery: trio.Nursery, answer: Any
) -> None:
    answers: list[Any] = []
    nursery.start_soon(ask, actor, answers)
    asked = await actor.next(AdminCommand)
    assert (asked.principal, asked.what) == (SOMEBODY, ListTools())
    asked.reply_to.send_nowait(answer)
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [answer]
    assert actor.is_quiet()


async def test_actor_that_has_stopped_is_told_to_the_sender(actor: FakeActor) -> None:
    actor.die()
    with pytest.raises(RpcError) as caught:
        await ActorClient(actor.inbox).ask(SOMEBODY, ListTools())
    assert caught.value == ROUTER_STOPPING


async def test_actor_that_stops_instead_of_answering_is_told_to_the_sender(
    actor: FakeActor, nursery: trio.Nursery
) -> None:
    answers: list[Any] = []
    nursery.start_soon(ask, actor, answers)
    (await actor.next(AdminCommand)).reply_to.close()
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [ROUTER_STOPPING]


# --- Requests that are given up --------------------------------------------------------------


async def test_call_that_is_given_up_is_said_to_the_actor() -> None:
    async with rest_site() as site:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.ask, "GET", "/api/tools")
            await site.actor.news.wait()
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert [one.reply_to for one in site.actor.abandoned] == [site.actor.asked[0].reply_to]


async def test_busy_actor_is_told_of_the_end_only_for_some_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    actor = FakeActor(1)
    actor.inbox.send_nowait(Abandoned(actor.inbox))
    with trio.move_on_after(1):
        await ActorClient(actor.inbox).ask(SOMEBODY, ListTools())
    assert trio.current_time() == pytest.approx(1 + ABANDONED_SEND_S)


async def test_actor_that_stops_meanwhile_needs_not_be_told_of_the_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    actor = FakeActor(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, actor, [])
        await trio.testing.wait_all_tasks_blocked()
        began_s = trio.current_time()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(ABANDONED_SEND_S / 2)
        actor.die()
    assert trio.current_time() - began_s == ABANDONED_SEND_S / 2


# --- Errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        (errors.INSTANCE_NOT_FOUND, 404, "INSTANCE_NOT_FOUND"),
        (errors.TOOL_NOT_FOUND, 404, "TOOL_NOT_FOUND"),
        (errors.INVALID_PARAMS, 422, "VALIDATION_ERROR"),
        (errors.NOT_ALLOWED, 403, "SECURITY_ERROR"),
        (errors.TIMEOUT, 504, "TIMEOUT"),
        (errors.UNAVAILABLE, 503, "UNAVAILABLE"),
        (errors.OVERLOADED, 503, "OVERLOADED"),
        (errors.SESSION_LOST, 503, "SESSION_LOST"),
        (errors.TRANSPORT_ERROR, 502, "TRANSPORT_ERROR"),
        (errors.ALREADY_EXISTS, 409, "CONFIG_ERROR"),
        (errors.NOT_SAVED, 500, "CONFIG_ERROR"),
        (errors.INTERNAL_ERROR, 500, "INTERNAL_ERROR"),
    ],
)
def test_error_has_its_status_and_its_code(code: int, status: int, word: str) -> None:
    error = RpcError(code, "Why")
    assert http_status(error, ListTools()) == status
    assert error_body(error) == {"detail": {"error": "Why", "code": word}}


@pytest.mark.parametrize(
    ("retry_in_s", "header"), [(0.2, 1), (1, 1), (1.01, 2), (59.5, 60), (1e300, 86400)]
)
def test_token_that_has_reached_a_limit_is_429_with_whole_seconds(
    retry_in_s: float, header: int
) -> None:
    error = RpcError(errors.OVERLOADED, "Why", {"limit": "x", "retry_in_s": retry_in_s})
    assert http_status(error, CALL) == 429
    assert retry_after_s(error) == header


@pytest.mark.parametrize("data", [None, {}, {"max_in_flight": 3}, {"retry_in_s": None}, [1]])
def test_instance_that_takes_no_more_calls_is_503(data: Any) -> None:
    assert http_status(RpcError(errors.OVERLOADED, "Why", data), CALL) == 503


@pytest.mark.parametrize(
    ("errno", "status"),
    [
        ("ENOSPC", 507),
        ("EDQUOT", 507),
        ("EROFS", 507),
        ("EACCES", 507),
        ("EPERM", 507),
        ("EIO", 500),
    ],
)
def test_full_disk_is_507(errno: str, status: int) -> None:
    assert http_status(RpcError(errors.NOT_SAVED, "Full", {"errno": errno})) == status


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (errors.INVALID_PARAMS, 400),
        (errors.INTERNAL_ERROR, 400),
        (errors.TIMEOUT, 504),
        (errors.TOOL_NOT_FOUND, 404),
    ],
)
def test_error_that_only_an_upstream_gives_to_a_call_is_400(code: int, status: int) -> None:
    assert http_status(RpcError(code, "Why"), CALL) == status


@pytest.mark.parametrize("command", [None, ListTools(), CALL])
def test_unknown_code_is_400(command: RouterCommand | None) -> None:
    error = RpcError(-32000, "Why")
    assert http_status(error, command) == 400
    assert error_body(error)["detail"]["code"] == "TRANSPORT_ERROR"
