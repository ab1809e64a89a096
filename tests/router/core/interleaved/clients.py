"""Everything that clients do in `test_interleaved_views`."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from router.core.protocol.bridging import CLIENT_INFO_KEY
from router.core.sessions.client_roots import INPUT_KEY
from router.messages.events import ClientClosed
from router.messages.frames import Request
from tests.router.core.conversation import StatelessClient, plain
from tests.router.core.interleaved import site
from tests.router.core.interleaved.servers import Servers
from tests.router.core.interleaved.site import PER_CLIENT, chosen, owner_of
from tests.router.core.interleaved.world import NAMES, PICK, Track, Viewer, make_peer, mark_of

KINDS = st.sampled_from(
    ["session", "session", "one shot", "stdio", "either", "either", "stateless", "stateless"]
)
ABLE = st.sampled_from([True, True, True, True, True, False])
HOW = st.sampled_from(["answered", "answered", "answered", "refused", "by another"])
MAX_VIEWERS = 7


class Clients(Servers):
    """The rules of clients."""

    # --- They come and go --------------------------------------------------------------------

    @precondition(lambda self: len(self.viewers) < MAX_VIEWERS)
    @rule(kind=KINDS, place=PICK, principal=PICK, is_able=ABLE)
    def a_client_comes(self, kind: str, place: int, principal: int, is_able: bool = True) -> None:
        at, who = chosen(site.PLACES, place), chosen(site.PRINCIPALS, principal)
        able: dict[str, Any] = {"roots": {}, "elicitation": {"form": {}, "url": {}}}
        declares = able if is_able else {}
        peer = make_peer(self.talk, kind, at, who)
        # Two programs over HTTP may not be told apart; what has a session or a connection may.
        number = place % 2 if kind == "stateless" else next(self.talk.ids)
        info = {"name": f"program-{number}", "version": "1"}
        sends_info = kind != "one shot"
        viewer = Viewer(
            peer,
            at,
            who,
            kind,
            msgspec.json.encode(info) if sends_info else b"",
            chosen(site.ROOTS, place + principal),
        )
        self.viewers.append(viewer)
        self._viewers_by_id[peer.id] = viewer
        if isinstance(peer, StatelessClient):
            peer.declares, peer.meta = declares, {CLIENT_INFO_KEY: info}
        elif kind != "one shot":
            params = {"protocolVersion": "2025-11-25", "capabilities": declares}
            self.asks(viewer, "initialize", params | {"clientInfo": info})

    @precondition(lambda self: len(self.viewers) > 1)
    @rule(pick=PICK, is_slow=st.booleans())
    def a_client_goes(self, pick: int, is_slow: bool) -> None:
        # Mostly one that has just done something.
        active = [track.viewer for track in self.tracks[-6:] if track.viewer in self.viewers]
        viewer = chosen(active if active and pick % 4 else self.viewers, pick)
        self.viewers.remove(viewer)
        (viewer.peer.overflows if is_slow else viewer.peer.leaves)()

    # --- They ask ----------------------------------------------------------------------------

    @rule(pick=PICK, name=NAMES, kind=PICK)
    def a_client_asks(self, pick: int, name: str, kind: int) -> None:
        self.asks_for(chosen(self.viewers, pick), name, kind)

    def asks_for(self, viewer: Viewer, name: str, kind: int) -> Track:
        """Have a viewer ask for something that an instance has."""
        prefix = "" if self.is_transparent(viewer) else f"{name}__"
        return self.asks(viewer, *chosen(site.requests_for(name, prefix), kind))

    @rule(
        picks=st.lists(PICK, min_size=1, max_size=4),
        then=st.sampled_from(["starts", "is up", "is up", "asks", "asks"]),
    )
    def clients_call_and_have_their_sessions_started(self, picks: list[int], then: str) -> None:
        before = len(self.talk.started)
        able = [one for one in self.viewers if PER_CLIENT in (self.seen_by(one) or ())]
        for pick in picks:
            kind = chosen(site.CALLS_AND_SUBSCRIPTIONS, pick)
            track = self.asks_for(chosen(able or self.viewers, pick), PER_CLIENT, kind)
            self.answers_all_questions(track.viewer)
            if track.wants_input:
                self.comes_again(track, is_answered=True)
        for started in self.talk.started[before:] if then != "starts" else ():
            is_stateless = then != "asks" and picks[0] % 2 == 1
            upstream = self.comes_up(started.name, picks[0], is_stateless=is_stateless)
            for request in list(upstream.inbox.waiting) if then == "asks" else ():
                if mark_of(request):
                    self.asks_a_client(upstream, request, mark_of(request), "roots")

    @rule(pick=PICK, method=st.sampled_from(sorted(site.LISTS)))
    def a_client_lists(self, pick: int, method: str) -> None:
        viewer = chosen(self.viewers, pick)
        asked = self.asks(viewer, method, {}).asked
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
        member, key = site.LISTS[method]
        listed = [item[key] for item in final["result"][member]]
        assert len(set(listed)) == len(listed)
        assert {owner_of(one) for one in listed} <= {*seen, None}
        for row in self.talk.state.instances:
            if row.name in seen and row.is_connected and self.kind(viewer) == "direct":
                assert any(row.name == owner_of(one) for one in listed)

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK)
    def a_client_cancels(self, pick: int) -> None:
        track = chosen(self.tracks[-12:], pick)
        client = self.talk.state.clients.get(track.client_id)
        if client is None:
            return
        track.is_done = track.is_done or track.asked.is_waiting
        if client.one_shot:  # It cancels by closing its connection, which ends it.
            self.talk.happens(ClientClosed(track.client_id, "gone"))
        else:
            track.client.cancels(track.asked)

    # --- They are asked ----------------------------------------------------------------------

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK, who=PICK, how=HOW)
    def a_client_does_what_it_was_asked(self, pick: int, who: int, how: str) -> None:
        """Have a client answer a question, or send a request again with the input it needs."""
        held = [track for track in self.tracks if track.wants_input]
        if not held or who % 2:
            self.answers_a_question(self.a_track(pick), pick, is_refused=how == "refused")
            return
        # Mostly one of the last, which is held still.
        track = chosen(held[-3:] if pick % 4 else held, pick)
        if how == "by another":
            self.is_robbed(track, chosen(self.viewers, who))
        elif track.viewer in self.viewers:
            self.comes_again(track, is_answered=how != "refused")

    def answers_a_question(self, track: Track, pick: int, *, is_refused: bool) -> None:
        """Have a viewer answer a question that came with a request, or beside all requests."""
        waiting = [*track.asked.mailbox.waiting, *track.client.outbox.waiting]
        questions = [plain(one) for one in waiting if isinstance(one, Request)]
        if questions and is_refused:
            track.client.refuses(chosen(questions, pick), {"code": 1, "message": "no"})
        elif questions:
            question = chosen(questions, pick)
            track.client.answers(question, track.viewer.answer_to(question))

    def answers_all_questions(self, viewer: Viewer) -> None:
        """Have a viewer answer everything that it was ever asked; what needs none is dropped."""
        mailboxes = [one.asked.mailbox for one in self.tracks if one.viewer is viewer]
        for mailbox in (viewer.peer.outbox, *mailboxes):
            for question in [plain(one) for one in mailbox.waiting if isinstance(one, Request)]:
                viewer.peer.answers(question, viewer.answer_to(question))

    def comes_again(self, track: Track, *, is_answered: bool) -> None:
        """Have a viewer send a request again, with the input that its answer asked for."""
        asked = track.asked.result
        questions = asked["inputRequests"] if is_answered else {}
        viewer = track.viewer
        again = track.params | {
            "inputResponses": {key: viewer.answer_to(one) for key, one in questions.items()}
        }
        if "requestState" in asked:
            again["requestState"] = asked["requestState"]
        brought = viewer.root if INPUT_KEY in questions else None
        self.asks(viewer, track.method, again, mark=track.mark, brought=brought)

    def is_robbed(self, track: Track, thief: Viewer) -> None:
        """Have another principal, or a client at another place, send the state of a request."""
        owner, state = track.viewer, track.asked.result.get("requestState")
        is_other = (thief.principal.name, thief.place) != (owner.principal.name, owner.place)
        if is_other and state is not None:
            held = set(self.talk.state.input_required)
            self.asks(thief, track.method, track.params | {"requestState": state})
            assert set(self.talk.state.input_required) == held

    # --- Their roots -------------------------------------------------------------------------

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK, root=st.sampled_from(site.ROOTS))
    def a_client_changes_its_roots(self, pick: int, root: str | None) -> None:
        viewer = self.a_track(pick).viewer  # Mostly one that waits for something.
        viewer.root = root
        viewer.roots.add(root)
        if viewer.outlives_requests and viewer in self.viewers:
            before = {one.session: len(one.inbox.waiting) for one in self.upstreams}
            viewer.peer.says("notifications/roots/list_changed")
            for upstream in self.upstreams:
                if len(upstream.inbox.waiting) > before[upstream.session]:
                    self.check_serves(upstream.instance, viewer)
