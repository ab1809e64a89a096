"""Asks an issuer whether a token is valid (RFC 7662).

Invariants: few requests are under way at the same time; nothing of an answer gets into the log.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote_plus, urlencode

import msgspec
import trio

from router.oauth.resource_server.problems import IssuerUnavailable, TokenRefused
from transports.outbound.fetched import FetchFailed

if TYPE_CHECKING:
    from router.config.security.oauth import Introspection, Issuer
    from transports.outbound.fetched import Fetch

MAX_ASKING: Final = 8
"""Requests at the same time: anybody can make up tokens that have to be asked about."""

TURN_S: Final = 10.0
"""How long a token waits until it is asked about."""

ANSWER_BYTES: Final = 64 * 1024


class Introspector:
    """Asks the introspection endpoint of one issuer.

    Args:
        issuer: the issuer.
        introspection: its endpoint.
        fetch: makes requests.
    """

    def __init__(self, issuer: Issuer, introspection: Introspection, fetch: Fetch) -> None:
        self._issuer = issuer
        self._introspection = introspection
        self._fetch = fetch
        self._limiter = trio.CapacityLimiter(MAX_ASKING)

    async def claims_of(self, token: str) -> dict[str, Any]:
        """Return what the endpoint says of a token that is active.

        The endpoint need not repeat its own name, so `iss` is that of the issuer without it.

        Raises:
            TokenRefused: the token is not active.
            IssuerUnavailable: there is no answer, or none that makes sense.
        """
        form = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        asked = self._introspection
        headers = {
            "accept": "application/json",
            "content-type": "application/x-www-form-urlencoded",
        }
        if asked.client_id:
            # RFC 6749 section 2.3.1: both parts are form-encoded first.
            pair = f"{quote_plus(asked.client_id)}:{quote_plus(asked.client_secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        with trio.move_on_after(TURN_S) as waiting:
            await self._limiter.acquire()
        if waiting.cancelled_caught:
            raise IssuerUnavailable("it is asked about too many tokens at this moment")
        try:
            answer = await self._fetch(
                "POST",
                asked.url,
                headers=headers,
                content=form,
                allow_private=True,
                limit_bytes=ANSWER_BYTES,
            )
        except FetchFailed as exc:
            raise IssuerUnavailable(str(exc)) from None
        finally:
            self._limiter.release()
        if answer.status != 200:
            mend = "; correct its client_id and client_secret" if answer.status == 401 else ""
            problem = f"its introspection endpoint answers {answer.status}{mend}"
            raise IssuerUnavailable(problem)
        return self._claims_in(answer.body)

    def _claims_in(self, body: bytes) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise IssuerUnavailable("its introspection endpoint answers no JSON object")
        claims = cast("dict[str, Any]", value)
        if claims.get("active") is not True:
            raise TokenRefused("it is not active")
        return {"iss": self._issuer.issuer, **claims}
