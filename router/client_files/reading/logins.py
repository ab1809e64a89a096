"""Reads how a client logs in to a remote server into the router's key `oauth`.

Invariants: pure. Where a client finds out everything by itself, so does the router, and there is no
key. What is left out is named in a note, and no note quotes a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

from router.files.json_files import quote_key

if TYPE_CHECKING:
    from router.client_files.reading.members import Members
    from router.client_files.reading.references import ReferenceTranslator

_NAMES: Final = {
    "client_id": ("client_id", "clientId", "CLIENT_ID"),
    "client_secret": ("client_secret", "clientSecret", "CLIENT_SECRET"),
    "private_key": ("private_key",),
    "grant": ("grant",),
    "scopes": ("scopes", "scope"),
    "issuer": ("issuer",),
    "token_audience": ("token_audience",),
    "idp_client_id": ("idp_client_id",),
    "idp_client_secret": ("idp_client_secret",),
    "subject_token_type": ("subject_token_type",),
    "per_user": ("per_user",),
    "enabled": ("enabled",),
}
"""The router's name of a key -> its names in `oauth` of Gemini CLI and Claude Code, and in `auth`
of Cursor."""

_FOUND_OUT: Final = frozenset(
    {"authorizationUrl", "tokenUrl", "registrationUrl", "redirectUri", "callbackPort"}
    | {"authServerMetadataUrl"}
)
"""What the router finds out itself, or has a way of its own for."""

_USUAL: Final = ("dynamic_discovery", "oauth")
"""Texts in `auth` and `authProviderType` that mean the usual way to log in."""


def read_login(
    members: Members, references: ReferenceTranslator, notes: list[str]
) -> dict[str, Any] | Literal[False] | None:
    """Return the key `oauth` of the router; False for no login, None for the usual way.

    Args:
        members: of the entry.
        references: translates its texts.
        notes: gets a sentence for what is left out.
    """
    key, written = members.take("oauth")
    other, given = members.take("auth")
    if isinstance(given, str) and given.lower() not in _USUAL:
        _note_left(notes, other)
    if isinstance(given, dict) and not isinstance(written, dict):
        key, written = other, cast("Any", given)
    login = _login_in(key, cast("object", written), notes)
    scopes = members.take("scopes")[1]  # Codex's
    if scopes is not None:
        login.setdefault("scopes", scopes)
    _, provider = members.take("authProviderType")
    if provider is not None and provider not in _USUAL:
        _note_left(notes, "authProviderType")
    if members.take("oauth_resource")[0]:
        notes.append("oauth_resource is left out: the router asks for tokens for the url")
    if written is False or login.pop("enabled", None) is False:
        return False
    return {
        name: references.translate(value, is_value=True) if isinstance(value, str) else value
        for name, value in login.items()
    } or None


def _login_in(key: str, written: object, notes: list[str]) -> dict[str, Any]:
    """Return the keys of an object by the router's names."""
    if not isinstance(written, dict):
        return {}
    given = cast("dict[str, Any]", written)
    known = {name for names in _NAMES.values() for name in names} | _FOUND_OUT
    left = [quote_key(name) for name in given if name not in known and given[name] is not None]
    if left:
        notes.append(f"left out of {key}, as the router does not know it: {', '.join(left)}")
    found = {
        ours: next((given[name] for name in names if given.get(name) is not None), None)
        for ours, names in _NAMES.items()
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _note_left(notes: list[str], key: str) -> None:
    way_out = '"headers": {"Authorization": "Bearer ${secret:NAME}"}'
    notes.append(
        f"{key} is left out: the router logs in by OAuth alone; else put a token into {way_out}"
    )
