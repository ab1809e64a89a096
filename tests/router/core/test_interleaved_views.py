"""Any events in any order, seen through views: nobody sees, reaches or hears of more than its own.

`test_interleavings` is about calls and their ends in one view. Here are places of all kinds, whose
profiles, instances and lists change while clients of all kinds use them.
"""

from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.core.views import listings
from router.messages.events import ClientClosed
from router.messages.frames import Request
from tests.router.core.conversation import (
    Conversation,
    FakeClient,
    FakeUpstream,
    SentRequest,
    plain,
    spec,
)
from tests.router.core.interleaved_sites import (
    CAPABILITIES,
    EXPOSURES,
    INSTANCES,
    LISTS,
    PLACES,
    PRINCIPALS,
    PROFILES,
    VIEWS,
    Track,
    Viewer,
    chosen,
    kept_in,
    lists_of,
    mark_of,
    owner_of,
    profile_of,
    requests_for,
    seen_by,
    wants_input,
)

NAMES = st.sampled_from(INSTANCES)
PICK = st.integers(0, 2**16)
"""Chooses among what there is at that moment."""


class InterleavedViews(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.talk = Conversation(timeout_s=2.0, view="direct", profiles=PROFILES[0])
        self.specs = {name: spec(name) for name in INSTANCES}
        self.upstreams: list[FakeUpstream] = []
        self.viewers: list[Viewer] = []
        self.tracks: list[Track] = []
        self.owners: dict[int, Viewer] = {}
        self.read: dict[int, int] = {}
        self.marks = 0
        self.talk.configured(*self.specs.values())
        for name in ("a", "b"):
            self.an_instance_is_up(name, number=0, is_stateless=name == "b")
        self.a_client_comes(kind="session", place=0, principal=0)

    # --- Clients -----------------------------------------------------------------------------

    @precondition(lambda self: len(self.viewers) < 7)
    @rule(
        kind=st.sampled_from(["session", "session", "one shot", "stdio", "either", "stateless"]),
        place=PICK,
        principal=PICK,
    )
    def a_client_comes(self, kind: str, place: int, principal: int) -> None:
        at, who = chosen(PLACES, place), chosen(PRINCIPALS, principal)
        declares: dict[str, Any] = {"roots": {}, "elicitation": {"form": {}, "url": {}}}
        peer: FakeClient
        if kind == "stateless":
            peer = self.talk.stateless_client(who, at, **declares)
        elif kind == "either":
            peer = self.talk.stateless_connection(who, at, **declares)
        else:
            one_shot, one_channel = kind == "one shot", kind == "stdio"
            peer = self.talk.client(
                one_shot=one_shot, one_channel=one_channel, principal=who, view=at
            )
        viewer = Viewer(peer, at, who)
        self.viewers.append(viewer)
        if kind in ("session", "stdio"):
            self.track(viewer, peer.initializes(**declares))

    @rule(pick=PICK, name=NAMES, kind=PICK)
    def a_client_asks(self, pick: int, name: str, kind: int) -> None:
        viewer = chosen(self.viewers, pick)
        self.marks += 1
        meta = {"_meta": {"mark": self.marks, "progressToken": self.marks}}
        prefix = "" if self.is_transparent(viewer) else f"{name}__"
        method, params = chosen(requests_for(name, prefix), kind)
        self.owners[self.marks] = viewer
        self.track(viewer, viewer.peer.asks(method, params | meta))

    @rule(pick=PICK, method=st.sampled_from(sorted(LISTS)))
    def a_client_lists(self, pick: int, method: str) -> None:
        viewer = chosen(self.viewers, pick)
        asked = viewer.peer.asks(method)
        self.track(viewer, asked)
        if self.is_transparent(viewer) or not asked.finals:
            return
        final = plain(asked.finals[0])
        seen = self.seen_by(viewer)
        viewer.listed.pop(method, None)
        if "error" in final:
            assert seen is None or final["error"]["code"] == -32601
            return
        assert seen is not None
        viewer.listed[method] = asked.result_bytes
        member, key = LISTS[method]
        listed = [item[key] for item in final["result"][member]]
        assert len(set(listed)) == len(listed)
        assert {owner_of(one) for one in listed} <= {*seen, None}
        for row in self.talk.state.instances:
            if row.name in seen and row.session is not None and self.kind(viewer) == "direct":
                assert any(row.name == owner_of(one) for one in listed)

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK)
    def a_client_cancels(self, pick: int) -> None:
        track = self.a_track(pick)
        client = self.talk.state.clients.get(track.client_id)
        if client is None:
            return
        track.is_done = track.is_done or track.asked.is_waiting
        if client.one_shot:  # It cancels by closing its connection, which ends it.
            self.talk.happens(ClientClosed(track.client_id, "gone"))
        else:
            track.client.cancels(track.asked)

    @precondition(lambda self: len(self.viewers) > 1)
    @rule(pick=PICK, is_slow=st.booleans())
    def a_client_goes(self, pick: int, is_slow: bool) -> None:
        viewer = self.viewers.pop(pick % len(self.viewers))
        (viewer.peer.overflows if is_slow else viewer.peer.leaves)()

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK, is_refused=st.booleans())
    def a_client_answers_a_question(self, pick: int, is_refused: bool) -> None:
        track = self.a_track(pick)
        questions = [plain(one) for one in track.asked.mailbox.waiting if isinstance(one, Request)]
        if questions and is_refused:
            track.client.refuses(chosen(questions, pick), {"code": 1, "message": "no"})
        elif questions:
            track.client.answers(chosen(questions, pick), {"roots": []})

    @rule(pick=PICK)
    def a_client_comes_again_with_input(self, pick: int) -> None:
        held = [one for one in self.tracks if wants_input(one.asked) and one.mark in self.owners]
        if not held:
            return
        before = chosen(held, pick)
        result = before.asked.result
        viewer = self.owners[before.mark]
        again = {
            "name": "b__echo" if not self.is_transparent(viewer) else "echo",
            "requestState": result["requestState"],
            "inputResponses": {key: {"roots": []} for key in result["inputRequests"]},
            "_meta": {"mark": before.mark},
        }
        if viewer in self.viewers:
            self.track(viewer, viewer.peer.asks("tools/call", again), before.mark)

    # --- Upstreams ---------------------------------------------------------------------------

    @rule(name=NAMES, number=PICK, is_stateless=st.booleans())
    def an_instance_is_up(self, name: str, number: int, is_stateless: bool) -> None:
        self.talk.starting(name)
        revision = "2026-07-28" if is_stateless else "2025-11-25"
        tools, others = lists_of(name, number)
        self.upstreams.append(
            self.talk.up(name, *tools, revision=revision, capabilities=CAPABILITIES, **others)
        )

    @rule(pick=PICK, number=PICK)
    def an_upstream_lists_anew(self, pick: int, number: int) -> None:
        upstream = chosen(self.upstreams[-4:], pick)
        tools, others = lists_of(upstream.instance, number)
        upstream.lists(*tools, announced=["prompts"] if pick % 2 else [], **others)

    @rule(name=NAMES, pick=PICK, kind=st.sampled_from(["break", "down", "fail"]))
    def an_upstream_ends(self, name: str, pick: int, kind: str) -> None:
        match kind:
            case "break":
                chosen(self.upstreams[-4:], pick).breaks()
            case "down":
                self.talk.down(name, retry_in_s=chosen([None, 0.0, 0.5], pick))
            case _:
                self.talk.failed(name)

    @rule(pick=PICK, which=PICK, kind=st.sampled_from(["result", "result", "error", "input"]))
    def an_upstream_answers(self, pick: int, which: int, kind: str) -> None:
        upstream, request, mark = self.a_request_seen(pick, which)
        if request is None:
            return
        match kind:
            case "error":
                upstream.fails({"id": request.id}, {"code": -1, "message": str(mark)})
            case "input" if upstream.is_stateless and request.method == "tools/call":
                asked = {"method": "roots/list", "params": {}}
                wanted = {"inputRequests": {"i": asked}, "requestState": "of the server"}
                upstream.answers({"id": request.id}, wanted | {"resultType": "input_required"})
            case _:
                upstream.answers({"id": request.id}, {"mark": mark})

    @rule(pick=PICK, which=PICK, url=st.booleans())
    def an_upstream_asks(self, pick: int, which: int, url: bool) -> None:
        upstream, request, mark = self.a_request_seen(pick, which)
        if request is None or upstream.is_stateless:
            return  # A session of 2026-07-28 makes no requests.
        if url:
            params = {"mode": "url", "url": "x:", "message": "", "elicitationId": f"e{mark}"}
            upstream.asks("elicitation/create", params, id=mark, related=request.id)
            if pick % 2:
                done = {"elicitationId": f"e{mark}"}
                upstream.says("notifications/elicitation/complete", done)
        else:
            upstream.asks("roots/list", {}, id=mark, related=request.id)

    @rule(pick=PICK, kind=st.sampled_from(["log", "updated", "unknown", "ended"]))
    def an_upstream_says_something_to_all(self, pick: int, kind: str) -> None:
        """Those who get it see the instance, or have a call in flight there."""
        upstream = chosen(self.upstreams[-4:], pick)
        name = upstream.instance
        before = [len(viewer.peer.outbox.waiting) for viewer in self.viewers]
        calling = {call.client.id for call in self.talk.state.calls.of_session(upstream.session)}
        match kind:
            case "log":
                upstream.says("notifications/message", {"level": "error", "data": name})
            case "updated":
                upstream.says("notifications/resources/updated", {"uri": f"file:///{name}/x"})
            case "unknown":
                upstream.says("x/news", {"of": name})
            case _:
                opened = self.talk.state.listens.get(upstream.session)
                if opened is not None:
                    upstream.answers({"id": opened}, {})
        for viewer, count in zip(self.viewers, before, strict=True):
            new = viewer.peer.outbox.waiting[count:]
            if kind == "unknown" and new:
                assert self.is_transparent(viewer)
            if kind in ("log", "unknown") and new and viewer.peer.id not in calling:
                assert name in (self.seen_by(viewer) or ())

    # --- The configuration -------------------------------------------------------------------

    @rule(profiles=PICK, view=PICK)
    def the_settings_change(self, profiles: int, view: int) -> None:
        changed = chosen(PROFILES, profiles)
        default = chosen(VIEWS, view)
        # A default view that is no profile is an error of the configuration.
        default = default if default in changed or default != "work" else "router"
        self.talk.settings_change(profiles=changed, view=default)

    @rule(name=NAMES, change=st.sampled_from(["exposure", "restarted", "disabled", "removed"]))
    def an_instance_changes(self, name: str, change: str) -> None:
        self.marks += 1
        present = self.specs.get(name, spec(name))
        match change:
            case "exposure":
                self.specs[name] = attrs.evolve(present, exposure=chosen(EXPOSURES, self.marks))
            case "restarted":
                self.specs[name] = spec(name, command=str(self.marks))
            case "disabled":
                self.specs[name] = attrs.evolve(present, is_active=False)
            case _:
                self.specs.pop(name, None)
        self.talk.configured(*self.specs.values())

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.5, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.talk.time_passes(seconds)

    # --- A model of who sees what ------------------------------------------------------------

    def kind(self, viewer: Viewer) -> str:
        found = profile_of(viewer, self.talk.state.settings, self.specs)
        return "gone" if found is None else found[0]

    def is_transparent(self, viewer: Viewer) -> bool:
        return self.kind(viewer) == "transparent"

    def seen_by(self, viewer: Viewer) -> set[str] | None:
        return seen_by(viewer, self.talk.state.settings, self.specs)

    # --- What always holds -------------------------------------------------------------------

    @invariant()
    def every_request_has_one_end_or_is_waited_for(self) -> None:
        for track in self.tracks:
            finals = [plain(final) for final in track.asked.finals]
            assert len(finals) <= 1
            client = self.talk.state.clients.get(track.client_id)
            is_waited_for = client is not None and (
                client.waits_for(track.asked.id)
                or (client.subscription is not None and client.the_request.id == track.asked.id)
            )
            assert is_waited_for != (bool(finals) or track.is_done or client is None), finals
            for final in finals:
                assert final.get("result", {}).get("mark", track.mark) == track.mark
                error = final.get("error", {"code": 0})
                assert error["code"] != -1 or error["message"] == str(track.mark)

    @invariant()
    def requests_reach_only_instances_that_their_client_sees(self) -> None:
        for upstream in self.upstreams:
            frames = upstream.inbox.waiting
            already = self.read.get(upstream.session, 0)
            self.read[upstream.session] = len(frames)
            for frame in frames[already:]:
                mark = mark_of(frame)
                if mark in self.owners:
                    assert upstream.instance in (self.seen_by(self.owners[mark]) or ()), mark

    @invariant()
    def nobody_relies_on_a_list_that_has_changed(self) -> None:
        state = self.talk.state
        for viewer in self.viewers:
            client = state.clients.get(viewer.peer.id)
            if client is None or client.is_for_one_request or self.kind(viewer) == "gone":
                continue
            for part, method in listings.METHODS.items():
                kind = "resources" if part == "templates" else part
                is_there = part == "tools" or self.kind(viewer) == "direct"
                if not client.wants_list_changed(kind):
                    viewer.listed.pop(method, None)  # It was told.
                elif method in viewer.listed and is_there:
                    now = bytes(listings.result_for(state, client, part))
                    assert now == viewer.listed[method], (viewer, method)

    @invariant()
    def subscribers_are_there_and_named_on_both_sides(self) -> None:
        state = self.talk.state
        of_clients = {
            (client.id, *resource)
            for client in state.clients.values()
            for resource in client.resources
        }
        assert of_clients == {
            (client_id, name, uri)
            for name, of_instance in state.subscribers.items()
            for uri, told in of_instance.items()
            for client_id in told
        }
        assert set(state.listens) <= set(state.sessions)

    def teardown(self) -> None:
        self.talk.time_passes(200.0)
        for viewer in self.viewers:
            viewer.peer.leaves()
        for client_id in list(self.talk.state.clients):
            self.talk.happens(ClientClosed(client_id, "bye"))
        self.talk.time_passes(200.0)
        self.talk.configured()
        for name, kept in kept_in(self.talk.state):
            assert not len(kept), (name, kept)
        assert self.talk.core.next_deadline_s() is None

    # --- Choices -----------------------------------------------------------------------------

    def track(self, viewer: Viewer, asked: SentRequest, mark: int | None = None) -> None:
        known = self.marks if mark is None else mark
        self.tracks.append(Track(viewer.peer, viewer.peer.id, asked, known))

    def a_track(self, pick: int) -> Track:
        """A request of a client: mostly one that waits, else any."""
        waiting = [track for track in self.tracks if track.asked.is_waiting]
        return chosen(waiting if waiting and pick % 4 else self.tracks, pick)

    def a_request_seen(self, pick: int, which: int) -> tuple[FakeUpstream, Request | None, int]:
        """A request with a mark that an upstream has seen: mostly one in flight, else any."""
        live = [
            (upstream, frame)
            for upstream in self.upstreams
            for frame in upstream.inbox.waiting
            if isinstance(frame, Request)
            and mark_of(frame)
            and (not pick % 4 or frame.id in self.talk.state.calls.by_id)
        ]
        if not live:
            return self.upstreams[-1], None, 0
        upstream, frame = chosen(live, which)
        return upstream, frame, mark_of(frame)


TestInterleavedViews = InterleavedViews.TestCase
TestInterleavedViews.settings = settings(
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)
