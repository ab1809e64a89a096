"""Shows what a plan changes in a file, as lines of a difference. Pure.

Invariant: of the file, only keys, numbers and the entry of this router are shown. Every other text
and every comment is hidden, since each may be a secret or hold one.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from router.client_files.formats.documents import Document, parse_document
from router.client_files.formats.toml import TomlDocument, statements
from router.client_files.installing.entries import ENTRY_NAME
from router.files.jsonc.document import JsoncDocument, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.client_files.installing.plans import FilePlan

MASK: Final = "•••"
_CONTEXT_LINES: Final = 2
_HIDDEN: Final = f'"{MASK}"'.encode()

_TEXT_OR_COMMENT: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|//[^\r\n]*+|/\*.*?\*/', re.DOTALL)
_TOML_COMMENT: Final = re.compile(rb"#[^\r\n]*")


def difference(plan: FilePlan) -> tuple[str, ...]:
    """Return the lines that go (`-`), those that come (`+`), and some around them (a space).

    Lines that are left out stand as `...`.
    """
    before = _shown(plan, plan.content.data)
    after = _shown(plan, plan.after)
    found = difflib.unified_diff(before, after, n=_CONTEXT_LINES, lineterm="")
    lines = [line for line in found if not line.startswith(("---", "+++"))]
    return tuple("..." if line.startswith("@@") else line for line in lines[1:])


def _shown(plan: FilePlan, data: bytes | None) -> list[str]:
    if data is None:
        return []
    document = parse_document(plan.format, data, str(plan.content.path))
    return _masked(document).decode(errors="replace").splitlines()


def _masked(document: Document) -> bytes:
    if isinstance(document, TomlDocument):
        return b"".join(_masked_statements(document))
    return _masked_texts(document)


def _masked_texts(document: JsoncDocument) -> bytes:
    keys: set[int] = set()
    own: list[tuple[int, int]] = []
    if document.root is not None:
        _collect(document.root, keys, own)

    def hide(found: re.Match[bytes]) -> bytes:
        start = found.start()
        if start in keys or any(first <= start < end for first, end in own):
            return found[0]
        text = found[0]
        if text.startswith(b'"'):
            return _HIDDEN
        # The lines of a comment stay as many as they were.
        line_breaks = b"\n" * text.count(b"\n")
        return f"// {MASK}".encode() if text.startswith(b"//") else b"/*" + line_breaks + b"*/"

    return _TEXT_OR_COMMENT.sub(hide, document.data)


def _collect(node: Node, keys: set[int], own: list[tuple[int, int]]) -> None:
    for child in node.children:
        if child.key is not None:
            keys.add(child.start)
        if child.key == ENTRY_NAME:
            own.append((child.start, child.end))
        else:
            _collect(child.node, keys, own)


def _masked_statements(document: TomlDocument) -> Iterator[bytes]:
    data, at = document.data, 0
    hidden_comment = f"# {MASK}".encode()
    for statement in statements(document):
        yield _TOML_COMMENT.sub(hidden_comment, data[at : statement.start])
        text = data[statement.start : statement.end]
        is_shown = ENTRY_NAME in statement.path or text.lstrip().startswith(b"[")
        yield text if is_shown else f"{'.'.join(statement.path[-1:])} = {MASK}\n".encode()
        at = statement.end
    yield _TOML_COMMENT.sub(hidden_comment, data[at:])
