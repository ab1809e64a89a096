"""Finds the secrets in an instance's configuration, so that the logs can mask them.

Invariants: pure; too much is masked rather than too little, because nobody marks the secrets of
an entry.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from router.messages.instances.oauth_login import SECRET_KEYS
from router.references.expander import PUBLIC_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from router.messages.instances.instance_spec import InstanceSpec

_SECRET_NAME: Final = re.compile(r"token|key|secret|password|auth", re.IGNORECASE)
_USER_INFO: Final = re.compile(r"(?<=//)[^/?#\s]+(?=@)")
_LOGIN: Final = re.compile(r"(?<=//)[^/@\s]+(?=@)")
_HOST: Final = re.compile(r"^[^/?#]*//[^/?#]*")
_AFTER_HOST: Final = re.compile(r"(?<==)[^&#=]+|(?<=/)[^/?#]{16,}(?=[/?#]|$)")
"""The values of a query, and long steps of the path, which may be tokens."""


def secrets_of(spec: InstanceSpec) -> frozenset[str]:
    """Return the values that must not be in a log.

    They are those of env and headers, in the URL and in args, and those of the router's own login.
    """
    env = {value for key, value in spec.env.items() if key not in PUBLIC_VARIABLES}
    headers = set(spec.headers.values())
    tokens = {value.partition(" ")[2] for value in headers} - {""}
    # A host is no secret, however long: a message about a server has to name it.
    in_url = {*_LOGIN.findall(spec.url), *_AFTER_HOST.findall(_HOST.sub("", spec.url))}
    decoded = set(map(unquote, in_url)) | set(_credentials(spec.url))
    found = env | headers | tokens | in_url | decoded | set(_secret_args(spec.args))
    return frozenset(found | set(_secrets_of_login(spec)))


def _credentials(url: str) -> Iterator[str]:
    """Yield the password in a URL, and user and password as they are sent (RFC 7617 section 2)."""
    for found in _USER_INFO.findall(url):
        user, _, password = map(unquote, found.partition(":"))
        sent = b2a_base64(f"{user}:{password}".encode(), newline=False)
        yield from {password, sent.decode().rstrip("=")} - {""}


def _secrets_of_login(spec: InstanceSpec) -> Iterator[str]:
    """Yield the secrets of the router as a client, its key, and the lines of that key.

    A log shows the lines of a text apart from each other.
    """
    if spec.oauth is None:
        return
    yield from {str(getattr(spec.oauth, key)) for key in SECRET_KEYS} - {""}
    lines = spec.oauth.private_key.splitlines()
    yield from (line for line in lines if line and not line.startswith("-----"))


def _secret_args(args: Sequence[str]) -> Iterator[str]:
    """Yield the values in `--token=abc`, `TOKEN=abc` and `--api-key abc`."""
    for arg, following in zip(args, (*args[1:], ""), strict=False):
        name, equals, value = arg.partition("=")
        if not _SECRET_NAME.search(name):
            continue
        if equals:
            yield from {value} - {""}
        elif name.startswith("-") and following and not following.startswith("-"):
            yield following
