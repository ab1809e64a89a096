"""Judges the ID token that an issuer made for one login (OpenID Connect Core, section 3.1.3.7).

`router.oauth.resource_server` verifies the signature and judges what every token has; this module
adds what makes it one for this login. It imports joserfc, so it is for a worker thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import attrs
from msgspec import Struct

from router.oauth.browser.refused import LoginRefused
from router.oauth.resource_server.claims import LEEWAY_S, judge
from router.oauth.resource_server.problems import IssuerUnavailable, TokenRefused
from router.oauth.resource_server.signed_tokens import parse, read_keys, verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.commands import Principal
    from router.oauth.browser.pending_logins import PendingLogin

_NOT_VALID: Final = "The issuer's ID token is not valid: {}"


class Person(Struct, frozen=True):
    """The person who has logged in.

    Attributes:
        principal: with the permissions that the claims gave; they may be none.
        claims: of the ID token.
    """

    principal: Principal
    claims: Mapping[str, Any]


def judge_id_token(id_token: str, keys: bytes, login: PendingLogin, scope: str) -> Person:
    """Return the person whom an ID token names.

    Args:
        id_token: as the issuer sent it.
        keys: its set of keys, as it sent it.
        login: the login for which the token must have been made.
        scope: the scopes that the issuer granted.

    Raises:
        LoginRefused: the token is not valid for this login.
    """
    client_id = login.client.client_id
    try:
        claims = verify(parse(id_token), read_keys(keys))
        for_client = attrs.evolve(login.issuer, audience=client_id, further_audiences=())
        judged = judge(claims | {"scope": scope}, for_client, time.time())
    except (TokenRefused, IssuerUnavailable) as problem:
        raise LoginRefused(502, _NOT_VALID.format(problem.reason)) from None
    if claims.get("nonce") != login.nonce:
        raise LoginRefused(502, _NOT_VALID.format("it was made for another login"))
    # For several audiences, the party that it was made for must be named (the same section, 4).
    is_for_one = claims["aud"] in (client_id, [client_id])
    if claims.get("azp", client_id if is_for_one else "") != client_id:
        raise LoginRefused(502, _NOT_VALID.format("it was made for another client"))
    if judged.expires_at_s + LEEWAY_S <= time.time():
        raise LoginRefused(502, _NOT_VALID.format("it has expired"))
    return Person(judged.principal, claims)
