"""The keys by which the router gets in at a remote server, and the mistakes in them."""

from __future__ import annotations

from typing import Any

import pytest

from router.messages.instances.oauth_login import SECRET_KEYS, OAuthLogin
from tests.router.instance_files.reading import problem, read

URL = {"url": "https://mcp.example.com/mcp"}


def test_keys_are_understood_in_our_words_and_in_those_of_clients() -> None:
    ours = {"client_id": "x", "client_secret": "s", "scopes": ["a", "b"], "per_user": True}
    login = OAuthLogin(client_id="x", client_secret="s", scopes=("a", "b"), per_user=True)
    assert read({**URL, "oauth": ours}).oauth == login
    vouched = {"idp_client_id": "y", "idp_client_secret": "t", "subject_token_type": "id_token"}
    assert read({**URL, "oauth": vouched}).oauth == OAuthLogin(
        idp_client_id="y", idp_client_secret="t", subject_token_type="id_token"
    )
    gemini = {"clientId": "x", "tokenUrl": "https://as.example.com/token", "scopes": "a b"}
    assert read({**URL, "oauth": gemini}).oauth == OAuthLogin(client_id="x", scopes=("a", "b"))


@pytest.mark.parametrize("oauth", [False, {"enabled": False, "clientId": "x"}])
def test_it_can_be_switched_off(oauth: Any) -> None:
    spec = read({**URL, "oauth": oauth})
    assert (spec.oauth, spec.may_log_in, spec.problem) == (None, False, None)


@pytest.mark.parametrize("oauth", [None, True])
def test_without_keys_it_logs_in_if_the_server_asks_for_it(oauth: Any) -> None:
    spec = read({**URL, "oauth": oauth})
    assert (spec.oauth, spec.may_log_in, spec.problem) == (None, True, None)


@pytest.mark.parametrize(
    ("oauth", "sessions"),
    [
        ({"per_user": True}, "per_client"),
        ({"grant": "token_exchange"}, "per_client"),
        ({"grant": "id_jag"}, "per_client"),
        ({"grant": "client_credentials"}, "shared"),
        ({"per_user": True, "enabled": False}, "shared"),
    ],
)
def test_logins_of_persons_give_each_a_session(oauth: Any, sessions: str) -> None:
    spec = read({**URL, "oauth": oauth})
    assert (spec.sessions, spec.is_per_person) == (sessions, sessions == "per_client")


def test_a_process_has_no_logins_of_persons() -> None:
    spec = read({"command": "run", "oauth": {"per_user": True}})
    assert (spec.sessions, spec.is_per_person) == ("shared", False)


def test_a_secret_is_in_no_repr() -> None:
    spec = read({**URL, "oauth": dict.fromkeys(SECRET_KEYS, "top-s3cret")})
    assert "s3cret" not in repr(spec)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"oauth": "yes"}, 'oauth: expected an object, or false, got "yes"'),
        (
            {"oauth": {"clientid": "x"}},
            "oauth.clientid: unknown key. "
            "Did you mean 'client_id', 'idp_client_id', 'client_secret'?",
        ),
        ({"oauth": {"client_secret": []}}, "oauth.client_secret: expected a string, got an array"),
        (
            {"oauth": {"grant": "password"}},
            'oauth.grant: expected one of "authorization_code", "client_credentials", '
            '"token_exchange", "id_jag", got "password"',
        ),
        (
            {"oauth": {"subject_token_type": "jwt"}},
            'oauth.subject_token_type: expected one of "access_token", "id_token", got "jwt"',
        ),
        (
            {"oauth": {"scopes": ["a b"]}},
            'oauth.scopes: expected scopes without spaces, got "a b"',
        ),
        ({"oauth": {"per_user": 1}}, "oauth.per_user: expected true or false, got 1"),
        (
            {"forward_headers": "X-Team"},
            "forward_headers: expected an array of strings, got a string",
        ),
        ({"forward_headers": ["a b"]}, 'forward_headers: expected names of headers, got "a b"'),
        (
            {"forward_headers": ["Cookie"]},
            "forward_headers: Cookie belongs to the connection of the client; take it out",
        ),
        ({"allow_private": "no"}, 'allow_private: expected true or false, got "no"'),
    ],
)
def test_a_wrong_value_says_what_is_expected(keys: dict[str, Any], text: str) -> None:
    assert problem({**URL, **keys}) == text


def test_forwarded_headers_are_compared_in_lower_case() -> None:
    assert read({**URL, "forward_headers": ["X-Team"]}).forward_headers == ("x-team",)


def test_urls_of_the_files_may_have_private_addresses() -> None:
    assert read(URL).allow_private
    assert not read({**URL, "allow_private": False}).allow_private
