"""Seals text that clients carry for the router, and can neither read nor change.

Sealing is authenticated encryption (AES-256-GCM) with a key of this process alone: text that was
sealed before a restart cannot be unsealed after it.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
"""Random nonces of this size may seal four billion messages (NIST SP 800-38D, section 8.3)."""


class ProcessSeal:
    """Implements the core's `Seal` (`routing_state`) with a key that is made at first use."""

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
        # The last digit of base64 has bits to spare: several texts decode to the same bytes.
        if base64.urlsafe_b64encode(data) != sealed.encode():
            raise ValueError("not as it was written here")
        try:
            return self._aead().decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], context)
        except InvalidTag:
            raise ValueError("not sealed here") from None

    def _aead(self) -> AESGCM:
        if self._cipher is None:
            # For start-up time: this takes 30 ms, and most routers never ask a client anything.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._cipher = AESGCM(AESGCM.generate_key(256))
        return self._cipher
