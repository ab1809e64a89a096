"""The part of a server's catalog that clients see, and the words it has for them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from router.core.names.exposed_catalog import ExposedCatalog, expose, with_fixed
from router.messages.catalog import Catalog, Item
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.instances.exposure import EVERYTHING, ArgumentExposure, Exposure, NameFilter


def tool(name: str, **members: Any) -> Item:
    return Item(name, Raw(msgspec.json.encode({"name": name, **members})))


def tools(*names: str) -> Catalog:
    return Catalog(tuple(map(tool, names)))


def names_in(exposed: ExposedCatalog) -> list[str]:
    assert [item.key for item in exposed.catalog.tools] == [
        msgspec.json.decode(item.raw)["name"] for item in exposed.catalog.tools
    ]
    return [item.key for item in exposed.catalog.tools]


def only_tool(catalog: Catalog, exposure: Exposure) -> dict[str, Any]:
    [item] = expose(catalog, exposure).catalog.tools
    return msgspec.json.decode(item.raw)


# --- Calls -------------------------------------------------------------------------------------


def test_what_the_calls_of_a_tool_share_is_made_once() -> None:
    exposure = Exposure(
        rename={"own": "shown"}, arguments={"own": {"n": ArgumentExposure(is_fixed=True, fixed=7)}}
    )
    exposed = expose(tools("own", "other"), exposure)
    called = exposed.called_tool("shown")
    assert called.raw_name == Raw(b'"own"')
    assert called.fixed == {"n": Raw(b"7")}
    assert exposed.called_tool("shown") is called
    assert exposed.called_tool("other").fixed is None


def test_what_is_fixed_is_fixed_too_where_a_tool_is_not_listed() -> None:
    exposure = Exposure(arguments={"new": {"n": ArgumentExposure(is_fixed=True, fixed=7)}})
    called = expose(tools("a"), exposure).unlisted_tool("new")
    assert called.raw_name == Raw(b'"new"')
    assert called.fixed == {"n": Raw(b"7")}


# --- Filters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("exposure", [EVERYTHING, Exposure()])
def test_a_catalog_that_nothing_changes_is_the_same_object(exposure: Exposure) -> None:
    catalog = tools("a")
    exposed = expose(catalog, exposure)
    assert exposed.catalog is catalog
    assert not exposed.hides_tools
    assert exposed.own_name("a") == "a"


def test_tools_are_allowed_and_denied_by_their_servers_names() -> None:
    exposure = Exposure(
        tools=NameFilter(("read_*", "list"), ("read_secret",)), rename={"list": "write"}
    )
    exposed = expose(tools("read_a", "read_secret", "write", "list"), exposure)
    assert names_in(exposed) == ["read_a", "write"]
    assert exposed.own_name("write") == "list"
    assert exposed.hides_tools
    assert exposed.unknown == ()


def test_an_empty_list_allows_nothing() -> None:
    exposed = expose(tools("a"), Exposure(tools=NameFilter(())))
    assert exposed.catalog == Catalog()
    assert exposed.hides_tools


def test_prompts_are_filtered_by_name_and_resources_and_templates_by_uri() -> None:
    catalog = Catalog(
        prompts=(tool("p"), tool("q")),
        resources=(Item("file:///a", Raw(b"{}")), Item("file:///b", Raw(b"{}"))),
        templates=(Item("file:///a/{x}", Raw(b"{}")), Item("db://{x}", Raw(b"{}"))),
    )
    exposure = Exposure(prompts=NameFilter(("*",), ("q",)), resources=NameFilter(("file:///a*",)))
    exposed = expose(catalog, exposure)
    assert exposed.catalog == Catalog(
        prompts=catalog.prompts[:1],
        resources=catalog.resources[:1],
        templates=catalog.templates[:1],
    )
    assert not exposed.hides_tools


# --- Renames -----------------------------------------------------------------------------------


def test_a_renamed_tool_is_called_by_its_new_name_only() -> None:
    exposed = expose(tools("read_file", "b"), Exposure(rename={"read_file": "read"}))
    assert names_in(exposed) == ["read", "b"]
    assert exposed.own_names == {"read": "read_file"}
    assert exposed.hides_tools


@pytest.mark.parametrize(
    ("rename", "shown", "problems"),
    [
        (
            {"a": "b"},
            ["a", "b", "c"],
            ["tools.rename.a: 'b' is the name of another tool; this tool keeps its own name"],
        ),
        (
            {"a": "x", "c": "x"},
            ["x", "b", "c"],
            [
                "tools.rename.c: 'x' is the name of 'a', which is renamed as well; "
                "this tool keeps its own name"
            ],
        ),
        ({"a": "b", "b": "a"}, ["b", "a", "c"], []),
        ({"a": "b", "b": "x"}, ["b", "x", "c"], []),
        ({"a": "a"}, ["a", "b", "c"], []),
        (
            {"a": "b", "b": "c"},
            ["a", "b", "c"],
            [
                "tools.rename.b: 'c' is the name of another tool; this tool keeps its own name",
                "tools.rename.a: 'b' is the name of another tool; this tool keeps its own name",
            ],
        ),
    ],
    ids=["taken", "twice", "swapped", "in a row", "to itself", "in a row that ends"],
)
def test_no_rename_takes_the_name_of_another_tool_that_is_shown(
    rename: dict[str, str], shown: list[str], problems: list[str]
) -> None:
    exposed = expose(tools("a", "b", "c"), Exposure(rename=rename))
    assert names_in(exposed) == shown
    assert list(exposed.unknown) == problems


def test_a_rename_may_take_the_name_of_a_tool_that_is_hidden() -> None:
    exposure = Exposure(tools=NameFilter(deny=("b",)), rename={"a": "b"})
    exposed = expose(tools("a", "b"), exposure)
    assert names_in(exposed) == ["b"]
    assert exposed.own_name("b") == "a"


# --- Texts and schemas -------------------------------------------------------------------------


def test_texts_are_replaced_in_their_place_and_all_else_stays_as_it_was() -> None:
    raw = Raw(b'{"x": 1e2, "name":"a","title":"T" , "inputSchema": {"type" : "object"},"_meta":{}}')
    catalog = Catalog((Item("a", raw),))
    exposure = Exposure(describe={"a": "Новое"}, rename={"a": "b"})
    [shown] = expose(catalog, exposure).catalog.tools
    assert (
        bytes(shown.raw)
        == (
            '{"x":1e2,"name":"b","title":"T","inputSchema":{"type" : "object"},"_meta":{},'
            '"description":"Новое"}'
        ).encode()
    )


def test_annotations_are_merged() -> None:
    catalog = Catalog((tool("a", annotations={"title": "T", "readOnlyHint": False}),))
    exposure = Exposure(annotations={"a": {"readOnlyHint": True, "x": [1]}})
    assert only_tool(catalog, exposure)["annotations"] == {
        "title": "T",
        "readOnlyHint": True,
        "x": [1],
    }
    assert only_tool(Catalog((tool("a", annotations=3),)), exposure)["annotations"] == {
        "readOnlyHint": True,
        "x": [1],
    }


ARGUMENTS = Exposure(
    arguments={
        "a": {
            "path": ArgumentExposure(describe="relative"),
            "encoding": ArgumentExposure(is_fixed=True, fixed="utf-8"),
        }
    }
)


def test_a_fixed_argument_leaves_the_schema_and_a_described_one_stays() -> None:
    schema = {
        "type": "object",
        "properties": {
            "encoding": {"type": "string"},
            "path": {"type": "string", "description": "old"},
            "rest": {"description": "kept"},
        },
        "required": ["path", "encoding"],
        "additionalProperties": False,
    }
    exposed = expose(Catalog((tool("a", inputSchema=schema),)), ARGUMENTS)
    assert msgspec.json.decode(exposed.catalog.tools[0].raw)["inputSchema"] == {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "relative"},
            "rest": {"description": "kept"},
        },
        "required": ["path"],
        "additionalProperties": False,
    }
    assert exposed.fixed == {"a": {"encoding": Raw(b'"utf-8"')}}
    assert exposed.unknown == ()
    assert not exposed.hides_tools


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        (True, True),
        ([1], [1]),
        ({}, {}),
        ({"properties": 3, "required": 4}, {"properties": 3, "required": 4}),
        ({"required": ["encoding"]}, {}),
        ({"required": ["encoding", 3]}, {"required": ["encoding", 3]}),
        ({"properties": {"path": True}}, {"properties": {"path": {"description": "relative"}}}),
        ({"properties": {"path": False}}, {"properties": {"path": False}}),
        ({"properties": {"path": "x"}}, {"properties": {"path": "x"}}),
    ],
)
def test_an_odd_schema_is_changed_only_where_it_can_be_read(schema: Any, shown: Any) -> None:
    catalog = Catalog((tool("a", inputSchema=schema), tool("b")))
    first, second = expose(catalog, ARGUMENTS).catalog.tools
    assert msgspec.json.decode(first.raw) == {"name": "a", "inputSchema": shown}
    assert second is catalog.tools[1]


def test_a_tool_without_a_schema_gets_none() -> None:
    assert only_tool(tools("a"), ARGUMENTS) == {"name": "a"}


# --- Fixed arguments in a call -----------------------------------------------------------------

FIXED = {"encoding": Raw(b'"utf-8"'), "n": Raw(b"null")}


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        (None, b'{"encoding":"utf-8","n":null}'),
        (b"null", b'{"encoding":"utf-8","n":null}'),
        (b"{}", b'{"encoding":"utf-8","n":null}'),
        (b'{"encoding":"x","path":1e2}', b'{"encoding":"utf-8","path":1e2,"n":null}'),
    ],
)
def test_fixed_arguments_take_the_place_of_the_clients(
    sent: bytes | None, passed_on: bytes
) -> None:
    assert bytes(with_fixed(None if sent is None else Raw(sent), FIXED)) == passed_on


def test_arguments_stay_as_they_are_where_none_is_fixed() -> None:
    arguments = Raw(b'{"a" : 1}')
    assert with_fixed(arguments, {}) is arguments


@pytest.mark.parametrize("sent", [b"[1]", b'{"Encoding":"x"}'])
def test_arguments_that_could_hide_a_fixed_one_are_refused(sent: bytes) -> None:
    with pytest.raises(RpcError) as refused:
        with_fixed(Raw(sent), FIXED)
    assert refused.value.code == INVALID_PARAMS


# --- Names that the server does not offer ------------------------------------------------------


def test_each_unknown_name_is_a_problem_with_its_place_and_the_nearest_name() -> None:
    catalog = Catalog(
        (tool("read_file", inputSchema={"properties": {"path": {}}}), tool("odd\nname")),
        prompts=(tool("review"),),
    )
    exposure = Exposure(
        tools=NameFilter(("read_*", "read_fil", "no*"), ("oddname",), ("reed_file", "*")),
        prompts=NameFilter(("*",), ("reviw",)),
        resources=NameFilter(("file:///x",)),
        rename={"read_fil": "r", "read_file": "r"},
        describe={"x": "y"},
        annotations={"x": {"a": 1}},
        arguments={"x": {}, "read_file": {"pth": ArgumentExposure(describe="d")}},
    )
    assert list(expose(catalog, exposure).unknown) == [
        "tools.allow: the server offers no tool 'read_fil'; did you mean 'read_file'?",
        "tools.deny: the server offers no tool 'oddname'; did you mean 'odd name'?",
        "tools.approve: the server offers no tool 'reed_file'; did you mean 'read_file'?",
        "prompts.deny: the server offers no prompt 'reviw'; did you mean 'review'?",
        "resources.allow: the server offers no resource or template 'file:///x'",
        "tools.rename.read_fil: the server offers no tool of this name; did you mean 'read_file'?",
        "tools.describe.x: the server offers no tool of this name; did you mean 'read_file'?",
        "tools.annotations.x: the server offers no tool of this name; did you mean 'read_file'?",
        "tools.arguments.x: the server offers no tool of this name; did you mean 'read_file'?",
        "tools.arguments.read_file.pth: the tool has no argument of this name; "
        "did you mean 'path'?",
    ]


def test_only_the_first_problems_suggest_a_name() -> None:
    exposure = Exposure(describe={f"x{number}": "" for number in range(30)})
    problems = expose(tools("a"), exposure).unknown
    assert len(problems) == 30
    assert sum("did you mean" in problem for problem in problems) == 10


# --- Any catalog and any exposure --------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "工具", "x y", "a\n"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | NAMES,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(NAMES, parts, max_size=3),
    max_leaves=6,
)
SCHEMAS = JSON | st.fixed_dictionaries(
    {}, optional={"properties": JSON, "required": JSON, "type": JSON, "allOf": JSON}
)
TOOLS = st.builds(
    lambda name, schema, more: tool(name, **{"inputSchema": schema, **more}),
    NAMES,
    SCHEMAS,
    st.dictionaries(st.sampled_from(["_meta", "title", "annotations", "icons"]), JSON),
)
ARGUMENT = st.builds(
    ArgumentExposure, describe=st.none() | NAMES, is_fixed=st.booleans(), fixed=JSON
)
FILTERS = st.just(NameFilter()) | st.builds(
    lambda allow, deny: NameFilter(tuple(allow), tuple(deny)),
    st.lists(NAMES | st.just("*")),
    st.lists(NAMES),
)
EXPOSURES = st.builds(
    Exposure,
    tools=FILTERS,
    rename=st.dictionaries(NAMES, NAMES),
    describe=st.dictionaries(NAMES, NAMES),
    annotations=st.dictionaries(NAMES, st.dictionaries(NAMES, JSON)),
    arguments=st.dictionaries(NAMES, st.dictionaries(NAMES, ARGUMENT)),
)
CATALOGS = st.builds(lambda items: Catalog(tuple(items)), st.lists(TOOLS, max_size=6))
CHANGED = {"name", "description", "annotations", "inputSchema"}


@given(CATALOGS, EXPOSURES)
def test_what_an_exposure_does_not_name_comes_out_as_it_went_in(
    catalog: Catalog, exposure: Exposure
) -> None:
    exposed = expose(catalog, exposure)
    admitted = [item for item in catalog.tools if exposure.tools.admits(item.key)]
    assert [exposed.own_name(name) for name in names_in(exposed)] == [i.key for i in admitted]
    for before, after in zip(admitted, exposed.catalog.tools, strict=True):
        old, new = (msgspec.json.decode(item.raw, type=dict[str, Raw]) for item in (before, after))
        assert {k: bytes(v) for k, v in old.items() if k not in CHANGED} == {
            k: bytes(v) for k, v in new.items() if k not in CHANGED
        }
        assert [key for key in new if key in old] == list(old)


@given(CATALOGS, EXPOSURES)
def test_a_shown_name_belongs_to_exactly_one_of_the_servers_names(
    catalog: Catalog, exposure: Exposure
) -> None:
    exposed = expose(catalog, exposure)
    shown = names_in(exposed)
    own = [item.key for item in catalog.tools if exposure.tools.admits(item.key)]
    assert len(set(shown)) == len(set(own))
    assert len(set(zip(shown, own, strict=True))) == len(set(own))


@given(CATALOGS, EXPOSURES)
def test_no_fixed_argument_stays_in_a_schema(catalog: Catalog, exposure: Exposure) -> None:
    exposed = expose(catalog, exposure)
    for item in exposed.catalog.tools:
        schema = msgspec.json.decode(item.raw)["inputSchema"]
        fixed = exposed.fixed.get(exposed.own_name(item.key), {})
        properties = schema.get("properties") if isinstance(schema, dict) else None
        assert not isinstance(properties, dict) or not properties.keys() & fixed.keys()
