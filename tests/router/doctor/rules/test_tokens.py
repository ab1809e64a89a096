"""Tokens that are short, literal, or known to a server."""

from __future__ import annotations

import attrs

from router.doctor.rules.tokens import judge
from tests.router.doctor.made_facts import facts, lines, settings, spec

LONG = "0123456789abcdef0123"
REFERENCE = settings(security={"bearer_token": "${secret:T}"})


def test_token_in_the_file_is_to_become_a_secret_and_is_not_quoted() -> None:
    tokens = {"ci": {"token": f"{LONG}x"}, "digest": {"token": "sha256:" + "0" * 64}}
    literal = settings(security={"bearer_token": LONG, "tokens": tokens})
    found = lines(judge, facts(settings=literal))
    assert found == [
        "warning config.json: security.bearer_token: stands in the file as it is -> mcp-router "
        "secret set ROUTER_TOKEN, and write ${secret:ROUTER_TOKEN} in its place",
        "warning config.json: security.tokens.ci.token: stands in the file as it is -> mcp-router "
        "secret set ROUTER_ci, and write ${secret:ROUTER_ci} in its place",
    ]
    assert LONG not in "".join(found)


def test_short_token_is_found_once_it_is_resolved() -> None:
    resolved = attrs.evolve(
        REFERENCE, security=attrs.evolve(REFERENCE.security, bearer_token="short")
    )
    assert lines(judge, facts(settings=resolved, written=REFERENCE)) == [
        "warning config.json: security.bearer_token: is shorter than 16 characters, and can be "
        "guessed -> make one with: openssl rand -hex 32"
    ]


def test_token_that_a_server_gets_to_see_is_shared() -> None:
    resolved = attrs.evolve(REFERENCE, security=attrs.evolve(REFERENCE.security, bearer_token=LONG))
    specs = (spec("a", headers={"Authorization": f"Bearer {LONG}"}), spec("b", env={"T": "other"}))
    (line,) = lines(judge, facts(settings=resolved, written=REFERENCE, specs=specs))
    assert line.startswith(
        "warning config.json: security.bearer_token: is handed to the server a, which could"
    )
    assert LONG not in line


def test_reference_that_cannot_be_resolved_is_left_to_the_files() -> None:
    specs = (spec("a", args=("${secret:T}",)),)
    assert lines(judge, facts(settings=REFERENCE, specs=specs)) == []


ISSUER = {
    "issuer": "https://idp.example.org",
    "audience": "https://mcp.example.org",
    "permissions": {"scope:mcp": ["call"]},
    "introspection": {"url": "https://idp.example.org/ask", "client_secret": LONG},
}


def test_secret_that_the_router_shows_to_an_issuer_is_to_become_a_secret() -> None:
    found = lines(judge, facts(settings=settings(security={"oauth": {"issuers": [ISSUER]}})))
    assert found == [
        "warning config.json: security.oauth.issuers[0].introspection.client_secret: stands in the "
        "file as it is -> mcp-router secret set ROUTER_CLIENT_SECRET, and write "
        "${secret:ROUTER_CLIENT_SECRET} in its place"
    ]


def test_people_behind_a_proxy_need_the_public_url_to_log_in() -> None:
    security = {"oauth": {"issuers": [ISSUER | {"introspection": None}]}}
    server = {"trusted_proxies": ["10.0.0.1"]}
    assert lines(judge, facts(settings=settings(security=security, server=server))) == [
        "warning config.json: server.public_url: is empty, so clients behind the proxy are told to "
        "log in at an http:// URL -> set it to the URL at which clients reach the proxy"
    ]
    public = settings(security=security, server=server | {"public_url": "https://mcp.example.org"})
    assert lines(judge, facts(settings=public)) == []
