"""The world of `test_interleaved_views`: who is there, what was asked, and who may see what.

The rules choose among what is there. What is expected follows from what clients and servers did,
not from what the core made of it.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from router.messages.commands import Principal
from router.messages.effects import ToClient
from router.messages.frames import Frame, Notification, Request
from tests.router.core.conversation import (
    Conversation,
    FakeClient,
    FakeUpstream,
    SentRequest,
    plain,
    value_of,
)
from tests.router.core.interleaved import site
from tests.router.core.interleaved.site import PER_CLIENT, chosen, instance_in

if TYPE_CHECKING:
    from router.messages.instances.instance_spec import InstanceSpec

NAMES = st.sampled_from((*site.INSTANCES, PER_CLIENT, PER_CLIENT))
PICK = st.integers(0, 2**16)
"""Chooses among what there is at that moment."""


class Overheard(Conversation):
    """A conversation that notes what was sent to whom.

    Attributes:
        delivered: the ids of clients, each with the frame that it was sent, in order.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.delivered: list[tuple[str, Frame]] = []

    def _perform(self, effect: Any) -> None:
        if isinstance(effect, ToClient):
            self.delivered.append((effect.client, effect.frame))
        super()._perform(effect)


@attrs.define(eq=False)
class Viewer:
    """A client, with everything that it came with.

    Attributes:
        info: its `clientInfo`, encoded; empty if it sends none. Those of sessions and connections
            differ; two lone requests with the same are of one program.
        root: the path of its first root now; None while it has none.
        roots: all paths that it ever had there.
        listed: the last result of each list that it asked for.
    """

    peer: FakeClient
    place: str | None
    principal: Principal
    kind: str
    info: bytes
    root: str | None
    roots: set[str | None] = attrs.field(init=False)
    listed: dict[str, bytes] = attrs.field(factory=dict[str, bytes])

    def __attrs_post_init__(self) -> None:
        self.roots = {self.root}

    @property
    def outlives_requests(self) -> bool:
        """True for a session and for a connection, false for whoever sends lone requests."""
        return self.kind in ("session", "stdio", "either")

    @property
    def identity(self) -> tuple[Any, ...]:
        """Two viewers with the same identity are one client to the router."""
        if self.outlives_requests:
            return (self.peer.id,)
        return self.principal.name, self.info

    def answer_to(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return its answer to a question of the router, or of a server."""
        if question["method"] == "roots/list":
            return {"roots": [] if self.root is None else [{"uri": f"file://{self.root}"}]}
        return {"action": "accept", "content": {}}


@attrs.define(eq=False)
class Track:
    """A request, and what is known about it.

    Attributes:
        viewer: its sender.
        client_id: the row that sent it.
        mark: stands in its `_meta`, and in the answer of whatever server gets it. A request that
            is sent again keeps it.
        brought: the first root that it brought with it; a connection may have another now.
        is_done: nobody waits for it any more.
        ended_at: how many frames there were in its mailbox when it was seen to have ended.
    """

    viewer: Viewer
    client_id: str
    asked: SentRequest
    method: str
    params: dict[str, Any]
    mark: int
    brought: str | None = None
    is_done: bool = False
    ended_at: int | None = None

    @property
    def client(self) -> FakeClient:
        return self.viewer.peer

    @property
    def wants_input(self) -> bool:
        """True if it is to be sent again, with input."""
        finals = [plain(final) for final in self.asked.finals]
        return any(one.get("result", {}).get("resultType") == "input_required" for one in finals)


class World(RuleBasedStateMachine):
    """Everybody in this world, before anything happens.

    Attributes:
        specs: the configuration, by the names of the instances.
        owners: the senders of the requests, by mark.
        belongs: who has a session that was started for one client, by its name.
        indexed: the rows that the search index knows.
        states_used: each `requestState` of the router with which a client has gone on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.talk = Overheard(
            timeout_s=2.0,
            view="direct",
            profiles=site.PROFILES[0],
            records=frozenset({"audit"}),
        )
        self.specs: dict[str, InstanceSpec] = {
            name: site.configured(name) for name in site.INSTANCES
        }
        self.upstreams: list[FakeUpstream] = []
        self.viewers: list[Viewer] = []
        self.tracks: list[Track] = []
        self.owners: dict[int, Viewer] = {}
        self.belongs: dict[str, tuple[Any, ...]] = {}
        self.states_used: set[str] = set()
        self.indexed: set[str] = set()
        self.marks = 0
        self._viewers_by_id: dict[str, Viewer] = {}
        self._read: dict[int, int] = {}
        self._heard = 0

    # --- Requests ----------------------------------------------------------------------------

    def asks(
        self,
        viewer: Viewer,
        method: str,
        params: dict[str, Any],
        *,
        mark: int | None = None,
        brought: str | None = None,
    ) -> Track:
        """Have a viewer send a request.

        Args:
            mark: that of the request that it sends again.
            brought: see `Track`.
        """
        if mark is None:
            self.marks += 1
            mark = self.marks
            self.owners[mark] = viewer
        meta = {"mark": mark, "number": len(self.tracks), "progressToken": mark}
        asked = viewer.peer.asks(method, params | {"_meta": meta})
        track = Track(viewer, viewer.peer.id, asked, method, params, mark, brought)
        self._viewers_by_id[track.client_id] = viewer
        self.tracks.append(track)
        return track

    def viewer_of(self, client_id: str) -> Viewer:
        """Return the viewer behind a row; that of a request on a connection is `{id}/{number}`."""
        return self._viewers_by_id[client_id.partition("/")[0]]

    def a_track(self, pick: int) -> Track:
        """A request of a client: mostly one that waits, else any."""
        waiting = [track for track in self.tracks if track.asked.is_waiting]
        return chosen(waiting if waiting and pick % 4 else self.tracks, pick)

    def a_request_seen(
        self, pick: int, which: int, *, by: Iterable[FakeUpstream] | None = None
    ) -> tuple[FakeUpstream, Request | None, int]:
        """A request with a mark that one of these upstreams has seen: mostly one in flight."""
        live = [
            (upstream, frame)
            for upstream in (self.upstreams if by is None else by)
            for frame in upstream.inbox.waiting
            if isinstance(frame, Request)
            and (not pick % 4 or frame.id in self.talk.state.calls.by_id)
            and mark_of(frame)
        ]
        if not live:
            return self.upstreams[-1], None, 0
        upstream, frame = chosen(live, which)
        return upstream, frame, mark_of(frame)

    # --- Sessions of servers -----------------------------------------------------------------

    def a_session_of(self, name: str, pick: int) -> str:
        """A name under which the supervisor may report about an instance: mostly one that runs."""
        if name != PER_CLIENT:
            return name
        started = [one.name for one in self.talk.started if instance_in(one.name) == name]
        present = [one for one in started if self.talk.state.row_named(one) is not None]
        names = present if present and pick % 8 else started
        return chosen(names[-2 * site.SESSION_LIMIT :], pick) if names else name

    def comes_up(self, name: str, number: int, *, is_stateless: bool) -> FakeUpstream:
        """Have a session come up; `name` is the supervisor's."""
        revision = "2026-07-28" if is_stateless else "2025-11-25"
        tools, others = site.lists_of(instance_in(name), number)
        self.talk.starting(name)
        upstream = self.talk.up(
            name, *tools, revision=revision, capabilities=site.CAPABILITIES, **others
        )
        self.upstreams.append(upstream)
        return upstream

    def check_serves(self, name: str, viewer: Viewer) -> None:
        """Check that a session, by the supervisor's name, may have to do with a viewer."""
        started = [one for one in self.talk.started if one.name == name]
        if started and started[-1].client is not None:
            owner = self.belongs.setdefault(name, viewer.identity)
            assert owner == viewer.identity
            assert bytes(started[-1].client.info) in (b"", viewer.info)
        elif started and started[-1].cwd is not None:
            assert started[-1].cwd in viewer.roots

    # --- Who sees what -----------------------------------------------------------------------

    def kind(self, viewer: Viewer) -> str:
        """Return the kind of a viewer's view."""
        wanted = self.talk.state.settings
        found = site.profile_at(viewer.place, viewer.principal, wanted, self.specs)
        return "gone" if found is None else found[0]

    def is_transparent(self, viewer: Viewer) -> bool:
        return self.kind(viewer) == "transparent"

    def seen_by(self, viewer: Viewer) -> set[str] | None:
        """Return the names of the instances that a viewer may see; None if its view is gone."""
        wanted = self.talk.state.settings
        return site.seen_at(viewer.place, viewer.principal, wanted, self.specs)

    # --- News --------------------------------------------------------------------------------

    def requests_that_arrived(self) -> list[tuple[FakeUpstream, Track]]:
        """Return the requests that have come to an upstream, and were never there before.

        A call goes on when the view of its client has changed, and may be sent again then.
        """
        arrived: list[tuple[FakeUpstream, Track]] = []
        for upstream in self.upstreams:
            frames = upstream.inbox.waiting
            already = self._read.get(upstream.session, 0)
            self._read[upstream.session] = len(frames)
            new = {number_of(frame) for frame in frames[already:]} - {None}
            if new:
                new -= {number_of(frame) for frame in frames[:already]}
            arrived += [(upstream, self.tracks[number]) for number in new if number is not None]
        return arrived

    def frames_delivered(self) -> list[tuple[Viewer, Frame]]:
        """Return what viewers were sent since the last time."""
        new = self.talk.delivered[self._heard :]
        self._heard = len(self.talk.delivered)
        return [(self.viewer_of(client_id), frame) for client_id, frame in new]


def make_peer(talk: Conversation, kind: str, place: str | None, principal: Principal) -> FakeClient:
    """Return a client of a kind, at a place."""
    if kind == "stateless":
        return talk.stateless_client(principal, place)
    if kind == "either":
        return talk.stateless_connection(principal, place)
    one_shot, one_channel = kind == "one shot", kind == "stdio"
    return talk.client(one_shot=one_shot, one_channel=one_channel, principal=principal, view=place)


def mark_of(frame: Any) -> int:
    """Return the mark in a request; 0 if it has none."""
    return _meta_of(frame).get("mark", 0)


def number_of(frame: Any) -> int | None:
    """Return the place of a request in `World.tracks`; None if it is none of those."""
    return _meta_of(frame).get("number")


def _meta_of(frame: Any) -> dict[str, Any]:
    params = value_of(frame.params) if isinstance(frame, Request) else None
    return (params or {}).get("_meta") or {}


# --- Origin of messages ----------------------------------------------------------------------


def signed(upstream: FakeUpstream) -> dict[str, str]:
    """Return a member for a message of an upstream that says which session made it."""
    return {"note": f"<{upstream.instance}>"}


_SIGNATURE = re.compile(rb'"note":"<([^>]*)>"')


def signature_in(frame: Frame) -> str | None:
    """Return the name of the session that made a message, or the result in it; None if unknown."""
    raw = frame.params if isinstance(frame, (Request, Notification)) else None
    if raw is None:
        raw = getattr(frame, "result", None) or getattr(frame, "error", None)
    found = _SIGNATURE.search(bytes(raw or b""))
    return None if found is None else found[1].decode()
