"""Says in words why a connection failed.

Invariant: the text of an exception is never repeated, unless the system wrote it: libraries put
URLs and header values into theirs.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

UNUSABLE_PROXY: Final = "the proxy of the environment is neither http:// nor https://"

_NO_TLS: Final = "WRONG_VERSION_NUMBER"
"""The reason that OpenSSL gives for an answer that is no TLS, such as one in HTTP."""


def describe_cause(exc: BaseException) -> str:
    """Return the cause of a broken or refused connection, as the second half of a sentence."""
    for link in chain(exc):
        if isinstance(link, ssl.SSLCertVerificationError):
            return f"TLS failed: {link.verify_message}"
        if isinstance(link, ssl.SSLError):
            if link.reason == _NO_TLS:
                return "what answers there does not speak TLS; is its url http:// and not https://?"
            return f"TLS failed: {link.reason or 'no common ground'}"
        if isinstance(link, socket.gaierror):
            return f"its host name cannot be resolved ({link.strerror})"
        if isinstance(link, UnicodeError):  # `encodings.idna` says no more of a label
            return "its host name cannot be resolved (it is malformed)"
        if isinstance(link, OSError) and link.errno:
            return os.strerror(link.errno).lower()
    return "it was closed by the other side"


def chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield `exc`, its group's members and its causes, outermost first.

    Trio groups failures to connect, since it tries several addresses at once.
    """
    yield exc
    if isinstance(exc, BaseExceptionGroup):
        for member in cast("BaseExceptionGroup[BaseException]", exc).exceptions:
            yield from chain(member)
    cause = exc.__cause__ or exc.__context__
    if cause is not None:
        yield from chain(cause)
