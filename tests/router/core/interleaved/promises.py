"""The invariants of `test_interleaved_views`, and the check that nothing is left over."""

from hypothesis.stateful import invariant

from router.core.records.call_records import CALLS
from router.core.state.session_rows import IDLE_EXPIRY_S
from router.core.views import listings
from router.messages.events import ClientClosed
from router.messages.own_tools.search import Found, ToolsFound
from tests.router.core.conversation import plain
from tests.router.core.interleaved import site
from tests.router.core.interleaved.client_session_rows import check_rows, check_started
from tests.router.core.interleaved.site import instance_in, kept_in
from tests.router.core.interleaved.world import Track, World, signature_in


class Promises(World):
    """The invariants."""

    def the_index_answers(self, pick: int) -> None:
        """Report results of a search, in any order: of every instance, seen or not."""
        search = self.talk.searches.pop(pick % len(self.talk.searches))
        rows = sorted(search.rows | {"a"})
        found = (Found(row, search.kind, "secret" if pick % 2 else "echo") for row in rows)
        self.talk.happens(ToolsFound(search.key, tuple(found), bool(pick % 3), 9))

    @invariant()
    def every_request_has_one_end_or_is_waited_for(self) -> None:
        for track in self.tracks:
            count = len(track.asked.mailbox.waiting)
            if count != track.ended_at:
                track.ended_at = None if self._is_waited_for(track) else count

    def _is_waited_for(self, track: Track) -> bool:
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
        return is_waited_for

    @invariant()
    def requests_reach_only_instances_that_their_client_sees(self) -> None:
        for upstream, track in self.requests_that_arrived():
            viewer, name = track.viewer, upstream.instance
            assert instance_in(name) in (self.seen_by(viewer) or ()), track
            self.check_serves(name, viewer)
            started = [one for one in self.talk.started if one.name == name]
            if started and started[-1].cwd is not None:
                assert started[-1].cwd == (track.brought or viewer.root), track

    @invariant()
    def a_session_for_one_client_is_heard_by_no_other(self) -> None:
        for viewer, frame in self.frames_delivered():
            name = signature_in(frame)
            if name is not None:
                self.check_serves(name, viewer)

    def check_news(self) -> None:
        """Check what came to servers and clients, in a rule that changes views or roots then."""
        self.requests_reach_only_instances_that_their_client_sees()
        self.a_session_for_one_client_is_heard_by_no_other()

    @invariant()
    def nobody_relies_on_a_list_that_has_changed(self) -> None:
        state = self.talk.state
        for viewer in self.viewers:
            client = state.clients.get(viewer.peer.id)
            if client is None or client.is_for_one_request or self.kind(viewer) == "gone":
                continue
            for part, method in listings.METHODS.items():
                kind = "resources" if part == "templates" else part
                is_there = part == "tools" or self.kind(viewer) in ("direct", "search")
                if not client.wants_list_changed(kind):
                    viewer.listed.pop(method, None)  # It was told.
                elif method in viewer.listed and is_there:
                    now = bytes(listings.result_for(state, client, part))
                    assert now == viewer.listed[method], (viewer, method)

    @invariant()
    def each_search_is_known_to_the_index_and_to_its_client(self) -> None:
        state = self.talk.state
        waiting = state.searches.waiting
        assert set(waiting) == {search.key for search in self.talk.searches}
        awaited = [one for client in state.clients.values() for one in client.awaited.values()]
        assert {id(one) for one in awaited} <= {id(one) for one in waiting.values()}

    @invariant()
    def the_index_knows_no_row_that_is_gone(self) -> None:
        for batch in self.talk.indexed:
            if batch.offered:
                self.indexed.add(batch.row)
            else:
                self.indexed.discard(batch.row)
        self.talk.indexed.clear()
        assert self.indexed == set(self.talk.state.searches.indexed)
        assert self.indexed <= set(self.talk.state.instances.by_name)

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

    @invariant()
    def calls_and_their_clients_know_each_other(self) -> None:
        state = self.talk.state
        known = [(client, one) for client in state.clients.values() for one in client.calls.items()]
        for client, (request_id, call) in known:
            assert call.client is client
            assert call.request_id == request_id
        waiting = [call for call in state.calls.by_id.values() if call.input_required is None]
        assert len(waiting) == len(known)

    @invariant()
    def nothing_is_parked_for_ever(self) -> None:
        state = self.talk.state
        parked = sum(len(client.parked) for client in state.clients.values())
        assert len(state.parked) == parked

    @invariant()
    def somebody_may_come_again_for_each_held_call(self) -> None:
        state = self.talk.state
        for held in state.input_required.values():
            connection = held.call.client.connection
            assert connection is None or connection.id in state.clients
            assert held.call.input_required is held
            assert (held.outcome is None) == (held.call.id in state.calls.by_id)
            assert held.outcome is not None or held.call.session.session in state.sessions

    @invariant()
    def no_root_is_remembered_that_its_client_does_not_have_now(self) -> None:
        for viewer in self.viewers:
            client = self.talk.state.clients.get(viewer.peer.id)
            if client is not None and viewer.outlives_requests:
                assert client.roots.first in (None, viewer.root), viewer

    @invariant()
    def rows_are_where_they_belong(self) -> None:
        living = {viewer.peer.id for viewer in self.viewers if viewer.outlives_requests}
        check_rows(self.talk.state, living, site.SESSION_LIMIT)

    @invariant()
    def what_was_started_runs_or_was_stopped(self) -> None:
        check_started(self.talk)

    def teardown(self) -> None:
        state = self.talk.state
        while self.talk.searches:
            self.the_index_answers(0)
        self.talk.time_passes(200.0)
        # Longer than any call, parked request and held call may last.
        assert not state.calls.by_id
        assert not len(state.parked)
        assert not state.input_required
        for viewer in self.viewers:
            viewer.peer.leaves()
        for client_id in list(state.clients):
            self.talk.happens(ClientClosed(client_id, "bye"))
        self.viewers.clear()
        self.talk.time_passes(3 * IDLE_EXPIRY_S)
        self.rows_are_where_they_belong()
        assert not state.client_sessions.by_name
        self.talk.configured()
        for name, kept in kept_in(state):
            assert not len(kept), (name, kept)
        assert self.talk.core.next_deadline_s() is None
        kept = [one for one in self.talk.call_records() if one.method in CALLS]
        assert len(kept) == self.talk.to_record
        assert {one.name for one in self.talk.started} <= set(self.talk.stopped)
