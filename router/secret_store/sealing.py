"""Encrypts the values of secrets, each by itself, and decrypts them.

A value is encrypted with AES-256-GCM. Its name, the id of the key and the version of the format
are bound to it as associated data: a value that was moved to another name does not decrypt.

The key is derived from a text that a keyring or a credential holds (HKDF with SHA-256, RFC 5869),
and so is its id, from which nobody can find the key.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Final

import attrs
from msgspec import Struct

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
"""Random nonces of this size may seal four billion values (NIST SP 800-38D, section 8.3)."""

_LABEL: Final = b"mcp-router secrets 1"


class Sealed(Struct, frozen=True, forbid_unknown_fields=True):
    """An encrypted value.

    Attributes:
        nonce: random bytes that were used for this value alone.
        sealed: the encrypted value with its tag.
    """

    nonce: bytes
    sealed: bytes


class WrongSeal(Exception):
    """A value that was encrypted with another key or for another name, or was changed since."""


@attrs.frozen
class Key:
    """A key for values.

    Attributes:
        text: the text that it is derived from, which the keyring or the credential holds.
    """

    text: str = attrs.field(repr=False)

    @property
    def id(self) -> str:
        """The name of the key in files and keyrings: 16 hex digits."""
        return self._derived(b"id")[:8].hex()

    def seal(self, name: str, value: str) -> Sealed:
        """Return the value of the secret `name` encrypted, with a new nonce."""
        nonce = os.urandom(NONCE_BYTES)
        return Sealed(nonce, self._cipher().encrypt(nonce, value.encode(), self._bound(name)))

    def unseal(self, name: str, sealed: Sealed) -> str:
        """Return the value of the secret `name`.

        Raises:
            WrongSeal: it was not encrypted with this key for this name.
        """
        from cryptography.exceptions import InvalidTag

        try:
            value = self._cipher().decrypt(sealed.nonce, sealed.sealed, self._bound(name))
        except (InvalidTag, ValueError):  # ValueError: a nonce of a wrong length
            raise WrongSeal from None
        return value.decode()

    def _bound(self, name: str) -> bytes:
        return b"\0".join((_LABEL, self.id.encode(), name.encode()))

    def _cipher(self) -> AESGCM:
        # For start-up time: this takes 30 ms, and is for encrypted secrets alone.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._derived(b"key"))

    def _derived(self, purpose: bytes) -> bytes:
        """Return 32 bytes for a purpose: HKDF without salt, and with one block of output."""
        extracted = hmac.digest(bytes(32), self.text.encode(), "sha256")
        return hmac.digest(extracted, b"\0".join((_LABEL, purpose)) + b"\x01", "sha256")
