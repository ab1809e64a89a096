"""The way in which a client logs in to a server is taken over with the server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.router.client_files.reading.test_entries import read

REMOTE = {"url": "https://x.example"}


@pytest.mark.parametrize(
    ("given", "oauth"),
    [
        (
            {"oauth": {"clientId": "a", "clientSecret": "$B", "scopes": ["r"], "tokenUrl": "x"}},
            {"client_id": "a", "client_secret": "${B}", "scopes": ["r"]},
        ),
        (
            {"auth": {"CLIENT_ID": "a", "CLIENT_SECRET": "${env:B}", "scopes": ["r"]}},
            {"client_id": "a", "client_secret": "${B}", "scopes": ["r"]},
        ),
        ({"scopes": ["r", "w"]}, {"scopes": ["r", "w"]}),
        ({"oauth": {"grant": "client_credentials", "per_user": False, "client_id": "a"}}, None),
    ],
)
def test_keys_that_the_router_knows_are_kept(given: Any, oauth: Any) -> None:
    found = read(REMOTE | given)
    assert found.entry == REMOTE | {"oauth": oauth or given["oauth"]}
    assert found.notes == ()
    assert found.problem is None


@pytest.mark.parametrize(
    "given",
    [
        {"oauth": True},
        {"oauth": {"enabled": True, "callbackPort": 8080}},
        {"oauth": {}},
        {"auth": "oauth"},
        {"authProviderType": "dynamic_discovery"},
    ],
)
def test_usual_way_needs_no_key(given: Any) -> None:
    found = read(REMOTE | given)
    assert (found.entry, found.notes) == (REMOTE, ())


@pytest.mark.parametrize("oauth", [False, {"enabled": False, "clientId": "a"}])
def test_login_that_is_off_stays_off(oauth: object) -> None:
    found = read(REMOTE | {"oauth": oauth})
    assert (found.entry, found.notes) == (REMOTE | {"oauth": False}, ())


@pytest.mark.parametrize("given", [{"auth": "basic"}, {"authProviderType": "google_credentials"}])
def test_other_ways_to_log_in_are_left_out_and_say_what_to_do(given: dict[str, str]) -> None:
    found = read(REMOTE | given)
    assert found.entry == REMOTE
    assert found.notes[0].startswith(f"{next(iter(given))} is left out: the router logs in by")


def test_unknown_key_is_named_and_its_value_is_not() -> None:
    found = read(REMOTE | {"oauth": {"realm": "s3cret", "clientId": "a"}, "oauth_resource": "u"})
    assert found.entry == REMOTE | {"oauth": {"client_id": "a"}}
    assert found.notes[0] == "left out of oauth, as the router does not know it: realm"
    assert found.notes[1].startswith("oauth_resource is left out")
    assert "s3cret" not in str(found.notes)


def test_command_has_no_login() -> None:
    assert read({"command": "x", "oauth": {"clientId": "a"}}).entry == {"command": "x"}
