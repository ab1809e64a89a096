"""`toml`: a table is added and removed, and every other byte stays."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.client_files.formats.toml import TomlDocument, parse_toml, remove_table, set_table
from router.messages.errors import ConfigError

ENTRY: dict[str, Any] = {"url": "http://127.0.0.1:3000/mcp", "bearer_token_env_var": "TOKEN"}
PATH = ("mcp_servers", "mcp-router")

_LINES = [
    "# a comment",
    "",
    "  ",
    'model = "gpt" # the model',
    "[tui]",
    'notify = [\n  "a", # [one]\n  "]",\n]',
    '[mcp_servers.other]\ncommand = "x"',
    "[mcp_servers.\"with.dot\".env]\nA = 'b'",
    'text = """\n[mcp_servers.no]\n\\""" """',
    "raw = '''\n[no]\n# '''''",
    "point = { x = 1, y = [ { z = 2 } ] }",
    "[[list]]\nn = 1\n[[list]]\nn = 2",
    'a.b."c d" = 2026-01-01',
    "nothing = nan",
]


@st.composite
def toml_texts(draw: st.DrawFn) -> bytes:
    """Return a file of lines that are valid together, with any line ends."""
    text = draw(st.sampled_from(["", "\ufeff"]))
    header_is_there = False
    for line in draw(st.lists(st.sampled_from(_LINES), unique=True)):
        header_is_there = header_is_there or line.startswith("[")
        text += line + "\n"
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))).encode()


def _document(data: bytes) -> TomlDocument:
    return parse_toml(data, "config.toml")


@given(toml_texts())
def test_a_new_table_is_behind_all_others_and_can_be_removed_without_a_trace(data: bytes) -> None:
    document = _document(data)

    edited = set_table(document, PATH, ENTRY)

    assert edited.data.startswith(data)
    assert edited.value["mcp_servers"]["mcp-router"] == ENTRY
    assert set_table(edited, PATH, ENTRY) is edited
    assert remove_table(edited, PATH).data == data


@given(toml_texts(), st.sampled_from(["other", "with.dot"]))
def test_a_removed_table_takes_no_other_statement_and_no_comment_along(
    data: bytes, name: str
) -> None:
    document = _document(data)

    edited = remove_table(document, ("mcp_servers", name))

    assert name not in edited.value.get("mcp_servers", {})
    rest = iter(data)
    assert all(byte in rest for byte in edited.data)
    assert edited.data.count(b"# a comment") == data.count(b"# a comment")


def test_a_table_is_written_like_the_rest_of_the_file() -> None:
    edited = set_table(_document(b'model = "x"\r\n'), PATH, ENTRY | {"env": {"A": "1"}})

    assert edited.data == (
        b'model = "x"\r\n\r\n[mcp_servers.mcp-router]\r\nurl = "http://127.0.0.1:3000/mcp"\r\n'
        b'bearer_token_env_var = "TOKEN"\r\n\r\n[mcp_servers.mcp-router.env]\r\nA = "1"\r\n'
    )


def test_a_table_with_other_content_takes_the_place_of_the_old_one() -> None:
    document = _document(b'[mcp_servers.mcp-router]\nurl = "old"\n\n# below\n[tui]\nx = 1\n')

    edited = set_table(document, PATH, ENTRY)

    assert b"old" not in edited.data
    assert edited.data.startswith(b"\n# below\n[tui]\nx = 1\n\n[mcp_servers.mcp-router]\n")


def test_a_comment_behind_a_removed_table_stays() -> None:
    data = b'a = 1\n\n[mcp_servers.x]\n# why\ncommand = "x" # of it\n\n# next\n[tui]\nx = 1\n'

    assert remove_table(_document(data), ("mcp_servers", "x")).data == (
        b"a = 1\n# why\n\n# next\n[tui]\nx = 1\n"
    )


def test_dotted_keys_and_subtables_are_removed_with_their_table() -> None:
    data = b'mcp_servers.x.command = "x"\nmcp_servers.y.command = "y"\n'
    assert remove_table(_document(data), ("mcp_servers", "x")).data == (
        b'mcp_servers.y.command = "y"\n'
    )
    data = b'[mcp_servers]\nx.command = "x"\n[mcp_servers.y]\n[mcp_servers.y.env]\nA = "1"\n'
    assert remove_table(_document(data), ("mcp_servers", "y")).data == (
        b'[mcp_servers]\nx.command = "x"\n'
    )


def test_a_table_in_braces_is_left_alone() -> None:
    document = _document(b'mcp_servers = { x = { command = "x" } }\n')

    with pytest.raises(ConfigError, match=r"write it with headers, such as \[mcp_servers\.NAME\]"):
        set_table(document, PATH, ENTRY)
    with pytest.raises(ConfigError, match=r"mcp_servers\.x is written in braces"):
        remove_table(document, ("mcp_servers", "x"))


@pytest.mark.parametrize("data", [b'[[mcp_servers]]\nname = "x"\n', b'mcp_servers = "x"\n'])
def test_what_is_no_table_is_left_alone(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"mcp_servers: expected a table, got a"):
        set_table(_document(data), PATH, ENTRY)


def test_what_is_not_there_is_removed_without_a_change() -> None:
    document = _document(b"a = 1\n")

    assert remove_table(document, PATH) is document
    assert remove_table(document, ("a", "b")) is document


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a = 1\nb = \n", "line 2, column 5: invalid TOML: Invalid value"),
        (b"a = 1\na = 2\n", "line 2, column 6: invalid TOML: Cannot overwrite a value"),
        (b'a = """', "invalid TOML: Unterminated string at the end of the file"),
        (b'a = 1\nb = "\xff"', "line 2, column 6: is not UTF-8; save it as UTF-8"),
        (b"a = " + b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _document(data)

    assert caught.value.problem == problem


def test_the_values_are_those_of_tomllib() -> None:
    data = b'a = 1\n[mcp_servers.x]\nargs = ["a"]\n'

    assert _document(data).value == tomllib.loads(data.decode())
