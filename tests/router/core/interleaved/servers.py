"""Everything that servers do in `test_interleaved_views`, and what becomes of their sessions."""

from collections.abc import Iterable

from hypothesis import strategies as st
from hypothesis.stateful import rule

from router.messages.frames import Request
from tests.router.core.conversation import FakeUpstream
from tests.router.core.interleaved import site
from tests.router.core.interleaved.site import chosen, instance_in
from tests.router.core.interleaved.world import NAMES, PICK, Viewer, World, mark_of, signed

STEPS = st.sampled_from(
    [
        *("result", "result", "result", "error", "input", "progress"),
        *(
            "roots",
            "roots",
            "roots plainly",
            "url",
            "withdrawn",
            "forged",
            "forged",
            "full",
            "lost",
        ),
    ]
)
STATE_OF_SERVER = "of the server"
QUESTIONS = ("roots", "roots plainly", "url")


class Servers(World):
    """The rules of servers."""

    # --- Their sessions ----------------------------------------------------------------------

    @rule(name=NAMES, pick=PICK, number=PICK, is_stateless=st.booleans())
    def an_instance_is_up(self, name: str, pick: int, number: int, is_stateless: bool) -> None:
        self.comes_up(self.a_session_of(name, pick), number, is_stateless=is_stateless)

    @rule(
        name=NAMES,
        pick=PICK,
        kind=st.sampled_from(["break", "down", "down", "stopped", "fail", "starts anew"]),
    )
    def an_upstream_ends(self, name: str, pick: int, kind: str) -> None:
        session = self.a_session_of(name, pick)
        match kind:
            case "break":
                chosen(self.upstreams[-4:], pick).breaks()
            case "down":
                self.talk.down(session, retry_in_s=chosen([None, 0.0, 0.5], pick))
            case "stopped":
                self.talk.down(session, "", None)
            case "starts anew":
                self.talk.starting(session)
            case _:
                self.talk.failed(session)

    def come_up_all(self, names: Iterable[str], number: int, *, is_stateless: bool) -> None:
        """Have sessions that were started come up and answer all that waited; then they ask."""
        for name in names:
            upstream = self.comes_up(name, number, is_stateless=is_stateless)
            for request in list(upstream.inbox.waiting):
                if mark := mark_of(request):
                    self.goes_on(upstream, request, mark, "result")
            if not is_stateless:
                self.asks_beside_calls(upstream)

    def asks_beside_calls(self, upstream: FakeUpstream) -> None:
        """Have an upstream ask for roots on the stream of no call."""
        self.marks += 1
        self.asks_a_client(upstream, None, self.marks, "roots plainly")

    # --- Calls -------------------------------------------------------------------------------

    @rule(steps=st.lists(st.tuples(PICK, PICK, STEPS), min_size=1, max_size=4))
    def upstreams_go_on_with_calls(self, steps: list[tuple[int, int, str]]) -> None:
        for pick, which, kind in steps:
            # A session of 2026-07-28 makes no requests.
            by = self.upstreams if kind not in QUESTIONS else self.with_sessions()
            upstream, request, mark = self.a_request_seen(pick, which, by=by)
            if request is not None:
                step = self.asks_a_client if kind in QUESTIONS else self.goes_on
                step(upstream, request, mark, kind)

    def with_sessions(self) -> list[FakeUpstream]:
        return [upstream for upstream in self.upstreams if not upstream.is_stateless]

    def goes_on(self, upstream: FakeUpstream, request: Request, mark: int, kind: str) -> None:
        """Have an upstream answer a request, once or again, or say something about it."""
        answered = {"id": request.id}
        match kind:
            case "error":
                error = {"code": -1, "message": str(mark), "data": signed(upstream)}
                upstream.fails(answered, error)
            case "input" if upstream.is_stateless and request.method == "tools/call":
                asked = {"method": "roots/list", "params": {}}
                wanted = {"inputRequests": {"i": asked}, "requestState": STATE_OF_SERVER}
                wanted |= {"resultType": "input_required"}
                upstream.answers(answered, wanted | signed(upstream))
            case "progress":
                params = {"progressToken": request.id, "progress": 1} | signed(upstream)
                upstream.says("notifications/progress", params)
            case "withdrawn":
                upstream.says("notifications/cancelled", {"requestId": mark})
            case "forged":
                for other in self.upstreams[-4:]:
                    if other is not upstream:
                        other.answers(answered, {"mark": kind})
            case "full" | "lost":
                upstream.overflows(request, lost=kind == "lost")
            case _:
                upstream.answers(answered, {"mark": mark} | signed(upstream))

    def asks_a_client(
        self, upstream: FakeUpstream, request: Request | None, mark: int, kind: str
    ) -> None:
        """Have an upstream ask something on the stream of a call, or on none."""
        before, calling = len(self.talk.delivered), self.calling(upstream)
        related = None if request is None or kind == "roots plainly" else request.id
        in_flight = self.talk.state.calls.find(related, upstream.session)
        if kind == "url":
            params = {"mode": "url", "url": "x:", "message": "", "elicitationId": f"e{mark}"}
            params |= signed(upstream)
            upstream.asks("elicitation/create", params, id=mark, related=related)
            if mark % 2:
                done = {"elicitationId": f"e{mark}"} | signed(upstream)
                upstream.says("notifications/elicitation/complete", done)
        else:
            upstream.asks("roots/list", signed(upstream), id=mark, related=related)
        asked = {self.viewer_of(client_id) for client_id, _ in self.talk.delivered[before:]}
        assert len(asked) <= 1
        if in_flight is not None:
            assert asked <= {self.owners[mark]}
        elif calling:
            callers = {self.viewer_of(client_id) for client_id in calling}
            is_certain = len({caller.identity for caller in callers}) == 1
            assert asked <= (callers if is_certain else set[Viewer]())
        elif asked:
            row = self.talk.state.client_sessions.by_name[upstream.instance]
            assert len(row.clients) == 1

    # --- What belongs to no call -------------------------------------------------------------

    @rule(
        pick=PICK,
        number=PICK,
        kind=st.sampled_from(
            ["log", "updated", "unknown", "question", "lists anew", "stops to listen"]
        ),
    )
    def an_upstream_says_something_to_all(self, pick: int, number: int, kind: str) -> None:
        upstream = chosen(self.upstreams[-4:], pick)
        if kind == "lists anew":
            tools, others = site.lists_of(instance_in(upstream.instance), number)
            upstream.lists(*tools, announced=["prompts"] if pick % 2 else [], **others)
        elif kind == "question" and not upstream.is_stateless:
            self.asks_beside_calls(upstream)
        elif kind in ("log", "updated", "unknown"):
            self.says_to_all(upstream, kind)
        elif kind == "stops to listen" and upstream.session in self.talk.state.listens:
            upstream.answers({"id": self.talk.state.listens[upstream.session]}, {})

    def says_to_all(self, upstream: FakeUpstream, kind: str) -> None:
        """Have an upstream say something that belongs to no call.

        Those who get it see the instance; a log also goes to those with a call in flight there.
        """
        name = instance_in(upstream.instance)
        before, calling = len(self.talk.delivered), self.calling(upstream)
        match kind:
            case "log":
                params = {"level": "error", "data": name} | signed(upstream)
                upstream.says("notifications/message", params)
            case "updated":
                params = {"uri": f"file:///{name}/x"} | signed(upstream)
                upstream.says("notifications/resources/updated", params)
            case _:
                upstream.says("x/news", {"of": name} | signed(upstream))
        for client_id, _ in self.talk.delivered[before:]:
            viewer = self.viewer_of(client_id)
            if kind == "unknown":
                assert self.is_transparent(viewer)
            if kind != "log" or client_id not in calling:
                assert name in (self.seen_by(viewer) or ())

    def all_say_something(self) -> None:
        """Have all sessions that are up say everything that belongs to no call."""
        for upstream in self.upstreams:
            if upstream.session in self.talk.state.sessions:
                for kind in ("log", "updated", "unknown"):
                    self.says_to_all(upstream, kind)

    def calling(self, upstream: FakeUpstream) -> set[str]:
        """Return the ids of the clients that have calls in flight on a session."""
        calls = self.talk.state.calls.of_session(upstream.session)
        return {call.client.id for call in calls}
