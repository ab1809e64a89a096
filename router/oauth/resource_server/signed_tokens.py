"""Verifies signed tokens (RFC 7519, RFC 9068) and reads sets of keys (RFC 7517). Pure, by joserfc.

Slow to import, so `ResourceServer` does it in a worker thread, once a token is to be verified. To
verify a signature takes 40 µs (RS256) to 90 µs (ES256), so that is done where it is needed.

Invariants:

- Only asymmetric algorithms are accepted; neither `none` nor HMAC is known here.
- Keys come from the issuer's own set: `jku`, `x5u`, `x5c` and `jwk` of a token are not looked at.
- A key is used with the algorithms of its type, and with its own `alg` where it has one.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from msgspec import Struct

from router.oauth.resource_server.problems import IssuerUnavailable, TokenRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from joserfc._rfc7515.model import JWSAlgModel

ALGORITHMS: Final[dict[str, tuple[str, frozenset[str]]]] = {
    **{f"{kind}{bits}": ("RSA", frozenset()) for kind in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", frozenset({"P-256"})),
    "ES384": ("EC", frozenset({"P-384"})),
    "ES512": ("EC", frozenset({"P-521"})),
    "EdDSA": ("OKP", frozenset({"Ed25519", "Ed448"})),
    "Ed25519": ("OKP", frozenset({"Ed25519"})),
    "Ed448": ("OKP", frozenset({"Ed448"})),
}
"""The accepted algorithms (RFC 7518 section 3.1, RFC 8037, RFC 9864): type of key, its curves."""

_TYPES: Final = frozenset({"", "jwt", "at+jwt"})
"""Values of `typ`, without `application/` (RFC 9068 section 4); many issuers write none."""

KEY_LIMIT: Final = 100
"""Keys of a set. Issuers have a handful, and large ones some dozens."""

MODULUS_CHARACTERS: Final = range(342, 1367)
"""Of an RSA key of 2048 to 8192 bits, in base64. Smaller keys are weak (RFC 7518 section 3.3), and
larger ones slow to use."""

_KINDS: Final[dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}

_ERRORS: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""The errors of joserfc and cryptography for malformed input. Of `ValueError` are those of JSON,
base64 and msgspec, too; deep nesting raises `RecursionError`."""


class _Registry(jws.JWSRegistry):
    """Knows the algorithms; the parameters of a header are judged here, and no others matter."""

    max_header_length = 8192  # with a chain of certificates in it
    max_payload_length = 16384
    max_signature_length = 2048

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return an algorithm, without a warning about those with newer names."""
        if name not in ALGORITHMS:
            raise ValueError(name)
        return self.algorithms[name]


_REGISTRY: Final = _Registry(algorithms=list(ALGORITHMS), strict_check_header=False)


class VerifyingKey(Struct, frozen=True):
    """A public key of an issuer.

    Attributes:
        kid: its id; None without one.
        kind: "RSA", "EC" or "OKP".
        curve: of an EC or OKP key; else empty.
        alg: the only algorithm that it is for; None for all that fit.
        key: the key.
    """

    kid: str | None
    kind: str
    curve: str
    alg: str | None
    key: RSAKey | ECKey | OKPKey

    def fits(self, alg: str) -> bool:
        """Return whether a signature of this algorithm can be one of this key."""
        kind, curves = ALGORITHMS[alg]
        fits = self.kind == kind and (not curves or self.curve in curves)
        return fits and self.alg in (None, alg)


class SignedToken(Struct, frozen=True):
    """A token whose signature has not been verified yet.

    Attributes:
        alg: its algorithm, one of `ALGORITHMS`.
        kid: the id of its key; None if it names none.
        parsed: the token.
    """

    alg: str
    kid: str | None
    parsed: jws.CompactSignature


# --- Tokens ----------------------------------------------------------------------------------


def parse(token: str) -> SignedToken:
    """Return a token, of which nothing but the form of its header is known to be right.

    Raises:
        TokenRefused: it is no signed token of an accepted kind.
    """
    try:
        parsed = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
    except (*_ERRORS, binascii.Error):
        raise TokenRefused("it is malformed") from None
    header = cast("Any", parsed.headers())
    if not isinstance(header, dict):
        raise TokenRefused("it is malformed")
    return _checked(cast("dict[str, Any]", header), parsed)


def _checked(header: Mapping[str, Any], parsed: jws.CompactSignature) -> SignedToken:
    alg, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise TokenRefused("its algorithm is not accepted")
    # RFC 7515 section 4.1.11: what a critical extension means is not known here.
    if "crit" in header or "b64" in header:
        raise TokenRefused("it has critical extensions")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise TokenRefused("its typ is neither at+jwt nor JWT")
    if kid is not None and not isinstance(kid, str):
        raise TokenRefused("its kid is no string")
    return SignedToken(alg, kid, parsed)


def verify(token: SignedToken, keys: Sequence[VerifyingKey]) -> dict[str, Any]:
    """Return the claims of a token that one of these keys signed.

    Raises:
        TokenRefused: none of them did, or the claims are no JSON object.
    """
    fitting = find_keys(token, keys)
    # Without a `kid`, it must be clear which key is meant: nobody has a hundred tried by one token.
    if not fitting or (token.kid is None and len(fitting) > 1):
        raise TokenRefused("its issuer has no such key")
    try:
        is_signed = jws.validate_compact(token.parsed, fitting[0].key, registry=_REGISTRY)
        claims = msgspec.json.decode(token.parsed.payload or b"") if is_signed else None
    except _ERRORS:
        is_signed, claims = False, None
    if not is_signed:
        raise TokenRefused("its signature is wrong")
    if not isinstance(claims, dict):
        raise TokenRefused("its claims are no object")
    return cast("dict[str, Any]", claims)


def find_keys(token: SignedToken, keys: Sequence[VerifyingKey]) -> list[VerifyingKey]:
    """Return the keys that may have signed a token."""
    return [key for key in keys if token.kid in (None, key.kid) and key.fits(token.alg)]


# --- Keys ------------------------------------------------------------------------------------


def read_keys(document: bytes) -> tuple[VerifyingKey, ...]:
    """Return the usable keys of a JWK Set; others in it are left out (RFC 7517 section 5).

    Raises:
        IssuerUnavailable: it is no such set, or has no usable key.
    """
    try:
        keys: Any = msgspec.json.decode(document)["keys"]
    except _ERRORS:
        raise IssuerUnavailable("its keys are no JWK Set") from None
    if not isinstance(keys, list):
        raise IssuerUnavailable("its keys are no JWK Set")
    listed = cast("list[Any]", keys)
    if len(listed) > KEY_LIMIT:
        raise IssuerUnavailable(f"it has more than {KEY_LIMIT} keys")
    usable = tuple(key for one in listed if (key := _read_key(one)) is not None)
    if not usable:
        raise IssuerUnavailable("it has no key that signs tokens with an accepted algorithm")
    return usable


def _read_key(one: Any) -> VerifyingKey | None:
    if not isinstance(one, dict):
        return None
    data = cast("dict[str, Any]", one)
    kind, kid, alg = data.get("kty"), data.get("kid"), data.get("alg")
    # Whoever publishes a private key lets everybody sign with it.
    if kind not in _KINDS or "d" in data or not _is_for_verifying(data):
        return None
    if not isinstance(kid, (str, type(None))) or not (alg is None or alg in ALGORITHMS):
        return None
    # Before the import, which warns of small ones on stderr.
    if kind == "RSA" and len(str(data.get("n"))) not in MODULUS_CHARACTERS:
        return None
    try:
        key = _KINDS[kind].import_key(data)
        key.get_op_key("verify")  # The library makes the key only when it is used.
        curve = "" if isinstance(key, RSAKey) else key.curve_name
    except (*_ERRORS, binascii.Error):
        return None
    return VerifyingKey(kid, kind, curve, alg, key)


def _is_for_verifying(data: Mapping[str, Any]) -> bool:
    operations = data.get("key_ops")
    may_verify = operations is None or (isinstance(operations, list) and "verify" in operations)
    return may_verify and data.get("use") in (None, "sig")
