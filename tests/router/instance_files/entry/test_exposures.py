"""The keys of an entry that say what of its server clients see, and how it is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.instance_files.edits import apply_change
from router.instance_files.reader import load_instances
from router.messages.commands import UpdateInstance
from router.messages.instances.exposure import EVERYTHING, ArgumentExposure, Exposure, NameFilter
from tests.router.instance_files.applied_changes import json_in, refused
from tests.router.instance_files.providers import put
from tests.router.instance_files.reading import COMMAND, URL, problem, read

if TYPE_CHECKING:
    from pathlib import Path


def exposure(**keys: Any) -> Exposure:
    spec = read({**COMMAND, **keys})
    assert spec.problem is None
    return spec.exposure


# --- Filters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"tools": None, "includeTools": None},
        {"tools": {}},
        {"tools": {"allow": None, "rename": None}},
        {"tools": ["*"]},
        {"prompts": {"allow": ["*"], "deny": []}},
    ],
)
def test_an_entry_that_hides_and_changes_nothing_shows_everything(keys: dict[str, Any]) -> None:
    assert exposure(**keys) is EVERYTHING


def test_tools_prompts_and_resources_are_filtered_apart() -> None:
    shown = exposure(
        tools={"allow": ["read_*"], "deny": ["read_secret"]},
        prompts={"deny": ["x"]},
        resources=["file:///*"],
    )
    assert shown == Exposure(
        tools=NameFilter(("read_*",), ("read_secret",)),
        prompts=NameFilter(("*",), ("x",)),
        resources=NameFilter(("file:///*",)),
    )


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"tools": ["a", "b"]}, NameFilter(("a", "b"))),
        ({"tools": []}, NameFilter(())),
        ({"includeTools": ["a"]}, NameFilter(("a",))),
        ({"excludeTools": ["b"]}, NameFilter(("*",), ("b",))),
        ({"includeTools": ["a"], "excludeTools": ["b"]}, NameFilter(("a",), ("b",))),
        (
            {"tools": {"allow": ["a"], "deny": ["c"]}, "excludeTools": ["b"]},
            NameFilter(("a",), ("c", "b")),
        ),
        ({"tools": {"deny": ["c"]}, "includeTools": ["a"]}, NameFilter(("a",), ("c",))),
    ],
)
def test_lists_of_tools_are_understood_as_other_clients_write_them(
    keys: dict[str, Any], names: NameFilter
) -> None:
    assert exposure(**keys) == Exposure(tools=names)


def test_tools_that_need_a_yes_are_named_by_patterns() -> None:
    names = NameFilter(("*",), ("b",), ("write_*", "rm"))
    keys = {"tools": {"approve": ["write_*", "rm"]}, "excludeTools": ["b"]}
    assert exposure(**keys) == Exposure(tools=names)


# --- Names, texts and arguments ---------------------------------------------------------------


def test_tools_get_other_names_texts_and_arguments() -> None:
    tools = {
        "rename": {"read_file": "read", "x": None},
        "describe": {"read_file": "Reads one file.", "y": ""},
        "annotations": {"read_file": {"readOnlyHint": True, "odd": None}},
        "arguments": {
            "read_file": {
                "path": {"describe": "relative"},
                "encoding": {"fixed": "${PATH}"},
                "limit": {"fixed": None},
                "other": {},
            }
        },
    }
    assert exposure(tools=tools) == Exposure(
        rename={"read_file": "read"},
        describe={"read_file": "Reads one file.", "y": ""},
        annotations={"read_file": {"readOnlyHint": True, "odd": None}},
        arguments={
            "read_file": {
                "path": ArgumentExposure("relative"),
                "encoding": ArgumentExposure(is_fixed=True, fixed="${PATH}"),
                "limit": ArgumentExposure(is_fixed=True, fixed=None),
                "other": ArgumentExposure(),
            }
        },
    )


# --- Mistakes ---------------------------------------------------------------------------------

LONG = "x" * 10_001


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"tools": {"allow": 3}}, "tools.allow: expected an array of strings, got 3"),
        ({"tools": {"deny": "x"}}, 'tools.deny: expected an array of strings, got "x"'),
        (
            {"tools": {"allow": ["a", 3]}},
            "tools.allow[1]: expected a string that is not empty, got a number",
        ),
        ({"tools": ["a", ""]}, 'tools[1]: expected a string that is not empty, got ""'),
        (
            {"resources": {"deny": [LONG]}},
            "resources.deny[0]: is longer than 2,000 characters",
        ),
        ({"prompts": ["a"] * 1001}, "prompts: has more than 1000 elements"),
        (
            {"tools": "*"},
            "tools: expected an object of allow, deny, approve, rename, describe, annotations or "
            'arguments, or an array, got "*"',
        ),
        (
            {"tools": {"read": True, "write": False}},
            'tools: is a table of true and false; write the names in "allow": [...] or '
            '"deny": [...] instead',
        ),
        (
            {"prompts": {"alow": ["x"]}},
            "prompts.alow: unknown key; expected allow or deny",
        ),
        (
            {"tools": {"allow": ["a"]}, "includeTools": ["a"]},
            "includeTools: says the same as tools.allow; keep one of the two",
        ),
        ({"excludeTools": {}}, "excludeTools: expected an array of strings, got an object"),
        ({"IncludeTools": ["a"]}, 'IncludeTools: unknown key; did you mean "includeTools"?'),
        ({"tools": {"rename": ["a"]}}, "tools.rename: expected an object, got an array"),
        (
            {"tools": {"rename": {"a": ""}}},
            'tools.rename.a: expected a string that is not empty, got ""',
        ),
        ({"tools": {"rename": {"a": "x" * 129}}}, "tools.rename.a: is longer than 128 characters"),
        (
            {"tools": {"rename": {"a": "x\ny"}}},
            "tools.rename.a: has a line break or another control character",
        ),
        (
            {"tools": {"describe": {"a\n": 5}}},
            'tools.describe."a\\n": expected a string, got a number',
        ),
        (
            {"tools": {"describe": {"a": LONG}}},
            "tools.describe.a: is longer than 10,000 characters",
        ),
        (
            {"tools": {"describe": dict.fromkeys(map(str, range(1001)), "x")}},
            "tools.describe: has more than 1000 entries",
        ),
        (
            {"tools": {"annotations": {"a": True}}},
            "tools.annotations.a: expected an object, got true",
        ),
        ({"tools": {"arguments": {"a": 1}}}, "tools.arguments.a: expected an object, got 1"),
        (
            {"tools": {"arguments": {"a": {"b": 1}}}},
            "tools.arguments.a.b: expected an object, got 1",
        ),
        (
            {"tools": {"arguments": {"a": {"b": {"default": 1}}}}},
            "tools.arguments.a.b.default: unknown key; expected describe or fixed",
        ),
        (
            {"tools": {"arguments": {"a": {"b": {"describe": 1}}}}},
            "tools.arguments.a.b.describe: expected a string, got a number",
        ),
    ],
)
def test_a_mistake_is_a_problem_with_its_place(keys: dict[str, Any], text: str) -> None:
    assert problem({**COMMAND, **keys}) == text


# --- Sessions, the cache, and keys of other clients -------------------------------------------


def test_sessions_and_the_cache_have_their_defaults_and_their_values() -> None:
    spec = read(COMMAND)
    assert (spec.sessions, spec.max_sessions, spec.catalogue_cache) == ("shared", 32, True)
    keys = {"sessions": "per_client", "max_sessions": 1000, "catalogue_cache": False}
    spec = read({**COMMAND, **keys})
    assert (spec.sessions, spec.max_sessions, spec.catalogue_cache) == ("per_client", 1000, False)
    assert spec.problem is None


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (
            {"sessions": "perClient"},
            'sessions: expected one of "shared", "per_client", got "perClient"',
        ),
        ({"max_sessions": 0}, "max_sessions: expected an integer from 1 to 1000, got 0"),
        ({"max_sessions": 1001}, "max_sessions: expected an integer from 1 to 1000, got 1001"),
        ({"max_sessions": True}, "max_sessions: expected an integer from 1 to 1000, got true"),
        ({"catalogue_cache": "no"}, 'catalogue_cache: expected true or false, got "no"'),
    ],
)
def test_a_wrong_value_says_what_is_expected(keys: dict[str, Any], text: str) -> None:
    assert problem({**URL, **keys}) == text


def test_lists_of_what_runs_without_asking_have_no_effect_and_are_remembered() -> None:
    spec = read({**COMMAND, "alwaysAllow": ["a"], "autoApprove": 3})
    assert (spec.problem, spec.exposure) == (None, EVERYTHING)
    place = "data/github/mcp_settings.json: mcpServers.github"
    assert spec.ignored == (f"{place}.alwaysAllow", f"{place}.autoApprove")


# --- Changes through the API ------------------------------------------------------------------


def test_a_change_sets_and_removes_what_is_shown(data: Path) -> None:
    put(data, "p", {**COMMAND, "includeTools": ["a"]})
    tools = {"deny": ["x"], "arguments": {"a": {"b": {"fixed": {"set": True}}}}}
    apply_change(data, UpdateInstance("p", {"tools": tools, "includeTools": None}))
    assert json_in(data / "p" / "mcp_settings.json") == {**COMMAND, "tools": tools}
    [spec] = load_instances(data, {}).specs
    assert spec.exposure == Exposure(
        tools=NameFilter(("*",), ("x",)),
        arguments={"a": {"b": ArgumentExposure(is_fixed=True, fixed={"set": True})}},
    )


def test_a_change_that_makes_no_sense_is_refused_with_its_place(data: Path) -> None:
    put(data, "p", COMMAND)
    error = refused(data, UpdateInstance("p", {"tools": {"alow": ["x"]}}))
    assert error.message.startswith("tools.alow: unknown key")
