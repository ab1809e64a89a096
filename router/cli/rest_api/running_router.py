"""Finds the router that a command asks: that of `--url`, else that of `config.json` here.

The latter is behind its local socket or port, which takes no token of the settings; where it has
neither, behind the URL that `config.json` names, if `api.enabled` is true.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from router.cli.arguments import options_of
from router.cli.rest_api.local_router import find_local_router, no_local_router
from router.cli.rest_api.rest_client import RestApi
from router.config.options import locate
from router.config.settings import settings_as_written
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from router.config.settings import Settings

TOKEN_VARIABLE: Final = "MCP_ROUTER_TOKEN"


def running_router(arguments: argparse.Namespace) -> RestApi:
    """Return the REST API that a command asks.

    Raises:
        ConfigError: the URL is none, or config.json cannot be read or has a token that cannot; or
            no router runs for it, and `api.enabled` is false.
    """
    token = arguments.token or os.environ.get(TOKEN_VARIABLE, "")
    if arguments.url is not None:
        # The token in config.json is for the router that it configures: no other URL gets it.
        return RestApi(arguments.url, token)
    paths = locate(options_of(arguments), os.environ, Path.cwd())
    found = find_local_router(paths.config, os.environ)
    if found is not None:
        return found
    settings = settings_as_written(paths.config)
    if not settings.api.enabled:
        raise no_local_router(paths.config)
    if not token:
        settings = _with_bearer_token(settings, paths.config)
    return RestApi.from_settings(settings, token)


def _with_bearer_token(settings: Settings, path: Path) -> Settings:
    """Return the settings with the references in `security.bearer_token` resolved.

    Raises:
        ConfigError: they cannot be resolved here, such as those for a service of systemd.
    """
    from router.config.security.token_references import read_tokens

    security = settings.security
    try:
        bearer_token, *_ = read_tokens(security.bearer_token, {}, path, os.environ)
    except ConfigError as exc:
        way_out = f"or give a token with --token or {TOKEN_VARIABLE}"
        raise ConfigError(exc.place, f"{exc.problem}; {way_out}") from None
    security = attrs.evolve(security, bearer_token=bearer_token)
    return attrs.evolve(settings, security=security)
