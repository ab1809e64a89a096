"""Tokens that are renewed: ahead of time, after a refusal, by several at once, by two routers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from router.oauth.client.held_login import LONGEST_PAUSE_S
from router.oauth.client.login_results import LoginFailed
from router.oauth.client.login_store import LoginStore
from tests.router.oauth.client.world import TOKEN, World, log_in, spec
from transports.connect.credentials import LoginNeeded
from transports.outbound.fetched import FetchFailed

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from transports.connect.credentials import Credentials


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def reason(call: Any) -> str:
    with pytest.raises(LoginNeeded) as raised:
        await call
    return str(raised.value)


async def test_hundred_callers_get_one_renewal(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.now_s += 3600
    credentials = logins.credentials_for(spec(), None)
    got: list[Any] = []

    async def call() -> None:
        got.append(await credentials.headers())

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(call)
    assert got == [bearer("access-2")] * 100
    refresh = world.sent_to(TOKEN)[1:]
    assert [dict(request) for request in refresh] == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "refresh-1",
            "resource": "https://mcp.test/mcp",
            "client_id": "router-1",
        }
    ]


async def test_hundred_refusals_of_one_token_get_one_renewal(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.now_s += 100
    credentials = logins.credentials_for(spec(), None)
    got: list[bool] = []

    async def call() -> None:
        got.append(await credentials.refused(401, world.challenge, bearer("access-1")))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(call)
    assert got == [True] * 100
    assert len(world.sent_to(TOKEN)) == 2


async def test_new_token_that_is_refused_ends_in_a_login_not_in_a_loop(
    world: World, tmp_path: Path
) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.now_s += 100
    credentials = logins.credentials_for(spec(), None)
    assert await credentials.refused(401, world.challenge, bearer("access-1"))
    said = await reason(credentials.refused(401, world.challenge, bearer("access-2")))
    assert "refuses a token that is new" in said
    assert "mcp-router login notes" in said
    assert len(world.sent_to(TOKEN)) == 2


async def test_clock_that_was_set_back_stops_no_renewal(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    credentials = logins.credentials_for(spec(), None)
    world.now_s -= 7200
    assert await credentials.refused(401, world.challenge, bearer("access-1"))
    world.now_s += 100
    world.token_answers = [(503, {})]
    assert not await credentials.refused(401, world.challenge, bearer("access-2"))
    world.now_s -= 7200
    assert await credentials.refused(401, world.challenge, bearer("access-2"))
    assert await credentials.headers() == bearer("access-3")


async def test_rotated_token_is_on_disk_before_it_is_used(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.now_s += 3600
    await logins.credentials_for(spec(), None).headers()
    assert "refresh-2" in (tmp_path / "logins.json").read_text()
    again = world.logins(tmp_path)
    assert await again.credentials_for(spec(), None).headers() == bearer("access-2")


async def test_renewal_goes_on_when_its_caller_is_cancelled(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.now_s += 3600
    scope = trio.CancelScope()

    async def cancel_caller() -> None:
        scope.cancel()
        await trio.lowlevel.checkpoint()

    world.before_token = cancel_caller
    with scope:
        await logins.credentials_for(spec(), None).headers()
    assert world.refresh_tokens == {"refresh-2"}
    assert "refresh-2" in (tmp_path / "logins.json").read_text()


async def test_two_routers_with_one_folder_lose_no_rotated_token(
    world: World, tmp_path: Path
) -> None:
    first, second = world.logins(tmp_path), world.logins(tmp_path)
    await log_in(world, first)
    both = [router.credentials_for(spec(), None) for router in (first, second)]
    assert [await one.headers() for one in both] == [bearer("access-1")] * 2
    world.now_s += 3600
    got: list[Any] = []

    async def call(credentials: Credentials) -> None:
        got.append(await credentials.headers())

    async with trio.open_nursery() as nursery:
        for credentials in both:
            nursery.start_soon(call, credentials)
    assert got == [bearer("access-2")] * 2
    assert len(world.sent_to(TOKEN)) == 2


async def test_login_and_logout_of_another_router_are_seen(world: World, tmp_path: Path) -> None:
    first, second = world.logins(tmp_path), world.logins(tmp_path)
    credentials = second.credentials_for(spec(), None)
    assert await credentials.headers() == {}
    await log_in(world, first)
    assert await credentials.refused(401, world.challenge, {})
    assert await credentials.headers() == bearer("access-1")
    await first.log_out("notes", None)
    world.now_s += 3600
    assert "somebody has logged out" in await reason(credentials.headers())
    await log_in(world, first)
    assert await credentials.headers() == bearer("access-2")


@pytest.mark.parametrize("answer", [(500, {}), (503, b"<html>"), (429, {}), (404, b"gone")])
async def test_server_that_cannot_answer_costs_no_login(
    world: World, tmp_path: Path, answer: Any
) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.now_s += 3600
    world.token_answers = [answer]
    credentials = logins.credentials_for(spec(), None)
    assert await credentials.headers() == bearer("access-1")
    assert not await credentials.refused(401, world.challenge, bearer("access-1"))
    assert len(world.sent_to(TOKEN)) == 2  # a pause, although it was asked for twice
    assert "login.test" in logins.state_of("notes", None).problem
    world.now_s += LONGEST_PAUSE_S
    assert await credentials.headers() == bearer("access-2")
    assert logins.state_of("notes", None).problem == ""


async def test_network_that_fails_costs_no_login(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.now_s += 3600

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise FetchFailed("the answer is larger than 1 MB")

    world.before_token = fail
    credentials = logins.credentials_for(spec(), None)
    assert await credentials.headers() == bearer("access-1")
    assert "larger than 1 MB" in logins.state_of("notes", None).problem


@pytest.mark.parametrize(
    "code",
    [
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
        *("unsupported_grant_type", "invalid_scope"),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 200])
async def test_refusal_ends_the_login(world: World, tmp_path: Path, code: str, status: int) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    world.now_s += 3600
    world.token_answers = [(status, {"error": code, "error_description": "no\nmore"})]
    credentials = logins.credentials_for(spec(), None)
    assert f"{code} (no" in await reason(credentials.headers())
    assert code in await reason(credentials.headers())
    assert len(world.sent_to(TOKEN)) == 2
    left = json.loads((tmp_path / "logins.json").read_text())["secrets"]
    kinds = sorted(name.partition("_")[0] for name in left)
    gone = {"invalid_grant": ["client"], "invalid_client": [], "unauthorized_client": []}
    assert kinds == gone.get(code, ["client", "login"])
    await log_in(world, logins)
    assert (await credentials.headers())["authorization"] == "Bearer access-2"


async def test_token_without_renewal_ends_when_it_expires(world: World, tmp_path: Path) -> None:
    logins = world.logins(tmp_path)
    world.token_extras = {"expires_in": 100, "refresh_token": ""}
    await log_in(world, logins)
    world.now_s += 100
    credentials = logins.credentials_for(spec(), None)
    assert "cannot be renewed" in await reason(credentials.headers())
    assert not logins.state_of("notes", None).is_logged_in


async def test_token_that_cannot_be_written_is_used_all_the_same(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = world.logins(tmp_path)
    await log_in(world, logins)
    credentials = logins.credentials_for(spec(), None)
    with monkeypatch.context() as patch:

        async def fail(_self: LoginStore, _key: str, _value: object) -> None:
            await trio.lowlevel.checkpoint()
            raise LoginFailed("logins.json cannot be used: No space left on device")

        patch.setattr(LoginStore, "write", fail)
        world.now_s += 3600
        assert await credentials.headers() == bearer("access-2")
        assert "No space left" in logins.state_of("notes", None).problem
    world.now_s += 3600
    assert await credentials.headers() == bearer("access-3")
    assert "refresh-3" in (tmp_path / "logins.json").read_text()


async def test_token_is_renewed_ahead_of_time_by_the_task(
    world: World, tmp_path: Path, mock_clock: MockClock
) -> None:
    first_s = world.now_s
    logins = world.logins(tmp_path, now_s=lambda: first_s + trio.current_time())
    renewals = [trio.Event(), trio.Event()]

    async def note() -> None:
        await trio.lowlevel.checkpoint()
        next(event for event in renewals if not event.is_set()).set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(logins.run)
        await log_in(world, logins)
        world.before_token = note
        world.token_answers = [(503, {})]
        mock_clock.jump(0.75 * 3600 - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert not renewals[0].is_set()
        mock_clock.jump(0.05 * 3600 + 1)
        await renewals[0].wait()
        while not logins.state_of("notes", None).problem:  # until the answer was read
            await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(5 * 1.25 + 1)
        await renewals[1].wait()
        while logins.state_of("notes", None).problem:
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert await logins.credentials_for(spec(), None).headers() == bearer("access-2")


async def test_login_that_ends_ahead_of_time_is_told_of(world: World, tmp_path: Path) -> None:
    await log_in(world, world.logins(tmp_path))
    world.refresh_tokens.clear()
    world.now_s += 3000
    logins = world.logins(tmp_path)
    told: list[tuple[str, str | None]] = []
    ended = trio.Event()

    def note(name: str, person: str | None) -> None:
        told.append((name, person))
        ended.set()

    logins.on_change = note
    async with trio.open_nursery() as nursery:
        nursery.start_soon(logins.run)
        await ended.wait()
        nursery.cancel_scope.cancel()
    assert told == [("notes", None)]
    assert "invalid_grant" in logins.state_of("notes", None).problem


async def test_logins_of_a_file_that_cannot_be_read_are_told_of(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logins.json").write_text("{")
    credentials = world.logins(tmp_path).credentials_for(spec(), None)
    assert await credentials.headers() == {}
    assert "logins.json" in caplog.text
    assert "mcp-router login" in await reason(credentials.refused(401, world.challenge, {}))


async def test_task_notes_the_logins_of_instances_that_are_gone(
    world: World, tmp_path: Path
) -> None:
    await log_in(world, world.logins(tmp_path))
    marks: list[float | None] = []
    for name in ("other", "notes"):
        logins = world.logins(tmp_path, spec(name=name))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(logins.run)
            with trio.fail_after(10):
                while True:
                    if (await mark(tmp_path)) != (None if name == "other" else world.now_s):
                        break
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        marks.append(await mark(tmp_path))
    assert marks == [world.now_s, None]
    assert await logins.credentials_for(spec(), None).headers() == bearer("access-1")


async def mark(folder: Path) -> float | None:
    (login,) = (await LoginStore(folder / "config.json").load()).values()
    return login.unused_since_s


async def test_login_of_another_version_is_left_out(world: World, tmp_path: Path) -> None:
    await log_in(world, world.logins(tmp_path))
    path = tmp_path / "logins.json"
    content = json.loads(path.read_text())
    content["secrets"] = dict.fromkeys(content["secrets"], '{"later": 1}')
    path.write_text(json.dumps(content))
    assert await world.logins(tmp_path).credentials_for(spec(), None).headers() == {}
