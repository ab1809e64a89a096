"""Judges the tokens of `config.json`: whether they are short, literal, or known to a server.

Also whether people of identity providers find the way to them.

Invariant: no finding quotes a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.config.security.tokens import SHORTEST_TOKEN, find_short_tokens
from router.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.config.security.security import Security
    from router.doctor.facts import Facts
    from router.messages.instances.instance_spec import InstanceSpec


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each token that is not as safe as it could be."""
    place = f"{facts.config.name}: security"
    security = facts.settings.security
    unresolved = {f"{place}.{key}" for key, one in tokens_of(security).items() if "${" in one}
    for error in find_short_tokens(security.bearer_token, security.tokens, place):
        if error.place in unresolved:
            continue
        problem = f"is shorter than {SHORTEST_TOKEN} characters, and can be guessed"
        fix = "make one with: openssl rand -hex 32"
        yield Finding("warning", "tokens", error.place, problem, fix)
    written = facts.written.security
    for key, token in (tokens_of(written) | client_secrets_of(written)).items():
        if is_literal(token):
            name = _secret_name(key)
            problem = "stands in the file as it is"
            fix = f"mcp-router secret set {name}, and write ${{secret:{name}}} in its place"
            yield Finding("warning", "tokens", f"{place}.{key}", problem, fix)
    yield from _shared(security, facts.specs, place)
    server = facts.settings.server
    if security.oauth.issuers and server.trusted_proxies and not server.public_url:
        problem = "is empty, so clients behind the proxy are told to log in at an http:// URL"
        fix = "set it to the URL at which clients reach the proxy"
        where = f"{facts.config.name}: server.public_url"
        yield Finding("warning", "tokens", where, problem, fix)


def _secret_name(key: str) -> str:
    """Return the name under which a token could be stored."""
    if key.startswith("oauth."):
        return "ROUTER_CLIENT_SECRET"
    name = "ROUTER_TOKEN" if key == "bearer_token" else f"ROUTER_{key.split('.')[1]}"
    return name if name.isascii() else "ROUTER_TOKEN"


def tokens_of(security: Security) -> dict[str, str]:
    """Return all tokens by their keys in `security`."""
    found = {"bearer_token": security.bearer_token} if security.bearer_token else {}
    return found | {f"tokens.{name}.token": one.token for name, one in security.tokens.items()}


def client_secrets_of(security: Security) -> dict[str, str]:
    """Return the secrets that the router shows to issuers, by their keys in `security`."""
    found = {
        f"oauth.issuers[{index}].introspection.client_secret": one.introspection.client_secret
        for index, one in enumerate(security.oauth.issuers)
        if one.introspection is not None
    }
    return {key: secret for key, secret in found.items() if secret}


def is_literal(token: str) -> bool:
    """Return whether a token stands in the file as it is, and not as a reference or a digest."""
    return "${" not in token and not token.startswith("sha256:")


def _shared(security: Security, specs: tuple[InstanceSpec, ...], place: str) -> Iterator[Finding]:
    """Yield a finding for each token of the router that a server gets to see."""
    for key, token in tokens_of(security).items():
        if "${" in token or token.startswith("sha256:"):
            continue  # it could not be resolved, or is not known here
        for spec in specs:
            values = (*spec.env.values(), *spec.headers.values(), *spec.args, spec.url)
            if any(token in value for value in values):
                problem = f"is handed to the server {spec.name}, which could then use the router"
                fix = f"give {spec.name} a token of its own, and make a new one for the router"
                yield Finding("warning", "tokens", f"{place}.{key}", problem, fix)
