"""`/livez` and `/readyz`: what they say, to whom, and what they leave to the application."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from router.messages.commands import Principal, ShowReadiness
from router.messages.errors import HttpRefusal
from router.messages.events import AdminCommand, Barrier
from transports.listen.serving.health import ANSWER_S, Health, WithHealth, is_local
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL = ("127.0.0.1", 5000)
REMOTE = ("203.0.113.7", 5000)
READINESS = {"ready": 1, "total": 2, "not_ready": {"b": "failed"}, "in_flight": 0}


@attrs.define
class Scene:
    """A router that is up, with one of two instances ready, and one that failed."""

    is_stuck: bool = False
    is_listening: bool = True
    is_stopping: bool = False
    ready_when: Any = "serving"
    principal: Principal | None = None
    readiness: dict[str, Any] = attrs.field(factory=lambda: dict(READINESS))
    reached: list[str] = attrs.field(factory=list)
    refused: list[tuple[str, str, int]] = attrs.field(factory=list)
    unread: UnreadBytes = attrs.field(factory=UnreadBytes)
    endpoint: None = None
    own_paths: frozenset[str] = frozenset()
    inbox: Any = None
    _events: Any = None

    def __attrs_post_init__(self) -> None:
        self.inbox, self._events = trio.open_memory_channel[Any](16)

    # --- The router --------------------------------------------------------------------------

    async def act(self) -> None:
        """Be the actor."""
        async for event in self._events:
            match event:
                case _ if self.is_stuck:
                    pass
                case Barrier(pass_on):
                    pass_on()
                case AdminCommand(_, ShowReadiness(), reply_to):
                    reply_to.send_nowait(self.readiness)
                case _:
                    raise AssertionError(event)

    def admit(self, headers: Mapping[str, str], _address: str) -> Principal:
        self.check_site(headers)
        if self.principal is None:
            raise HttpRefusal(401, "Bearer token required but not provided")
        return self.principal

    def check_site(self, headers: Mapping[str, str]) -> None:
        if headers.get("host") == "evil.test":
            raise HttpRefusal(403, "Host is not allowed")

    def note(self, address: str, path: str, refusal: HttpRefusal) -> None:
        self.refused.append((address, path, refusal.status))

    # --- Another application -----------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope["path"])

    async def run(self, *, task_status: Any = None) -> None:
        pass

    def end(self) -> None:
        pass

    # --- A client ----------------------------------------------------------------------------

    async def got(
        self, path: str, client: Any = LOCAL, method: str = "GET", **headers: str
    ) -> tuple[int, Any]:
        """Return the status and the body of an answer; the body decoded if it is JSON."""
        health = Health(
            inbox=self.inbox,
            admit=self.admit,
            check_site=self.check_site,
            are_listening=lambda: self.is_listening,
            is_stopping=lambda: self.is_stopping,
            ready_when=lambda: self.ready_when,
            refused=self.note,
        )
        sent: list[Any] = []

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(message)

        pairs = [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "client": client, "headers": pairs}
        with trio.fail_after(60):
            await WithHealth(self, health)(scope, send, send)  # type: ignore[arg-type]
        if not sent:
            return 0, None
        start, body = sent
        answered = dict(start["headers"])
        assert answered[b"content-length"] == b"%d" % len(body["body"])
        assert answered[b"x-content-type-options"] == b"nosniff"
        assert answered[b"cache-control"] == b"no-store"
        is_json = answered[b"content-type"] == b"application/json"
        return start["status"], json.loads(body["body"]) if is_json else body["body"]


@pytest.fixture
async def scene(nursery: trio.Nursery) -> Scene:
    scene = Scene()
    nursery.start_soon(scene.act)
    return scene


# --- /livez ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_router_whose_actor_answers_is_alive_whatever_else(
    scene: Scene, method: str, autojump_clock: Any
) -> None:
    scene.is_listening, scene.is_stopping = False, True
    assert await scene.got("/livez", method=method) == (200, b"ok\n")


async def test_router_whose_actor_does_not_answer_in_a_second_is_not_alive(
    scene: Scene, autojump_clock: Any
) -> None:
    scene.is_stuck = True
    began_s = trio.current_time()
    assert await scene.got("/livez") == (503, b"the dispatch actor does not answer\n")
    assert trio.current_time() - began_s == pytest.approx(ANSWER_S)


async def test_router_whose_actor_has_ended_is_not_alive() -> None:
    scene = Scene()
    scene._events.close()
    assert (await scene.got("/livez"))[0] == 503
    assert await scene.got("/readyz") == (503, {"status": "not answering"})


# --- /readyz ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ready_when", "state", "expected"),
    [
        ("serving", {}, "ready"),
        ("listening", {}, "ready"),
        ("instances", {}, "waiting for instances"),
        ("serving", {"is_stopping": True}, "stopping"),
        ("listening", {"is_stopping": True}, "ready"),
        ("instances", {"is_stopping": True}, "stopping"),
        ("serving", {"is_listening": False}, "starting"),
        ("listening", {"is_listening": False}, "starting"),
        ("serving", {"is_stuck": True}, "not answering"),
    ],
)
async def test_readiness_follows_the_setting(
    scene: Scene, ready_when: str, state: dict[str, bool], expected: str, autojump_clock: Any
) -> None:
    scene.ready_when = ready_when
    for name, value in state.items():
        setattr(scene, name, value)
    status, body = await scene.got("/readyz")
    assert body["status"] == expected
    assert status == (200 if expected == "ready" else 503)


async def test_router_whose_instances_are_all_ready_is_ready(scene: Scene) -> None:
    scene.ready_when = "instances"
    scene.readiness = READINESS | {"ready": 2, "not_ready": {}}
    instances = {"ready": 2, "total": 2, "not_ready": {}}
    assert await scene.got("/readyz") == (200, {"status": "ready", "instances": instances})


# --- Who may ask -----------------------------------------------------------------------------


async def test_program_on_this_machine_needs_no_token_and_is_told_names(scene: Scene) -> None:
    for client in (LOCAL, ("::1", 5000), ("::ffff:127.0.0.1", 5000), None):
        status, body = await scene.got("/readyz", client)
        assert status == 200
        assert body["instances"]["not_ready"] == {"b": "failed"}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("header", ["forwarded", "via", "x_forwarded_for", "x_real_ip"])
async def test_request_that_a_proxy_forwarded_needs_a_token(
    scene: Scene, path: str, header: str
) -> None:
    assert (await scene.got(path, **{header: "x"}))[0] == 401
    assert (await scene.got(path, None, **{header: "x"}))[0] == 401


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_another_machine_needs_a_token(scene: Scene, path: str) -> None:
    assert (await scene.got(path, REMOTE))[0] == 401
    scene.principal = Principal("t")
    assert (await scene.got(path, REMOTE))[0] == 200


async def test_whoever_is_refused_is_reported(scene: Scene) -> None:
    await scene.got("/livez", via="x")
    await scene.got("/readyz", REMOTE)
    await scene.got("/readyz", host="evil.test")
    await scene.got("/readyz")
    await scene.got("/readyz", REMOTE, method="PUT")
    assert scene.refused == [
        ("127.0.0.1", "/livez", 401),
        ("203.0.113.7", "/readyz", 401),
        ("127.0.0.1", "/readyz", 403),
    ]


@pytest.mark.parametrize(
    ("principal", "is_told"),
    [
        (Principal("t", frozenset({"read"})), True),
        (Principal("t", frozenset({"call"})), False),
        (Principal("t", instances=frozenset({"a"})), False),
        (Principal("t", profile="work"), False),
    ],
)
async def test_names_are_for_those_who_may_read_all_states(
    scene: Scene, principal: Principal, is_told: bool
) -> None:
    scene.principal = principal
    _, body = await scene.got("/readyz", REMOTE)
    assert ("not_ready" in body["instances"]) == is_told
    assert (body["instances"]["ready"], body["instances"]["total"]) == (1, 2)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_host_is_checked_here_too(scene: Scene, path: str) -> None:
    assert (await scene.got(path, host="evil.test"))[0] == 403


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_other_methods_are_refused(scene: Scene, path: str) -> None:
    assert (await scene.got(path, method="POST"))[0] == 405


async def test_other_paths_are_the_applications(scene: Scene) -> None:
    for path in ("/mcp", "/livez/", "/", "/api/livez"):
        assert await scene.got(path) == (0, None)
    assert scene.reached == ["/mcp", "/livez/", "/", "/api/livez"]


def test_address_with_a_zone_is_understood() -> None:
    assert not is_local(("fe80::1%eth0", 5000))
    assert not is_local(("::ffff:203.0.113.7", 5000))
