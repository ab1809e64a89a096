"""Reads the key `sandbox` of an entry into a `Sandbox`.

`docs/sandbox.md` explains it. Invariant: pure; each mistake is noted with its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from router.core.text.nearest_names import did_you_mean
from router.files.json_files import kind_of, quote_key, quote_value
from router.instance_files.entry.run_policies import read_flag
from router.messages.instances.instance_spec import ROOT_REFERENCE
from router.messages.instances.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Note = Callable[[str, str], None]
    ReadText = Callable[[str, Any], str]

SANDBOX_KEY: Final = "sandbox"
_KEYS: Final = ("read", "write", "network", "required")
_PATHS_LIMIT: Final = 100


def read_sandbox(
    members: Mapping[str, Any], *, is_process: bool, read_text: ReadText, note: Note
) -> Sandbox | None:
    """Return how the process of an entry is confined; None if it is not.

    Args:
        members: of the entry, decoded.
        is_process: True if the entry has a command.
        read_text: key, value -> the string, its references expanded; "" after a mistake.
        note: takes a mistake: the key, and the problem.
    """
    written = members.get(SANDBOX_KEY)
    if written is None or written is False:
        return None
    if not isinstance(written, dict):
        note(SANDBOX_KEY, f"expected an object, got {kind_of(written)}")
        return None
    if not is_process:
        note(SANDBOX_KEY, "is only for instances with a command")
    keys = cast("dict[str, Any]", written)
    for key in keys:
        if key not in _KEYS:
            note(f"{SANDBOX_KEY}.{quote_key(key)}", f"unknown key{did_you_mean(key, _KEYS)}")
    return Sandbox(
        read=_paths(keys.get("read"), "read", read_text, note),
        write=_paths(keys.get("write"), "write", read_text, note),
        network=read_flag(keys.get("network"), f"{SANDBOX_KEY}.network", note) is not False,
        required=read_flag(keys.get("required"), f"{SANDBOX_KEY}.required", note) is True,
    )


def _paths(value: Any, key: str, read_text: ReadText, note: Note) -> tuple[str, ...]:
    step = f"{SANDBOX_KEY}.{key}"
    if value is None:
        return ()
    if not isinstance(value, list):
        note(step, f"expected an array of paths, got {kind_of(value)}")
        return ()
    values = cast("list[Any]", value)
    if len(values) > _PATHS_LIMIT:
        note(step, f"has more than {_PATHS_LIMIT} elements")
        return ()
    paths: list[str] = []
    for i, written in enumerate(values):
        path = read_text(f"{step}[{i}]", written)
        # "~" and "." are left to the one who knows the home and `cwd` of the process.
        if path and not path.startswith(("/", "~", ".", ROOT_REFERENCE)):
            note(f"{step}[{i}]", f"expected an absolute path, got {quote_value(path)}")
        elif path:
            paths.append(path)
    return tuple(paths)
