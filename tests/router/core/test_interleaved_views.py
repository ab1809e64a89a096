"""Any events in any order, seen through views: nobody sees, reaches or hears of more than its own.

`test_interleavings` is about calls and their ends in one view. Here are places of all kinds, whose
profiles, instances and lists change while clients of all kinds use them; and an instance that has a
session for each of its clients, each of its clients' roots, or one for all.
"""

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.router.core.interleaved import site
from tests.router.core.interleaved.clients import KINDS
from tests.router.core.interleaved.configuration import Configuration
from tests.router.core.interleaved.site import PER_CLIENT, chosen
from tests.router.core.interleaved.world import PICK


class InterleavedViews(Configuration):
    """All rules and invariants, from a beginning where something can happen at once."""

    @initialize(
        kind=PICK,
        profiles=PICK,
        viewers=st.lists(st.tuples(KINDS, PICK, PICK), min_size=1, max_size=4),
    )
    def the_site_opens(self, kind: int, profiles: int, viewers: list[tuple[str, int, int]]) -> None:
        sessions = chosen(site.KINDS_OF_SESSIONS, kind)
        self.specs[PER_CLIENT] = attrs.evolve(self.specs[PER_CLIENT], **sessions)
        self.talk.configured(*self.specs.values())
        self.talk.settings_change(profiles=chosen(site.PROFILES, profiles))
        for name in ("a", "b"):
            self.comes_up(name, 0, is_stateless=name == "b")
        self.a_client_comes("session", place=0, principal=0)
        for which, place, principal in viewers:
            self.a_client_comes(which, place, principal)


TestInterleavedViews = InterleavedViews.TestCase
TestInterleavedViews.settings = settings(
    max_examples=200,
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow],
)
