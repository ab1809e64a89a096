"""Keys of issuers: fetched once, kept, rotated, and bounded in what is taken for one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import trio
import trio.testing

from router.oauth.resource_server.issuer_keys import MISS_S, RETRY_S, STALE_S, USUAL_S
from router.oauth.resource_server.resource_server import REFUSED_S
from tests.router.oauth.resource_server.fake_issuer import (
    ISSUER,
    JWKS_URI,
    METADATA_URL,
    MIRA,
    claims,
    ec_key,
    key_set,
    network,
    problem_of,
    rsa_key,
    server,
    signed,
    token,
    verdict_of,
)
from transports.outbound.fetched import FetchFailed


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


async def test_only_one_request_waits_for_a_slow_issuer_while_there_are_keys(
    autojump_clock: Any,
) -> None:
    net = network()
    made = server(net)
    await made.check(token())
    await trio.sleep(USUAL_S)
    net.delay_s = 60
    later = time.time() + 10 * USUAL_S
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.check, token(exp=later, jti="1"))
        await trio.testing.wait_all_tasks_blocked()
        began_s = trio.current_time()
        assert (await verdict_of(made, token(exp=later, jti="2"))).problem == ""
        assert trio.current_time() == began_s


async def test_all_who_wait_for_a_slow_issuer_hear_of_it_at_the_same_time(
    autojump_clock: Any,
) -> None:
    net = network()
    net.delay_s = 60
    made, began_s = server(net), trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(made.check, token(jti=str(number)))
    assert net.asked == [METADATA_URL]
    assert trio.current_time() - began_s < 11


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
