"""Writes JSON values anew, so that a person sees the very value that a server gets.

Invariants:

- Pure. The new text says what the old one said: numbers keep their digits, and of members with one
  name the last is kept, so no reader can find another one.
- In what is shown, a character that a person may not see is an escape, which JSON reads as that
  character. So two different values never look the same but for letters that look alike.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from router.core.text.raw_json import is_object, raw_of
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Callable

_members: Final = msgspec.json.Decoder(dict[str, Raw])
_elements: Final = msgspec.json.Decoder(list[Raw])
_text: Final = msgspec.json.Decoder(str)

_BLANK: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
)
"""Characters that Python calls printable, and that nobody sees: fillers, blanks and joiners."""

_VARIATION_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")

_NOT_ASCII: Final = re.compile(r"[^\x20-\x7e]")


def written_anew(raw: Raw, place: str) -> Raw:
    """Return the same JSON value, without spaces between its tokens and without duplicate keys.

    Raises:
        RpcError: -32602, it is nested too deeply, or holds half of a surrogate pair, which no
            screen can show.
    """
    try:
        return raw_of(_rebuilt(raw))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise RpcError(INVALID_PARAMS, f"{place} cannot be shown to a person as they are") from None


def _rebuilt(raw: Raw) -> Any:
    return _REBUILD.get(memoryview(raw)[0], _as_it_is)(raw)


def _object(raw: Raw) -> dict[str, Any]:
    return {key: _rebuilt(value) for key, value in _members.decode(raw).items()}


def _array(raw: Raw) -> list[Any]:
    return [_rebuilt(element) for element in _elements.decode(raw)]


def _as_it_is(raw: Raw) -> Raw:
    """Numbers, true, false and null: a number may have more digits than a float keeps."""
    return raw


_REBUILD: Final[dict[int, Callable[[Raw], Any]]] = {
    ord("{"): _object,
    ord("["): _array,
    ord('"'): _text.decode,
}


def shown_lines(raw: Raw) -> str:
    """Return a JSON value for a person: of an object, each member on a line of its own.

    Args:
        raw: as `written_anew` returns it.
    """
    members = object_of(raw) if is_object(raw) else {}
    if not members:
        return visible(bytes(raw).decode())
    rows = (
        f"  {visible(bytes(raw_of(key)).decode())}: {visible(bytes(value).decode())}"
        for key, value in members.items()
    )
    return "{\n" + ",\n".join(rows) + "\n}"


def visible(text: str) -> str:
    r"""Return a text with each character that a person may not see as `\uXXXX`, as JSON has it."""
    return text if text.isascii() and text.isprintable() else _NOT_ASCII.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if (
        character.isprintable()
        and character not in _BLANK
        and _VARIATION_SELECTORS.match(character) is None
    ):
        return character
    encoded = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{encoded[i : i + 4]}" for i in range(0, len(encoded), 4))
