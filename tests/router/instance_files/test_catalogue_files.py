"""The files of the last known lists: their names, and their content out and in again."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from router.instance_files.catalogue_files import (
    FORMAT,
    MAX_FILE_BYTES,
    UnusableCatalogue,
    decode_catalogue,
    encode_catalogue,
    hash_entry,
    is_file_name,
    is_temporary_name,
    name_file,
)
from router.messages.catalog import Catalog, Item, KnownServer
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.revisions import REVISIONS

SPEC = InstanceSpec(
    "a",
    "acme",
    command="npx",
    args=("-y", "server"),
    cwd="/srv",
    env={"KEY": "sk-12345", "OTHER": "x"},
    headers={"Authorization": "Bearer t0ken"},
)
ENTRY = hash_entry(SPEC)

KEYS = {"tools": "name", "prompts": "name", "resources": "uri", "templates": "uriTemplate"}


def content(**changes: Any) -> dict[str, Any]:
    """Return what a file holds; a member that is changed to `...` is missing."""
    members: dict[str, Any] = {
        "format": FORMAT,
        "entry": ENTRY,
        "revision": "2025-11-25",
        "capabilities": {"tools": {"listChanged": True}},
        "server_info": {"name": "server", "version": "1"},
        "instructions": "Read first.",
        "tools": [{"name": "echo", "inputSchema": {"type": "object"}}],
        "prompts": [{"name": "ask"}],
        "resources": [{"uri": "file:///x", "name": "x"}],
        "templates": [{"uriTemplate": "file:///{path}", "name": "any"}],
    }
    return {name: value for name, value in (members | changes).items() if value is not ...}


def decode(members: Any) -> KnownServer:
    return decode_catalogue(json.dumps(members).encode(), ENTRY)


# --- Names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"name": "b"},
        {"type": "http"},
        {"protocol": "legacy"},
        {"command": "uvx"},
        {"args": ("-y server",)},
        {"args": ("server", "-y")},
        {"cwd": None},
        {"cwd": "None"},
        {"env": {"KEY": "sk-12345", "OTHER": "y"}},
        {"env": {"KEY": "sk-12345", "another": "x"}},
        {"env": {"KEY": "x", "OTHER": "sk-12345"}},
        {"env": {}},
        {"url": "http://localhost/mcp"},
        {"headers": {"Authorization": "Bearer other"}},
        {"headers": {"X-Authorization": "Bearer t0ken"}},
    ],
)
def test_entry_that_may_offer_something_else_has_another_file(change: dict[str, Any]) -> None:
    other = attrs.evolve(SPEC, **change)
    assert name_file(hash_entry(other)) != name_file(ENTRY)


def test_change_that_the_server_does_not_see_keeps_the_file() -> None:
    same = attrs.evolve(
        SPEC,
        env=dict(reversed(SPEC.env.items())),
        provider="other",
        source="elsewhere",
        is_active=False,
        metadata={"note": 1},
        timeout_s=7.0,
        catalogue_cache=False,
    )
    assert hash_entry(same) == ENTRY


# Few characters, so that many drawn entries are alike; the environment may hold lone surrogates.
texts = st.text("a'\"\\,( \0\ud83d\ude00\U0001f600", max_size=2)
specs = st.builds(
    InstanceSpec,
    name=texts,
    provider=st.just("p"),
    command=texts,
    args=st.lists(texts, max_size=3).map(tuple),
    cwd=st.none() | texts,
    env=st.dictionaries(texts, texts, max_size=3),
    url=texts,
    headers=st.dictionaries(texts, texts, max_size=3),
)


@given(specs, specs)
def test_two_entries_have_one_hash_only_if_they_are_equal(
    one: InstanceSpec, other: InstanceSpec
) -> None:
    assert (hash_entry(one) == hash_entry(other)) == (one == other)


@given(specs)
def test_name_is_known_as_ours_and_shows_nothing_of_the_entry(spec: InstanceSpec) -> None:
    name = name_file(hash_entry(spec))
    assert is_file_name(name)
    assert len(name) == 32 + len(".json")
    assert not is_temporary_name(name)
    assert is_temporary_name(f".{name}.0123456789abcdef.tmp")


@pytest.mark.parametrize(
    "name",
    ["config.json", f"{'a' * 31}.json", f"{'A' * 32}.json", f"{'a' * 32}.json\n", "a" * 32, ""],
)
def test_other_names_are_not_ours(name: str) -> None:
    assert not is_file_name(name)
    assert not is_temporary_name(name)
    assert not is_temporary_name(f".{name}.0123456789abcdef.tmp")


# --- Content ---------------------------------------------------------------------------------


def test_content_is_read_as_it_was_written() -> None:
    known = decode(content())
    assert (known.revision, known.instructions) == ("2025-11-25", "Read first.")
    assert json.loads(bytes(known.capabilities)) == {"tools": {"listChanged": True}}
    assert json.loads(bytes(known.server_info)) == {"name": "server", "version": "1"}
    keys = {kind: [item.key for item in getattr(known.catalog, kind)] for kind in KEYS}
    assert keys == {
        "tools": ["echo"],
        "prompts": ["ask"],
        "resources": ["file:///x"],
        "templates": ["file:///{path}"],
    }


def test_server_with_nothing_to_offer_is_kept_too() -> None:
    known = KnownServer("2025-06-18", Raw(b"{}"), Raw(b"{}"), None, Catalog())
    assert decode_catalogue(encode_catalogue(ENTRY, known), ENTRY) == known


json_texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | json_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_texts, inner, max_size=4),
    max_leaves=8,
)
json_objects = st.dictionaries(json_texts, json_values, max_size=4)


def raw_of(value: Any, *, is_ascii: bool, indent: int | None) -> Raw:
    # Python's encoder, since it has many spellings of one value.
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent, allow_nan=False)
    return Raw(text.encode())


raws = st.builds(raw_of, json_values, is_ascii=st.booleans(), indent=st.none() | st.just(1))
raw_objects = st.builds(raw_of, json_objects, is_ascii=st.booleans(), indent=st.none() | st.just(1))


def items_of(kind: str) -> st.SearchStrategy[tuple[Item, ...]]:
    def item(key: str, members: dict[str, Any], is_ascii: bool, indent: int | None) -> Item:
        return Item(key, raw_of(members | {KEYS[kind]: key}, is_ascii=is_ascii, indent=indent))

    keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    one = st.builds(item, keys, json_objects, st.booleans(), st.none() | st.just(1))
    return st.lists(one, max_size=3).map(tuple)


servers = st.builds(
    KnownServer,
    revision=st.sampled_from(REVISIONS),
    capabilities=raw_objects,
    server_info=raws,
    instructions=st.none() | json_texts,
    catalog=st.builds(Catalog, **{kind: items_of(kind) for kind in KEYS}),
)


@given(servers)
def test_everything_comes_out_as_the_bytes_that_went_in(known: KnownServer) -> None:
    data = encode_catalogue(ENTRY, known)
    assert decode_catalogue(data, ENTRY) == known
    assert encode_catalogue(ENTRY, decode_catalogue(data, ENTRY)) == data


@pytest.mark.parametrize(
    "name",
    ["读文件", "🛠️", "a\u0000b", "line\nbreak", "\x7f\x1b[31m", "\u202eevil", "x" * 300, " "],
)
def test_unusual_keys_are_kept(name: str) -> None:
    for is_ascii in (True, False):
        raw = raw_of({"name": name, "unknown": {"ключ": [1.5, None]}}, is_ascii=is_ascii, indent=2)
        known = KnownServer(
            "2025-11-25", Raw(b"{}"), Raw(b"{}"), name, Catalog(tools=(Item(name, raw),))
        )
        assert decode_catalogue(encode_catalogue(ENTRY, known), ENTRY) == known


# --- Content that is not used ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 2}, "its format is 2, not 1"),
        ({"format": "1"}, "Expected `int`, got `str` - at `$.format`"),
        ({"format": ...}, "Object missing required field `format`"),
        ({"entry": "0" * 64}, "it is of another entry"),
        ({"entry": ...}, "Object missing required field `entry`"),
        ({"revision": "2031-01-01"}, "its protocol revision is unknown"),
        ({"revision": None}, "Expected `str`, got `null` - at `$.revision`"),
        ({"capabilities": []}, "Expected `object`, got `array`"),
        ({"capabilities": None}, "Expected `object`, got `null`"),
        ({"instructions": 7}, "Expected `str | null`, got `int` - at `$.instructions`"),
        ({"tools": {}}, "Expected `array`, got `object` - at `$.tools`"),
        ({"tools": ...}, "Object missing required field `tools`"),
        ({"tools": [{"title": "x"}]}, "Object missing required field `name`"),
        ({"tools": ["echo"]}, "Expected `object`, got `str`"),
        ({"tools": [{"name": ["echo"]}]}, "Expected `str`, got `array` - at `$.name`"),
        ({"tools": [{"name": ""}]}, "an item has an empty key"),
        ({"prompts": [{"name": None}]}, "Expected `str`, got `null` - at `$.name`"),
        ({"resources": [{"name": "x"}]}, "Object missing required field `uri`"),
        ({"templates": [{"uri": "x"}]}, "Object missing required field `uriTemplate`"),
    ],
)
def test_content_that_does_not_fit_its_schema_is_not_used(
    change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UnusableCatalogue) as raised:
        decode(content(**change))
    assert str(raised.value) == problem


GOOD = json.dumps(content()).encode()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"null", "Expected `object`"),
        (GOOD[:-1], "malformed"),
        (GOOD + GOOD, "malformed"),
        (b"]" + GOOD, "malformed"),
        (b"1]" + GOOD, "malformed"),
        (GOOD.replace(b'"echo"', b'"\xff"'), "it is not UTF-8"),
        (GOOD.replace(b'"object"', b'"\xed\xa0\x80"'), "it is not UTF-8"),
        (GOOD.replace(b'"object"', b'"\\ud800"'), "malformed"),
        (GOOD.replace(b'"object"', b"NaN"), "malformed"),
        (GOOD.replace(b'"object"', b'"a\nb"'), "malformed"),
        (GOOD.replace(b'"object"', b"[" * 100_000 + b"]" * 100_000), "it is nested too deeply"),
        (GOOD.replace(b'"object"', b"[" * 100_000), "it is nested too deeply"),
        (GOOD + b" " * MAX_FILE_BYTES, "it is larger than 16 MB"),
        (b"\0" * 4096, "malformed"),
    ],
)
def test_damaged_content_is_not_used(data: bytes, problem: str) -> None:
    with pytest.raises(UnusableCatalogue, match=problem):
        decode_catalogue(data, ENTRY)


@given(st.binary())
def test_random_bytes_are_not_used(data: bytes) -> None:
    with pytest.raises(UnusableCatalogue):
        decode_catalogue(data, ENTRY)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_damage_of_a_few_bytes_is_noticed_or_gives_sound_lists(
    at: int, inserted: bytes, removed: int
) -> None:
    data = GOOD[:at] + inserted + GOOD[at + removed :]
    try:
        known = decode_catalogue(data, ENTRY)
    except UnusableCatalogue:
        return
    catalog = known.catalog
    for item in (*catalog.tools, *catalog.prompts, *catalog.resources, *catalog.templates):
        assert item.key
        assert item.key in msgspec.json.decode(item.raw).values()


def nested(levels: int) -> KnownServer:
    deep = b"[" * levels + b"]" * levels
    item = Item("echo", Raw(b'{"name":"echo","inputSchema":%b}' % deep))
    return KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog(tools=(item,)))


def test_only_content_that_can_be_read_again_is_written() -> None:
    encode_catalogue(ENTRY, nested(500))
    with pytest.raises(UnusableCatalogue, match="nested too deeply"):
        encode_catalogue(ENTRY, nested(100_000))
    large = Item(
        "echo", raw_of({"name": "echo", "x": "x" * MAX_FILE_BYTES}, is_ascii=True, indent=None)
    )
    known = KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog(tools=(large,)))
    with pytest.raises(UnusableCatalogue, match="larger than 16 MB"):
        encode_catalogue(ENTRY, known)
    with pytest.raises(UnusableCatalogue):
        encode_catalogue(ENTRY, KnownServer("2025-11-25", Raw(), Raw(), None, Catalog()))
