"""Finds literal secrets in an entry by the name or the shape of a value, and hides values.

Invariants: pure. A reference is no secret. Too much is hidden in what is shown rather than too
little; what is moved into the secrets has to look like one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from router.messages.instances.oauth_login import SECRET_KEYS
from router.references.expander import is_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MASK: Final = "•••"

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS: Final = frozenset(
    {
        *("token", "key", "apikey", "secret", "password", "passwd", "passphrase", "pass", "pwd"),
        *("pat", "auth", "authorization", "cookie", "credential", "credentials", "jwt"),
    }
)
_PASSWORD_WORDS: Final = frozenset({"password", "passwd", "passphrase", "pass", "pwd"})
_SECRET_ENDS: Final = ("token", "secret", "password", "passwd", "apikey", "authorization")
_SHAPES: Final = re.compile(
    r"gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|[sr]k_(?:live|test)_\w+"
    r"|xox[abeprs]-[\w-]+|xapp-[\w-]+|AKIA[A-Z0-9]{16}|AIza[\w-]{30,}|ya29\.[\w-]+|npm_\w{30,}"
    r"|pypi-[\w-]{30,}|hf_\w{20,}|lin_api_\w+|ntn_\w{20,}|figd_[\w-]{20,}|dop_v1_\w+|SG\.[\w.-]{30,}"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.DOTALL,
)
_LOGIN_IN_URL: Final = re.compile(r"(?<=//)[^/?#\s:@]*:([^/?#\s]+)(?=@)")
_USER_IN_URL: Final = re.compile(r"(?<=//)([^/?#\s:@]+)(?=@)")
_STEP_IN_URL: Final = re.compile(r"(?<=[^/:]/)([^/?#\s]+)")
_RANDOM_STEP: Final = re.compile(
    r"(?=[^0-9]*[0-9])(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9=_-]{24,}"
    r"|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{32,}"
)
"""A step in the path of a URL by which some services know their users."""

_QUERY: Final = re.compile(r"(?<=[?&#])([^=&#\s]+)=([^&#\s]+)")
_RANDOM: Final = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9+/=_-]{32,}")
_NO_SECRET: Final = re.compile(
    r"(?i:true|false|yes|no|on|off|none|null|basic|bearer|oauth2?|\d{1,6})"
    r"|(?:/(?![A-Za-z0-9+/]{31,}=*\Z)|~[/\\]|\.{1,2}[/\\]|[A-Za-z]:\\).*|https?://[^@]*"
)
"""Words, numbers, paths and URLs: values that even a key of a telling name may have."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""A secret under a telling name; else rather the name of something."""

_PLACEHOLDER: Final = re.compile(
    r"(?i)<[^>]*>|(?:your|my|insert|replace|enter|change|add)[ _-].*|x{4,}|\*{3,}|\.{3}|todo"
)
_SCHEME: Final = re.compile(r"((?:Bearer|Basic|Token|ApiKey|Api-Key)\s+)(.+)", re.IGNORECASE)
_PAIR: Final = re.compile(
    r"([A-Za-z_][\w.-]*)(=(?!.*(?:\s-|\$\())|[ \t]*:[ \t]*(?!//))(.+)", re.DOTALL
)
"""A variable or a header that is one argument, as after `docker run -e` and `--header`. A variable
before a command with options is none: it is a line for a shell."""

_LINES: Final = frozenset({"command", "-c", "-lc"})
"""Labels of texts that are lines of words, of which a variable may be the first."""

_NAMED: Final = re.compile(
    r"""(?<![\w-])(?<!\$\{)((--[A-Za-z][\w-]*)[ \t=]+|([A-Za-z_][\w-]*)["']?[ \t]*[=:][ \t]*)"""
    r"""(["']?(?:(?:Bearer|Basic|Token|ApiKey|Api-Key)[ \t]+)?)"""
    r"""((?<=")[^"$]+|(?<=')[^'$]+|[^\s"'&;,{}$]+)""",
    re.IGNORECASE,
)
"""A name with its value inside a longer text: a line for a shell, JSON, a connection string."""


class Literal(Struct, frozen=True):
    """A literal secret that was found.

    Attributes:
        label: the name of its variable, header or option.
        value: the secret itself; empty for a placeholder, whose value is not there yet.
    """

    label: str
    value: str

    def __repr__(self) -> str:
        return f"Literal(label={self.label!r})"


def replace_secrets(entry: Mapping[str, Any], replace: Callable[[Literal], str]) -> dict[str, Any]:
    """Return the entry with each literal secret replaced.

    Args:
        entry: in the router's keys.
        replace: returns the text for the place of a secret.
    """
    result = dict(entry)
    for key in ("env", "headers"):
        if key in entry:
            table = cast("dict[str, str]", entry[key])
            result[key] = {name: _in_value(name, text, replace) for name, text in table.items()}
    if "command" in entry:
        result["command"] = _in_text(entry["command"], replace, "command")
    if "args" in entry:
        result["args"] = _in_args(entry["args"], replace)
    if "url" in entry:
        result["url"] = _in_url(entry["url"], replace)
    login = entry.get("oauth")
    if isinstance(login, dict):
        result["oauth"] = {
            name: _in_login(name, value, replace)
            for name, value in cast("dict[str, Any]", login).items()
        }
    return result


def _in_login(name: str, value: Any, replace: Callable[[Literal], str]) -> Any:
    """Return the value of a key of `oauth`; which of them are secrets is known."""
    is_secret = name in SECRET_KEYS and isinstance(value, str)
    if not is_secret or is_reference(value, bare=True):
        return value
    return replace(Literal(name, "" if _PLACEHOLDER.fullmatch(value) else value))


def masked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with its secrets hidden, to be shown."""
    return replace_secrets(entry, lambda _: MASK)


def has_placeholder(entry: Mapping[str, Any]) -> bool:
    """Return whether a secret is not there yet, and something like `<YOUR_TOKEN>` stands for it."""
    values: list[str] = []

    def note(found: Literal) -> str:
        values.append(found.value)
        return ""

    replace_secrets(entry, note)
    return "" in values


def is_secret_name(name: str) -> bool:
    """Return whether a variable, header or option of this name holds a secret."""
    words = _words(name)
    if not words:
        return False
    last, joined = words[-1], "".join(words).removesuffix("s")
    is_secret = bool({last, last.removesuffix("s")} & _SECRET_WORDS)
    return is_secret or joined.endswith(_SECRET_ENDS) or "secret" in words


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case, without the number of the last one."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return words[:-1] if words and words[-1].isdecimal() else words


def _may_be_secret(name: str, value: str) -> bool:
    """Return whether a value is a secret, or a placeholder, by the name that it has."""
    if not is_secret_name(name):
        return False
    is_number = value.isdecimal()
    return (is_number and _words(name)[-1] in _PASSWORD_WORDS) or not _NO_SECRET.fullmatch(value)


def _in_value(name: str, text: str, replace: Callable[[Literal], str]) -> str:
    whole = _as_a_whole(name, text, replace)
    return _in_text(text, replace, name) if whole is None else whole


def _as_a_whole(name: str, text: str, replace: Callable[[Literal], str]) -> str | None:
    """Return what stands in the place of a value; None if it is no secret as a whole."""
    if not text or is_reference(text, bare=True):
        return text
    scheme, rest = _scheme_and_rest(text)
    if rest and is_secret_name(name) and _PLACEHOLDER.fullmatch(rest):
        return scheme + replace(Literal(name, ""))
    if (rest and _may_be_secret(name, rest)) or _SHAPES.fullmatch(rest) or _is_random(rest):
        return scheme + replace(Literal(name, rest))
    return None


def _scheme_and_rest(text: str) -> tuple[str, str]:
    """Return the scheme of an `Authorization` header with its space, and what follows it."""
    found = _SCHEME.fullmatch(text)
    return (found[1], found[2]) if found else ("", text)


def _is_random(text: str) -> bool:
    is_known = _PAIR.fullmatch(text) or _UUID.fullmatch(text) or _NO_SECRET.fullmatch(text)
    return _RANDOM.fullmatch(text) is not None and is_known is None


def _in_args(args: list[str], replace: Callable[[Literal], str]) -> list[str]:
    result: list[str] = []
    for arg, before in zip(args, ("", *args), strict=False):
        name, equals, value = arg.partition("=")
        if equals and value and name.startswith("-"):
            result.append(name + equals + _in_value(name, value, replace))
        elif before.startswith("-") and "=" not in before and not arg.startswith("-"):
            result.append(_in_value(before, arg, replace))
        elif _SHAPES.fullmatch(arg):
            result.append(replace(Literal("argument", arg)))
        else:
            result.append(_in_text(arg, replace, "url"))
    return result


def _in_text(text: str, replace: Callable[[Literal], str], label: str) -> str:
    """Return a text that is no secret as a whole with the secrets in it replaced."""
    if label not in _LINES and (pair := _PAIR.fullmatch(text)):
        name, between, value = pair.groups()
        whole = _as_a_whole(name, value, replace)
        if whole is not None:
            return name + between + whole

    def named(found: re.Match[str]) -> str:
        begin, option, name, scheme, value = found.groups()
        if value == MASK or not _may_be_secret(option or name, value):
            return found[0]
        return begin + scheme + replace(Literal(option or name, value))

    return _NAMED.sub(named, _in_url(text, replace, label))


def _in_url(text: str, replace: Callable[[Literal], str], label: str = "url") -> str:
    """Return a text with the password of a URL, and the secrets in its path and query, replaced."""
    if "//" not in text or is_reference(text):
        return text

    def password(found: re.Match[str]) -> str:
        return found[0][: -len(found[1])] + replace(Literal(f"{label}_PASSWORD", found[1]))

    def query(found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        if not _may_be_secret(name, value):
            return found[0]
        is_set = not _PLACEHOLDER.fullmatch(value)
        return f"{name}={replace(Literal(name, value if is_set else ''))}"

    def token(found: re.Match[str]) -> str:
        is_token = _SHAPES.fullmatch(found[1]) or _RANDOM_STEP.fullmatch(found[1])
        return replace(Literal(f"{label}_TOKEN", found[1])) if is_token else found[0]

    text = _USER_IN_URL.sub(token, _LOGIN_IN_URL.sub(password, text))
    return _QUERY.sub(query, _STEP_IN_URL.sub(token, text))
