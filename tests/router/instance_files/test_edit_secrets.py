"""A change of an instance can write secrets, and read none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.instance_files.edits import apply_change
from router.messages.commands import AddInstance, UpdateInstance
from router.messages.errors import INVALID_PARAMS
from tests.router.instance_files.applied_changes import json_in, refused
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from pathlib import Path


def test_masked_secrets_keep_their_values(data: Path) -> None:
    env = {"KEEP": "old", "DROP": "old", "REF": "${TOKEN}"}
    path = put(data, "p", {"command": "x", "args": ["a", "s3cret"], "env": env})
    mask = {"set": True}
    fields = {"env": {"REF": mask, "KEEP": mask, "NEW": "new"}, "args": ["b", mask]}
    apply_change(data, UpdateInstance("p", fields))
    assert json_in(path)["env"] == {"REF": "${TOKEN}", "KEEP": "old", "NEW": "new"}
    assert json_in(path)["args"] == ["b", "s3cret"]
    apply_change(data, UpdateInstance("p", {"env": mask}))
    assert json_in(path)["env"] == {"REF": "${TOKEN}", "KEEP": "old", "NEW": "new"}


def test_mask_without_a_value_behind_it_is_refused(data: Path) -> None:
    put(data, "p", COMMAND)
    error = refused(data, UpdateInstance("p", {"env": {"NEW": {"set": True}}}))
    assert str(error).startswith("env.NEW: is shown as set")


REMOTE: dict[str, Any] = {
    "type": "http",
    "url": "https://u:p@good.test/mcp?a=1",
    "headers": {"Authorization": "Bearer s3cret", "X-Key": "${KEY}"},
}
EVIL = {"url": "https://evil.test/mcp"}
ANEW = {"Authorization": "Bearer other"}


@pytest.mark.parametrize(
    "fields",
    [
        EVIL,
        {"url": None, "httpUrl": "https://evil.test/mcp"},
        {"serverUrl": "https://evil.test/mcp"},
        {"url": "http://good.test/mcp"},
        {"url": "https://good.test:444/mcp"},
        {"url": "https://good.test@evil.test/mcp"},
        {"url": "https://good.test.evil.test/mcp"},
        {**EVIL, "headers": {"set": True}},
        {**EVIL, "headers": {"Authorization": {"set": True}}},
        {"headers": {**ANEW, "X-Key": {"set": True}}, **EVIL},
        {**EVIL, "headers": {"X-Key": "${KEY}"}},
        {**EVIL, "headers": {"X-Other": "${KEY}"}},
    ],
)
def test_another_server_gets_no_header_that_is_there(data: Path, fields: dict[str, Any]) -> None:
    put(data, "p", REMOTE)
    error = refused(data, UpdateInstance("p", fields))
    assert error.code == INVALID_PARAMS
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://good.test/other"},
        {"url": "HTTPS://GOOD.test:443/mcp"},
        {"url": "https://good.test/mcp", "headers": {"Authorization": {"set": True}}},
        {**EVIL, "headers": None},
        {**EVIL, "headers": {}},
        {"headers": ANEW, **EVIL},
    ],
)
def test_another_server_may_have_headers_of_its_own(data: Path, fields: dict[str, Any]) -> None:
    path = put(data, "p", REMOTE)
    apply_change(data, UpdateInstance("p", fields))
    assert json_in(path)["url"] == fields["url"]


@pytest.mark.parametrize("url", [5, {}, ["https://evil.test/mcp"], "https://[evil", "https://e:x/"])
def test_unusable_url_counts_as_another_server(data: Path, url: Any) -> None:
    put(data, "p", {**REMOTE, "url": url})
    assert str(refused(data, UpdateInstance("p", EVIL))).startswith("url: is another server's")


def test_without_headers_any_server_will_do(data: Path) -> None:
    path = put(data, "p", {"url": "https://good.test/mcp"})
    apply_change(data, UpdateInstance("p", EVIL))
    assert json_in(path) == EVIL | {"allow_private": False}


LOGIN: dict[str, Any] = {
    "url": "https://good.test/mcp",
    "oauth": {"client_id": "me", "client_secret": "s3cret", "issuer": "https://as.test"},
}
MASKED = {"client_id": "me", "client_secret": {"set": True}}


@pytest.mark.parametrize(
    "fields",
    [
        EVIL,
        {**EVIL, "oauth": MASKED},
        {**EVIL, "oauth": {"set": True}},
        {"oauth": {**MASKED, "issuer": "https://evil.test"}},
        {"oauth": MASKED},
        {**EVIL, "oauth": {"client_secret": "${SECRET}"}},
    ],
)
def test_another_authorization_server_gets_no_secret_that_is_there(
    data: Path, fields: dict[str, Any]
) -> None:
    put(data, "p", LOGIN)
    error = refused(data, UpdateInstance("p", fields))
    assert error.code == INVALID_PARAMS
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    "fields",
    [
        {"oauth": {**MASKED, "issuer": "https://as.test", "scopes": ["read"]}},
        {**EVIL, "oauth": {"client_id": "me", "client_secret": "new"}},
        {**EVIL, "oauth": None},
        {**EVIL, "oauth": False},
        {"url": "https://good.test/other"},
    ],
)
def test_login_may_change_and_its_secret_stay_with_its_server(
    data: Path, fields: dict[str, Any]
) -> None:
    path = put(data, "p", LOGIN)
    apply_change(data, UpdateInstance("p", fields))
    assert ("s3cret" in path.read_text()) == (EVIL["url"] not in path.read_text())


@pytest.mark.parametrize("reference", ["${file:/etc/shadow}", "x${credential:token}", "${file:}"])
@pytest.mark.parametrize("key", ["command", "args", "env", "cwd", "url", "headers", "oauth"])
def test_no_file_can_be_read_through_a_new_value(data: Path, key: str, reference: str) -> None:
    put(data, "p", COMMAND)
    tables = {key: {"K": reference} for key in ("env", "headers")}
    value = {"args": ["a", reference], "oauth": {"client_secret": reference}, **tables}
    fields = {key: value.get(key, reference)}
    adding: dict[str, Any] = {"command": "x", "name": "q", **fields}
    for change in (UpdateInstance("p", fields), AddInstance("q", adding)):
        assert "only works where it stands in the file" in str(refused(data, change))


def test_reference_that_was_there_may_come_back_and_no_other(data: Path) -> None:
    put(data, "p", {"command": "x", "args": ["${HOME}/x"]})
    apply_change(data, UpdateInstance("p", {"args": ["${HOME}/x", "y"]}))
    assert "args[1]" in str(refused(data, UpdateInstance("p", {"args": ["a", "${TOKEN}"]})))


def test_user_of_the_machine_may_write_references(data: Path) -> None:
    entry = {"name": "p", "command": "x", "args": ["${A}"], "env": {"B": "$B"}}
    apply_change(data, AddInstance("p", entry), may_refer=True)
    fields = {"command": None, "args": None, "env": None, "url": "https://x.test/${C}"}
    headers = {"headers": {"Authorization": "Bearer ${secret:D}"}}
    apply_change(data, UpdateInstance("p", fields | headers), may_refer=True)
    path = data / "p" / "mcp_settings.json"
    assert json_in(path) == {
        "provider": "p",
        "name": "p",
        "url": "https://x.test/${C}",
        **headers,
    }
    other = {"url": "https://other.test", "headers": {"Authorization": "Bearer ${secret:D}"}}
    apply_change(data, UpdateInstance("p", other), may_refer=True)
    assert json_in(path)["url"] == "https://other.test"
