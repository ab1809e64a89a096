"""Any changes in any order: no client keeps a list that is wrong without having been told."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.core.views import listings
from router.messages.errors import RpcError
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, spec

NAMES = ("a", "b")
KINDS = {"tools": ("tools",), "prompts": ("prompts",), "resources": ("resources", "templates")}
PLACES = st.sampled_from([None, None, "work", "one", "a", "b", "later"])
PICK = st.integers(0, 2**16)
"""Chooses among what there is at that moment."""

OFFERS = st.fixed_dictionaries(
    {
        "tools": st.sets(st.sampled_from(["echo", "rm", "a__echo"])),
        "prompts": st.sets(st.sampled_from(["p", "q"])),
        "resources": st.sets(st.sampled_from(["x:1", "x:2", "ui://x"])),
        "templates": st.sets(st.sampled_from(["x:{y}"])),
    }
)
FILTERS = st.sampled_from([NameFilter(), NameFilter(()), NameFilter(deny=("*rm", "x:1", "q"))])
EXPOSURES = st.builds(Exposure, FILTERS, FILTERS, FILTERS, st.sampled_from([{}, {"echo": "say"}]))
SPECS = st.builds(
    dict,
    exposure=EXPOSURES,
    command=st.sampled_from(["one", "two"]),
    is_active=st.sampled_from([True, True, True, False]),
    catalogue_cache=st.booleans(),
)
PROFILES = st.dictionaries(
    st.sampled_from(["work", "later"]),
    st.builds(
        Profile,
        st.sampled_from(["direct", "router"]),
        st.sampled_from([("*",), ("a",), ("b", "c")]),
        st.sampled_from([NameFilter(), NameFilter(deny=("*__rm",))]),
    ),
)


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        one = {"one": Profile("transparent", ("a",))}
        self.talk = Conversation(view="direct", profiles={"work": Profile()} | one)
        self.one = one
        self.specs = {name: spec(name) for name in NAMES}
        self.upstreams: dict[str, FakeUpstream] = {}
        self.clients: list[FakeClient] = []
        self.listed: dict[tuple[str, str], Any] = {}
        self.talk.configured(*self.specs.values())
        for name in NAMES:
            self.talk.starting(name)

    # --- What happens --------------------------------------------------------------------------

    @rule(place=PLACES)
    def a_client_comes(self, place: str | None) -> None:
        self.clients.append(self.talk.client(view=place))
        for kind in KINDS:
            self._has_listed(self.clients[-1], kind)

    @rule(name=st.sampled_from(NAMES), offers=OFFERS)
    def a_server_comes(self, name: str, offers: Any) -> None:
        if name in self.specs and self.specs[name].is_active:
            self.talk.starting(name)
            offers = {part: sorted(items) for part, items in offers.items()}
            tools = offers.pop("tools")
            self.upstreams[name] = self.talk.up(name, *tools, **offers)

    @rule(name=st.sampled_from(NAMES), offers=OFFERS)
    def a_server_lists_others(self, name: str, offers: Any) -> None:
        if name in self.upstreams:
            offers = {part: sorted(items) for part, items in offers.items()}
            self.upstreams[name].lists(*offers.pop("tools"), **offers)

    @rule(name=st.sampled_from(NAMES), how=st.sampled_from(["breaks", "down", "failed", "stays"]))
    def a_server_goes(self, name: str, how: str) -> None:
        if how == "breaks" and name in self.upstreams:
            self.upstreams[name].breaks()
        elif how == "down":
            self.talk.down(name)
        elif how == "failed":
            self.talk.failed(name)

    @rule(name=st.sampled_from(NAMES), changes=SPECS)
    def an_instance_changes(self, name: str, changes: dict[str, Any]) -> None:
        self.specs[name] = spec(name, **changes)
        self.talk.configured(*self.specs.values())

    @rule(name=st.sampled_from(NAMES))
    def an_instance_is_removed(self, name: str) -> None:
        self.specs.pop(name, None)
        self.talk.configured(*self.specs.values())

    @rule(profiles=PROFILES)
    def profiles_change(self, profiles: dict[str, Profile]) -> None:
        self.talk.settings_change(profiles=profiles | self.one)

    @rule(view=st.sampled_from(["router", "direct", "one"]), limit=st.sampled_from([16, 48]))
    def settings_change(self, view: str, limit: int) -> None:
        self.talk.settings_change(view=view, name_limit=limit)

    @rule(pick=PICK, name=st.sampled_from(NAMES))
    def a_client_calls_or_selects(self, pick: int, name: str) -> None:
        if self.clients:
            client = self.clients[pick % len(self.clients)]
            client.calls("mcp.router.use", {"instance_name": name})

    @rule(pick=PICK, name=st.sampled_from(NAMES), uri=st.sampled_from(["x:1", "x:2"]))
    def a_client_subscribes(self, pick: int, name: str, uri: str) -> None:
        if self.clients:
            client = self.clients[pick % len(self.clients)]
            client.asks("resources/subscribe", {"uri": uri})
            if name in self.upstreams:
                self.upstreams[name].says("notifications/resources/updated", {"uri": uri})

    @rule(pick=PICK)
    def a_client_leaves(self, pick: int) -> None:
        if self.clients:
            self.clients.pop(pick % len(self.clients)).leaves()

    @rule(seconds=st.sampled_from([1, 40]))
    def time_passes(self, seconds: int) -> None:
        self.talk.time_passes(seconds)

    @rule(pick=PICK)
    def a_client_lists(self, pick: int) -> None:
        if self.clients:
            client = self.clients[pick % len(self.clients)]
            for kind in KINDS:
                self._has_listed(client, kind)

    def _has_listed(self, client: FakeClient, kind: str) -> None:
        """Have a client list, which makes the next change news for it."""
        asked = client.asks(f"{kind}/list")
        for upstream in self.upstreams.values():
            for request in upstream.sees():
                if "id" in request:
                    upstream.answers(request, {})
        if asked.finals and "error" not in asked.mailbox.take()[-1]:
            self.listed[client.id, kind] = self._lists(client, kind)

    # --- What always holds ---------------------------------------------------------------------

    def _lists(self, client: FakeClient, kind: str) -> list[Any]:
        """Return what a client would be listed now; a place that is gone has empty lists."""
        row = self.talk.state.clients[client.id]
        try:
            parts = [listings.result_for(self.talk.state, row, part) for part in KINDS[kind]]
        except RpcError:
            return [[] for _ in KINDS[kind]]
        return [next(iter(msgspec.json.decode(part).values())) for part in parts]

    @invariant()
    def nobody_keeps_a_wrong_list_untold(self) -> None:
        for client in self.clients:
            told = [method for method in client.hears() if method.endswith("list_changed")]
            kinds = [method.split("/")[1] for method in told]
            assert len(set(kinds)) == len(kinds)
            for kind in kinds:
                del self.listed[client.id, kind]
            for kind in KINDS:
                if (client.id, kind) in self.listed:
                    assert self._lists(client, kind) == self.listed[client.id, kind]
            for kind in kinds:
                self._has_listed(client, kind)

    @invariant()
    def nothing_is_left_of_clients_that_are_gone(self) -> None:
        state = self.talk.state
        for by_uri in state.subscribers.values():
            assert all(told and told.keys() <= state.clients.keys() for told in by_uri.values())
        assert state.listens.keys() <= state.sessions.keys()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
