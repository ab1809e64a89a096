"""Changes of settings and instances in `test_interleaved_views`, and the clock."""

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import rule

from router.core.state.session_rows import IDLE_EXPIRY_S
from tests.router.core.interleaved import site
from tests.router.core.interleaved.clients import Clients
from tests.router.core.interleaved.site import PER_CLIENT, chosen
from tests.router.core.interleaved.world import NAMES, PICK

CHANGES = st.sampled_from(["exposure", "sessions", "sessions", "restarted", "disabled", "removed"])
USERS = st.lists(PICK, max_size=3)
IS_BACK = st.sampled_from([True, True, False])


class Configuration(Clients):
    """The rules of the configuration."""

    @rule(profiles=PICK, view=PICK, users=USERS)
    def the_settings_change(self, profiles: int, view: int, users: list[int]) -> None:
        self.some_use_it(users, profiles)
        changed = chosen(site.PROFILES, profiles)
        default = chosen(site.VIEWS, view)
        # A default view that is no profile is an error of the configuration.
        default = default if default in changed or default != "work" else "router"
        self.talk.settings_change(profiles=changed, view=default)
        self.all_say_something()

    @rule(name=NAMES, change=CHANGES, kind=PICK, is_back=IS_BACK, users=USERS)
    def an_instance_changes(
        self, name: str, change: str, kind: int, is_back: bool, users: list[int]
    ) -> None:
        self.marks += 1
        self.some_use_it(users, kind)
        present = self.specs.get(name) or site.configured(name)
        match change:
            case "exposure":
                exposure = chosen(site.EXPOSURES, self.marks)
                self.specs[name] = attrs.evolve(present, exposure=exposure)
            case "sessions":
                present = self.specs.get(PER_CLIENT) or site.configured(PER_CLIENT)
                sessions = chosen(site.KINDS_OF_SESSIONS, kind)
                self.specs[PER_CLIENT] = attrs.evolve(present, is_active=True, **sessions)
            case "restarted":
                server = {"command": str(self.marks), "is_active": True}
                self.specs[name] = attrs.evolve(present, **server)
            case "disabled":
                self.specs[name] = attrs.evolve(present, is_active=False)
            case _:
                self.specs.pop(name, None)
        self.talk.configured(*self.specs.values())
        if is_back:
            self.specs[name] = attrs.evolve(self.specs.get(name, present), is_active=True)
            self.talk.configured(*self.specs.values())

    @rule(seconds=st.sampled_from([0.1, 0.1, 0.1, 0.5, 0.5, 0.5, 2.5, 30.0, IDLE_EXPIRY_S + 1]))
    def time_passes(self, seconds: float) -> None:
        self.talk.time_passes(seconds)
