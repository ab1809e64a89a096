"""Lets secrets be written through a change of an instance, and never be read.

Invariants:

- A new value holds no reference: with `${VAR}` anybody could read the router's environment, and
  with `${file:/path}` every file that the router may read.
- A secret that comes back masked (`SECRET_MASK`) keeps the value that is in the file.
- An entry whose URL leads to another server keeps no header: that server would be sent it. Nor
  does it keep a secret in `oauth`, which goes to whom that server or `oauth.issuer` names.

Pure. Every refusal is an `RpcError` -32602 that names the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from router.files.json_files import strings_in
from router.instance_files.entry.entries import URL_KEYS
from router.messages.commands import SECRET_MASK
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.instances.oauth_login import SECRET_KEYS
from router.references.expander import is_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

_TABLES: Final = ("env", "headers")
_EXPANDED: Final = ("command", "args", "cwd", "oauth", *_TABLES, *URL_KEYS)
"""Keys whose values may hold references (see `entries`)."""

_EXPANDED_AS_VALUES: Final = (*_TABLES, "oauth")
"""Those of them in which `$VAR` is a reference, too."""

_LOGIN_SECRETS: Final = (*SECRET_KEYS, "clientSecret")
"""Keys of `oauth`, as the router and as Gemini CLI spell them."""


def refuse_new_references(new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    """Raise if a value of `new` holds a reference that is not in the `old` value of that key."""
    for key in new:
        if key not in _EXPANDED:
            continue
        before = {text for _, text in strings_in(old.get(key), key)}
        for path, text in strings_in(new[key], key):
            if text not in before and is_reference(text, bare=key in _EXPANDED_AS_VALUES):
                problem = "a reference such as ${VAR} only works where it stands in the file"
                raise RpcError(INVALID_PARAMS, f"{path}: {problem}; write it there")


def refuse_kept_headers_for_another_server(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Mapping[str, Any]
) -> None:
    """Raise if the URL leads to another server now, and headers of the file would go there.

    Args:
        old: the entry as it is in the file.
        new: the entry as it is to be.
        fields: the keys of the change; new headers are new in all their values.
    """
    if not old.get("headers") or _origin(old) == _origin(new):
        return
    given = fields.get("headers", SECRET_MASK)
    values = cast("dict[str, Any]", given).values() if isinstance(given, dict) else ()
    if given == SECRET_MASK or SECRET_MASK in values:
        problem = "is another server's, which gets no header of this one"
        way_out = "give the headers anew, or null for none"
        raise RpcError(INVALID_PARAMS, f"url: {problem}; {way_out}")
    # Not even a reference that was there before: its value is a secret for the old server.
    refuse_new_references({"headers": given}, {})


def refuse_kept_login_for_another_server(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Mapping[str, Any]
) -> None:
    """Raise if the router would send the secret of its login to others than before.

    Those are the authorization servers that the URL's server names, or the one in `oauth.issuer`.

    Args:
        old: the entry as it is in the file.
        new: the entry as it is to be.
        fields: the keys of the change.
    """
    before, after = _login_of(old), _login_of(new)
    is_same_server = _origin(old) == _origin(new)
    if is_same_server and before.get("issuer") == after.get("issuer"):
        return
    given = _login_of(fields)
    kept = [
        key
        for key in _LOGIN_SECRETS
        if after.get(key) and (key not in given or given[key] == SECRET_MASK)
    ]
    if kept:
        changed = "oauth.issuer" if is_same_server else "url"
        problem = f"is another server's, which gets no oauth.{kept[0]} of this one"
        way_out = "give oauth with that anew, or null for none"
        raise RpcError(INVALID_PARAMS, f"{changed}: {problem}; {way_out}")
    # As for headers: a reference that was there before stands for a secret of the old server.
    refuse_new_references({"oauth": given}, {})


def _login_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    written = entry.get("oauth")
    return cast("dict[str, Any]", written) if isinstance(written, dict) else {}


def unmask(new: Any, old: Any, path: str) -> Any:
    """Return `new` with the old value wherever it is masked.

    Raises:
        RpcError: -32602, there is no old value.
    """
    if new == SECRET_MASK:
        if old is None:
            problem = "is shown as set, and there is no value that could stay"
            raise RpcError(INVALID_PARAMS, f"{path}: {problem}")
        return old
    if isinstance(new, dict):
        before = cast("dict[str, Any]", old) if isinstance(old, dict) else {}
        items = cast("dict[str, Any]", new).items()
        return {key: unmask(part, before.get(key), f"{path}.{key}") for key, part in items}
    if isinstance(new, list):
        parts = cast("list[Any]", old) if isinstance(old, list) else []
        return [
            unmask(part, parts[index] if index < len(parts) else None, f"{path}[{index}]")
            for index, part in enumerate(cast("list[Any]", new))
        ]
    return new


def _origin(entry: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the origin of an entry's URL (RFC 6454 section 4), or the URL if it has none."""
    url = next((entry[key] for key in URL_KEYS if entry.get(key) is not None), "")
    try:
        parts = urlsplit(url)
        default_port = {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname, parts.port or default_port
    except (ValueError, TypeError, AttributeError):
        return (url,)
