"""Admission: hosts, origins, tokens, permissions, and exposure without a token."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from typing import Any

import attrs
import pytest

from router.access.admission import (
    ANONYMOUS,
    BEARER,
    Admission,
    AdmissionRules,
    check_exposure,
    check_exposures,
    is_loopback,
)
from router.config.security.security import Security
from router.config.security.tokens import NamedToken
from router.config.settings import Server
from router.messages.commands import PERMISSIONS, Permission, Principal
from router.messages.errors import ConfigError, HttpRefusal

TOKEN = "s3cret-token"
CHALLENGE = (("WWW-Authenticate", "Bearer"),)
DIGEST = "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest()


def admission(token: str = "", bound: str | None = None, **server: Any) -> Admission:
    return with_tokens(Security(bearer_token=token), bound, **server)


def with_tokens(security: Security, bound: str | None = None, **server: Any) -> Admission:
    return Admission(AdmissionRules.from_settings(Server(**server), security, bound))


def refused(who: Admission, **headers: str) -> HttpRefusal:
    with pytest.raises(HttpRefusal) as raised:
        who.admit({"host": "127.0.0.1:3000"} | headers)
    return raised.value


def content_of(answer: HttpRefusal) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    return answer.status, answer.detail, answer.headers


# --- Host: DNS rebinding (OWASP MCP07) --------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:3000", "127.0.0.1", "localhost:3000", "LOCALHOST", "[::1]:3000", "[::1]"],
)
def test_loopback_names_are_let_in_with_any_port(host: str) -> None:
    assert admission().admit({"host": host}) == ANONYMOUS


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:3000",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "evil.com@127.0.0.1",
        "127.0.0.1:evil",
        "127.0.0.1:3000:3000",
        "127.0.0.1 evil.com",
        "127.0.0.1/evil.com",
        "127.0.0.1,evil.com",
        "::1",
        "[::1",
        "[::1].evil.com",
        "192.168.0.2",
        "2130706433",
        "é",
        "",
    ],
)
def test_other_hosts_are_refused_even_with_the_token(host: str) -> None:
    answer = refused(admission(TOKEN), host=host, authorization=f"Bearer {TOKEN}")
    assert (answer.status, answer.detail) == (
        403,
        "Host is not allowed. Add it to server.allowed_hosts in config.json",
    )


def test_request_without_a_host_is_refused() -> None:
    with pytest.raises(HttpRefusal, match="403"):
        admission().admit({})


def test_bound_host_is_let_in() -> None:
    assert admission(host="192.168.0.2").admit({"host": "192.168.0.2:3000"}) == ANONYMOUS
    assert admission(bound="192.168.0.2").admit({"host": "192.168.0.2:8001"}) == ANONYMOUS
    assert admission(bound="[fd00::1]").admit({"host": "[fd00::1]:8001"}) == ANONYMOUS


@pytest.mark.parametrize(
    ("allowed", "host", "is_in"),
    [
        ("mcp.example.org", "mcp.example.org", True),
        ("MCP.example.org", "mcp.Example.org:8443", True),
        ("mcp.example.org:8443", "mcp.example.org:8443", True),
        ("mcp.example.org:8443", "mcp.example.org:8444", False),
        ("mcp.example.org:8443", "mcp.example.org", False),
        ("mcp.example.org", "sub.mcp.example.org", False),
        ("[fd00::1]", "[fd00::1]:3000", True),
        ("[fd00::1]:3000", "[fd00::1]:3000", True),
        ("[fd00::1]:3000", "[fd00::1]:3001", False),
    ],
)
def test_allowed_hosts_are_let_in_as_they_are_written(
    allowed: str, host: str, *, is_in: bool
) -> None:
    who = admission(allowed_hosts=(allowed,))
    if is_in:
        assert who.admit({"host": host}) == ANONYMOUS
    else:
        assert refused(who, host=host).status == 403


def test_public_url_names_a_host_and_an_origin_of_the_router() -> None:
    who = admission(public_url="https://MCP.example.org:8443/tools")
    own = {"host": "mcp.example.org:8443", "origin": "https://mcp.example.org:8443"}
    assert who.admit(own) == ANONYMOUS
    assert refused(who, host="mcp.example.org").status == 403
    assert refused(who, origin="https://mcp.example.org").status == 403
    assert refused(who, origin="https://mcp.example.org:8443/tools").status == 403


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "[::]"])
def test_bound_to_all_addresses_any_address_is_let_in_but_no_name(bound: str) -> None:
    who = admission(host=bound)
    for host in ("192.168.0.2:3000", "[fd00::1]:3000", "127.0.0.1"):
        assert who.admit({"host": host}) == ANONYMOUS
    assert refused(who, host="evil.test").status == 403


# --- Origin -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:6274", "https://127.0.0.1", "http://[::1]:5173", "HTTP://LOCALHOST"],
)
def test_pages_of_this_machine_may_call_a_loopback_listener(origin: str) -> None:
    assert admission().admit({"host": "localhost", "origin": origin}) == ANONYMOUS


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://127.0.0.1.evil.com",
        "http://localhost.evil.com",
        "http://evil.com/127.0.0.1",
        "http://127.0.0.1@evil.com",
        "http://127.0.0.1:3000/path",
        "http://evil.com#@127.0.0.1",
        "ftp://127.0.0.1",
        "127.0.0.1",
        "http://",
        "https://app.example.org.evil.com",
        "http://app.example.org",
        "https://app.example.org:8443",
    ],
)
def test_other_origins_are_refused(origin: str) -> None:
    who = admission(TOKEN, allowed_origins=("https://app.example.org",))
    answer = refused(who, origin=origin, authorization=f"Bearer {TOKEN}")
    assert (answer.status, answer.detail) == (
        403,
        "Origin is not allowed. Add it to server.allowed_origins in config.json",
    )


def test_pages_of_this_machine_may_not_call_a_listener_for_others() -> None:
    who = admission(host="0.0.0.0")
    assert refused(who, origin="http://localhost:6274").status == 403


@pytest.mark.parametrize("allowed", ["https://app.example.org", "https://App.Example.org/"])
def test_allowed_origins_are_let_in(allowed: str) -> None:
    who = admission(host="0.0.0.0", allowed_origins=(allowed,))
    headers = {"host": "127.0.0.1", "origin": "https://APP.example.org"}
    assert who.admit(headers) == ANONYMOUS


# --- Token (OWASP MCP07) ----------------------------------------------------------------------


@pytest.mark.parametrize("stored", [TOKEN, DIGEST])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_token_is_let_in_whether_stored_as_it_is_or_as_digest(stored: str, scheme: str) -> None:
    headers = {"host": "localhost", "authorization": f"{scheme}  {TOKEN} "}
    assert admission(stored).admit(headers) == BEARER


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN])
def test_missing_token_is_401(authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = refused(admission(TOKEN), **headers)
    assert content_of(answer) == (401, "Bearer token required but not provided", CHALLENGE)


@pytest.mark.parametrize(
    "token", ["wrong", "é", "\ud800", TOKEN.upper(), TOKEN + "x", TOKEN[:-1], f"{TOKEN} x", DIGEST]
)
@pytest.mark.parametrize("stored", [TOKEN, DIGEST])
def test_wrong_token_is_401(stored: str, token: str) -> None:
    """Of any characters: comparing text as such raises for those beyond ASCII."""
    answer = refused(admission(stored), authorization=f"Bearer {token}")
    assert content_of(answer) == (401, "Invalid bearer token", CHALLENGE)


def test_token_that_nobody_asked_for_is_not_looked_at() -> None:
    headers = {"host": "localhost", "authorization": "Bearer é"}
    assert admission().admit(headers) == ANONYMOUS


def test_neither_token_nor_digest_is_in_a_repr() -> None:
    text = repr(admission(TOKEN)) + repr(Security(bearer_token=TOKEN))
    assert TOKEN not in text
    assert "tokens=" not in repr(admission(TOKEN))


# --- Several tokens (OWASP MCP02, MCP07) --------------------------------------------------------

NAMED = Security(
    bearer_token=TOKEN,
    tokens={
        "caller": NamedToken("t-caller", ("call",)),
        "reader": NamedToken("sha256:" + hashlib.sha256(b"t-reader").hexdigest(), ("read",)),
        "some": NamedToken("t-some", ("call", "read"), ("a", "b")),
        "none": NamedToken("t-none", (), ()),
        "bound": NamedToken("t-bound", ("call",), profile="work"),
    },
)


def bearing(token: str) -> dict[str, str]:
    return {"host": "localhost", "authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("token", "principal"),
    [
        (TOKEN, Principal("bearer", PERMISSIONS)),
        ("t-caller", Principal("caller", frozenset({"call"}))),
        ("t-reader", Principal("reader", frozenset({"read"}))),
        ("t-some", Principal("some", frozenset({"call", "read"}), frozenset({"a", "b"}))),
        ("t-none", Principal("none", frozenset(), frozenset())),
        ("t-bound", Principal("bound", frozenset({"call"}), profile="work")),
    ],
)
def test_each_token_is_a_principal_of_its_own(token: str, principal: Principal) -> None:
    assert with_tokens(NAMED).admit(bearing(token)) == principal


@pytest.mark.parametrize("token", [TOKEN, "t-caller", "t-none", "wrong"])
def test_every_token_is_compared_with_all_of_them(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def counted(sent: bytes, stored: bytes) -> bool:
        compared.append(stored)
        return compare(sent, stored)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    who = with_tokens(NAMED)
    with suppress(HttpRefusal):
        who.admit(bearing(token))
    assert len(set(compared)) == len(compared) == 6


def test_named_tokens_alone_are_asked_for_too() -> None:
    who = with_tokens(Security(tokens=NAMED.tokens))
    assert refused(who).status == 401
    assert refused(who, **bearing(TOKEN)).status == 401
    assert who.admit(bearing("t-caller")).name == "caller"


def test_without_a_token_everybody_may_call_and_read() -> None:
    assert admission().admit({"host": "localhost"}) == Principal(
        "", frozenset({"call", "read"}), None
    )


@pytest.mark.parametrize(
    ("permission", "let_in"),
    [("call", ["t-caller", "t-some"]), ("read", ["t-reader", "t-some"]), ("admin", [])],
)
async def test_permission_is_asked_for_after_the_token(
    permission: Permission, let_in: list[str]
) -> None:
    admit = with_tokens(NAMED).admit_with(permission)
    assert admit(bearing(TOKEN), "", "") == BEARER
    for token in ("t-caller", "t-reader", "t-some", "t-none"):
        if token in let_in:
            assert permission in admit(bearing(token), "", "").permissions
            continue
        with pytest.raises(HttpRefusal) as raised:
            admit(bearing(token), "", "")
        assert content_of(raised.value) == (
            403,
            f'This token has no permission "{permission}"; see security.tokens in config.json',
            (),
        )
    with pytest.raises(HttpRefusal, match="401"):
        admit(bearing("wrong"), "", "")
    with pytest.raises(HttpRefusal, match="403 Host"):
        admit(bearing("t-caller") | {"host": "evil.test"}, "", "")


async def test_without_a_token_changes_are_refused_with_the_way_out() -> None:
    headers = {"host": "localhost"}
    assert admission().admit_with("call")(headers, "", "") == ANONYMOUS
    assert admission().admit_with("read")(headers, "", "") == ANONYMOUS
    with pytest.raises(HttpRefusal) as raised:
        admission().admit_with("admin")(headers, "", "")
    assert content_of(raised.value) == (
        403,
        'This takes the permission "admin" of a token, and none is set. Set security.bearer_token '
        "in config.json",
        (),
    )


async def test_replaced_rules_are_in_force_at_once() -> None:
    who = admission()
    admit = who.admit_with("call")
    assert admit({"host": "localhost"}, "", "") == who.admit({"host": "localhost"}) == ANONYMOUS
    who.rules = admission(TOKEN).rules
    with pytest.raises(HttpRefusal, match="401"):
        admit({"host": "localhost"}, "", "")
    assert admit(bearing(TOKEN), "", "") == who.admit(bearing(TOKEN)) == BEARER


def test_principal_is_known_for_as_long_as_it_may_do_the_same() -> None:
    who = admission()
    caller = Principal("caller", frozenset({"call"}))
    assert who.is_known(ANONYMOUS)
    assert not who.is_known(caller)
    who.rules = with_tokens(NAMED).rules
    assert who.is_known(caller)
    assert who.is_known(BEARER)
    assert not who.is_known(ANONYMOUS)
    assert not who.is_known(Principal("caller", frozenset({"call", "read"})))
    assert not who.is_known(Principal("some", frozenset({"call", "read"})))


# --- Open by mistake (OWASP MCP07) ------------------------------------------------------------


def test_token_that_can_be_guessed_is_for_this_machine_alone() -> None:
    security = Security(bearer_token="abc", tokens={"ci": NamedToken("0123456789abcde")})
    for allow_anonymous in (False, True):
        with pytest.raises(ConfigError) as raised:
            check_exposures(
                {"config.json: server.host": "0.0.0.0", "config.json: api.host": "::"},
                attrs.evolve(security, allow_anonymous=allow_anonymous),
            )
        assert str(raised.value).splitlines() == [
            f"config.json: security.{key}: is shorter than 16 characters, and other machines can "
            "try it; make one with: openssl rand -hex 32"
            for key in ("bearer_token", "tokens.ci.token")
        ]
    check_exposure("127.0.0.1", security)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.2", "mcp.example.org", "[::]"])
def test_serving_others_without_a_token_is_refused_with_both_ways_out(host: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_exposure(host, Security())
    assert str(raised.value) == (
        f'config.json: server.host: "{host}" can be reached from other machines, and no token is '
        "set. Set security.bearer_token, or set security.allow_anonymous to true to serve everybody"
    )


def test_every_exposed_host_is_named_in_one_go() -> None:
    with pytest.raises(ConfigError) as raised:
        check_exposures({"server.host": "::", "api.host": "localhost", "x": "h"}, Security())
    lines = str(raised.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["server.host", "x"]
    check_exposures({"server.host": "::1", "api.host": "localhost"}, Security())


def test_serving_others_is_allowed_with_a_token_or_on_purpose() -> None:
    check_exposure("0.0.0.0", Security(bearer_token="0123456789abcdef"))
    check_exposure("0.0.0.0", Security(bearer_token=DIGEST))
    check_exposure("0.0.0.0", Security(tokens={"ci": NamedToken("0123456789abcdef")}))
    check_exposure("0.0.0.0", Security(allow_anonymous=True))
    check_exposure("127.0.0.1", Security())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "localhost", "LocalHost", "::1", "[::1]"]
)
def test_loopback_hosts_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost.evil.com", "10.0.0.1", "127.0.0.1.x"])
def test_other_hosts_are_recognised(host: str) -> None:
    assert not is_loopback(host)
