"""Reads the keys of an entry by which the router gets in at a remote server.

They are `oauth`, which clients write in their own words too, `forward_headers` and `allow_private`.
`docs/login.md` explains them. Invariant: pure; each mistake is noted with its key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args

from router.core.text.nearest_names import did_you_mean
from router.files.json_files import kind_of, quote_key, quote_value
from router.instance_files.entry.run_policies import read_flag
from router.messages.instances.oauth_login import GrantSetting, OAuthLogin, SubjectTokenSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Note = Callable[[str, str], None]
    ReadText = Callable[[str, Any], str]

_Choice = TypeVar("_Choice", bound=str)

ACCESS_KEYS: Final = ("oauth", "forward_headers", "allow_private")
"""Keys of an entry that are read here."""

_TEXT_KEYS: Final = (
    *("client_id", "client_secret", "private_key", "issuer", "token_audience"),
    *("idp_client_id", "idp_client_secret"),
)
_KEYS: Final = (*_TEXT_KEYS, "subject_token_type", "grant", "scopes", "per_user", "enabled")
_OTHER_SPELLINGS: Final = {
    # Gemini CLI
    "clientId": "client_id",
    "clientSecret": "client_secret",
}
_WITHOUT_EFFECT: Final = frozenset(
    # Of Gemini CLI and Claude Code: the router finds these out, or has a way of its own.
    {"authorizationUrl", "tokenUrl", "registrationUrl", "redirectUri", "callbackPort", "audiences"}
    | {"tokenParamName", "authServerMetadataUrl"}
)
_GRANTS: Final[tuple[GrantSetting, ...]] = get_args(GrantSetting)
_SUBJECTS: Final[tuple[SubjectTokenSetting, ...]] = get_args(SubjectTokenSetting)
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2: token
NEVER_FORWARDED: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"}
    | {"content-type", "accept", "accept-encoding", "mcp-session-id", "mcp-protocol-version"}
    | {"keep-alive", "proxy-connection", "last-event-id", "expect", "cookie"}
)
"""Headers that belong to one connection or session, and cookies, which are this router's own."""


def read_oauth(
    members: Mapping[str, Any], read_text: ReadText, note: Note
) -> tuple[OAuthLogin | None, bool]:
    """Return how the router logs in, or None, and whether it logs in at all.

    Args:
        members: of the entry, decoded.
        read_text: key, value -> the string, its references expanded; "" after a mistake.
        note: takes a mistake: the key, and the problem.
    """
    written = members.get("oauth")
    if written is None or isinstance(written, bool):
        return None, written is not False
    if not isinstance(written, dict):
        note("oauth", f"expected an object, or false, got {quote_value(written)}")
        return None, True
    keys = _by_our_names(cast("dict[str, Any]", written), note)
    texts = {
        key: read_text(f"oauth.{key}", keys[key]) for key in _TEXT_KEYS if keys.get(key) is not None
    }
    login = OAuthLogin(
        **texts,
        grant=_one_of(_GRANTS, keys.get("grant"), "oauth.grant", note),
        subject_token_type=_one_of(
            _SUBJECTS, keys.get("subject_token_type"), "oauth.subject_token_type", note
        ),
        scopes=_scopes(keys.get("scopes"), note),
        per_user=read_flag(keys.get("per_user"), "oauth.per_user", note) is True,
    )
    is_enabled = read_flag(keys.get("enabled"), "oauth.enabled", note) is not False
    return (login if is_enabled else None), is_enabled


def _by_our_names(written: Mapping[str, Any], note: Note) -> dict[str, Any]:
    """Return the keys as they are called here; an unknown one is noted."""
    found: dict[str, Any] = {}
    for key, value in written.items():
        ours = _OTHER_SPELLINGS.get(key, key)
        if ours in _KEYS:
            found[ours] = value
        elif key not in _WITHOUT_EFFECT:
            note(f"oauth.{quote_key(key)}", f"unknown key{did_you_mean(key, _KEYS)}")
    return found


def _one_of(choices: tuple[_Choice, ...], value: Any, key: str, note: Note) -> _Choice:
    """Return the value, or the first of the choices, which is the default."""
    if value is None or value in choices:
        return value or choices[0]
    known = ", ".join(f'"{choice}"' for choice in choices)
    note(key, f"expected one of {known}, got {quote_value(value)}")
    return choices[0]


def _scopes(value: Any, note: Note) -> tuple[str, ...] | None:
    if value is None:
        return None
    scopes = value.split() if isinstance(value, str) else value
    if not isinstance(scopes, list):
        note("oauth.scopes", f"expected an array of strings, got {kind_of(value)}")
        return None
    for scope in cast("list[Any]", scopes):
        if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
            note("oauth.scopes", f"expected scopes without spaces, got {quote_value(scope)}")
            return None
    return tuple(cast("list[str]", scopes))


def read_forward_headers(members: Mapping[str, Any], note: Note) -> tuple[str, ...]:
    """Return the names, in lower case, of the headers of clients that go to the server.

    Args:
        members: of the entry, decoded.
        note: takes a mistake.
    """
    value = members.get("forward_headers")
    if value is None:
        return ()
    if not isinstance(value, list):
        note("forward_headers", f"expected an array of strings, got {kind_of(value)}")
        return ()
    names: list[str] = []
    for name in cast("list[Any]", value):
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            note("forward_headers", f"expected names of headers, got {quote_value(name)}")
        elif name.lower() in NEVER_FORWARDED:
            note("forward_headers", f"{name} belongs to the connection of the client; take it out")
        else:
            names.append(name.lower())
    return tuple(names)


def read_allow_private(members: Mapping[str, Any], note: Note) -> bool:
    """Return whether the host of the entry's URL may have a private address; as a rule, it may."""
    return read_flag(members.get("allow_private"), "allow_private", note) is not False
