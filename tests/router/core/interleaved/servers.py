"""Everything that servers do in `test_interleaved_views`, and what becomes of their sessions."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.router.core.conversation import FakeUpstream
from tests.router.core.interleaved import site
from tests.router.core.interleaved.site import chosen, instance_in
from tests.router.core.interleaved.world import NAMES, PICK, World, signed

ANSWERS = st.sampled_from(["result", "result", "error", "input"])


class Servers(World):
    """The rules of servers."""

    # --- Their sessions ----------------------------------------------------------------------

    @rule(name=NAMES, pick=PICK, number=PICK, is_stateless=st.booleans())
    def an_instance_is_up(self, name: str, pick: int, number: int, is_stateless: bool) -> None:
        self.comes_up(self.a_session_of(name, pick), number, is_stateless=is_stateless)

    @rule(pick=PICK, number=PICK)
    def an_upstream_lists_anew(self, pick: int, number: int) -> None:
        upstream = chosen(self.upstreams[-4:], pick)
        tools, others = site.lists_of(instance_in(upstream.instance), number)
        upstream.lists(*tools, announced=["prompts"] if pick % 2 else [], **others)

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

    # --- They answer -------------------------------------------------------------------------

    @rule(picks=st.lists(st.tuples(PICK, PICK, ANSWERS), min_size=1, max_size=3))
    def upstreams_answer(self, picks: list[tuple[int, int, str]]) -> None:
        for pick, which, kind in picks:
            self.an_upstream_answers(pick, which, kind)

    def an_upstream_answers(self, pick: int, which: int, kind: str) -> None:
        """Have an upstream answer a request, once or again, or ask for input by its answer."""
        upstream, request, mark = self.a_request_seen(pick, which)
        if request is None:
            return
        match kind:
            case "error":
                error = {"code": -1, "message": str(mark), "data": signed(upstream)}
                upstream.fails({"id": request.id}, error)
            case "input" if upstream.is_stateless and request.method == "tools/call":
                asked = {"method": "roots/list", "params": {}}
                wanted = {"inputRequests": {"i": asked}, "requestState": "of the server"}
                wanted |= {"resultType": "input_required"}
                upstream.answers({"id": request.id}, wanted | signed(upstream))
            case _:
                upstream.answers({"id": request.id}, {"mark": mark} | signed(upstream))

    @rule(pick=PICK, other=PICK, which=PICK, kind=st.sampled_from(["forged", "full", "lost"]))
    def something_goes_wrong_with_a_message(
        self, pick: int, other: int, which: int, kind: str
    ) -> None:
        upstream = chosen(self.upstreams[-4:], other)
        victim, request, _ = self.a_request_seen(pick, which)
        if kind != "forged" and upstream.inbox.waiting:
            upstream.overflows(chosen(upstream.inbox.waiting, which), lost=kind == "lost")
        elif request is not None and victim is not upstream:
            upstream.answers({"id": request.id}, {"mark": "forged"})

    # --- They ask ----------------------------------------------------------------------------

    @rule(pick=PICK, which=PICK, is_url=st.booleans(), is_related=st.sampled_from([True, False]))
    def an_upstream_asks(self, pick: int, which: int, is_url: bool, is_related: bool) -> None:
        # A session of 2026-07-28 makes no requests.
        able = [upstream for upstream in self.upstreams if not upstream.is_stateless]
        upstream, request, mark = self.a_request_seen(pick, which, by=able)
        if request is None:
            return
        before = len(self.talk.delivered)
        related = request.id if is_related else None
        calling = self.calling(upstream)
        in_flight = self.talk.state.calls.find(request.id, upstream.session)
        if is_url:
            params = {"mode": "url", "url": "x:", "message": "", "elicitationId": f"e{mark}"}
            params |= signed(upstream)
            upstream.asks("elicitation/create", params, id=mark, related=related)
            if pick % 2:
                done = {"elicitationId": f"e{mark}"} | signed(upstream)
                upstream.says("notifications/elicitation/complete", done)
        else:
            upstream.asks("roots/list", signed(upstream), id=mark, related=related)
        asked = {self.viewer_of(client_id) for client_id, _ in self.talk.delivered[before:]}
        assert len(asked) <= 1
        if in_flight is not None and is_related:
            assert asked <= {self.owners[mark]}
        elif calling:
            assert asked <= {self.viewer_of(client_id) for client_id in calling}

    # --- They notify -------------------------------------------------------------------------

    @rule(pick=PICK, which=PICK, kind=st.sampled_from(["progress", "withdraws a question"]))
    def an_upstream_says_something_about_a_call(self, pick: int, which: int, kind: str) -> None:
        upstream, request, mark = self.a_request_seen(pick, which)
        if request is None:
            return
        if kind == "progress":
            params = {"progressToken": request.id, "progress": 1} | signed(upstream)
            upstream.says("notifications/progress", params)
        else:
            upstream.says("notifications/cancelled", {"requestId": mark})

    @rule(pick=PICK, kind=st.sampled_from(["log", "updated", "unknown", "ended"]))
    def an_upstream_says_something_to_all(self, pick: int, kind: str) -> None:
        """Those who get it see the instance, or have a call in flight there."""
        upstream = chosen(self.upstreams[-4:], pick)
        name = instance_in(upstream.instance)
        before, calling = len(self.talk.delivered), self.calling(upstream)
        match kind:
            case "log":
                params = {"level": "error", "data": name} | signed(upstream)
                upstream.says("notifications/message", params)
            case "updated":
                params = {"uri": f"file:///{name}/x"} | signed(upstream)
                upstream.says("notifications/resources/updated", params)
            case "unknown":
                upstream.says("x/news", {"of": name} | signed(upstream))
            case _:
                opened = self.talk.state.listens.get(upstream.session)
                if opened is not None:
                    upstream.answers({"id": opened}, {})
                return
        for client_id, _ in self.talk.delivered[before:]:
            viewer = self.viewer_of(client_id)
            if kind == "unknown":
                assert self.is_transparent(viewer)
            if client_id not in calling:
                assert name in (self.seen_by(viewer) or ())

    def calling(self, upstream: FakeUpstream) -> set[str]:
        """Return the ids of the clients that have calls in flight on a session."""
        calls = self.talk.state.calls.of_session(upstream.session)
        return {call.client.id for call in calls}
