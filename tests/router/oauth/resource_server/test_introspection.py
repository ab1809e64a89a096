"""Tokens that an issuer is asked about."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from router.config.security.oauth import Introspection
from router.oauth.resource_server.resource_server import ASKED_S
from tests.router.oauth.resource_server.fake_issuer import (
    ASKED_URL,
    MIRA,
    Network,
    claims,
    issuer,
    network,
    problem_of,
    server,
    verdict_of,
)

if TYPE_CHECKING:
    from router.config.security.oauth import Issuer


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
    ids=["not active", "active is a text", "no active", "no aud", "aud", "no exp", "iss",
         "an array", "500", "401"],
)  # fmt: skip
async def test_answer_that_does_not_vouch_for_a_token_lets_nobody_in(
    said: Any, problem: str
) -> None:
    net, of = asking(said)
    assert await problem_of("opaque", net, of) == problem


async def test_issuer_that_does_not_answer_in_time_is_unavailable(autojump_clock: Any) -> None:
    net, of = asking(active(), delay_s=60)
    assert await problem_of("opaque", net, of) == "unavailable"


async def test_nobody_waits_for_ever_behind_the_tokens_of_others(autojump_clock: Any) -> None:
    net, of = asking(active(), delay_s=9)
    made, began_s = server(net, of), trio.current_time()
    sent = [f"opaque-{number}" for number in range(100)]
    async with trio.open_nursery() as nursery:
        for one in sent:
            nursery.start_soon(made.check, one)
    assert trio.current_time() - began_s < 20
    assert {made.verdict(one).problem for one in sent} == {"", "unavailable"}


async def test_opaque_token_is_shown_to_nobody_who_was_not_to_be_asked() -> None:
    net = network()
    assert await problem_of("opaque", net) == "invalid"
    assert net.asked == []
