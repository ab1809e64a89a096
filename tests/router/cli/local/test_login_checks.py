"""What `check` says of the logins that entries ask for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from router.cli.local.check import check
from router.config.options import Options, Paths
from router.files.safe_folder import NEW_FILE_MODE
from router.instance_files.reader import load_instances
from router.oauth.client.login_store import login_key

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://mcp.example.com/mcp"
MACHINE = {"grant": "client_credentials", "client_id": "router"}
PERSONS = {"grant": "id_jag", "client_id": "router", "client_secret": "canary-secret"}


def notes(folder: Path, oauth: Any, **entry: Any) -> list[str]:
    """Return what is said of an instance, without its place."""
    data = folder / "data" / "a"
    data.mkdir(parents=True, exist_ok=True)
    members = {"name": "a", "url": URL, "oauth": oauth, **entry}
    (data / "mcp_settings.json").write_text(json.dumps(members))
    paths = Paths(folder / "config.json", folder / "data", folder / "logs", folder / "cache")
    said = check(paths, Options(), {}).notes
    assert not any("canary" in line for line in said)
    return [line.replace("data/a/mcp_settings.json: a: ", "") for line in said]


MISSING = 'Warning: oauth.grant "client_credentials" needs oauth.client_'
TAKEN = "Warning: oauth has no effect, since headers.Authorization is set"
NO_ISSUERS = 'Warning: oauth.grant "id_jag" exchanges the tokens of people: set security.oauth'


@pytest.mark.parametrize(
    ("oauth", "entry", "said"),
    [
        (None, {}, ""),
        (False, {}, ""),
        ({"scopes": "read"}, {"isActive": False}, ""),
        ({"per_user": True}, {}, "Note: each person has to log in for themselves, once: mcp-r"),
        ({}, {"headers": {"authorization": "x"}}, TAKEN),
        ({"grant": "client_credentials"}, {}, f"{MISSING}id"),
        (MACHINE, {}, f"{MISSING}secret or oauth.private_key"),
        (MACHINE | {"client_secret": "canary-secret"}, {}, ""),
        (PERSONS, {}, NO_ISSUERS),
    ],
)
def test_logins_that_cannot_be_made_are_told(
    tmp_path: Path, oauth: Any, entry: dict[str, Any], said: str
) -> None:
    found = notes(tmp_path, oauth, **entry)
    assert len(found) == bool(said)
    assert "".join(found).startswith(said)


def test_id_jag_takes_the_issuer_of_the_instance(tmp_path: Path) -> None:
    issuer = {
        "issuer": "https://idp.example.com",
        "audience": "https://router.example.com",
        "permissions": {"scope:mcp": ["call"]},
    }
    config = {"security": {"oauth": {"issuers": [issuer]}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    problem = "needs oauth.issuer, the authorization server of the instance"
    assert notes(tmp_path, PERSONS) == [f'Warning: oauth.grant "id_jag" {problem}']
    assert notes(tmp_path, PERSONS | {"issuer": "https://as.example.com"}) == []


def test_login_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    said = notes(tmp_path, {"scopes": "read"})
    assert said == ["Note: somebody has to log in, once: mcp-router login a"]
    (spec,) = load_instances(tmp_path / "data", {}).specs
    file = tmp_path / "logins.json"
    file.write_text(json.dumps({"version": 1, "secrets": {login_key(spec, None): "x"}}))
    file.chmod(NEW_FILE_MODE)
    assert notes(tmp_path, {"scopes": "read"}) == []
