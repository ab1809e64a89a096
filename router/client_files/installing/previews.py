"""Shows what a plan changes in a file, as lines of a difference. Pure.

Invariant: of the file, only keys, numbers and the texts that this router writes are shown. Every
other text and every comment is hidden, since each may be a secret or hold one.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from router.client_files.formats.documents import Document, parse_document
from router.client_files.formats.toml import TomlDocument, statements
from router.files.jsonc.values import find_value, texts_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from router.client_files.installing.plans import FilePlan
    from router.files.jsonc.document import JsoncDocument, Node

MASK: Final = "•••"
_CONTEXT_LINES: Final = 2
_HIDDEN: Final = f'"{MASK}"'.encode()

_TEXT_OR_COMMENT: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|//[^\r\n]*+|/\*.*?\*/', re.DOTALL)
_TOML_COMMENT: Final = re.compile(rb"#[^\r\n]*")


def difference(plan: FilePlan) -> tuple[str, ...]:
    """Return the lines that go (`-`), those that come (`+`), and some around them (a space).

    Lines that are left out stand as `...`.
    """
    before, after = _around_changes(_shown(plan, plan.content.data), _shown(plan, plan.after))
    found = list(difflib.unified_diff(before, after, n=_CONTEXT_LINES, lineterm=""))
    # The first three lines name the files, and where the first lines are.
    return tuple("..." if line.startswith("@@") else line for line in found[3:])


def _around_changes(before: list[str], after: list[str]) -> tuple[list[str], list[str]]:
    """Return the lines without those at both ends that are the same, but for some.

    Comparing all lines would take minutes for a file with megabytes of history.
    """
    shorter = min(len(before), len(after))
    head = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    left = shorter - head
    tail = next((at for at in range(left) if before[~at] != after[~at]), left)
    first, rest = max(0, head - _CONTEXT_LINES), max(0, tail - _CONTEXT_LINES)
    return before[first : len(before) - rest], after[first : len(after) - rest]


def _shown(plan: FilePlan, data: bytes | None) -> list[str]:
    if data is None:
        return []
    document = parse_document(plan.format, data, str(plan.content.path))
    known = {text for change in plan.changes for text in texts_in(change.after)}
    return _masked(document, known).decode(errors="replace").splitlines()


def _masked(document: Document, known: Collection[str]) -> bytes:
    if isinstance(document, TomlDocument):
        return b"".join(_masked_statements(document, known))
    return _masked_texts(document, known)


def _masked_texts(document: JsoncDocument, known: Collection[str]) -> bytes:
    shown: set[int] = set()
    if document.root is not None:
        _collect(document.root, known, shown)

    def hide(found: re.Match[bytes]) -> bytes:
        text = found[0]
        if found.start() in shown:
            return text
        if text.startswith(b'"'):
            return _HIDDEN
        # The lines of a comment stay as many as they were.
        line_breaks = b"\n" * text.count(b"\n")
        return f"// {MASK}".encode() if text.startswith(b"//") else b"/*" + line_breaks + b"*/"

    return _TEXT_OR_COMMENT.sub(hide, document.data)


def _collect(node: Node, known: Collection[str], shown: set[int]) -> None:
    """Find the offsets of the keys and of the texts that may be shown."""
    if isinstance(node.value, str) and node.value in known:
        shown.add(node.start)
    for child in node.children:
        if child.key is not None:
            shown.add(child.start)
        _collect(child.node, known, shown)


def _masked_statements(document: TomlDocument, known: Collection[str]) -> Iterator[bytes]:
    data, at = document.data, 0
    hidden_comment = f"# {MASK}".encode()
    for statement in statements(document):
        yield _TOML_COMMENT.sub(hidden_comment, data[at : statement.start])
        text = data[statement.start : statement.end]
        texts = set(texts_in(find_value(document.value, statement.path)))
        is_shown = bool(texts) and texts <= set(known)
        if text.lstrip().startswith(b"["):
            yield _TOML_COMMENT.sub(hidden_comment, text)
        elif is_shown and b"#" not in text:
            yield text
        else:
            yield f"{'.'.join(statement.path[-1:])} = {MASK}\n".encode()
        at = statement.end
    yield _TOML_COMMENT.sub(hidden_comment, data[at:])
