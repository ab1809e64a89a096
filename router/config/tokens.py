"""The tokens in `config.json`: what they look like, and what each of them may do.

Job: `security.tokens` as data, and the digest by which a token is known. Neighbours: `settings`
above holds them, `auth` compares them; `structure` below.

Invariants: pure; a token is in no repr and in no message.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import attrs

from router.config.strict import Check
from router.files.names import NAME_RULE, is_name

# The names in annotations are looked up when a class is filled, so these are no types only.
from router.messages.commands import Permission  # noqa: TC001
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BEARER_NAME: Final = "bearer"
"""Who knows `security.bearer_token` is called this."""

STDIO_NAME: Final = "stdio"
"""The parent process, on the stdio listener, is called this."""

_STORED_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_RULE: Final = "a token of printable ASCII characters without spaces, or sha256: and 64 hex digits"


def is_token(text: str) -> bool:
    """Can a client send this token, or is it a digest?"""
    # What gets through a header unchanged (RFC 9110 section 5.5).
    if text.startswith("sha256:") and not _STORED_DIGEST.fullmatch(text):
        return False
    return text.isascii() and text.isprintable() and " " not in text


def _is_free_name(text: str) -> bool:
    return is_name(text) and text not in (BEARER_NAME, STDIO_NAME)


OptionalToken: TypeAlias = Annotated[str, Check(_RULE, is_token, secret=True)]
Token: TypeAlias = Annotated[
    str, Check(_RULE, lambda text: text != "" and is_token(text), secret=True)
]
Name: TypeAlias = Annotated[str, Check(NAME_RULE.removeprefix("expected "), is_name)]
TokenName: TypeAlias = Annotated[
    str,
    Check(
        f'as its name {NAME_RULE.removeprefix("expected ")}, and not "{BEARER_NAME}" or '
        f'"{STDIO_NAME}"',
        _is_free_name,
    ),
]


@attrs.frozen
class NamedToken:
    """One of several tokens.

    Attributes:
        token: itself, or `sha256:` and 64 hex digits, which stands for the token with that SHA-256
            digest.
        permissions: what its bearer may do.
        instances: the only ones there are for its bearer; None for all.
    """

    token: Token = attrs.field(repr=False)
    permissions: tuple[Permission, ...] = ("call", "read")
    instances: tuple[Name, ...] | None = None


def digest_of(token: str) -> bytes:
    """The SHA-256 digest of a token that may be stored as one."""
    stored = _STORED_DIGEST.fullmatch(token)
    return bytes.fromhex(stored[1]) if stored else hashlib.sha256(token.encode()).digest()


def repeated(
    bearer_token: str, tokens: Mapping[str, NamedToken], place: str
) -> Iterator[ConfigError]:
    """What is wrong where two names have one token: nobody could say who it is.

    Args:
        bearer_token: `security.bearer_token`.
        tokens: `security.tokens`.
        place: of `security.tokens`, for messages.
    """
    known = {digest_of(bearer_token): "security.bearer_token"} if bearer_token else {}
    for name, one in tokens.items():
        first = known.setdefault(digest_of(one.token), name)
        if first != name:
            problem = f"is the token of {first} too; give each its own"
            yield ConfigError(f"{place}.{name}.token", problem)
