"""Tokens of issuers at the door: their verdicts, and what a client is told that is not let in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from router.access.admission import ANONYMOUS, BEARER, Admission, AdmissionRules, check_exposure
from router.access.issued_tokens import Verdict
from router.access.live_admission import LiveAdmission
from router.access.wrong_tokens import FREE_TRIES
from router.config.security.oauth import Issuer, OAuth
from router.config.security.security import Security
from router.config.settings import Server, Settings
from router.messages.commands import FOREVER, Principal, TokenLifetime
from router.messages.errors import HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ISSUER = Issuer(
    "https://idp.example.org",
    "https://mcp.example.org/mcp",
    permissions={
        "scope:mcp.all": ("call", "read", "admin"),
        "scope:mcp.call": ("call",),
        "groups:ops": ("call", "read"),
    },
)
MIRA = Principal("https://idp.example.org mira", frozenset({"call"}))
METADATA = 'resource_metadata="http://127.0.0.1:3000/.well-known/oauth-protected-resource'
STATIC = "a-token-of-the-tests"


class FakeTokens:
    """Knows some tokens; `new` is one that has to be checked."""

    def __init__(self) -> None:
        self.verdicts = {
            "mira": Verdict(MIRA, "", 300.0, 600.0),
            "reader": Verdict(Principal(MIRA.name, frozenset({"read"}))),
            "expired": Verdict(problem="expired"),
            "nothing": Verdict(problem="no permission"),
            "down": Verdict(problem="unavailable"),
        }
        self.applied: list[Sequence[Issuer]] = []
        self.keeps_tokens: Callable[[], bool] = lambda: False

    def token_of(self, name: str) -> str | None:
        return "mira" if self.keeps_tokens() and name == MIRA.name else None

    def needs_check(self, token: str) -> bool:
        return token == "new"

    async def check(self, token: str) -> None:
        await trio.lowlevel.checkpoint()
        self.verdicts[token] = self.verdicts["mira"]

    def verdict(self, token: str) -> Verdict:
        return self.verdicts.get(token, Verdict(problem="invalid"))

    def is_known(self, principal: Principal) -> bool:
        return principal == MIRA

    def apply(self, issuers: Sequence[Issuer]) -> None:
        self.applied.append(issuers)


def security(*issuers: Issuer, token: str = STATIC) -> Security:
    return Security(bearer_token=token, oauth=OAuth(issuers))


def admission(*, token: str = STATIC, **server: Any) -> Admission:
    rules = AdmissionRules.from_settings(Server(**server), security(ISSUER, token=token))
    return Admission(rules, issued=FakeTokens())


def headers(token: str = "", **more: str) -> dict[str, str]:
    sent = {"authorization": f"Bearer {token}"} if token else {}
    return {"host": "127.0.0.1:3000", **sent, **more}


def refusal(of: Admission, token: str, path: str = "/mcp", permission: Any = "call") -> HttpRefusal:
    with pytest.raises(HttpRefusal) as raised:
        of.admit_with(permission)(headers(token), "192.0.2.1", path)
    return raised.value


# --- Who is let in ---------------------------------------------------------------------------


def test_token_of_an_issuer_lets_in_beside_those_of_the_file() -> None:
    door = admission()
    assert door.admit(headers("mira")) == MIRA
    assert door.admit(headers(STATIC)) == BEARER


@pytest.mark.parametrize("token", ["", STATIC])
async def test_nobody_is_anonymous_where_there_are_issuers(token: str) -> None:
    door = admission(token=token)
    assert refusal(door, "").status == 401
    assert not door.is_known(ANONYMOUS)
    assert door.is_known(MIRA)
    assert not door.is_known(Principal(MIRA.name))


async def test_only_an_unknown_token_of_an_issuer_is_checked() -> None:
    door = admission()
    for sent in (headers(), headers(STATIC), headers("mira"), headers("new", host="evil.test")):
        assert door.check_token(sent) is None
    checking = door.check_token(headers("new"))
    assert checking is not None
    await checking
    assert door.admit(headers("new")) == MIRA


def test_lifetime_is_that_of_the_token() -> None:
    door = admission()
    assert door.lifetime_of(headers(STATIC)) is FOREVER
    assert door.lifetime_of(headers("mira")) == TokenLifetime(300.0, 600.0)
    assert Admission(door.rules).lifetime_of(headers("mira")) is FOREVER
    assert math.inf == FOREVER.expires_s


# --- What the others are told ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "status", "challenge"),
    [
        ("", 401, f'Bearer {METADATA}/mcp", scope="mcp.call"'),
        ("guess", 401, f'Bearer error="invalid_token", {METADATA}/mcp", scope="mcp.call"'),
        ("é", 401, f'Bearer error="invalid_token", {METADATA}/mcp", scope="mcp.call"'),
        ("expired", 401, f'Bearer error="invalid_token", {METADATA}/mcp", scope="mcp.call"'),
        ("nothing", 403, f'Bearer error="insufficient_scope", {METADATA}/mcp", scope="mcp.call"'),
        ("reader", 403, f'Bearer error="insufficient_scope", {METADATA}/mcp", scope="mcp.call"'),
    ],
)
async def test_client_that_is_not_let_in_learns_where_to_log_in(
    token: str, status: int, challenge: str
) -> None:
    refused = refusal(admission(), token)
    assert refused.status == status
    assert dict(refused.headers)["WWW-Authenticate"] == challenge


async def test_issuer_that_cannot_be_asked_is_no_reason_to_log_in_again() -> None:
    refused = refusal(admission(), "down")
    assert (refused.status, dict(refused.headers)) == (503, {"Retry-After": "5"})


async def test_scope_that_grants_the_least_is_asked_for() -> None:
    assert (
        'scope="mcp.all"'
        in dict(refusal(admission(), "", "/", "admin").headers)["WWW-Authenticate"]
    )
    assert "scope" not in dict(refusal(admission(), "", "/", "approve").headers)["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/mcp/\u4e2d\u6587", "/mcp/%E4%B8%AD%E6%96%87"),
        ('/mcp/a"b\n', "/mcp/a%22b%0A"),
        ("/sse", "/sse"),
        ("/messages", "/sse"),
        ("/api/instances", ""),
        ("/mcpx", ""),
    ],
)
async def test_challenge_names_the_place_that_was_asked_for(path: str, place: str) -> None:
    found = dict(refusal(admission(), "", path).headers)["WWW-Authenticate"]
    assert f'{METADATA}{place}"' in found
    assert found.isascii()
    assert found.isprintable()


async def test_public_url_is_what_clients_are_told() -> None:
    door = admission(public_url="https://mcp.example.org/tools/")
    found = dict(refusal(door, "").headers)["WWW-Authenticate"]
    url = "https://mcp.example.org/tools/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="{url}"' in found


async def test_guesses_are_counted_and_expired_tokens_are_none() -> None:
    door = admission()
    for _ in range(FREE_TRIES + 5):
        assert refusal(door, "expired").status == 401
        assert refusal(door, "nothing").status == 403
    statuses = [refusal(door, f"guess{n}").status for n in range(FREE_TRIES + 1)]
    assert statuses == [401] * FREE_TRIES + [429]
    assert door.admit(headers("mira")) == MIRA


# --- Live --------------------------------------------------------------------------------------


class FakeEndpoint:
    """An endpoint with a session open for each of these principals."""

    def __init__(self, *principals: Principal) -> None:
        self.open = list(principals)

    def end_revoked(self, is_known: Callable[[Principal], bool]) -> None:
        self.open = [one for one in self.open if is_known(one)]


def settings(*issuers: Issuer, **server: Any) -> Settings:
    return Settings(server=Server(**server), security=security(*issuers))


async def test_issuers_that_come_later_are_made_when_their_settings_are_prepared() -> None:
    made: list[FakeTokens] = []

    def new() -> FakeTokens:
        made.append(FakeTokens())
        return made[-1]

    live = LiveAdmission(settings(), new_issued=new)
    assert made == []
    live.prepare(settings(ISSUER))
    live.apply(settings(ISSUER))
    live.prepare(settings(ISSUER))
    assert [one.applied for one in made] == [[(ISSUER,)]]
    assert live.server.admit(headers("mira")) == live.api.admit(headers("mira")) == MIRA
    live.apply(settings())
    assert refusal(live.server, "mira").status == 401


@pytest.mark.parametrize(
    ("after", "left"),
    [
        ([ISSUER], [BEARER, MIRA]),
        ([attrs.evolve(ISSUER, permissions={"scope:a": ("read",)})], [BEARER]),
        ([attrs.evolve(ISSUER, audience="other")], [BEARER]),
        ([ISSUER, attrs.evolve(ISSUER, issuer="https://b.example.org")], [BEARER, MIRA]),
        ([], [BEARER]),
    ],
    ids=["same", "other permissions", "other audience", "one more", "gone"],
)
def test_sessions_of_people_end_when_their_issuer_changes(
    after: list[Issuer], left: list[Principal]
) -> None:
    live = LiveAdmission(settings(ISSUER), new_issued=FakeTokens)
    endpoint = live.register(FakeEndpoint(BEARER, MIRA))
    live.apply(settings(*after))
    assert endpoint.open == left


def test_last_token_of_a_person_is_known_where_somebody_exchanges_it() -> None:
    live = LiveAdmission(settings(), new_issued=FakeTokens)
    live.keeps_tokens = lambda: True
    assert live.token_of(MIRA.name) is None
    live.prepare(settings(ISSUER))
    assert live.token_of(MIRA.name) == "mira"


def test_prefix_of_a_proxy_is_told_only_where_proxies_are_trusted() -> None:
    sent = headers(**{"x-forwarded-prefix": "/tools"})
    for proxies, base in [((), "http://127.0.0.1:3000"), (("::1",), "http://127.0.0.1:3000/tools")]:
        live = LiveAdmission(settings(ISSUER, trusted_proxies=proxies), new_issued=FakeTokens)
        with pytest.raises(HttpRefusal) as raised:
            live.server.admit(sent, path="/mcp")
        challenge = dict(raised.value.headers)["WWW-Authenticate"]
        assert f'"{base}/.well-known/oauth-protected-resource/mcp"' in challenge


def test_issuers_alone_are_enough_beyond_loopback() -> None:
    check_exposure("0.0.0.0", security(ISSUER, token=""))
