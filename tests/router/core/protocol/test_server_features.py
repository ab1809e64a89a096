"""The description of a view: capabilities, name and instructions."""

import pytest

from router.core.protocol.own_tools import router_tools
from router.core.protocol.server_features import (
    MAX_INSTRUCTIONS_CHARS,
    MAX_OF_SERVER_CHARS,
    capabilities,
    capabilities_of_server,
    instructions,
    server_info,
)
from router.messages.core_settings import CoreSettings
from router.messages.instances.exposure import Profile
from tests.router.core.fake_peers import raw

NEW = "2026-07-28"

DIRECT, ROUTER = Profile("direct"), Profile("router")


@pytest.mark.parametrize(
    ("revision", "tasks"), [("2025-06-18", set()), ("2025-11-25", {"tasks"}), (NEW, set())]
)
def test_each_kind_of_view_declares_what_it_serves(revision: str, tasks: set[str]) -> None:
    assert capabilities(ROUTER, revision) == router_tools.CAPABILITIES
    declared = capabilities(DIRECT, revision)
    assert declared.keys() == tasks | {
        *("tools", "prompts", "resources"),
        *("completions", "logging", "extensions"),
    }
    assert all(declared[kind]["listChanged"] for kind in ("tools", "prompts"))


@pytest.mark.parametrize(
    ("server", "client", "shows_tasks"),
    [
        ("2025-11-25", "2025-11-25", True),
        ("2025-11-25", "2025-06-18", False),
        ("2025-11-25", NEW, False),
        (NEW, "2025-11-25", False),
    ],
)
def test_capabilities_of_a_server_are_shown_but_for_tasks_of_another_revision(
    server: str, client: str, *, shows_tasks: bool
) -> None:
    declared = {"tools": raw({}), "tasks": raw({"list": {}}), "odd": raw([1.5])}
    shown = capabilities_of_server(declared, server, client)
    kept = {name: value for name, value in declared.items() if shows_tasks or name != "tasks"}
    assert shown == kept
    assert list(declared) == ["tools", "tasks", "odd"]


def test_a_profile_may_have_a_title() -> None:
    assert server_info(CoreSettings("9"), DIRECT) == {"name": "mcp_router", "version": "9"}
    titled = server_info(CoreSettings("9"), Profile(title="文"))
    assert titled == {"name": "mcp_router", "version": "9", "title": "文"}


@pytest.mark.parametrize(
    "profile", [Profile("direct", instructions="x"), Profile("router", instructions="x")]
)
def test_the_words_of_a_profile_replace_all_others(profile: Profile) -> None:
    assert instructions(profile, [("a", "said")], "dotted") == "x"
    assert instructions(Profile(instructions=""), [("a", "said")], "dotted") == ""


def test_a_router_view_explains_the_routers_tools_in_the_clients_spelling() -> None:
    assert "mcp_router_use" in instructions(ROUTER, [("a", "said")], "underscored")
    assert "said" not in instructions(ROUTER, [("a", "said")], "dotted")


@pytest.mark.parametrize("said", [None, "", " \n\t"])
def test_a_server_that_says_nothing_has_no_heading(said: str | None) -> None:
    assert instructions(DIRECT, [("a", said)], "dotted") == instructions(DIRECT, [], "dotted")


def test_instructions_are_bounded_for_each_server_and_in_all() -> None:
    alone = instructions(DIRECT, [("a", "x" * 10_000_000), ("b", "short")], "dotted")
    assert alone.endswith("## b\n\nshort")
    assert alone.count("x") <= MAX_OF_SERVER_CHARS
    many = instructions(DIRECT, [(f"n{n}", "文" * 5000) for n in range(1000)], "dotted")
    assert len(many) <= MAX_INSTRUCTIONS_CHARS
