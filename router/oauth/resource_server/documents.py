"""Answers where to log in: the metadata documents of the protected places (RFC 9728).

The documents are open to all, so what they say is the same whether or not there is such a place.

Invariant: a document names the URL under which its client reaches the place, exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from router.access.challenges import PLACES, WELL_KNOWN, base_url_of, place_of
from router.config.security.oauth import SCOPE_MARK
from router.files.names import is_name
from router.messages.errors import HttpRefusal
from transports.listen.serving.exchange import Answer, json_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.access.admission import AdmissionRules
    from router.config.security.oauth import Issuer
    from transports.listen.serving.exchange import HttpRequest

_METHODS: Final = "GET, HEAD"


def answer(request: HttpRequest, rules: AdmissionRules) -> Answer:
    """Return the answer to a request at `WELL_KNOWN` or below it.

    Raises:
        HttpRefusal: 404, there are no issuers, or no place can have this path; 405.
    """
    place = _place_in(request, rules)
    if not rules.issuers or place is None:
        raise HttpRefusal(404, "Not found")
    if request.method not in ("GET", "HEAD"):
        raise HttpRefusal(405, "Method not allowed", (("Allow", _METHODS),))
    base_url = base_url_of(request.headers, rules.public_url, request.root_path)
    document = {
        "resource": f"{base_url}{place}",
        "authorization_servers": [issuer.issuer for issuer in rules.issuers],
        "scopes_supported": _scopes(rules.issuers),
        "bearer_methods_supported": ["header"],
        "resource_name": "MCP Router",
    }
    return json_answer(msgspec.json.encode(document))


def _place_in(request: HttpRequest, rules: AdmissionRules) -> str | None:
    """Return the percent-encoded path of the place that a document is asked for.

    It is empty for the router as a whole, and None where no place can be.
    """
    rest = request.path.removeprefix(WELL_KNOWN)
    # RFC 9728 section 3.1: clients put the well-known part in front of the whole path. If a proxy
    # has taken a path away in front of it, they came by the address in `WWW-Authenticate`.
    prefix = urlsplit(rules.public_url).path.rstrip("/")
    if not request.root_path and f"{rest}/".startswith(f"{prefix}/"):
        rest = rest.removeprefix(prefix)
    if rest in ("", *PLACES):
        return rest
    place, _, name = rest.rpartition("/")
    return place_of(rest) if place in PLACES and is_name(name) else None


def _scopes(issuers: Iterable[Issuer]) -> list[str]:
    """Return the scopes in the tables, without the one that is no matter of a resource.

    MCP 2026-07-28, Authorization, Refresh Tokens: a resource does not ask for `offline_access`.
    """
    keys = (key for issuer in issuers for key in issuer.permissions if key.startswith(SCOPE_MARK))
    scopes = dict.fromkeys(key.removeprefix(SCOPE_MARK) for key in keys)
    return [scope for scope in scopes if scope != "offline_access"]
