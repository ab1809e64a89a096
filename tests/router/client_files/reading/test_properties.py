"""Reading ends with servers or a problem, whatever is in a file of a client, and hides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.client_files.clients.client import Dialect
from router.client_files.clients.table import CLIENTS, client_named
from router.client_files.reading.entries import Origin, read_server
from router.client_files.reading.fitting_names import fitting_name
from router.client_files.reading.references import ReferenceTranslator, secret_name
from router.files.names import is_name
from router.instance_files.entry.entries import read_entry
from router.instance_files.entry.entry_location import EntryLocation
from router.references.expander import Expander
from router.secret_store.secret_rules import is_secret_name

if TYPE_CHECKING:
    from router.client_files.clients.client import Client

PIECES = st.sampled_from(
    ["$", "{", "}", "${", "env:", "input:", "file:", "A", "b1", ":-", "roots.0", "/", " ", "工"]
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        *("type", "command", "args", "env", "environment", "cwd", "url", "httpUrl", "headers"),
        *("disabled", "enabled", "timeout", "tools", "includeTools", "oauth", "envFile", "trust"),
        *("requestInit", "env_vars", "bearer_token_env_var", "env_http_headers", "settings"),
    ]
)


@given(st.text(max_size=150))
def test_every_name_has_one_that_an_instance_may_have(written: str) -> None:
    name = fitting_name(written)
    assert is_name(name)
    assert fitting_name(name) == name


@given(st.text(max_size=150))
def test_every_id_of_an_input_has_a_name_that_a_secret_may_have(written: str) -> None:
    assert is_secret_name(secret_name(written))


@pytest.mark.parametrize("client", ["cursor", "gemini", "opencode"])
@given(text=TEXTS, is_value=st.booleans())
def test_translating_twice_is_translating_once(client: str, text: str, is_value: bool) -> None:
    dialect = client_named(client).dialect
    translator = ReferenceTranslator(dialect, Path("/home/me"))
    once = translator.translate(text, is_value=is_value)
    assert translator.translate(once, is_value=is_value) == once


@given(st.sampled_from(CLIENTS), st.dictionaries(KEYS, JSON, max_size=6) | JSON)
def test_entry_of_any_content_has_a_problem_or_is_one_of_the_router(
    client: Client, value: object
) -> None:
    found = read_server("x", value, Origin("", client.dialect, Path("/home/me/x"), "user", "x"))
    assert "\n" not in "".join(found.notes)
    if found.problem is not None:
        return
    assert read_entry(found.entry, EntryLocation("x", "", "x", "x"), Expander(None)).problem is None
    again = read_server("x", found.entry, Origin("", Dialect(), Path("/data"), "user", "x"))
    assert (again.entry, again.problem) == (found.entry, None)
