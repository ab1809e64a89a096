"""Tokens of issuers: which let in, as whom, and how often their issuer is asked."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import time
from typing import Any, Final

import attrs
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey

from router.config.security.oauth import Introspection
from router.messages.commands import Principal
from tests.router.oauth.resource_server.fake_issuer import (
    ASKED_URL,
    AUDIENCE,
    ISSUER,
    JWKS_URI,
    MIRA,
    claims,
    ec_key,
    issuer,
    key_set,
    network,
    problem_of,
    rsa_key,
    server,
    signed,
    token,
    verdict_of,
)


def base64_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64(value: Any) -> str:
    return base64_of(json.dumps(value).encode())


# --- Who is let in ---------------------------------------------------------------------------


async def test_token_lets_in_its_subject_with_what_the_table_grants() -> None:
    verdict = await verdict_of(server(network()), token())
    assert verdict.principal == MIRA
    assert verdict.expires_s == pytest.approx(trio.current_time() + 600, abs=5)


@pytest.mark.parametrize(
    ("given", "permissions"),
    [
        ({"scope": "mcp.all"}, {"call", "read", "admin"}),
        ({"scope": None, "scp": ["mcp.call"]}, {"call"}),
        ({"scope": None, "scp": "mcp.call x"}, {"call"}),
        ({"scope": None, "groups": ["dev", "ops"]}, {"call", "read"}),
        ({"groups": "ops"}, {"call", "read"}),
    ],
)
async def test_permissions_are_those_of_all_entries_that_fit(
    given: dict[str, Any], permissions: set[str]
) -> None:
    verdict = await verdict_of(server(network()), token(**given))
    assert verdict.principal is not None
    assert verdict.principal.permissions == permissions


@pytest.mark.parametrize(
    "given",
    [
        {"scope": "mcp"},
        {"scope": "MCP.CALL"},
        {"scope": {"mcp.call": True}},
        {"scope": None, "groups": "ops dev"},
        {"scope": None, "groups": {"ops": 1}},
        {"scope": None, "realm": {"groups": ["ops"]}},
    ],
)
async def test_genuine_token_without_an_entry_that_fits_has_no_permission(given: Any) -> None:
    assert await problem_of(token(**given)) == "no permission"


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("https://mcp.example.org/roles:admin", {"https://mcp.example.org/roles": ["admin"]}),
        ("groups:urn:x:ops", {"groups": ["urn:x:ops"]}),
    ],
)
async def test_claims_and_their_values_may_have_colons(key: str, given: dict[str, Any]) -> None:
    made = server(network(), issuer(permissions={key: ("read",)}))
    verdict = await verdict_of(made, token(**given))
    assert verdict.principal is not None
    assert verdict.principal.permissions == {"read"}


async def test_people_of_an_issuer_see_what_it_is_bound_to() -> None:
    bound = issuer(instances=("git",), profile="work")
    verdict = await verdict_of(server(network(), bound), token())
    assert verdict.principal == attrs_of(MIRA, instances=frozenset({"git"}), profile="work")


def attrs_of(principal: Principal, **changes: Any) -> Principal:
    return Principal(principal.name, principal.permissions, **changes)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (rsa_key, "RS256"),
        (rsa_key, "PS384"),
        (lambda: ec_key("p521", "P-521"), "ES512"),
        (lambda: OKPKey.generate_key("Ed25519", {"kid": "ed"}), "Ed25519"),
    ],
)
async def test_asymmetric_algorithms_are_accepted(key: Any, alg: str) -> None:
    of = key()
    verdict = await verdict_of(server(network(of)), signed(claims(), of, alg))
    assert verdict.principal == MIRA


ED: Final = OKPKey.generate_key("Ed25519", {"kid": "ed"})


def hand_signed(payload: bytes, **header: Any) -> str:
    """Return a token that its issuer has signed, however odd it is."""
    signed_part = f"{b64({'alg': 'Ed25519', 'kid': 'ed', **header})}.{base64_of(payload)}"
    signature = ED.get_op_key("sign").sign(signed_part.encode())  # type: ignore[union-attr]
    return f"{signed_part}.{base64_of(signature)}"


async def test_former_name_of_the_algorithm_of_edwards_curves_is_accepted() -> None:
    sent = hand_signed(json.dumps(claims()).encode(), alg="EdDSA")
    assert (await verdict_of(server(network(ED)), sent)).principal == MIRA


@pytest.mark.parametrize(
    ("payload", "header"),
    [
        (json.dumps(claims()).encode(), {"crit": ["x"]}),
        (b"[1]", {}),
        (b"{", {}),
        (b"[" * 9000, {}),
        (json.dumps(claims(exp=0)).replace('"exp": 0', '"exp": 1e999').encode(), {}),
        (json.dumps(claims(exp=0)).replace('"exp": 0', f'"exp": {"9" * 400}').encode(), {}),
    ],
    ids=["critical extension", "array", "no JSON", "deep", "infinite exp", "huge exp"],
)
async def test_odd_token_that_its_issuer_has_signed_is_invalid(
    payload: bytes, header: dict[str, Any]
) -> None:
    made = server(network(ED))
    assert (await verdict_of(made, hand_signed(payload, **header))).problem == "invalid"


@pytest.mark.parametrize("typ", ["at+jwt", "JWT", "application/at+jwt", None])
async def test_types_of_access_tokens_are_accepted(typ: str | None) -> None:
    assert await problem_of(signed(claims(), typ=typ)) == ""


async def test_token_without_a_key_id_is_verified_with_the_only_key_that_fits() -> None:
    net = network(ec_key(), rsa_key())
    assert await problem_of(signed(claims(), kid=None), net) == ""
    assert (
        await problem_of(signed(claims(), kid=None), network(ec_key(), ec_key("k2"))) == "invalid"
    )


# --- Hostile tokens --------------------------------------------------------------------------


NOW: Final = int(time.time())


@pytest.mark.parametrize(
    "given",
    [
        {"aud": "https://other.example.org"},
        {"aud": [f"{AUDIENCE}/"]},
        {"aud": AUDIENCE.upper()},
        {"aud": None},
        {"aud": {"x": AUDIENCE}},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"nbf": NOW + 10**6},
        {"iat": NOW + 10**6},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 300},
    ],
    ids=[str(number) for number in range(17)],
)
async def test_claims_that_are_not_for_this_router_are_invalid(given: dict[str, Any]) -> None:
    assert await problem_of(token(**given)) == "invalid"


async def test_each_place_may_have_its_own_audience_exactly() -> None:
    of = issuer(further_audiences=(f"{AUDIENCE}/work",))
    for audience, problem in (
        (AUDIENCE, ""),
        (f"{AUDIENCE}/work", ""),
        (f"{AUDIENCE}/x", "invalid"),
    ):
        assert await problem_of(token(aud=audience), None, of) == problem


async def test_clock_of_the_issuer_may_be_a_little_ahead() -> None:
    assert await problem_of(token(nbf=int(time.time()) + 30, iat=int(time.time()) + 30)) == ""


async def test_expired_token_is_told_from_a_guess() -> None:
    assert await problem_of(token(exp=int(time.time()) - 1)) == "expired"
    assert await problem_of(signed(claims(exp=1), ec_key("stranger"), kid="k1")) == "invalid"


async def test_token_expires_while_it_is_known(autojump_clock: Any) -> None:
    made = server(network())
    sent = token()
    assert (await verdict_of(made, sent)).problem == ""
    await trio.sleep(601)
    assert not made.needs_check(sent)
    assert made.verdict(sent).problem == "expired"
    assert not made.is_known(MIRA)


def _hmac_with_the_public_key() -> str:
    public = rsa_key().public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    sent = f"{b64({'alg': 'HS256', 'kid': 'rsa'})}.{b64(claims())}"
    digest = hmac.digest(public, sent.encode(), "sha256")
    return f"{sent}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _embedded(**header: Any) -> str:
    """Return a token that brings its own key."""
    return signed(claims(), ec_key("stranger"), kid="k1", **header)


STRANGER = ec_key("stranger")


@pytest.mark.parametrize(
    "sent",
    [
        f"{b64({'alg': 'none'})}.{b64(claims())}.",
        f"{b64({'alg': 'None', 'kid': 'k1'})}.{b64(claims())}.",
        _embedded(),
        _embedded(jwk=STRANGER.as_dict(private=False)),
        _embedded(jku="https://evil.example.org/keys"),
        _embedded(x5u="https://evil.example.org/cert"),
        signed(claims(), ec_key("../../../../dev/null")),
        signed(claims(), ec_key("https://evil.example.org/key")),
        signed(claims(), ec_key("x' OR '1'='1")),
        f"{b64({'alg': 'ES256', 'kid': {'a': 1}})}.{b64(claims())}.AAAA",
        signed(claims(), typ="logout+jwt"),
        f"{b64({'alg': ['ES256'], 'kid': 'k1'})}.{b64(claims())}.AAAA",
        f"{b64({'alg': 'ES256', 'kid': 'k1', 'crit': ['b64'], 'b64': False})}.x.AAAA",
        f"{b64([1])}.{b64(claims())}.AAAA",
        f"{'[' * 2000}.{b64(claims())}.AAAA",
        "e30.e30.e30",
        "..",
        "x" * 20000,
        "é.é.é",
        "\udce9",
    ],
    ids=lambda sent: sent[:20].encode("ascii", "replace").decode(),
)
async def test_forged_and_malformed_tokens_are_invalid(sent: str) -> None:
    net = network(ec_key(), rsa_key())
    assert await problem_of(sent, net) == "invalid"
    assert not any("evil" in url for url in net.asked)


async def test_hmac_with_the_public_key_as_secret_is_invalid() -> None:
    assert await problem_of(_hmac_with_the_public_key(), network(rsa_key())) == "invalid"


async def test_key_of_another_type_than_the_algorithm_is_not_used() -> None:
    wrong = signed(claims(), rsa_key("k1"), "RS256")
    assert await problem_of(wrong, network(ec_key("k1"))) == "invalid"
    bound = key_set(rsa_key()).replace(b'"kty"', b'"alg": "PS256", "kty"')
    net = network()
    net.answers[JWKS_URI] = bound
    assert await problem_of(signed(claims(), rsa_key(), "RS256"), net) == "invalid"
    assert await problem_of(signed(claims(), rsa_key(), "PS256"), net) == ""


async def test_issuer_vouches_for_its_own_tokens_only() -> None:
    other = "https://other.example.org"
    net = network(ec_key("k1"))
    net.answers["https://other.example.org/jwks"] = key_set(ec_key("k2"))
    two = (issuer(), issuer(issuer=other, jwks_uri=f"{other}/jwks"))
    assert await problem_of(signed(claims(), ec_key("k1")), net, *two) == ""
    assert await problem_of(signed(claims(iss=other), ec_key("k2")), net, *two) == ""
    assert await problem_of(signed(claims(), ec_key("k2")), net, *two) == "invalid"
    assert await problem_of(signed(claims(iss=other), ec_key("k1")), net, *two) == "invalid"


async def test_token_of_an_unknown_issuer_has_nobody_asked() -> None:
    net = network()
    assert await problem_of(token(iss="https://evil.example.org"), net) == "invalid"
    assert net.asked == []


async def test_issuer_that_differs_by_a_slash_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    assert await problem_of(token(iss=f"{ISSUER}/"), network()) == "invalid"
    told = "its iss is written with a slash at the end; write the issuer so, too"
    assert caplog.messages == [f"Refused a token of {ISSUER}: {told}"]


async def test_reason_is_in_the_log_once_and_without_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    made = server(network())
    for number in range(3):
        sent = token(aud="x", jti=str(number))
        assert (await verdict_of(made, sent)).problem == "invalid"
        assert sent not in caplog.text
    text = f"Refused a token of {ISSUER}: its aud is no audience in config.json"
    assert caplog.messages == [text]


# --- Changes and exchange --------------------------------------------------------------------


async def test_change_of_an_issuer_has_its_tokens_judged_anew_and_no_others() -> None:
    other = "https://other.example.org"
    net = network()
    net.answers[f"{other}/jwks"] = key_set(ec_key("k2"))
    first, second = issuer(), issuer(issuer=other, jwks_uri=f"{other}/jwks")
    made = server(net, first, second)
    of_second = signed(claims(iss=other), ec_key("k2"))
    for sent in (token(), of_second):
        assert (await verdict_of(made, sent)).problem == ""
    made.apply((attrs.evolve(first, permissions={"scope:mcp.call": ("read",)}), second))
    assert made.verdict(token()).problem == "invalid"
    assert not made.needs_check(of_second)
    verdict = await verdict_of(made, token())
    assert verdict.principal is not None
    assert verdict.principal.permissions == {"read"}
    made.apply((second,))
    assert (await verdict_of(made, token())).problem == "invalid"


async def test_last_token_of_a_person_is_kept_only_for_exchange(autojump_clock: Any) -> None:
    made = server(network())
    first, second = token(), token(jti="2")
    await verdict_of(made, first)
    assert made.token_of(MIRA.name) is None
    made.keeps_tokens = lambda: True
    for sent in (first, second):
        await verdict_of(made, sent)
    assert made.token_of(MIRA.name) == second
    await trio.sleep(601)
    assert made.token_of(MIRA.name) is None


def test_no_repr_shows_a_secret() -> None:
    secret = Introspection(ASKED_URL, "router", "s3cret")
    assert "s3cret" not in repr(issuer(introspection=secret))
