"""Profiles in `config.json`: their keys, their names, and what refers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.config.profiles import find_shared_names, find_unknown_view
from router.config.settings import load_settings
from router.messages.instances.exposure import NameFilter, Profile
from tests.router.config.config_file import problems, write

if TYPE_CHECKING:
    from pathlib import Path

WORK: dict[str, Any] = {
    "expose": "direct",
    "instances": ["github", "files-*"],
    "tools": {"allow": ["*"], "deny": ["*__delete_*"]},
    "instructions": "For the release team.",
    "title": "Work",
}
RULE = (
    "expected letters, digits, _, - and CJK letters, at most 100, not beginning with -, and no "
    "device of Windows such as con"
)
NAME_RULE = f'expected as its name {RULE.removeprefix("expected ")}, and not "router" or "direct"'
ONE_INSTANCE = (
    'with "expose": "transparent", expected the name of exactly one instance, without * and ?'
)


# --- Keys ------------------------------------------------------------------------------------


def test_every_key_of_a_profile_is_read(config: Path) -> None:
    assert load_settings(write(config, {"profiles": {"work": WORK}})).profiles == {
        "work": Profile(
            expose="direct",
            instances=("github", "files-*"),
            tools=NameFilter(("*",), ("*__delete_*",)),
            instructions="For the release team.",
            title="Work",
        )
    }


def test_profile_without_keys_shows_everything_directly(config: Path) -> None:
    assert load_settings(write(config, {"profiles": {"all": {}}})).profiles == {"all": Profile()}


def test_null_stands_for_instructions_and_a_title_that_are_not_given(config: Path) -> None:
    value = {"profiles": {"all": {"instructions": None, "title": None}}}
    assert load_settings(write(config, value)).profiles == {"all": Profile()}


def test_profile_may_show_no_instance(config: Path) -> None:
    profiles = load_settings(write(config, {"profiles": {"none": {"instances": []}}})).profiles
    assert profiles["none"].instances == ()


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ([], ": expected an object, got an array"),
        (
            {"instance": []},
            ".instance: unknown key; did you mean instances?",
        ),
        (
            {"expose": "x"},
            '.expose: expected one of "router", "direct", "transparent", "search", "auto", "code", '
            'got "x"',
        ),
        ({"instances": "files"}, '.instances: expected an array, got "files"'),
        ({"instances": [1]}, ".instances[0]: expected a string, got 1"),
        ({"tools": []}, ".tools: expected an object, got an array"),
        (
            {"tools": {"permit": []}},
            ".tools.permit: unknown key; the keys here are allow, deny, approve",
        ),
        (
            {"tools": {"aprove": []}},
            ".tools.aprove: unknown key; did you mean approve?",
        ),
        ({"tools": {"approve": "rm"}}, '.tools.approve: expected an array, got "rm"'),
        ({"tools": {"deny": [None]}}, ".tools.deny[0]: expected a string, got null"),
        ({"instructions": 1}, ".instructions: expected a string, got 1"),
        ({"title": ["x"]}, ".title: expected a string, got an array"),
    ],
)
def test_wrong_key_or_value_of_a_profile_is_named_with_its_path(
    config: Path, profile: Any, problem: str
) -> None:
    assert problems(config, {"profiles": {"work": profile}}) == [
        f"config.json: profiles.work{problem}"
    ]


@pytest.mark.parametrize("name", ["", "a/b", "-x", "router", "direct", "..", "con", "a b"])
def test_name_that_is_no_place_or_is_taken_is_refused(config: Path, name: str) -> None:
    assert problems(config, {"profiles": {name: {}}}) == [
        f'config.json: profiles.{name}: {NAME_RULE}, got "{name}"'
    ]


# --- Transparent profiles --------------------------------------------------------------------


def test_transparent_profile_names_one_instance(config: Path) -> None:
    profile = {"expose": "transparent", "instances": ["文件"]}
    profiles = load_settings(write(config, {"profiles": {"files": profile}})).profiles
    assert profiles["files"] == Profile("transparent", ("文件",))


@pytest.mark.parametrize("instances", [[], [""], ["a", "b"], ["*"], ["files-?"]])
def test_transparent_profile_of_not_exactly_one_instance_is_an_error(
    config: Path, instances: list[str]
) -> None:
    value = {"profiles": {"one": {"expose": "transparent", "instances": instances}}}
    assert problems(config, value) == [f"config.json: profiles.one.instances: {ONE_INSTANCE}"]


def test_transparent_profile_of_all_instances_by_default_is_an_error(config: Path) -> None:
    value = {"profiles": {"one": {"expose": "transparent"}}}
    assert problems(config, value) == [f"config.json: profiles.one.instances: {ONE_INSTANCE}"]


# --- References ------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["router", "direct", "work"])
def test_default_view_is_one_of_two_or_a_profile(config: Path, view: str) -> None:
    value = {"server": {"view": view}, "profiles": {"work": {}}}
    assert load_settings(write(config, value)).server.view == view


@pytest.mark.parametrize(
    ("profiles", "listed"), [({}, "there is none"), ({"a": {}, "b": {}}, "a, b")]
)
def test_unknown_default_view_is_an_error_that_names_the_profiles(
    config: Path, profiles: Any, listed: str
) -> None:
    assert problems(config, {"server": {"view": "work"}, "profiles": profiles}) == [
        'config.json: server.view: expected "router", "direct", "search", "auto" or the name of a '
        "profile "
        f'({listed}), got "work"'
    ]


def test_token_may_be_bound_to_a_profile(config: Path) -> None:
    token = {"token": "t", "profile": "work"}
    value = {"security": {"tokens": {"ci": token}}, "profiles": {"work": {}}}
    assert load_settings(write(config, value)).security.tokens["ci"].profile == "work"


@pytest.mark.parametrize("name", ["home", "direct", ""])
def test_token_of_an_unknown_profile_is_an_error(config: Path, name: str) -> None:
    token = {"token": "s3cret", "profile": name}
    value = {"security": {"tokens": {"ci": token}}, "profiles": {"work": {}}}
    assert problems(config, value) == [
        "config.json: security.tokens.ci.profile: expected the name of a profile (work), "
        f'got "{name}"'
    ]


def test_all_mistakes_of_profiles_and_references_are_told_in_one_go(config: Path) -> None:
    value = {
        "server": {"view": "x"},
        "profiles": {"one": {"expose": "transparent"}},
        "security": {"tokens": {"ci": {"token": "t", "profile": "y"}}},
    }
    assert [line.split(": ")[1] for line in problems(config, value)] == [
        "profiles.one.instances",
        "server.view",
        "security.tokens.ci.profile",
    ]


# --- Names that instances have, too ----------------------------------------------------------


def test_name_of_a_profile_and_an_instance_is_an_error_that_names_both() -> None:
    sources = {"work": "data/a/mcp_settings.json", "files": "data/b/mcp_settings.json"}
    assert [str(one) for one in find_shared_names(["home", "work"], sources, "config.json")] == [
        "config.json: profiles.work: an instance has this name too (in data/a/mcp_settings.json); "
        "rename one of them: /mcp/work shows the profile"
    ]


@pytest.mark.parametrize("view", [None, "router", "direct", "search", "auto", "work", "files"])
def test_view_of_the_command_line_is_a_default_a_profile_or_an_instance(view: str | None) -> None:
    assert list(find_unknown_view(view, ["work"], ["files"])) == []


def test_view_of_the_command_line_is_not_both_a_kind_of_view_and_an_instance() -> None:
    assert [str(one) for one in find_unknown_view("search", ["work"], ["search"])] == [
        '--view: "search" is a kind of view, and an instance has this name too; rename the '
        "instance, or name a profile that shows it"
    ]
    assert list(find_unknown_view("search", ["search"], ["search"])) == []
    assert list(find_unknown_view("direct", [], ["direct"])) == []


@pytest.mark.parametrize("name", ["search", "auto"])
def test_profile_may_have_the_name_of_a_view_that_came_later(config: Path, name: str) -> None:
    value = {"server": {"view": name}, "profiles": {name: {"instances": ["a"]}}}
    assert load_settings(write(config, value)).profiles[name].instances == ("a",)


def test_unknown_view_of_the_command_line_is_an_error_that_names_those_there_are() -> None:
    assert [str(one) for one in find_unknown_view("x", ["work", "home"], ["files"])] == [
        '--view: there is no view "x"; there are router, direct, search, auto, '
        "profiles: work, home; "
        "instances: files"
    ]
    assert [str(one) for one in find_unknown_view("wok", ["work", "home"], [])] == [
        '--view: there is no view "wok". Did you mean work?'
    ]
    assert [str(one) for one in find_unknown_view("", [], [])] == [
        '--view: there is no view ""; there are router, direct, search, auto, '
        "profiles: none; instances: none"
    ]
