"""Reads one entry of a `mcp_settings.json` into an `InstanceSpec`.

Understands entries that people paste from Claude Desktop, Claude Code, Cursor, VS Code, Windsurf
and Gemini CLI; checks names, types and limits. `docs/configuration.md` lists the keys.

Invariants:

- Pure. Unknown keys are ignored, except in `exposures`. A key that is like a known one is a
  warning, and a problem if it differs only in case, so that nobody believes in a setting that is
  not read.
- A wrong entry with a usable name still becomes a spec, with its `problem`, so that lists show it.
- Values of `env` and `headers` are secrets: no message quotes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

import attrs
from msgspec import Struct, field

from router.files.json_files import kind_of, quote_key, quote_value
from router.files.names import NAME_RULE, PROVIDER_RULE, is_name, is_provider
from router.instance_files.entry.exposures import EXPOSURE_KEYS, read_exposure
from router.instance_files.entry.misspelled_keys import misspelled_keys
from router.instance_files.entry.remote_access import (
    ACCESS_KEYS,
    read_allow_private,
    read_forward_headers,
    read_oauth,
)
from router.instance_files.entry.root_references import check_roots
from router.instance_files.entry.run_policies import (
    RUN_POLICY_KEYS,
    read_count,
    read_flag,
    read_run_policy,
)
from router.instance_files.entry.sandbox_keys import SANDBOX_KEY, read_sandbox
from router.messages.errors import ConfigError
from router.messages.instances.instance_spec import (
    DEFAULT_MAX_SESSIONS,
    InstanceSpec,
    ProtocolSetting,
    SessionsSetting,
)
from router.references.expander import Unresolved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.instance_files.entry.entry_location import EntryLocation
    from router.references.expander import Expander

_Choice = TypeVar("_Choice", bound=str)

InstanceType: TypeAlias = Literal["stdio", "sse", "http"]

# Numbers of characters, or of elements. They are generous: a file that exceeds them is a mistake,
# or is meant to fill the memory of whoever lists the instances.
COMMAND_LIMIT: Final = 1000
ARGS_LIMIT: Final = 100
ARG_LIMIT: Final = 1000
ENV_LIMIT: Final = 100
URL_LIMIT: Final = 2000
HEADERS_LIMIT: Final = 50
KEY_LIMIT: Final = 200
VALUE_LIMIT: Final = 2000
SECRET_LIMIT: Final = 10_000  # a private key in PEM
METADATA_LIMIT: Final = 50
SESSIONS_LIMIT: Final = 1000

LONGEST_TIMEOUT_S: Final = 3600
"""A larger `timeout` is in milliseconds, as Gemini CLI and Claude Code write it."""

URL_KEYS: Final = ("httpUrl", "serverUrl", "url")
"""Keys for a URL: Gemini CLI's for streamable HTTP, Windsurf's, everybody's; the first counts."""

PROTOCOLS: Final[tuple[ProtocolSetting, ...]] = ("auto", "legacy", "2026-07-28")
SESSIONS: Final[tuple[SessionsSetting, ...]] = ("shared", "per_client")

IGNORED_KEYS: Final = ("alwaysAllow", "autoApprove")
"""Keys of clients for tools that run without asking. They stay in the file and do nothing."""

TYPES: Final[dict[str, InstanceType]] = {
    "stdio": "stdio",
    "sse": "sse",
    "http": "http",
    "streamablehttp": "http",
    "streamable-http": "http",
    "streamable_http": "http",
}
"""Types by their spellings in lower case."""

_KNOWN: Final = (
    *("provider", "name", "type", "transport", "command", "args", "env", "cwd", "headers"),
    *("isActive", "disabled", "metadata", "timeout", "protocol", "envFile", "check_arguments"),
    *("catalogue_cache", "sessions", "max_sessions", SANDBOX_KEY),
    *(*URL_KEYS, *EXPOSURE_KEYS, *RUN_POLICY_KEYS, *ACCESS_KEYS, *IGNORED_KEYS),
)
_SPELLING: Final = {key.lower(): key for key in _KNOWN}

_ENV_KEY: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_]+")
_HEADER_KEY: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2: token
_URL: Final = re.compile(r"https?://[^\s/?#\\]+[^\s\\]*", re.IGNORECASE)
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def read_entry(
    members: Mapping[str, Any], location: EntryLocation, expander: Expander
) -> InstanceSpec | ConfigError:
    """Return the instance that an entry describes, or an error if it cannot even be listed.

    Args:
        members: of the entry, decoded.
        location: of the entry.
        expander: resolves references such as `${VAR}`.
    """
    entry = _EntryReader(members, location, expander)
    name, provider = entry.name(), entry.provider()
    if name is None or provider is None:
        return entry.problems[0]
    entry.check_spelling()
    entry.check_env_file()
    kind, try_sse = entry.kind()
    sessions: SessionsSetting = entry.choice("sessions", SESSIONS)
    oauth, may_log_in = read_oauth(members, entry.secret, entry.note)
    if kind != "stdio" and oauth is not None and oauth.is_per_person:
        sessions = "per_client"  # of one person: see `InstanceSpec.is_per_person`
    may_have_replicas = kind == "stdio" and sessions == "shared"
    spec = InstanceSpec(
        name=name,
        provider=provider,
        type=kind,
        command=entry.text("command", COMMAND_LIMIT),
        args=entry.args(),
        env=entry.env(),
        cwd=entry.text("cwd", COMMAND_LIMIT) or None,
        url=entry.url(),
        headers=entry.headers(),
        try_sse=try_sse,
        oauth=oauth,
        may_log_in=may_log_in,
        forward_headers=read_forward_headers(members, entry.note),
        allow_private=read_allow_private(members, entry.note),
        sandbox=read_sandbox(
            members, is_process=kind == "stdio", read_text=entry.secret, note=entry.note
        ),
        is_active=entry.flag("isActive") is not False and not entry.flag("disabled"),
        metadata=entry.metadata(),
        protocol=entry.choice("protocol", PROTOCOLS),
        timeout_s=entry.timeout_s(),
        check_arguments=entry.flag("check_arguments"),
        exposure=read_exposure(members, entry.note),
        catalogue_cache=entry.flag("catalogue_cache") is not False,
        sessions=sessions,
        max_sessions=read_count(members, "max_sessions", (1, SESSIONS_LIMIT), entry.note)
        or DEFAULT_MAX_SESSIONS,
        run_policy=read_run_policy(members, may_have_replicas=may_have_replicas, note=entry.note),
        ignored=entry.ignored(),
        warnings=misspelled_keys(members, _KNOWN, location.place),
        source=location.source,
    )
    return attrs.evolve(spec, problem="; ".join(map(str, entry.problems)) or None)


def infer_type(members: Mapping[str, Any]) -> tuple[InstanceType | None, bool]:
    """Return the type of an entry that states none, and whether to try SSE as well.

    The type is None where `command` and `url` are both there or both missing.
    """
    has_command = members.get("command") is not None
    url_key = _url_key(members)
    if has_command == (url_key is not None):
        return None, False
    return ("stdio", False) if has_command else ("http", url_key != "httpUrl")


def _url_key(members: Mapping[str, Any]) -> str | None:
    return next((key for key in URL_KEYS if members.get(key) is not None), None)


def _no_problems() -> list[ConfigError]:
    return []


class _EntryReader(Struct, frozen=True):
    """Reads one key after the other and notes what is wrong. JSON null is an absent key.

    Each method returns the value of its key, or a harmless value once it has noted a problem.
    """

    members: Mapping[str, Any]
    location: EntryLocation
    expander: Expander
    problems: list[ConfigError] = field(default_factory=_no_problems)

    def note(self, step: str, problem: str) -> None:
        self.problems.append(ConfigError(self.location.place(step), problem))

    # --- Names and type ---

    def name(self) -> str | None:
        return self._name_under("name", self.location.name, NAME_RULE, is_name)

    def provider(self) -> str | None:
        return self._name_under("provider", self.location.folder, PROVIDER_RULE, is_provider)

    def _name_under(
        self, key: str, default: str, rule: str, is_usable: Callable[[object], bool]
    ) -> str | None:
        """Return the name under `key`, else the default; None if neither can be used."""
        value = self.members.get(key)
        if value is not None and is_usable(value):
            return value
        if value is not None or not is_usable(default):
            hint = self._name_hint(default) if key == "name" and value is None else ""
            self.note(key, f"{rule}, got {quote_value(default if value is None else value)}{hint}")
        return default if is_usable(default) else None

    def _name_hint(self, key: str) -> str:
        """Suggest a name for an entry whose key is none, such as `awslabs.core-mcp-server`."""
        fitting = _NOT_IN_NAMES.sub("-", key).strip("-")[:100]
        is_usable = bool(self.location.path) and is_name(fitting)
        return f'; give it another one with "name": "{fitting}"' if is_usable else ""

    def check_spelling(self) -> None:
        for key in self.members:
            known = _SPELLING.get(key.lower(), key)
            if known != key:
                self.note(quote_key(key), f'unknown key; did you mean "{known}"?')

    def check_env_file(self) -> None:
        """Refuse `envFile` of VS Code and Cursor: without its variables a server would fail."""
        if self.members.get("envFile") is not None:
            way_out = 'put its variables into "env", such as "KEY": "${KEY}"'
            self.note("envFile", f"is not read here: {way_out}, and take it out")

    def kind(self) -> tuple[InstanceType, bool]:
        """Return the type, and whether to try SSE as well."""
        key = "transport" if self.members.get("type") is None else "type"
        written = self.members.get(key)
        if written is None:
            return self._inferred_kind()
        kind = TYPES.get(written.lower()) if isinstance(written, str) else None
        if kind is None:
            self.note(key, f"expected one of stdio, http, sse, got {quote_value(written)}")
            return "stdio", False
        needed = "command" if kind == "stdio" else "url"
        if (self.members.get("command") if kind == "stdio" else _url_key(self.members)) is None:
            self.note(key, f'is "{written}", so there must be a {needed}, and there is none')
        return kind, False

    def _inferred_kind(self) -> tuple[InstanceType, bool]:
        kind, try_sse = infer_type(self.members)
        if kind is not None:
            return kind, try_sse
        if self.members.get("command") is None:
            self.note("", "there is neither a command nor a url")
        else:
            self.note("", 'there are both a command and a url; say with "type" which counts')
        return "stdio", False

    # --- Command or URL ---

    def text(self, key: str, limit: int) -> str:
        value = self.members.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.strip():
            self.note(key, f"expected a string that is not empty, got {quote_value(value)}")
            return ""
        return self._expanded(key, value, limit, self.expander.expand)

    def url(self) -> str:
        key = _url_key(self.members) or "url"
        before = len(self.problems)
        url = self.text(key, URL_LIMIT)
        # A URL that still holds references is not checked: it may consist of nothing else.
        is_whole = self.expander.environ is not None or "${" not in url
        if url and is_whole and len(self.problems) == before and not _URL.fullmatch(url):
            self.note(key, "expected a URL that begins with http:// or https://")
        return url

    def args(self) -> tuple[str, ...]:
        values = self.members.get("args")
        if values is None:
            return ()
        if not isinstance(values, list):
            self.note("args", f"expected an array, got {kind_of(values)}")
            return ()
        values = cast("list[Any]", values)
        if len(values) > ARGS_LIMIT:
            self.note("args", f"has more than {ARGS_LIMIT} elements")
            return ()
        expand = self.expander.expand
        return tuple(
            self._value(f"args[{i}]", value, ARG_LIMIT, expand) for i, value in enumerate(values)
        )

    def env(self) -> dict[str, str]:
        return self._table("env", ENV_LIMIT, _ENV_KEY, "letters, digits and _")

    def headers(self) -> dict[str, str]:
        headers = self._table("headers", HEADERS_LIMIT, _HEADER_KEY, "a header's name")
        for key, value in headers.items():
            if _CONTROL_CHARACTER.search(value):
                self.note(f"headers.{key}", "has a line break or another control character")
        return headers

    def _table(self, key: str, limit: int, keys: re.Pattern[str], rule: str) -> dict[str, str]:
        """Return an object of strings; `rule` says in words which `keys` it may have."""
        table: dict[str, str] = {}
        for name, value in self._object(key, limit).items():
            step = f"{key}.{quote_key(name)}"
            if len(name) > KEY_LIMIT or not keys.fullmatch(name):
                self.note(step, f"the key must be {rule}, at most {KEY_LIMIT}")
            elif value is not None:
                table[name] = self._value(step, value, VALUE_LIMIT, self.expander.expand_value)
        return table

    def secret(self, step: str, value: Any) -> str:
        """Return the string under a step, with its references expanded."""
        return self._value(step, value, SECRET_LIMIT, self.expander.expand_value)

    def _object(self, key: str, limit: int) -> dict[str, Any]:
        value = self.members.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.note(key, f"expected an object, got {kind_of(value)}")
            return {}
        if len(cast("dict[str, Any]", value)) > limit:
            self.note(key, f"has more than {limit} entries")
            return {}
        return cast("dict[str, Any]", value)

    def _value(self, step: str, value: Any, limit: int, expand: Callable[[str], str]) -> str:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)  # VS Code allows numbers; a child process takes text alone.
        if isinstance(value, str):
            return self._expanded(step, value, limit, expand)
        self.note(step, f"expected a string, got {kind_of(value)}")
        return ""

    def _expanded(self, step: str, text: str, limit: int, expand: Callable[[str], str]) -> str:
        if len(text) > limit:
            self.note(step, f"is longer than {limit:,} characters")
            return ""
        try:
            check_roots(step, text, self.members.get("sessions"))
            expanded = expand(text)
        except Unresolved as exc:
            self.note(step, exc.problem)
            return ""  # the log masks values, and this reference has to stay readable in it
        if "\0" in expanded:
            self.note(step, "has a NUL character")
        return expanded

    # --- The rest ---

    def flag(self, key: str) -> bool | None:
        return read_flag(self.members.get(key), key, self.note)

    def metadata(self) -> dict[str, Any]:
        return self._object("metadata", METADATA_LIMIT)

    def choice(self, key: str, choices: tuple[_Choice, ...]) -> _Choice:
        """Return the one of these strings that stands under `key`; the first is the default."""
        value = self.members.get(key)
        for choice in choices:
            if value == choice:
                return choice
        if value is not None:
            known = ", ".join(f'"{choice}"' for choice in choices)
            self.note(key, f"expected one of {known}, got {quote_value(value)}")
        return choices[0]

    def ignored(self) -> tuple[str, ...]:
        return tuple(self.location.place(key) for key in IGNORED_KEYS if key in self.members)

    def timeout_s(self) -> float | None:
        value = self.members.get("timeout")
        if value is None:
            return None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not 0 < value <= LONGEST_TIMEOUT_S * 1000:
            self.note("timeout", f"expected a positive number of seconds, got {quote_value(value)}")
            return None
        return value / 1000 if value > LONGEST_TIMEOUT_S else float(value)
