"""Places: which view a path asks for, and endpoints that have several places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.revisions import STATELESS_REVISION
from tests.transports.listen.endpoint_client import (
    BOTH,
    EVENTS,
    JSON,
    answer_of,
    chunk,
    data_of,
    detail,
    events_of,
    message,
    outcome_of,
    pending_of,
    request,
)
from tests.transports.listen.fake_actor import PROGRESS, FakeActor, admit, put, response
from tests.transports.listen.http.http_client import CALL
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.http.places import view_at
from transports.listen.http.sse_endpoint import SseEndpoint
from transports.listen.serving.exchange import Answer, EventStream, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

INITIALIZE = message("initialize", 0, protocolVersion="2025-11-25")
NO_VIEW = "Not found: there is no profile or instance of this name for you"


class FakePlaces:
    """Places that the test names, some of them only after the instances have been read."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.forwarded_names: frozenset[str] = frozenset()
        self.hidden_from: set[tuple[str, str]] = set()
        self.known = trio.Event()
        self.known.set()

    def has(self, name: str, principal: Principal, /) -> bool:
        return name in self.names and (name, principal.name) not in self.hidden_from

    async def wait_for_instances(self) -> None:
        await self.known.wait()


@pytest.fixture
def places() -> FakePlaces:
    return FakePlaces("work", "文件")


@pytest.fixture
def http(actor: FakeActor, places: FakePlaces) -> HttpEndpoint:
    return HttpEndpoint(actor.inbox, admit, places)


@pytest.fixture
def sse(actor: FakeActor, places: FakePlaces) -> SseEndpoint:
    return SseEndpoint(actor.inbox, admit, places)


def post(path: str, body: Any = CALL, **headers: str) -> HttpRequest:
    return request("POST", path, body, **{**JSON, **headers})


async def initialized(http: HttpEndpoint, actor: FakeActor, path: str, **headers: str) -> Any:
    """Open a session at a place and return what the actor was told of it."""
    pending = await pending_of(http, post(path, INITIALIZE, **headers))
    opened = await actor.next(ClientOpened)
    await actor.answer({"protocolVersion": "2025-11-25"})
    await outcome_of(pending, Answer)
    return opened


# --- Paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "view"),
    [("/mcp", None), ("/mcp/work", "work"), ("/mcp/文件", "文件"), ("/mcp/mcp", "mcp")],
)
def test_path_below_the_default_place_names_a_view(path: str, view: str | None) -> None:
    assert view_at(path, "/mcp") == view


@pytest.mark.parametrize(
    "path", ["", "/", "/mcp/", "/mcpwork", "/mcp/work/", "/mcp/a/b", "/mcp//work", "/MCP", "work"]
)
def test_other_paths_are_not_found(path: str) -> None:
    with pytest.raises(HttpRefusal) as refused:
        view_at(path, "/mcp")
    assert (refused.value.status, refused.value.detail) == (404, "Not found")


# --- Streamable HTTP -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "view"), [("/mcp", None), ("/mcp/work", "work"), ("/mcp/文件", "文件")]
)
async def test_session_is_opened_with_the_view_of_its_place(
    http: HttpEndpoint, actor: FakeActor, path: str, view: str | None
) -> None:
    opened = await initialized(http, actor, path)
    assert (opened.view, opened.one_shot) == (view, False)


@pytest.mark.parametrize(("path", "view"), [("/mcp", None), ("/mcp/work", "work")])
@pytest.mark.parametrize("era", ["handshake", "stateless"])
async def test_request_without_a_session_has_the_view_of_its_place(
    http: HttpEndpoint, actor: FakeActor, path: str, view: str | None, era: str
) -> None:
    headers = {"mcp_protocol_version": STATELESS_REVISION, "mcp_method": "tools/call"}
    headers = headers | {"mcp_name": "echo"} if era == "stateless" else {}
    await pending_of(http, post(path, **headers))
    opened = await actor.next(ClientOpened)
    assert (opened.view, opened.one_shot, opened.era) == (view, True, era)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "PUT"])
@pytest.mark.parametrize("name", ["nothing", "a\nb", "x" * 300, "Work", "😀"])
async def test_unknown_view_is_404(
    http: HttpEndpoint, actor: FakeActor, method: str, name: str
) -> None:
    answer = await answer_of(http, request(method, f"/mcp/{name}", INITIALIZE, **JSON))
    assert (answer.status, detail(answer)) == (404, NO_VIEW)
    assert actor.is_quiet()


async def test_endpoint_without_places_has_the_default_place_alone(actor: FakeActor) -> None:
    http, sse = HttpEndpoint(actor.inbox, admit), SseEndpoint(actor.inbox, admit)
    assert (await answer_of(http, post("/mcp/work", INITIALIZE))).status == 404
    assert (await answer_of(sse, request("GET", "/sse/work"))).status == 404
    await initialized(http, actor, "/mcp")


async def test_view_that_the_principal_may_not_see_is_as_unknown_as_any(
    http: HttpEndpoint, places: FakePlaces
) -> None:
    places.hidden_from = {("work", "a")}
    unseen = await answer_of(http, post("/mcp/work", INITIALIZE, authorization="a"))
    assert unseen == await answer_of(http, post("/mcp/nothing", INITIALIZE, authorization="a"))
    assert unseen.status == 404


async def test_client_that_is_not_let_in_learns_of_no_view(http: HttpEndpoint) -> None:
    for name in ("work", "nothing"):
        answer = await answer_of(http, post(f"/mcp/{name}", INITIALIZE, authorization="nobody"))
        assert answer.status == 401


async def test_session_is_known_at_its_own_place(http: HttpEndpoint, actor: FakeActor) -> None:
    opened = await initialized(http, actor, "/mcp/work")
    pending = await pending_of(http, post("/mcp/work", mcp_session_id=opened.client))
    assert (await actor.answer()).client == opened.client
    assert (await outcome_of(pending, Answer)).status == 200
    ended = await answer_of(
        http, request("DELETE", "/mcp/work", mcp_session_id=opened.client, **EVENTS)
    )
    assert ended.status == 204


@pytest.mark.parametrize(
    ("own", "other"), [("/mcp", "/mcp/work"), ("/mcp/work", "/mcp"), ("/mcp/work", "/mcp/文件")]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_session_of_another_place_is_as_unknown_as_any(
    http: HttpEndpoint, actor: FakeActor, own: str, other: str, method: str
) -> None:
    opened = await initialized(http, actor, own)
    headers = {**JSON, **BOTH}
    theirs = request(method, other, CALL, mcp_session_id=opened.client, **headers)
    unknown = request(method, other, CALL, mcp_session_id="0" * 32, **headers)
    answer = await answer_of(http, theirs)
    assert answer == await answer_of(http, unknown)
    assert answer.status == 404
    assert repr(http) == "<HttpEndpoint sessions=1 one_shots=0>"


# --- HTTP+SSE --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "view"), [("/sse", None), ("/sse/work", "work"), ("/sse/文件", "文件")]
)
async def test_stream_is_opened_with_the_view_of_its_place_and_posts_go_to_one_address(
    sse: SseEndpoint, actor: FakeActor, path: str, view: str | None
) -> None:
    events = await events_of(sse, request("GET", path))
    opened = await actor.next(ClientOpened)
    assert opened.view == view
    target = f"event: endpoint\ndata: /messages?session_id={opened.client}\n\n"
    assert events.opening == target.encode()
    posted = request("POST", "/messages", CALL, f"session_id={opened.client}", **JSON)
    assert (await answer_of(sse, posted)).status == 202
    assert (await actor.next(FromClient)).client == opened.client


@pytest.mark.parametrize("path", ["/sse/nothing", "/sse/", "/sse/work/", "/messages/work"])
async def test_stream_at_an_unknown_place_is_404(
    sse: SseEndpoint, actor: FakeActor, path: str
) -> None:
    assert (await answer_of(sse, request("GET", path))).status == 404
    assert actor.is_quiet()


async def test_post_to_a_place_of_a_stream_is_405(sse: SseEndpoint) -> None:
    assert (await answer_of(sse, request("POST", "/sse/work", CALL, **JSON))).status == 405


# --- Before the instances are known ----------------------------------------------------------


@pytest.mark.parametrize(("found", "status"), [({"git"}, 200), (set[str](), 404)])
async def test_unknown_view_waits_until_the_instances_are_known(
    http: HttpEndpoint, actor: FakeActor, places: FakePlaces, found: set[str], status: int
) -> None:
    places.known = trio.Event()
    answers: list[Answer] = []

    async def ask() -> None:
        answered = await http.respond(post("/mcp/git"))
        if not isinstance(answered, Answer):
            assert (await actor.next(ClientOpened)).view == "git"
            await actor.answer()
            answered = await outcome_of(answered, Answer)  # type: ignore[arg-type]
        answers.append(answered)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            assert not answers
            assert actor.is_quiet()
            places.names |= found
            places.known.set()
    assert answers[0].status == status


async def test_client_that_is_revoked_while_it_waits_is_not_let_in(
    actor: FakeActor, places: FakePlaces
) -> None:
    known = {"a"}

    def admit_known(headers: Mapping[str, str], _address: str, _path: str) -> Principal:
        if headers["authorization"] not in known:
            raise HttpRefusal(401, "Who are you?")
        return Principal(headers["authorization"])

    places.known = trio.Event()
    answers: list[Answer] = []
    for endpoint, method, path in (
        (HttpEndpoint(actor.inbox, admit_known, places), "POST", "/mcp/git"),
        (SseEndpoint(actor.inbox, admit_known, places), "GET", "/sse/git"),
    ):
        known.add("a")
        places.names.discard("git")
        places.known = trio.Event()
        asked = request(method, path, INITIALIZE, authorization="a", **JSON)

        async def ask(endpoint: Any = endpoint, asked: Any = asked) -> None:
            answers.append(await answer_of(endpoint, asked))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await wait_all_tasks_blocked()
                known.clear()
                places.names.add("git")
                places.known.set()
    assert [answer.status for answer in answers] == [401, 401]
    assert actor.is_quiet()


# --- Places that vanish ----------------------------------------------------------------------


async def test_sessions_at_a_vanished_place_end_and_no_others(
    http: HttpEndpoint, actor: FakeActor, places: FakePlaces
) -> None:
    gone = await initialized(http, actor, "/mcp/work")
    for path in ("/mcp", "/mcp/文件"):
        await initialized(http, actor, path)
    places.names.discard("work")
    http.end_vanished(places.has)
    assert (await actor.next(ClientClosed)).client == gone.client
    assert actor.is_quiet()
    assert repr(http) == "<HttpEndpoint sessions=2 one_shots=0>"
    again = await answer_of(http, post("/mcp/work", mcp_session_id=gone.client))
    assert (again.status, detail(again)) == (404, NO_VIEW)


async def test_lone_requests_at_a_vanished_place_are_answered_with_404_and_others_go_on(
    http: HttpEndpoint, actor: FakeActor, places: FakePlaces
) -> None:
    gone = await pending_of(http, post("/mcp/work"))
    await actor.next(ClientOpened)
    await actor.next(FromClient)
    stays = await pending_of(http, post("/mcp"))
    await actor.next(ClientOpened)
    places.names.discard("work")
    http.end_vanished(places.has)
    answer = await outcome_of(gone, Answer)
    assert (answer.status, detail(answer)) == (404, NO_VIEW)
    put((await actor.next(FromClient)).reply_to, response(7))
    assert (await outcome_of(stays, Answer)).status == 200


async def test_subscription_at_a_vanished_place_ends(
    http: HttpEndpoint, actor: FakeActor, places: FakePlaces
) -> None:
    listen = message("subscriptions/listen", 7)
    headers = {"mcp_protocol_version": STATELESS_REVISION, "mcp_method": "subscriptions/listen"}
    pending = await pending_of(http, post("/mcp/work", listen, **BOTH, **headers))
    await actor.next(ClientOpened)
    put((await actor.next(FromClient)).reply_to, PROGRESS)
    events = await outcome_of(pending, EventStream)
    assert data_of(await chunk(events))
    places.names.discard("work")
    http.end_vanished(places.has)
    assert await chunk(events) is None
    events.close()
    await actor.next(ClientClosed)


async def test_stream_at_a_vanished_place_ends_and_no_other(
    sse: SseEndpoint, actor: FakeActor, places: FakePlaces
) -> None:
    streams = [await events_of(sse, request("GET", path)) for path in ("/sse/work", "/sse")]
    gone = await actor.next(ClientOpened)
    await actor.next(ClientOpened)
    places.names.discard("work")
    sse.end_vanished(places.has)
    assert await chunk(streams[0]) is None
    assert (await actor.next(ClientClosed)).client == gone.client
    assert repr(sse) == "<SseEndpoint sessions=1>"


async def test_place_that_vanishes_while_the_body_is_read_is_404(
    http: HttpEndpoint, actor: FakeActor, places: FakePlaces
) -> None:
    """Otherwise a slow body could open a session that no change of places ends."""
    asked = post("/mcp/work", INITIALIZE)

    async def read_body() -> bytes:
        places.names.discard("work")
        http.end_vanished(places.has)
        return await asked.read_body()

    slow = HttpRequest(asked.method, asked.path, asked.headers, read_body, asked.query)
    assert (await answer_of(http, slow)).status == 404
    assert actor.is_quiet()
