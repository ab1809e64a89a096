"""Text that clients carry for us, and can neither read nor change.

Job: authenticated encryption (AES-256-GCM) with a key of this process alone. Neighbours: the
composition root gives it to the core, which says what it is good for.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
"""Random ones of this size stay different for four billion messages (NIST SP 800-38D, 8.3)."""


class ProcessSeal:
    """See `router.core.state.Seal`. What was sealed before a restart is of no use after it."""

    def __init__(self) -> None:
        self._cipher: AESGCM | None = None

    def seal(self, secret: bytes, context: bytes) -> str:
        """See `Seal.seal`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._aead().encrypt(nonce, secret, context)
        return base64.urlsafe_b64encode(sealed).decode()

    def unseal(self, sealed: str, context: bytes) -> bytes:
        """See `Seal.unseal`."""
        from cryptography.exceptions import InvalidTag

        data = base64.urlsafe_b64decode(sealed)
        if base64.urlsafe_b64encode(data) != sealed.encode():
            raise ValueError("not as it was written here")  # the last digit has bits to spare
        try:
            return self._aead().decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], context)
        except InvalidTag:
            raise ValueError("not sealed here") from None

    def _aead(self) -> AESGCM:
        if self._cipher is None:
            # Takes 30 ms to import, and most routers never ask a client anything.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._cipher = AESGCM(AESGCM.generate_key(256))
        return self._cipher
