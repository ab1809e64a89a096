"""Places: which there are, who finds them, and what ends when one is gone."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from router.access import places as places_module
from router.access.places import FIRST_READING_S, Places
from router.config.settings import Settings
from router.messages.commands import Principal
from router.messages.instances.exposure import Profile
from router.messages.instances.instance_spec import InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Callable

ANYBODY = Principal("")
LIMITED = Principal("limited", instances=frozenset({"git"}))
BOUND = Principal("bound", profile="work")
BOUND_TO_FEW = Principal("few", instances=frozenset({"git"}), profile="work")


def settings_with(*profiles: str) -> Settings:
    return Settings(profiles={name: Profile() for name in profiles})


def instance(name: str, *, is_active: bool = True, problem: str | None = None) -> InstanceSpec:
    return InstanceSpec(
        name=name, provider="p", type="stdio", is_active=is_active, problem=problem,
        source=f"data/{name}/mcp_settings.json",
    )  # fmt: skip


def places_of(*profiles: str, instances: tuple[str, ...] = (), view: str | None = None) -> Places:
    places = Places(settings_with(*profiles), "config.json", view)
    places.take_instances([instance(name) for name in instances])
    return places


class FakeEndpoint:
    """An endpoint with a session open at each of these places."""

    def __init__(self, *places: str, principal: Principal = ANYBODY) -> None:
        self.open = list(places)
        self.principal = principal
        self.calls = 0

    def end_vanished(self, is_place: Callable[[str, Principal], bool]) -> None:
        self.calls += 1
        self.open = [name for name in self.open if is_place(name, self.principal)]


# --- Headers that instances forward ---------------------------------------------------------


def test_names_of_forwarded_headers_are_those_of_all_instances() -> None:
    told: list[frozenset[str]] = []
    places = Places(Settings(), "config.json")
    places.forwarding_changed = lambda: told.append(places.forwarded_names)
    plain = instance("plain")
    one = attrs.evolve(instance("one"), forward_headers=("x-tenant",))
    two = attrs.evolve(instance("two"), forward_headers=("x-tenant", "x-trace"))
    for specs in ([plain], [plain, one], [one, plain], [one, two], []):
        places.take_instances(specs)
    assert told == [frozenset({"x-tenant"}), frozenset({"x-tenant", "x-trace"}), frozenset()]


# --- Who finds what --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "found"),
    [
        (ANYBODY, ["work", "home", "git", "files"]),
        (LIMITED, ["work", "home", "git"]),
        (BOUND, ["work"]),
        (BOUND_TO_FEW, ["work"]),
        (Principal("gone", profile="git"), []),
    ],
)
def test_each_principal_finds_the_places_that_it_may_see(
    principal: Principal, found: list[str]
) -> None:
    places = places_of("work", "home", instances=("git", "files"))
    names = ["work", "home", "git", "files", "nothing", "", "router", "direct"]
    assert [name for name in names if places.has(name, principal)] == found


def test_instance_that_does_not_run_is_a_place() -> None:
    places = places_of()
    places.take_instances([instance("off", is_active=False), instance("bad", problem="no")])
    assert places.has("off", ANYBODY)
    assert places.has("bad", ANYBODY)


def test_place_of_a_profile_and_an_instance_is_the_profile_also_for_who_sees_no_such_instance() -> (
    None
):
    places = places_of("files", instances=("files",))
    assert places.has("files", LIMITED)


def test_name_of_an_instance_is_told_from_that_of_a_profile() -> None:
    places = places_of("work", instances=("git",))
    assert [name for name in ("work", "git", "x") if places.is_instance(name)] == ["git"]


# --- Before the instances are known ----------------------------------------------------------


async def test_profiles_are_places_before_the_instances_are_read_and_instances_after(
    nursery: trio.Nursery,
) -> None:
    places = Places(settings_with("work"), "config.json")
    assert places.has("work", ANYBODY)
    assert not places.has("git", ANYBODY)
    found: list[bool] = []

    async def wait() -> None:
        await places.wait_for_instances()
        found.append(places.has("git", ANYBODY))

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert not found
    places.take_instances([instance("git")])
    await wait_all_tasks_blocked()
    assert found == [True]


async def test_wait_for_the_instances_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    places = Places(settings_with(), "config.json")
    began_s = trio.current_time()
    await places.wait_for_instances()
    assert trio.current_time() - began_s == FIRST_READING_S


async def test_wait_is_over_at_once_when_the_instances_are_known(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began_s = trio.current_time()
    await places_of().wait_for_instances()
    assert trio.current_time() == began_s


# --- Changes ---------------------------------------------------------------------------------


def test_sessions_end_with_the_place_of_a_profile_or_an_instance() -> None:
    places = places_of("work", "home", instances=("git", "files"))
    endpoint = places.register(FakeEndpoint("work", "home", "git", "files"))
    places.apply(settings_with("home"))
    assert endpoint.open == ["home", "git", "files"]
    places.take_instances([instance("git")])
    assert endpoint.open == ["home", "git"]


def test_place_of_a_profile_that_is_gone_is_that_of_the_instance_of_this_name() -> None:
    places = places_of("git", instances=("git",))
    limited = places.register(FakeEndpoint("git", principal=Principal("x", instances=frozenset())))
    anybody = places.register(FakeEndpoint("git"))
    places.apply(settings_with())
    assert (limited.open, anybody.open) == ([], ["git"])


def test_changes_before_the_first_reading_end_the_sessions_of_profiles_that_are_gone() -> None:
    places = Places(settings_with("work", "home"), "config.json")
    endpoint = places.register(FakeEndpoint("work", "home"))
    places.apply(settings_with("home"))
    assert endpoint.open == ["home"]


def test_endpoint_that_is_over_is_forgotten() -> None:
    places = places_of("work")
    places.register(FakeEndpoint())
    gc.collect()
    last = places.register(FakeEndpoint("work"))
    places.apply(settings_with())
    assert (last.calls, last.open) == (1, [])


# --- Problems --------------------------------------------------------------------------------

SHARED = (
    "config.json: profiles.git: an instance has this name too (in data/git/mcp_settings.json); "
    "rename one of them: /mcp/git shows the profile"
)


def test_name_of_a_profile_and_an_instance_is_a_problem_until_one_is_renamed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    places = places_of("git", instances=("git", "files"))
    assert places.problems == (SHARED,)
    places.take_instances([instance("git")])
    assert caplog.messages == [SHARED]
    assert {record.name for record in caplog.records} == {places_module.log.name}
    places.apply(settings_with("vcs"))
    assert places.problems == ()
    places.apply(settings_with("git"))
    assert places.problems == (SHARED,)
    assert caplog.messages == [SHARED, SHARED]


def test_view_of_the_command_line_that_is_gone_is_a_problem_once_the_instances_are_known() -> None:
    places = Places(settings_with("work"), "config.json", "git")
    places.apply(settings_with("work"))
    assert places.problems == ()
    places.take_instances([instance("git")])
    assert places.problems == ()
    places.take_instances([instance("files")])
    assert places.problems == (
        '--view: there is no view "git"; there are router, direct, search, auto, profiles: work; '
        "instances: files",
    )


def test_view_of_the_file_is_checked_with_the_file_alone() -> None:
    settings = settings_with("work")
    settings = attrs.evolve(settings, server=attrs.evolve(settings.server, view="work"))
    places = Places(settings, "config.json")
    places.take_instances([])
    assert places.problems == ()
