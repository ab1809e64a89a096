"""Describes the configuration of an instance for people, with all secrets masked.

Invariant: too much is masked rather than too little, by the rules of `entry_secrets`; values of
variables and headers are never shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.instance_files.entry.entry_secrets import secrets_of
from router.messages.commands import SECRET_MASK
from router.messages.instances.exposure import EVERYTHING
from router.messages.instances.oauth_login import SECRET_KEYS, OAuthLogin
from router.messages.instances.run_policy import DEFAULT_RUN_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.messages.instances.exposure import Exposure
    from router.messages.instances.instance_spec import InstanceSpec

HIDDEN: Final = "•••"
"""Stands for a secret inside an argument or a URL."""

_SHORT: Final = 4
"""Characters of a value that is only masked where it stands alone: as a part it may be anything."""


def described_entry(spec: InstanceSpec, known_secrets: Iterable[str] = ()) -> dict[str, Any]:
    """Return the keys of an entry that are not as they are by default, as JSON can hold them.

    Args:
        spec: the instance.
        known_secrets: further texts to mask, such as the values that references stand for.
    """
    secrets = sorted({*secrets_of(spec), *known_secrets} - {""}, key=len, reverse=True)

    def masked(text: str) -> str:
        for secret in secrets:
            if text == secret or len(secret) >= _SHORT:
                text = text.replace(secret, HIDDEN)
        return text

    described: dict[str, Any] = {
        "provider": spec.provider,
        "type": spec.type,
        "command": masked(spec.command),
        "args": [masked(arg) for arg in spec.args],
        "cwd": spec.cwd and masked(spec.cwd),
        "env": dict.fromkeys(spec.env, SECRET_MASK),
        "sandbox": None if spec.sandbox is None else msgspec.to_builtins(spec.sandbox),
        "url": masked(spec.url),
        "headers": dict.fromkeys(spec.headers, SECRET_MASK),
        "oauth": _described_login(spec.oauth) if spec.may_log_in else False,
        "forward_headers": list(spec.forward_headers),
        "allow_private": None if spec.allow_private else False,
        "protocol": None if spec.protocol == "auto" else spec.protocol,
        "timeout": spec.timeout_s,
        "check_arguments": spec.check_arguments,
        "catalogue_cache": False if not spec.catalogue_cache else None,
        "metadata": spec.metadata,
        "sessions": None if spec.sessions == "shared" else spec.sessions,
        **_shown_exposure(spec.exposure),
        **_differing(spec.run_policy, DEFAULT_RUN_POLICY),
        "source": spec.source,
    }
    kept = {key: value for key, value in described.items() if value or value is False}
    return kept | {"isActive": spec.is_active}


def _shown_exposure(exposure: Exposure) -> dict[str, Any]:
    shown = _differing(exposure, EVERYTHING)
    for key in ("tools", "prompts", "resources"):
        if key in shown and not shown[key]["approve"]:
            del shown[key]["approve"]  # Only `tools` may have it in a file.
    return shown


def _described_login(oauth: OAuthLogin | None) -> dict[str, Any] | None:
    """Return how the router logs in, with masks in the place of secrets; None for the usual way."""
    if oauth is None:
        return None
    given = _differing(oauth, OAuthLogin())
    secrets = {key: SECRET_MASK for key in SECRET_KEYS if key in given}
    return given | secrets


def _differing(value: Any, usual: Any) -> dict[str, Any]:
    """Return the attributes of an object that differ from those of another one."""
    given, default = msgspec.to_builtins(value), msgspec.to_builtins(usual)
    return {key: given[key] for key in given if given[key] != default[key]}
