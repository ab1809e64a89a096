"""Tokens of issuers: which let in, as whom, and how often their issuer is asked."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey

from router.config.security.oauth import Introspection
from router.messages.commands import Principal
from router.oauth.resource_server.issuer_keys import MISS_S, RETRY_S, STALE_S, USUAL_S
from router.oauth.resource_server.resource_server import ASKED_S, REFUSED_S, ResourceServer
from tests.router.oauth.resource_server.fake_issuer import (
    ASKED_URL,
    AUDIENCE,
    ISSUER,
    JWKS_URI,
    METADATA_URL,
    Network,
    claims,
    ec_key,
    issuer,
    key_set,
    network,
    rsa_key,
    signed,
    token,
)
from transports.outbound.fetched import FetchFailed

if TYPE_CHECKING:
    from router.access.issued_tokens import Verdict
    from router.config.security.oauth import Issuer

MIRA = Principal(f"{ISSUER} mira", frozenset({"call"}))


def server(net: Network, *issuers: Issuer) -> ResourceServer:
    # The wall clock goes as fast as Trio's, which jumps.
    began = time.time() - trio.current_time()
    made = ResourceServer(net.fetch, lambda: began + trio.current_time())
    made.apply(issuers or (issuer(),))
    return made


async def verdict_of(made: ResourceServer, sent: str) -> Verdict:
    if made.needs_check(sent):
        await made.check(sent)
    return made.verdict(sent)


async def problem_of(sent: str, net: Network | None = None, *issuers: Issuer) -> str:
    return (await verdict_of(server(net or network(), *issuers), sent)).problem


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


async def test_former_name_of_the_algorithm_of_edwards_curves_is_accepted() -> None:
    key = OKPKey.generate_key("Ed25519", {"kid": "ed"})
    head, payload, _ = signed(claims(), key, "Ed25519").split(".")
    head = b64({"alg": "EdDSA", "kid": "ed"})
    signature = key.get_op_key("sign").sign(f"{head}.{payload}".encode())  # type: ignore[union-attr]
    sent = f"{head}.{payload}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert (await verdict_of(server(network(key)), sent)).principal == MIRA


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


def b64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


NOW = int(time.time())


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
        {"nbf": NOW + 600},
        {"iat": NOW + 600},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 300},
    ],
    ids=str,
)
async def test_claims_that_are_not_for_this_router_are_invalid(given: dict[str, Any]) -> None:
    assert await problem_of(token(**given)) == "invalid"


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


async def test_reason_is_in_the_log_once_and_without_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    made = server(network())
    for number in range(3):
        sent = token(aud="x", jti=str(number))
        assert (await verdict_of(made, sent)).problem == "invalid"
        assert sent not in caplog.text
    text = f"Refused a token of {ISSUER}: its aud is not the audience in config.json"
    assert caplog.messages == [text]


# --- Keys ------------------------------------------------------------------------------------


async def test_hundred_first_requests_fetch_the_keys_once(autojump_clock: Any) -> None:
    net = network()
    made = server(net)
    same, others = token(), [token(sub=str(number)) for number in range(50)]
    async with trio.open_nursery() as nursery:
        for sent in [*[same] * 50, *others]:
            nursery.start_soon(made.check, sent)
    assert net.asked == [METADATA_URL, JWKS_URI]
    assert {made.verdict(sent).problem for sent in [same, *others]} == {""}


async def test_check_whose_client_leaves_is_done_by_another_one(autojump_clock: Any) -> None:
    net = network()
    made, sent = server(net), token()
    async with trio.open_nursery() as nursery:
        leaving = trio.CancelScope()

        async def ask_and_leave() -> None:
            with leaving:
                await made.check(sent)

        nursery.start_soon(ask_and_leave)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(made.check, sent)
        await trio.testing.wait_all_tasks_blocked()
        leaving.cancel()
    assert made.verdict(sent).principal == MIRA


async def test_new_key_is_fetched_and_strangers_cause_one_fetch_in_a_while(
    autojump_clock: Any,
) -> None:
    net = network(ec_key("k1"))
    made = server(net)
    assert (await verdict_of(made, token())).problem == ""
    await trio.sleep(MISS_S)
    net.answers[JWKS_URI] = key_set(ec_key("k2"))
    before = len(net.asked)
    assert (await verdict_of(made, signed(claims(), ec_key("k2")))).problem == ""
    assert len(net.asked) == before + 2
    for number in range(20):
        assert (await verdict_of(made, signed(claims(), ec_key(f"x{number}")))).problem == "invalid"
    assert len(net.asked) == before + 2
    # The key that was withdrawn does not verify any more.
    assert (await verdict_of(made, token(jti="1"))).problem == "invalid"


async def test_refused_token_may_be_valid_later(autojump_clock: Any) -> None:
    net = network(ec_key("k1"))
    made, sent = server(net), signed(claims(), ec_key("k2"))
    assert (await verdict_of(made, sent)).problem == "invalid"
    net.answers[JWKS_URI] = key_set(ec_key("k2"))
    await trio.sleep(max(MISS_S, REFUSED_S))
    assert (await verdict_of(made, sent)).problem == ""


async def test_issuer_that_is_down_at_the_start_is_asked_again(autojump_clock: Any) -> None:
    net = network()
    keys, net.answers[METADATA_URL] = net.answers[METADATA_URL], FetchFailed("refused")
    made = server(net)
    assert (await verdict_of(made, token())).problem == "unavailable"
    asked = len(net.asked)
    assert (await verdict_of(made, token(jti="1"))).problem == "unavailable"
    assert len(net.asked) == asked
    net.answers[METADATA_URL] = keys
    await trio.sleep(RETRY_S)
    assert (await verdict_of(made, token())).problem == ""


async def test_keys_stay_while_no_new_ones_can_be_had(autojump_clock: Any) -> None:
    net = network()
    made = server(net)
    assert (await verdict_of(made, token())).problem == ""
    net.answers[METADATA_URL] = 503
    await trio.sleep(USUAL_S)
    later = time.time() + 10 * (USUAL_S + STALE_S)
    assert (await verdict_of(made, token(exp=later))).problem == ""
    await trio.sleep(STALE_S + 1)
    assert (await verdict_of(made, token(exp=later, jti="1"))).problem == "unavailable"


@pytest.mark.parametrize(
    ("control", "after_s", "fetches"),
    [("max-age=0", 61, 2), ("max-age=0", 59, 1), ("public, max-age=7200", 3601, 1), ("", 3601, 2)],
)
async def test_keys_are_fetched_again_after_the_age_that_the_issuer_says_within_bounds(
    autojump_clock: Any, control: str, after_s: float, fetches: int
) -> None:
    net = network()
    net.headers["cache-control"] = control
    made = server(net)
    await made.check(token())
    await trio.sleep(after_s)
    await made.check(token(exp=time.time() + 10_000, jti="1"))
    assert net.asked.count(JWKS_URI) == fetches


PRIVATE = ec_key().as_dict(private=True)


@pytest.mark.parametrize(
    "document",
    [
        b"x" * (10 << 20),
        b"<html>",
        b"[]",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, null, {}]}',
        json.dumps({"keys": [PRIVATE]}).encode(),
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}]}).encode(),
        json.dumps({"keys": [{**ec_key().as_dict(private=False), "use": "enc"}]}).encode(),
        json.dumps({"keys": [{**ec_key().as_dict(private=False), "x": "AA"}]}).encode(),
        json.dumps({"keys": [ec_key().as_dict(private=False)] * 101}).encode(),
        json.dumps({"keys": [{**rsa_key().as_dict(private=False), "n": "_" * 171}]}).encode(),
    ],
    ids=["10 MB", "HTML", "array", "no array", "empty", "no keys", "private", "symmetric",
         "for encryption", "not on the curve", "101 keys", "1024 bits"],
)  # fmt: skip
async def test_document_without_usable_keys_makes_its_issuer_unavailable(document: bytes) -> None:
    net = network()
    net.answers[JWKS_URI] = document
    assert await problem_of(token(), net) == "unavailable"


async def test_unusable_keys_are_left_out_of_a_set() -> None:
    net = network()
    mixed = {"keys": [{"kty": "AKP", "alg": "ML-DSA-44"}, ec_key().as_dict(private=False)]}
    net.answers[JWKS_URI] = json.dumps(mixed).encode()
    assert await problem_of(token(), net) == ""


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://idp.example.org"},
        {"issuer": f"{ISSUER}/"},
        {"jwks_uri": "http://idp.example.org/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
async def test_metadata_of_somebody_else_or_without_safe_keys_is_not_followed(
    metadata: dict[str, Any],
) -> None:
    net = network(**metadata)
    assert await problem_of(token(), net) == "unavailable"
    assert JWKS_URI not in net.asked


async def test_metadata_is_looked_for_where_openid_has_it() -> None:
    net = network()
    net.answers[f"{ISSUER}/.well-known/openid-configuration"] = net.answers.pop(METADATA_URL)
    assert await problem_of(token(), net) == ""


async def test_keys_elsewhere_than_the_file_says_must_be_at_a_public_address() -> None:
    net = network(jwks_uri="https://keys.example.net/all?v=1")
    net.answers["https://keys.example.net/all?v=1"] = key_set(ec_key())
    assert await problem_of(token(), net) == ""
    assert net.private == [METADATA_URL]


# --- Introspection ---------------------------------------------------------------------------


def asking(said: Any, delay_s: float = 0.01) -> tuple[Network, Issuer]:
    net = Network(delay_s=delay_s)
    net.answers[ASKED_URL] = said if isinstance(said, int) else json.dumps(said).encode()
    return net, issuer(introspection=Introspection(ASKED_URL, "router", "s3cret:&"))


def active(**given: Any) -> dict[str, Any]:
    return {"active": True, **claims(iss=None, iat=None), **given}


async def test_issuer_is_asked_about_an_opaque_token_and_again_after_a_while(
    autojump_clock: Any,
) -> None:
    net, of = asking(active())
    made = server(net, of)
    assert (await verdict_of(made, "opaque")).principal == MIRA
    headers, form = net.sent[0]
    assert form == b"token=opaque&token_type_hint=access_token"
    assert (
        base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"router:s3cret%3A%26"
    )
    await verdict_of(made, "opaque")
    assert len(net.asked) == 1
    await trio.sleep(ASKED_S)
    net.answers[ASKED_URL] = b'{"active": false}'
    assert (await verdict_of(made, "opaque")).problem == "invalid"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"active": False}, "invalid"),
        ({"active": "true", **claims()}, "invalid"),
        (claims(), "invalid"),
        (active(aud=None), "invalid"),
        (active(aud="other"), "invalid"),
        (active(exp=None), "invalid"),
        (active(iss="https://other.example.org"), "invalid"),
        ([], "unavailable"),
        (500, "unavailable"),
        (401, "unavailable"),
    ],
    ids=str,
)
async def test_answer_that_does_not_vouch_for_a_token_lets_nobody_in(
    said: Any, problem: str
) -> None:
    net, of = asking(said)
    assert await problem_of("opaque", net, of) == problem


async def test_issuer_that_does_not_answer_in_time_is_unavailable(autojump_clock: Any) -> None:
    net, of = asking(active(), delay_s=60)
    assert await problem_of("opaque", net, of) == "unavailable"


async def test_opaque_token_is_shown_to_nobody_who_was_not_to_be_asked() -> None:
    net = network()
    assert await problem_of("opaque", net) == "invalid"
    assert net.asked == []


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
