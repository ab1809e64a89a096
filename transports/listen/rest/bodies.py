"""Reads JSON bodies and names of REST requests into commands for the actor.

Bytes become a change or a request for a server, or an error that names the key that does
not fit. Whether an entry can run is decided behind the actor, for files and requests alike. Pure.

Invariants:

- Inspected values go on as they were read here, never as their text, so nobody can read something
  else into that text.
- The arguments of a call are not inspected; they are known to be a JSON object.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar, cast

import attrs
import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from router.messages.commands import (
    OUTER_KEYS,
    AddInstance,
    CallTool,
    DecideApproval,
    GetPrompt,
    ReadResource,
    UpdateInstance,
)
from transports import json_rpc

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_S = TypeVar("_S", bound=Struct)

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]

NO_PARAMS: Final = Raw(b"{}")

_MALFORMED_NAME: Final = re.compile(r"[-.].*|.*[\x00-\x20\x7f/\\].*|.{101,}|", re.DOTALL)
"""Names that no instance can have, wherever it was configured."""

_NAME_RULE: Final = "expected letters, digits, _ and -, at most 100, not beginning with -"


@attrs.frozen
class DoesNotFit(Exception):
    """A value in a request is not one that the route takes.

    Attributes:
        where: `body`, `path`, `query` or `header`, then the keys that lead to the value.
        problem: a sentence for a person.
    """

    where: tuple[str, ...]
    problem: str

    def __str__(self) -> str:
        return f"{'.'.join(self.where)}: {self.problem}"

    def to_detail(self) -> dict[str, Any]:
        """Return the body of the 422 answer."""
        return {
            "detail": [{"loc": list(self.where), "msg": self.problem, "type": "validation_error"}]
        }


@attrs.frozen
class NotJson(Exception):
    """A body is not JSON; `problem` says where."""

    problem: str

    def __str__(self) -> str:
        return self.problem


class _Entry(Struct):
    """The types of known keys in an entry of `mcp_settings.json`; other keys are kept."""

    name: Name | UnsetType = UNSET
    provider: Name | UnsetType = UNSET
    type: str | UnsetType = UNSET
    command: str | UnsetType | None = UNSET
    args: list[str] | UnsetType | None = UNSET
    env: dict[str, Any] | UnsetType | None = UNSET
    cwd: str | UnsetType | None = UNSET
    url: str | UnsetType | None = UNSET
    headers: dict[str, Any] | UnsetType | None = UNSET
    isActive: bool | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    check_arguments: bool | UnsetType = UNSET
    tools: dict[str, Any] | list[str] | UnsetType | None = UNSET
    prompts: dict[str, Any] | list[str] | UnsetType | None = UNSET
    resources: dict[str, Any] | list[str] | UnsetType | None = UNSET
    catalogue_cache: bool | UnsetType = UNSET
    sessions: str | UnsetType = UNSET
    max_sessions: int | UnsetType = UNSET
    start: str | UnsetType | None = UNSET
    idle_stop_s: float | UnsetType | None = UNSET
    start_timeout_s: float | UnsetType | None = UNSET
    ping_interval_s: float | UnsetType | None = UNSET
    replicas: int | UnsetType | None = UNSET
    max_in_flight: int | UnsetType | None = UNSET
    max_result_bytes: int | UnsetType | None = UNSET
    retry_safe_calls: bool | UnsetType | None = UNSET
    oauth: dict[str, Any] | bool | UnsetType | None = UNSET
    forward_headers: list[str] | UnsetType | None = UNSET
    allow_private: bool | UnsetType | None = UNSET


class WantedLogin(Struct):
    """The body of a request for a login.

    Attributes:
        redirect_uri: on the machine of the browser; empty for the router's own.
        person: the name of another principal; empty for who asks.
        device: log in on another device.
    """

    redirect_uri: Annotated[str, Meta(max_length=2000)] = ""
    person: Annotated[str, Meta(max_length=1000)] = ""
    device: bool = False


class _Callback(Struct):
    url: Annotated[str, Meta(min_length=1, max_length=65_536)]


class _Call(Struct):
    instance: Name
    tool: Annotated[str, Meta(min_length=1, max_length=1000)]
    params: Raw = NO_PARAMS


class _Reading(Struct):
    uri: Annotated[str, Meta(min_length=1, max_length=65_536)]


class _Prompt(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=1000)]
    arguments: Raw = NO_PARAMS


class _Decision(Struct):
    approve: bool
    arguments_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None


_ADD_KEYS: Final = frozenset({"provider_name", "config"})
_ENTRY_KEYS: Final = frozenset(_Entry.__struct_fields__)


def check_name(name: str) -> str:
    """Return the name of an instance, a provider or a profile from a path.

    Raises:
        DoesNotFit: nothing can have this name.
    """
    if _MALFORMED_NAME.fullmatch(name):
        raise DoesNotFit(("path", "name"), "expected a name of an instance or profile")
    return name


def read_addition(body: bytes) -> AddInstance:
    """Read an instance to be added.

    The body is either the entry itself, with its `name` and `provider` (by default the name), or
    `{"provider_name", "config": entry}`, as the tool `mcp.router.add` takes it. The entry may be
    wrapped in `mcpServers`, as other programs write it.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: a value is not one that an entry can have.
    """
    members = _decode_object(body)
    _check_case(members, _ADD_KEYS, ("body",))
    entry, where = _entry_of(members)
    _check_entry_types(entry, where)
    provider = members.get("provider_name", entry.get("provider", _name_of(entry)))
    if provider is None:
        raise DoesNotFit((*where, "name"), "this key is missing")
    if not isinstance(provider, str) or _MALFORMED_NAME.fullmatch(provider):
        raise DoesNotFit(("body", "provider_name"), _NAME_RULE)
    return AddInstance(provider, entry)


def _entry_of(members: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the entry in a body, and the keys that lead to it."""
    inner = members.get("config")
    is_flat = "command" in members or "url" in members
    if is_flat or not isinstance(inner, dict):
        own = {key: value for key, value in members.items() if key != "provider_name"}
        return own, ("body",)
    outer = {key: members[key] for key in ("name", "provider") if key in members}
    return outer | cast("dict[str, Any]", inner), ("body", "config")


def _name_of(entry: dict[str, Any]) -> Any:
    """Return the name in an entry, or of the only entry in `mcpServers`; None if there is none."""
    for key in OUTER_KEYS:
        wrapped: Any = entry.get(key)
        if isinstance(wrapped, dict) and len(cast("dict[str, Any]", wrapped)) == 1:
            return next(iter(cast("dict[str, Any]", wrapped)))
    return entry.get("name")


def read_update(name: str, body: bytes) -> UpdateInstance:
    """Read the keys of an instance that are to change; null removes a key.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: a value is not one that an entry can have.
    """
    fields = _decode_object(body)
    if not fields:
        raise DoesNotFit(("body",), "expected at least one key to change")
    _check_entry_types(
        {key: value for key, value in fields.items() if value is not None}, ("body",)
    )
    return UpdateInstance(name, fields)


def read_profile(body: bytes) -> dict[str, Any]:
    """Read a profile; its keys are checked where `config.json` is written.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: the body is no object.
    """
    return _decode_object(body)


def read_wait(given: str | None) -> bool:
    """Return whether the query asks to wait until the instance is ready; None is no such query.

    Raises:
        DoesNotFit: it asks for something else.
    """
    if given not in (None, "ready"):
        raise DoesNotFit(("query", "wait"), "expected ready")
    return given is not None


def read_call(body: bytes) -> CallTool:
    """Read a call of a tool.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: a key is missing or has a value of another type.
    """
    call = _read_as(_Call, body)
    _check_object(call.params, "params")
    return CallTool(call.instance, call.tool, call.params)


def read_reading(instance: str, body: bytes) -> ReadResource:
    """Read which resource of an instance is asked for.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: a key is missing or has a value of another type.
    """
    return ReadResource(instance, _read_as(_Reading, body).uri)


def read_prompt(instance: str, body: bytes) -> GetPrompt:
    """Read which prompt of an instance is asked for, and with which arguments.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: a key is missing or has a value of another type.
    """
    prompt = _read_as(_Prompt, body)
    _check_object(prompt.arguments, "arguments")
    return GetPrompt(instance, prompt.name, prompt.arguments)


def read_decision(approval_id: str, body: bytes) -> DecideApproval:
    """Read what an approver decided about a call.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: a key is missing or has a value of another type; a yes needs the digest.
    """
    decision = _read_as(_Decision, body)
    if decision.approve and decision.arguments_sha256 is None:
        problem = "a yes needs it, as GET /api/approvals shows it with the arguments"
        raise DoesNotFit(("body", "arguments_sha256"), problem)
    return DecideApproval(approval_id, decision.approve, decision.arguments_sha256)


def read_login(body: bytes) -> WantedLogin:
    """Read how somebody wants to log in; an empty body means the usual way.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: a key has a value of another type.
    """
    return _read_as(WantedLogin, body or b"{}")


def read_callback(body: bytes) -> str:
    """Read the URL to which a browser came back from a login.

    Raises:
        NotJson: the body is not JSON.
        DoesNotFit: a key is missing or has a value of another type.
    """
    return _read_as(_Callback, body).url


def read_finished_wait(given: str | None) -> bool:
    """Return whether the query asks to wait until a login is over; None is no such query.

    Raises:
        DoesNotFit: it asks for something else.
    """
    if given not in (None, "over"):
        raise DoesNotFit(("query", "wait"), "expected over")
    return given is not None


def _read_as(kind: type[_S], body: bytes) -> _S:
    _check_case(_decode_object(body), frozenset(kind.__struct_fields__), ("body",))
    return _convert(partial(msgspec.json.decode, body, type=kind), ("body",))


def _check_object(raw: Raw, key: str) -> None:
    if not bytes(raw).startswith(b"{"):
        raise DoesNotFit(("body", key), "expected a JSON object")


def _decode_object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise NotJson(f"The body is not JSON: {exc}") from None
    except RecursionError:
        raise NotJson("The body is nested too deeply") from None
    if not isinstance(value, dict):
        raise DoesNotFit(("body",), "expected a JSON object")
    if json_rpc.depth_of(body) > json_rpc.MAX_DEPTH:
        raise NotJson(f"The body is nested more than {json_rpc.MAX_DEPTH} levels deep")
    return cast("dict[str, Any]", value)


def _check_entry_types(entry: dict[str, Any], where: tuple[str, ...]) -> None:
    _check_case(entry, _ENTRY_KEYS, where)
    _convert(partial(msgspec.convert, entry, _Entry), where)
    for key in ("name", "provider"):
        if _MALFORMED_NAME.fullmatch(entry.get(key, "x")):
            raise DoesNotFit((*where, key), _NAME_RULE)


def _check_case(members: dict[str, Any], known: frozenset[str], where: tuple[str, ...]) -> None:
    """Refuse a key that equals a known key but for its case: others could read it as that key."""
    folded = {key.casefold(): key for key in known}
    for key in members:
        if key not in known and key.casefold() in folded:
            raise DoesNotFit((*where, key), f"did you mean {folded[key.casefold()]!r}?")


def _convert(read: Callable[[], _T], where: tuple[str, ...]) -> _T:
    try:
        return read()
    except msgspec.ValidationError as exc:
        problem, _, path = str(exc).partition(" - at `")
        keys = re.findall(r"[^.\[\]$`]+", path)
        missing = re.search(r"missing required field `(\w+)`", problem)
        if missing:
            keys.append(missing[1])
        raise DoesNotFit((*where, *keys), problem) from None
