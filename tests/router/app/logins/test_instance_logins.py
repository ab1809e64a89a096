"""Logins as they are asked for over REST: who may, how they go on, and how they end."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from router.app.logins.instance_logins import WAIT_S, query_of
from router.messages.commands import Asker, Principal
from router.messages.errors import (
    INSTANCE_NOT_FOUND,
    INVALID_PARAMS,
    NOT_ALLOWED,
    TRANSPORT_ERROR,
    RpcError,
)
from router.messages.observability.records import ChangeRecord, Record
from tests.router.app.logins.fakes import (
    ADMIN,
    ANA,
    AUTHORIZE,
    BEN,
    OWN,
    FakeLogins,
    logins_for_asking,
)

LIMIT_S = 1_000
LOOPBACK = "http://127.0.0.1:8765/cb"


async def test_login_for_everybody_begins_at_the_authorization_server_and_is_finished() -> None:
    fake, records = FakeLogins(), list[Record]()
    logins = logins_for_asking(fake, records)
    begun = await logins.begin(ADMIN, "notion")
    assert begun == {
        "url": AUTHORIZE + "state-1",
        "state": "state-1",
        "redirect_uri": f"{OWN}/oauth/callback",
        "expires_in_s": 600,
    }
    assert (await logins.state(ADMIN, "notion"))["attempt"] == {"over": False, "problem": ""}
    url = f"{OWN}/oauth/callback?code=c0de&state=state-1&iss=https%3A%2F%2Fas.example"
    finished = await logins.finish(ADMIN, "notion", url)
    assert finished["logged_in"] is True
    assert fake.queries == [{"code": "c0de", "state": "state-1", "iss": "https://as.example"}]
    shown = await logins.state(ADMIN, "notion", wait=True)
    assert shown == {
        "instance": "notion",
        "logged_in": True,
        "since_s": 1_000.0,
        "expires_at_s": 4_600.0,
        "renewed": True,
        "scopes": ["read"],
        "issuer": "https://as.example",
        "problem": "",
        "person": None,
        "redirect_uri": f"{OWN}/oauth/callback",
        "attempt": {"over": True, "problem": ""},
    }
    assert await logins.log_out(ADMIN, "notion")
    assert not await logins.log_out(ADMIN, "notion")
    assert records == [
        ChangeRecord("ops", "192.0.2.1", "log_in", "notion"),
        ChangeRecord("ops", "192.0.2.1", "log_out", "notion"),
    ]


async def test_state_is_good_for_one_answer() -> None:
    logins = logins_for_asking(FakeLogins(), [])
    await logins.begin(ADMIN, "notion")
    await logins.finish(ADMIN, "notion", "code=a&state=state-1")
    with pytest.raises(RpcError, match="no login of this instance waits for it"):
        await logins.finish(ADMIN, "notion", "code=a&state=state-1")


@pytest.mark.parametrize(
    ("asker", "name"),
    [(Asker(Principal("other")), "notion"), (ADMIN, "mail"), (ADMIN, "off")],
)
async def test_login_is_finished_by_who_began_it(asker: Asker, name: str) -> None:
    fake = FakeLogins()
    logins = logins_for_asking(fake, [])
    await logins.begin(ADMIN, "notion")
    with pytest.raises(RpcError) as caught:
        await logins.finish(asker, name, "code=a&state=state-1")
    assert caught.value.code == INVALID_PARAMS
    assert fake.queries == []


async def test_failure_is_told_and_recorded() -> None:
    fake, records = FakeLogins(), list[Record]()
    logins = logins_for_asking(fake, records)
    await logins.begin(ADMIN, "notion")
    fake.fails = "the person said no"
    with pytest.raises(RpcError, match="the person said no") as caught:
        await logins.finish(ADMIN, "notion", "error=access_denied&state=state-1")
    assert caught.value.code == TRANSPORT_ERROR
    assert (await logins.state(ADMIN, "notion"))["attempt"] == {
        "over": True,
        "problem": "the person said no",
    }
    assert records == [ChangeRecord("ops", "192.0.2.1", "log_in", "notion", "the person said no")]
    for step in (logins.begin, logins.begin_device, logins.log_out):
        with pytest.raises(RpcError, match="the person said no"):
            await step(ADMIN, "notion")


@pytest.mark.parametrize(
    ("asker", "name", "more", "code"),
    [
        (ANA, "notion", {}, NOT_ALLOWED),
        (Asker(Principal("", frozenset({"call", "read"}))), "notion", {}, NOT_ALLOWED),
        (Asker(Principal("", frozenset({"call", "read"}))), "mail", {}, NOT_ALLOWED),
        (Asker(Principal("eye", frozenset({"read"}))), "mail", {}, NOT_ALLOWED),
        (BEN, "mail", {"person": "ana"}, NOT_ALLOWED),
        (Asker(Principal("one", instances=frozenset({"mail"}))), "mail", {"person": "ana"},
         NOT_ALLOWED),
        (ADMIN, "notion", {"person": "ana"}, INVALID_PARAMS),
        (ADMIN, "files", {}, INVALID_PARAMS),
        (ADMIN, "off", {}, INVALID_PARAMS),
        (ADMIN, "nothing", {}, INSTANCE_NOT_FOUND),
    ],
)  # fmt: skip
async def test_who_may_not_log_in_begins_nothing(
    asker: Asker, name: str, more: Any, code: int
) -> None:
    fake = FakeLogins()
    logins = logins_for_asking(fake, [])
    for step in (logins.begin, logins.begin_device, logins.state, logins.log_out):
        with pytest.raises(RpcError) as caught:
            await step(asker, name, **more)
        assert caught.value.code == code
    assert fake.begun == []


async def test_person_logs_in_for_themselves_through_a_page_of_the_router() -> None:
    fake = FakeLogins()
    logins = logins_for_asking(fake, [])
    begun = await logins.begin(ANA, "mail")
    assert begun.keys() == {"url", "redirect_uri", "expires_in_s"}
    assert begun["url"].startswith(f"{OWN}/oauth/login/")
    assert begun["url"] == logins.login_url("mail", "ana")
    assert fake.begun == []


async def test_person_may_log_in_where_no_browser_reaches_the_router() -> None:
    fake = FakeLogins()
    logins = logins_for_asking(fake, [], public_url="")
    with pytest.raises(RpcError, match="no listener that a browser reaches"):
        await logins.begin(ANA, "mail")
    assert logins.login_url("mail", "ana") == ""
    assert (await logins.state(ANA, "mail"))["redirect_uri"] is None
    await logins.begin(ANA, "mail", redirect_uri=LOOPBACK)
    assert fake.begun == [("mail", "ana", LOOPBACK)]
    await logins.finish(ANA, "mail", f"{LOOPBACK}?code=a&state=state-1")
    assert fake.logged_in == {("mail", "ana")}


async def test_admin_may_begin_the_login_of_another_person() -> None:
    fake = FakeLogins()
    logins = logins_for_asking(fake, [])
    await logins.begin(ADMIN, "mail", person="stdio", redirect_uri=LOOPBACK)
    await logins.finish(ADMIN, "mail", "code=a&state=state-1")
    assert fake.logged_in == {("mail", "stdio")}
    assert (await logins.state(ADMIN, "mail", person="stdio"))["person"] == "stdio"


async def test_device_is_asked_about_while_somebody_waits(autojump_clock: object) -> None:
    fake, records = FakeLogins(polls=3), list[Record]()
    logins = logins_for_asking(fake, records)
    begun = await logins.begin_device(ADMIN, "notion")
    assert begun["user_code"] == "WDJB-MJHT"
    began_s = trio.current_time()
    with trio.fail_after(LIMIT_S):
        shown = await logins.state(ADMIN, "notion", wait=True)
    assert (shown["logged_in"], shown["attempt"]["over"]) == (True, True)
    assert trio.current_time() - began_s == pytest.approx(15)
    assert len(records) == 1


async def test_two_who_wait_ask_no_more_often_than_one(autojump_clock: object) -> None:
    fake = FakeLogins(polls=3)
    logins = logins_for_asking(fake, [])
    await logins.begin_device(ADMIN, "notion")
    began_s = trio.current_time()
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(_wait, logins)
    assert trio.current_time() - began_s == pytest.approx(15)
    assert fake.polls == 0


async def test_device_that_is_refused_ends_the_wait(autojump_clock: object) -> None:
    fake = FakeLogins()
    logins = logins_for_asking(fake, [])
    await logins.begin_device(ADMIN, "notion")
    fake.fails = "the code has expired"
    with trio.fail_after(LIMIT_S):
        shown = await logins.state(ADMIN, "notion", wait=True)
    assert shown["attempt"] == {"over": True, "problem": "the code has expired"}


async def test_wait_ends_with_the_login_or_after_its_time(autojump_clock: object) -> None:
    logins = logins_for_asking(FakeLogins(), [])
    await logins.begin(ADMIN, "notion")
    began_s = trio.current_time()
    with trio.fail_after(LIMIT_S):
        shown = await logins.state(ADMIN, "notion", wait=True)
        assert not shown["attempt"]["over"]
        assert trio.current_time() - began_s == pytest.approx(WAIT_S)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_wait, logins)
            await logins.finish(ADMIN, "notion", "code=a&state=state-1")
    assert trio.current_time() - began_s == pytest.approx(WAIT_S)


async def _wait(logins: Any) -> None:
    assert (await logins.state(ADMIN, "notion", wait=True))["logged_in"]


@pytest.mark.parametrize(
    ("callback", "found"),
    [
        ("https://x.example/cb?code=a%20b&state=s#x", {"code": "a b", "state": "s"}),
        ("  ?code=a&state=s\n", {"code": "a", "state": "s"}),
        ("code=a&state=", {"code": "a", "state": ""}),
    ],
)
def test_callback_is_a_url_or_its_query(callback: str, found: dict[str, str]) -> None:
    assert query_of(callback) == found


@pytest.mark.parametrize(
    "callback",
    ["", "https://x.example/cb", "code", "state=a&state=b", "a=1&" * 20, "http://[x?a=b"],
)
def test_callback_that_makes_no_sense_is_refused(callback: str) -> None:
    with pytest.raises(RpcError, match="expected the whole URL"):
        query_of(callback)
