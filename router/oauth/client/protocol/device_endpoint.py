"""Begins a login on another device (RFC 8628 section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.protocol.clients import check_device
from router.oauth.client.protocol.token_endpoint import failure_of, lifetime_of, with_client
from router.oauth.client.protocol.untrusted import (
    clean,
    decode_object,
    is_printable_ascii,
    is_safe_url,
)

if TYPE_CHECKING:
    from router.oauth.client.protocol.clients import Client
    from router.oauth.client.protocol.discovery import AuthorizationServer
    from router.oauth.client.protocol.requests import Requests

DEFAULT_INTERVAL_S: Final = 5.0
"""RFC 8628 section 3.2."""

SLOWER_BY_S: Final = 5.0
"""RFC 8628 section 3.5."""

_LONGEST_INTERVAL_S: Final = 60.0
_LONGEST_LIFE_S: Final = 1800.0
_CODE_LIMIT: Final = 40


class DeviceLogin(Struct, frozen=True):
    """The answer of the device authorization endpoint.

    Attributes:
        device_code: secret, for polling.
        user_code: that the person types in.
        url: of the page for it.
        url_with_code: the same with the code; "" for none.
        expires_in_s: the time for it.
        interval_s: between two polls.
    """

    device_code: str
    user_code: str
    url: str
    url_with_code: str
    expires_in_s: float
    interval_s: float

    def __repr__(self) -> str:
        return f"DeviceLogin(url={self.url!r})"


async def ask(
    requests: Requests,
    server: AuthorizationServer,
    client: Client,
    resource: str,
    scopes: tuple[str, ...] | None,
) -> DeviceLogin:
    """Begin a login on another device.

    Raises:
        LoginFailed: the server does not offer it, refuses it, or answers rubbish.
    """
    place = clean(server.issuer)
    check_device(server)
    fields = {"resource": resource}
    if scopes:
        fields["scope"] = " ".join(scopes)
    form, headers = await with_client(requests, server, client, fields)
    fetched = await requests.post_form(server.device_authorization_endpoint, form, headers)
    members = decode_object(fetched.body)
    if members is None or "error" in members:
        raise failure_of(server, fetched, members)
    device_code = members.get("device_code")
    user_code = clean(members.get("user_code"), _CODE_LIMIT)
    url = members.get("verification_uri") or members.get("verification_url")
    complete = members.get("verification_uri_complete")
    if not is_printable_ascii(device_code) or not user_code or not is_safe_url(url):
        raise LoginFailed(f"{place} answers without a code or a page for it; use a browser")
    return DeviceLogin(
        str(device_code),
        user_code,
        str(url),
        str(complete) if is_safe_url(complete) else "",
        min(lifetime_of(members.get("expires_in")) or _LONGEST_LIFE_S, _LONGEST_LIFE_S),
        min(lifetime_of(members.get("interval")) or DEFAULT_INTERVAL_S, _LONGEST_INTERVAL_S),
    )
