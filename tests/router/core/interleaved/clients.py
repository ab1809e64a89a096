"""Everything that clients do in `test_interleaved_views`."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from router.core.protocol.bridging import CLIENT_INFO_KEY
from router.core.sessions.client_roots import INPUT_KEY
from router.core.state.clients import InputRequired
from router.messages.events import ClientClosed
from router.messages.frames import Request
from tests.router.core.conversation import StatelessClient, plain
from tests.router.core.interleaved import site
from tests.router.core.interleaved.promises import Promises
from tests.router.core.interleaved.servers import STATE_OF_SERVER, Servers
from tests.router.core.interleaved.site import PER_CLIENT, chosen, owner_of
from tests.router.core.interleaved.world import NAMES, PICK, Track, Viewer, make_peer, mark_of

KINDS = st.sampled_from(
    ["session", "session", "one shot", "stdio", "either", "either", "either", "stateless"]
)
ABLE = st.sampled_from([True, True, True, True, True, False])
HOW = st.sampled_from(["answered", "answered", "twice", "refused", "by another"])
THEN = st.sampled_from(
    [
        *("starts", "is up", "is up", "asks", "asks and loses one"),
        *("asks and is answered", "asks and is answered", "other roots", "other roots"),
    ]
)
MAX_VIEWERS = 7


class Clients(Servers, Promises):
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
        # Mostly one whose call is held, or who has just done something.
        here = [track for track in self.tracks if track.viewer in self.viewers]
        held = [track for track in here if pick % 2 and self.is_held(track)]
        active = [track.viewer for track in held or here[-6:]]
        viewer = chosen(active if active and pick % 4 else self.viewers, pick)
        self.viewers.remove(viewer)
        (viewer.peer.overflows if is_slow else viewer.peer.leaves)()

    # --- They ask ----------------------------------------------------------------------------

    @rule(pick=PICK, name=NAMES, kind=PICK)
    def a_client_asks(self, pick: int, name: str, kind: int) -> None:
        self.asks_for(chosen(self.viewers, pick), name, kind)

    @precondition(lambda self: self.talk.searches)
    @rule(pick=PICK)
    def the_index_has_searched(self, pick: int) -> None:
        self.the_index_answers(pick)

    def asks_for(self, viewer: Viewer, name: str, kind: int) -> Track:
        """Have a viewer ask for something that an instance has."""
        prefix = "" if self.is_transparent(viewer) else f"{name}__"
        return self.asks(viewer, *chosen(site.requests_for(name, prefix), kind))

    def is_held(self, track: Track) -> bool:
        """Return whether the call behind a request goes on while its client is away."""
        return self.held_behind(track) is not None

    def held_behind(self, track: Track) -> InputRequired | None:
        """Return the call behind a request that goes on while its client is away, if one does."""
        for held in self.talk.state.input_required.values():
            client = held.call.client.connection or held.call.client
            if (client.id, held.call.request_id) == (track.client_id, track.asked.id):
                return held
        return None

    def uses(self, viewer: Viewer, kind: int) -> None:
        """Have a viewer use the instance with sessions for its clients, and say what it is asked.

        Args:
            kind: chooses among `site.CALLS_AND_SUBSCRIPTIONS`.
        """
        track = self.asks_for(viewer, PER_CLIENT, chosen(site.CALLS_AND_SUBSCRIPTIONS, kind))
        self.answers_all_questions(viewer)
        if track.wants_input:
            self.comes_again(track, is_answered=True)

    def some_use_it(self, picks: list[int], kind: int) -> None:
        """Have viewers use that instance, as far as they see it, until they have their answers."""
        before = len(self.talk.started)
        able = [one for one in self.viewers if PER_CLIENT in (self.seen_by(one) or ())]
        # Mostly those whose view may change.
        named = [one for one in able if one.place in self.talk.state.settings.profiles]
        for pick in picks if able else ():
            user = chosen(named if named and pick % 4 else able, pick)
            # A session that is subscribed to is started again after a change.
            self.uses(user, site.A_SUBSCRIPTION if pick % 2 else kind + pick)
        started = [one.name for one in self.talk.started[before:]]
        self.come_up_all(started, kind, is_stateless=kind % 3 == 0)
        self.check_news()

    @precondition(lambda self: len(self.viewers) < MAX_VIEWERS - 2)
    @rule(principal=PICK, kind=PICK)
    def two_programs_over_http_begin_to_call(self, principal: int, kind: int) -> None:
        before, started_before = len(self.viewers), len(self.talk.started)
        first = site.PLACES.index(PER_CLIENT)
        for place in (first, first + 1):
            self.a_client_comes("stateless", place, principal)
        for viewer in self.viewers[before:]:
            self.uses(viewer, 0)
        started = [one.name for one in self.talk.started[started_before:]]
        self.come_up_all(started, kind, is_stateless=kind % 3 == 0)

    @rule(picks=st.lists(PICK, min_size=1, max_size=4), then=THEN)
    def clients_call_and_have_their_sessions_started(self, picks: list[int], then: str) -> None:
        before = len(self.talk.started)
        if then == "other roots" and len(self.viewers) < MAX_VIEWERS:
            # Nothing is remembered yet of the roots of this one.
            self.a_client_comes("either", site.PLACES.index(PER_CLIENT), picks[0])
            self.uses(self.viewers[-1], 0)
        able = [one for one in self.viewers if PER_CLIENT in (self.seen_by(one) or ())]
        for pick in picks:
            self.uses(chosen(able or self.viewers, pick), pick)
        self.check_news()
        waiting = [track.viewer for track in self.tracks[-8:] if track.asked.is_waiting]
        for viewer in dict.fromkeys(waiting) if then == "other roots" else ():
            self.has_other_roots(viewer, "/y" if viewer.root == "/x" else "/x")
        for started in self.talk.started[before:] if then != "starts" else ():
            is_stateless = not then.startswith("asks") and picks[0] % 2 == 1
            self.comes_up(started.name, picks[0], is_stateless=is_stateless)
        if then.startswith("asks"):
            self.those_who_wait_are_asked()
        if then == "asks and is answered":
            self.those_who_are_held_come_again(picks[0])
        if then == "asks and loses one" and len(self.viewers) > 1:
            self.a_client_goes(2 * picks[0] + 1, is_slow=False)

    def those_who_wait_are_asked(self) -> None:
        """Have the newest sessions ask for roots on the streams of all their calls."""
        for upstream in self.with_sessions()[-4:]:
            for request in list(upstream.inbox.waiting):
                if mark_of(request) and request.id in self.talk.state.calls.by_id:
                    self.asks_a_client(upstream, request, mark_of(request), "roots")

    def those_who_are_held_come_again(self, pick: int) -> None:
        """Have others try to take calls that are held, and then their own clients come again."""
        last = [track for track in self.tracks[-8:] if track.wants_input and self.is_held(track)]
        for track in last:
            self.is_robbed_by_all(track)
            for upstream in self.upstreams[-4:] if pick % 2 else ():
                request = next((one for one in upstream.inbox.waiting if mark_of(one)), None)
                if request is not None:
                    self.goes_on(upstream, request, mark_of(request), "result")
            for _ in range(1 + pick % 3 // 2):
                self.comes_again(track, is_answered=pick // 2 % 2 > 0)

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
        asked = [track for track in self.tracks if track.wants_input]
        held = [track for track in asked if self.is_held(track)] or asked
        if not held or not who % 3:
            self.answers_a_question(self.a_track(pick), pick, is_refused=how == "refused")
            return
        # Mostly one of the last, which is held still.
        track = chosen(held[-3:] if pick % 4 else held, pick)
        if how == "by another":
            self.is_robbed_by_all(track)
        elif track.viewer in self.viewers:
            for _ in range(2 if how == "twice" else 1):
                self.comes_again(track, is_answered=how != "refused")

    def answers_a_question(self, track: Track, pick: int, *, is_refused: bool) -> None:
        """Have a viewer answer a question that came with a request, or beside all requests."""
        waiting = [*track.asked.mailbox.waiting, *track.client.outbox.waiting]
        questions = [plain(one) for one in waiting if isinstance(one, Request)]
        if questions and is_refused:
            track.client.refuses(chosen(questions, pick), {"code": 1, "message": "no"})
        elif questions:
            self.answers_question(track.viewer, chosen(questions, pick))

    def answers_all_questions(self, viewer: Viewer) -> None:
        """Have a viewer answer everything that it was ever asked; what needs none is dropped."""
        mailboxes = [one.asked.mailbox for one in self.tracks if one.viewer is viewer]
        for mailbox in (viewer.peer.outbox, *mailboxes):
            for question in [plain(one) for one in mailbox.waiting if isinstance(one, Request)]:
                self.answers_question(viewer, question)

    def answers_question(self, viewer: Viewer, question: dict[str, Any]) -> None:
        """Have a viewer answer a question, which nobody asks any more then."""
        viewer.peer.answers(question, viewer.answer_to(question))
        client = self.talk.state.clients.get(viewer.peer.id)
        if client is not None and question["method"] == "roots/list":
            assert question["id"] not in {*client.roots.asked, *client.server_requests}

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
        state = str(again.get("requestState", STATE_OF_SERVER))
        is_used_up = state in self.states_used
        held = self.held_behind(track)
        is_told_at_once = (
            held is not None and not is_answered and bool(held.outcome or held.requests)
        )
        sent = self.asks(viewer, track.method, again, mark=track.mark, brought=brought)
        assert sent.asked.finals or not is_told_at_once, sent
        is_refused = any("error" in plain(final) for final in sent.asked.finals)
        assert is_refused or not is_used_up, sent
        if held is not None and not is_refused:
            self.states_used.add(state)

    def is_robbed_by_all(self, track: Track) -> None:
        """Have all others that may come again at all try to take the call of a request."""
        for thief in self.viewers:
            if thief.kind in ("either", "stateless"):
                self.is_robbed(track, thief)

    def is_robbed(self, track: Track, thief: Viewer) -> None:
        """Have another principal, or a client at another place, send the state of a request."""
        owner, state = track.viewer, track.asked.result.get("requestState")
        is_other = (thief.principal.name, thief.place) != (owner.principal.name, owner.place)
        if is_other and state is not None:
            held = set(self.talk.state.input_required)
            params = {key: value for key, value in track.params.items() if key != "inputResponses"}
            self.asks(thief, track.method, params | {"requestState": state})
            assert set(self.talk.state.input_required) == held

    # --- Their roots -------------------------------------------------------------------------

    @precondition(lambda self: self.tracks)
    @rule(pick=PICK, root=st.sampled_from(site.ROOTS))
    def a_client_changes_its_roots(self, pick: int, root: str | None) -> None:
        self.has_other_roots(self.a_track(pick).viewer, root)  # Mostly one that waits.

    def has_other_roots(self, viewer: Viewer, root: str | None) -> None:
        """Have a viewer open another folder; the servers that it has for itself are told."""
        viewer.root = root
        viewer.roots.add(root)
        if viewer.outlives_requests and viewer in self.viewers:
            before = {one.session: len(one.inbox.waiting) for one in self.upstreams}
            viewer.peer.says("notifications/roots/list_changed")
            for upstream in self.upstreams:
                if len(upstream.inbox.waiting) > before[upstream.session]:
                    self.check_serves(upstream.instance, viewer)
