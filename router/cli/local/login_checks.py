"""Says what the logins that entries ask for still lack, as far as files tell.

Invariant: no server is asked, so a server that wants a login without a word in its entry is not
known here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.config.options import Paths
    from router.config.settings import Settings
    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.instances.oauth_login import OAuthLogin


def login_notes(paths: Paths, settings: Settings, specs: Iterable[InstanceSpec]) -> Iterator[str]:
    """Yield a line for each login that cannot be made as it is configured, or is still to be made.

    Args:
        paths: of the files; only names are read in `logins.json`.
        settings: of `config.json`.
        specs: the instances.
    """
    for spec in specs:
        login = spec.oauth
        if login is None or spec.problem is not None or not spec.is_active:
            continue
        place = f"{spec.source}: {spec.name}"
        problem = _problem(spec, login, settings)
        if problem:
            yield f"Warning: {place}: {problem}"
        elif login.grant == "authorization_code":
            whose = " for themselves" if login.per_user else ""
            if login.per_user or not _is_logged_in(paths, spec):
                somebody = "each person" if login.per_user else "somebody"
                command = f"mcp-router login {spec.name}"
                yield f"Note: {place}: {somebody} has to log in{whose}, once: {command}"


def _problem(spec: InstanceSpec, login: OAuthLogin, settings: Settings) -> str:
    """Return the reason why there can be no login; empty if there is none."""
    if not spec.url:
        return "oauth has no effect, since there is no url"
    if any(name.lower() == "authorization" for name in spec.headers):
        return "oauth has no effect, since headers.Authorization is set; take one of them out"
    grant = f'oauth.grant "{login.grant}"'
    if login.grant == "authorization_code":
        return ""
    if not login.client_id:
        return f"{grant} needs oauth.client_id"
    if login.grant == "client_credentials":
        is_mute = not (login.client_secret or login.private_key)
        return f"{grant} needs oauth.client_secret or oauth.private_key" if is_mute else ""
    if not settings.security.oauth.issuers:
        return f"{grant} exchanges the tokens of people: set security.oauth.issuers"
    if login.grant == "id_jag" and not login.issuer:
        return f"{grant} needs oauth.issuer, the authorization server of the instance"
    return ""


def _is_logged_in(paths: Paths, spec: InstanceSpec) -> bool:
    # For start-up time: few entries say how to log in.
    from router.oauth.client.login_store import LOGINS_FILE_NAME, login_key
    from router.secret_store.store import SecretStore

    store = SecretStore(paths.config.with_name(LOGINS_FILE_NAME), os.environ)
    try:
        return login_key(spec, None) in store.names()
    except ConfigError:
        return False
