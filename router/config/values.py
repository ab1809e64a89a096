"""Defines the types of the values in `config.json`, each with the rule that it has to keep.

Invariant: no key is known here.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import Annotated, Final, Literal, TypeAlias

from router.config.strict import Check
from router.messages.instances.run_policy import LONGEST_S

Mode: TypeAlias = Literal["stdio", "http", "sse", "api"]
MODES: Final[tuple[Mode, ...]] = ("stdio", "http", "sse", "api")
Level: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "OFF"]
LEVELS: Final[tuple[Level, ...]] = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "OFF")

_LONGEST: Final = f"{LONGEST_S} (30 days)"

JSON_FORMAT: Final = "json"
"""The value of `logging.format` for one JSON object a line."""


def _is_host(text: str) -> bool:
    return bool(text) and not any(c.isspace() or c in "/@" for c in text)


def _is_origin(text: str) -> bool:
    scheme, separator, rest = text.partition("://")
    return bool(scheme and separator) and _is_host(rest)


def _is_network(text: str) -> bool:
    if text == "unix":
        return True
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_log_format(text: str) -> bool:
    if text == JSON_FORMAT:
        return True
    try:
        return bool(text and logging.Formatter(text).format(logging.makeLogRecord({"msg": "x"})))
    except (ValueError, KeyError, TypeError):
        return False


def _is_public_url(text: str) -> bool:
    scheme, _, rest = text.partition("://")
    host = rest.partition("/")[0]
    is_whole = scheme in ("http", "https") and _is_host(host)
    return not text or (is_whole and not any(c.isspace() or c in "?#" for c in rest))


PublicUrl: TypeAlias = Annotated[
    str, Check("a URL that begins with https:// or http://, without ? and #", _is_public_url)
]
Port: TypeAlias = Annotated[
    int, Check("a port from 0 (any free one) to 65535", lambda port: 0 <= port <= 65535)
]
Seconds: TypeAlias = Annotated[
    float,
    Check(f"a positive number of seconds, up to {_LONGEST}", lambda s: 0 < s <= LONGEST_S),
]
Delay: TypeAlias = Annotated[
    float, Check(f"a number of seconds from 0 to {_LONGEST}", lambda s: 0 <= s <= LONGEST_S)
]
Count: TypeAlias = Annotated[int, Check("a positive integer", lambda n: n > 0)]
StartCount: TypeAlias = Annotated[
    int | str,
    Check('"auto" or a positive integer', lambda n: n == "auto" if isinstance(n, str) else n > 0),
]
NameLimit: TypeAlias = Annotated[
    int, Check("a number of characters from 16 to 64", lambda n: 16 <= n <= 64)
]
Host: TypeAlias = Annotated[str, Check('a host such as "127.0.0.1" or "mcp.example.org"', _is_host)]
Origin: TypeAlias = Annotated[str, Check('an origin such as "https://app.example.org"', _is_origin)]
LogFormat: TypeAlias = Annotated[
    str,
    Check('"json", or a format such as "%(asctime)s %(levelname)s %(message)s"', _is_log_format),
]
Folder: TypeAlias = Annotated[str, Check("the path of a folder", bool)]
Network: TypeAlias = Annotated[
    str, Check('an address or a network such as "10.0.0.0/8", or "unix"', _is_network)
]
AuditSetting: TypeAlias = Annotated[
    bool | str, Check('true, false or "digests"', lambda value: value in (True, False, "digests"))
]
