"""Shows results of servers to a person: texts, JSON, links; what is binary is saved and named.

Invariants:

- On a terminal nothing in a text can move the cursor; elsewhere a text is written as it is.
- No file is overwritten, and a server chooses neither the folder nor the name of one.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from router.cli.text_columns import safe_line, safe_text
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/json": ".json",
}
MAX_NUMBER: Final = 1000
"""Files of one name that are counted up to."""


class ResultText:
    """Makes the text of results.

    Args:
        folder: takes what is binary.
        name: what the files are named after, such as the tool.
        is_terminal: the text is for a terminal.
    """

    def __init__(self, folder: Path, name: str, *, is_terminal: bool) -> None:
        self._folder = folder
        self._name = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:80] or "result"
        self._is_terminal = is_terminal

    def of_call(self, result: dict[str, Any]) -> str:
        """Return the text of a tool's result (MCP 2025-11-25, Tools, Tool Result)."""
        content = _dicts(result.get("content"))
        lines = list(map(self.of_content, content))
        if "structuredContent" in result and not any(one.get("type") == "text" for one in content):
            lines.append(self.of_json(result["structuredContent"]))
        return "".join(lines)

    def of_reading(self, result: dict[str, Any]) -> str:
        """Return the text of a `resources/read` result."""
        return "".join(map(self._of_resource, _dicts(result.get("contents"))))

    def of_prompt(self, result: dict[str, Any]) -> str:
        """Return the text of a `prompts/get` result: its messages, each after its role."""
        parts: list[str] = []
        for message in _dicts(result.get("messages")):
            content: Any = message.get("content")
            found: Any = [content] if isinstance(content, dict) else content
            text = "".join(map(self.of_content, _dicts(found)))
            parts.append(f"{safe_line(str(message.get('role', '')))}:\n{text}")
        return "\n".join(parts)

    def of_content(self, item: dict[str, Any]) -> str:
        """Return the text of one item of content, saving it if it is binary."""
        match item.get("type"):
            case "text":
                return self._of_text(str(item.get("text", "")))
            case "image" | "audio":
                return self._saved(str(item.get("data", "")), str(item.get("mimeType", "")))
            case "resource_link":
                return _of_link(item)
            case "resource":
                return "".join(map(self._of_resource, _dicts([item.get("resource")])))
            case _:
                return self.of_json(item)

    def _of_resource(self, resource: dict[str, Any]) -> str:
        if "blob" in resource:
            return self._saved(str(resource["blob"]), str(resource.get("mimeType", "")))
        return self._of_text(str(resource.get("text", "")))

    def _of_text(self, text: str) -> str:
        if not self._is_terminal:
            return text if text.endswith("\n") else f"{text}\n"
        if text.lstrip().startswith(("{", "[")):
            try:
                return self.of_json(msgspec.json.decode(text))
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                pass  # it only begins like JSON
        shown = safe_text(text)
        return shown if shown.endswith("\n") else f"{shown}\n"

    def of_json(self, value: Any) -> str:
        """Return a value as JSON that is laid out."""
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        return f"{safe_text(text)}\n"

    def _saved(self, data: str, mime: str) -> str:
        kind = safe_line(mime) or "data"
        try:
            decoded = binascii.a2b_base64(data.encode(), strict_mode=True)
        except (binascii.Error, ValueError):
            return f"[{kind} that is not base64]\n"
        path = save(
            self._folder, self._name, _SUFFIXES.get(mime.partition(";")[0], ".bin"), decoded
        )
        return f"[{kind}, {size_text(len(decoded))}, saved as {path}]\n"


def save(folder: Path, name: str, suffix: str, data: bytes) -> Path:
    """Write a new file, and return its path: the name, with a number if there is one already.

    The folder is made where there is none: what is to be saved cannot be asked for again.

    Raises:
        ConfigError: it cannot be written.
    """
    for number in range(MAX_NUMBER):
        path = folder / f"{name}{f'-{number + 1}' if number else ''}{suffix}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            continue
        except OSError as exc:
            raise ConfigError(str(path), f"cannot be written: {exc.strerror}") from None
        return path
    raise ConfigError(str(folder), f"has {MAX_NUMBER} files named like {name}{suffix} already")


def size_text(size_bytes: int) -> str:
    """Return a size such as `12.3 kB`."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1000:.1f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:.1f} MB"


def _of_link(item: dict[str, Any]) -> str:
    words = [str(item.get(key) or "") for key in ("title", "name")]
    name = next(filter(None, words), "resource")
    more = [str(item[key]) for key in ("mimeType", "description") if item.get(key)]
    about = f" ({', '.join(map(safe_line, more))})" if more else ""
    return f"{safe_line(name)}: {safe_line(str(item.get('uri', '')))}{about}\n"


def _dicts(value: Any) -> Iterable[dict[str, Any]]:
    found = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", one) for one in found if isinstance(one, dict)]
