"""Does the requests of a login, each only to where it may go.

Invariants:

- No request goes to a URL without TLS, except on this machine.
- A host that only a document names has to have a public address. Exempt are the hosts that the user
  has named: that of the instance, of `oauth.issuer`, of an issuer in `config.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
import msgspec

from router.oauth.client.login_results import LoginFailed
from router.oauth.client.protocol.untrusted import clean, host_of, is_safe_url
from transports.outbound.fetched import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.instances.instance_spec import InstanceSpec
    from transports.outbound.fetched import Fetch, Fetched


class Unreachable(LoginFailed):
    """A server that gave no answer, or one that it may not give: trying again may help."""


@attrs.frozen
class Requests:
    """The requests for the logins of one instance.

    Attributes:
        fetch: does them.
        spec: of the instance.
        named_by_user: further URLs whose hosts the user has named in `config.json`.
    """

    fetch: Fetch = attrs.field(repr=False)
    spec: InstanceSpec = attrs.field(repr=False)
    named_by_user: tuple[str, ...] = ()

    async def get_json(self, url: str) -> Fetched:
        """Return the answer to a GET.

        Raises:
            LoginFailed: the URL is not safe.
            Unreachable: there is no answer.
        """
        return await self._send("GET", url, {"accept": "application/json"}, b"")

    async def post_form(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> Fetched:
        """Return the answer to a POST of a form; see `get_json`."""
        kind = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        return await self._send("POST", url, {**kind, **headers}, urlencode(fields).encode())

    async def post_json(
        self, url: str, value: Any, headers: Mapping[str, str] | None = None
    ) -> Fetched:
        """Return the answer to a POST of JSON; see `get_json`."""
        kind = {"content-type": "application/json", "accept": "application/json"}
        content = msgspec.json.encode(value)
        return await self._send("POST", url, {**kind, **(headers or {})}, content)

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes
    ) -> Fetched:
        if not is_safe_url(url):
            problem = f"{clean(url)} is no URL for https, so nothing is sent there"
            raise LoginFailed(problem)
        try:
            return await self.fetch(
                method,
                url,
                headers=headers,
                content=content,
                allow_private=self._may_be_private(url),
            )
        except FetchFailed as exc:
            raise Unreachable(f"{host_of(url)} does not answer: {clean(str(exc), 400)}") from None

    def _may_be_private(self, url: str) -> bool:
        issuer = self.spec.oauth.issuer if self.spec.oauth else ""
        named = (self.spec.url, issuer, *self.named_by_user)
        return self.spec.allow_private and host_of(url) in map(host_of, named)
