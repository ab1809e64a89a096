"""Finds the lines on stderr that tell a person why a process ended.

For start-up time, import it when a process has ended: its patterns take long to compile.

Pure. Programs end in many ways: with a traceback, a panic, a frame of box characters around one
sentence, a progress bar. Of all that, a person needs the few lines that say something.

Invariants: a line that is returned was said, if without colours and frames. If anything was said
with letters or digits in it, something is returned.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from transports.connect.stdio.repeated_lines import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_LINES: Final = 3
"""An error, and what was said just before it; a reason has to stay readable in a table."""

# --- The marks of lines that say nothing by themselves ----------------------------------------

_GROUP_EDGE: Final = re.compile(r"^\s*(?:\+[-+]*|\|)(?:\s*\|)*(?: |$)")
"""The frame that Python draws at the left of exception groups."""

_BOX_EDGES: Final = re.compile(r"^\s*[│┃║]\s?|\s*[│┃║]\s*$")
_BOX_TOP: Final = re.compile(r"^\s*[╭┌┏╔][─━═╌╴ ]*(?P<title>.*?)[─━═╌╶ ]*[╮┐┓╗]?\s*$")
_BOX_BOTTOM: Final = re.compile(r"^\s*[╰└┗╚][─━═]{2}")

_BULLET: Final = re.compile(
    r"^\s*[\u00d7\u2716-\u2718\u2a2f\u274c\u26a0•●▲▶\u276f>\u2800-\u28ff]\ufe0f?\s+"
    r"|^\s*[╰├└]─+[▶>]?\s+"
)
"""Signs before a sentence, such as the crosses of uv, and the turning ones of spinners."""

_BAR: Final = re.compile(
    r"[━█▉▊▋▌▍▎▏░▒▓■□╸╺]{3,}|\[[=#>*. -]{5,}\]|\d%\||\beta \d|[\d.]+ ?[kKMG]i?B/s"
)

_FRAME_OF_PYTHON: Final = re.compile(r'^\s+File ".*", line \d+')
_HEAD_OF_PYTHON: Final = re.compile(r"(?:^|\s)(?:Exception Group )?Traceback \(most recent call")
_HEAD_OF_GO: Final = re.compile(r"^goroutine \d+ .*\[.*\]:$")
_LINE_OF_GO: Final = re.compile(r"^\t|^\S+\(.*\)$|^created by |^exit status \d+$")
_FRAME_OF_JS: Final = re.compile(r"^\s+at \S")  # Java's and .NET's as well, and the places of Rust
_PLACE_OF_NODE: Final = re.compile(r"^\S.*:\d+$")
_CARETS: Final = re.compile(r"^\s*[~^]+\s*$")
_WARNING_OF_PYTHON: Final = re.compile(r"^\S*:\d+: \w*Warning: ")

_SAYS_NOTHING: Final = re.compile(
    r"^[\W\d_]*$"  # borders, with or without the number of an exception in its group
    # Python
    r"|^(?:Base)?ExceptionGroup: .*\(\d+ sub-exceptions?\)$"
    r"|^(?:During handling of the above exception|The above exception was the direct cause)"
    r"|^\s*For further information visit https?://"
    # JavaScript
    r"|^(?:Node\.js|Bun|Deno) v?\d[\d.]*\b.{0,40}$|^Emitted 'error' event (?:on|at)\b"
    r"|^\(Use `node --trace-"
    # npm
    r"|^npm (?:notice|warn|WARN)\b"
    r"|^npm (?:ERR!|error)(?: [A-Z]*\d*)?$"
    r"|^npm (?:ERR!|error) (?:code|errno|syscall|path|dest|command|cwd)\b"
    r"|^npm (?:ERR!|error)(?: \d+)? +(?:A complete log of this run|Note that you can also install)"
    r"|^npm (?:ERR!|error)(?: \d+)? +tarball, folder, http url"
    # Rust, Java
    r"|^stack backtrace:$|^\s+\d+: +\S|^note: .*(?:RUST_BACKTRACE|details are omitted)"
    r"|^\s*\.\.\. \d+ (?:more|common frames omitted)$"
)

_DOING: Final = re.compile(
    r"^\s*(?:Downloading|Downloaded|Building|Built|Collecting|Using cached|Updating|Updated)\s"
    r"|^\s*(?:Resolved|Prepared|Installed|Uninstalled|Audited|added|changed) \d+ packages?\b"
    r"|^Unable to find image '.*' locally$|^\w+: Pulling from |^(?:Digest|Status): "
    r"|^[0-9a-f]{12}: (?:Pull|Download|Extract|Verify|Wait|Already)"
)
"""Reports of package managers on their progress."""

_TELLS_OF_ERROR: Final = re.compile(
    r"^\S.*(?:error|exception|fatal|panic|denied|failed|cannot|not found|no such)", re.IGNORECASE
)


def last_words(said: Iterable[str]) -> tuple[str, ...]:
    """Return the last lines that say something, at most `MAX_LINES`, oldest first.

    Of a traceback that is the error itself. If an error goes on for more lines than fit, such as a
    list of invalid fields, its first line and the last ones are returned.

    Args:
        said: lines, oldest first, as they came from the process.
    """
    lines = [_GROUP_EDGE.sub("", plain(line)).rstrip() for line in said]
    reader = _Reader()
    for line in lines:
        reader.take(line)
    if reader.kept:
        return _ends_of(reader.kept)
    # Nothing but progress: the last of it tells how far it got.
    rest = [line.strip() for line in lines if any(map(str.isalpha, line))]
    return tuple(rest[-1:])


def _ends_of(kept: Sequence[str]) -> tuple[str, ...]:
    unlike = [line for line, after in zip(kept, [*kept[1:], None], strict=True) if line != after]
    last = unlike[-MAX_LINES:]
    if not any(map(_TELLS_OF_ERROR.search, last)):
        errors = [line for line in unlike[:-MAX_LINES] if _TELLS_OF_ERROR.search(line)]
        last = [*errors[-1:], *last[1 if errors else 0 :]]
    return tuple(line.strip() for line in last)


class _Reader(Struct):
    """Reads lines in order, and keeps those that say something.

    Attributes:
        kept: these lines; indented ones are indented still.
    """

    kept: list[str] = []
    # The mark of what is being skipped; None if nothing is.
    _skipping: str | None = None
    # How many of the last lines that were read are the last ones of `kept`.
    _adjacent: int = 0

    def take(self, line: str) -> None:
        """Read one line."""
        if not line or self._is_skipped(line) or self._begins_block(line):
            return
        if _CARETS.match(line):
            self._drop_source()
            return
        text = _BULLET.sub("", _BOX_EDGES.sub("", line))
        if _SAYS_NOTHING.search(text) or _BAR.search(text) or _is_doing(text):
            self._adjacent = 0
            return
        self.kept.append(text)
        self._adjacent += 1

    def _is_skipped(self, line: str) -> bool:
        """Return whether a line belongs to what is being skipped; note its end."""
        skipping, is_indented = self._skipping, line[0].isspace()
        if skipping == "frames" and is_indented:
            return True
        if skipping == "warning" and is_indented:
            self._skipping = None
            return True
        if skipping == "goroutine" and (_LINE_OF_GO.search(line) or _HEAD_OF_GO.match(line)):
            return True
        if skipping == "object":
            # JavaScript shows the properties of an error in braces after its stack.
            self._skipping = None if line == "}" else skipping
            return True
        if skipping == "box" and not _BOX_BOTTOM.match(line):
            return True
        self._skipping = None
        return False

    def _begins_block(self, line: str) -> bool:
        """Return whether a line begins something to skip, or is a frame by itself."""
        box = _BOX_TOP.match(line)
        if box and "─" not in box["title"]:
            title = box["title"].strip()
            # A box without a title is a banner; errors have one.
            self._skipping = "box" if not title or _HEAD_OF_PYTHON.search(title) else None
        elif _HEAD_OF_PYTHON.search(line) or _FRAME_OF_PYTHON.match(line):
            self._skipping = "frames"
        elif _HEAD_OF_GO.match(line):
            self._skipping = "goroutine"
        elif _WARNING_OF_PYTHON.match(line):
            self._skipping = "warning"
        elif _FRAME_OF_JS.match(line):
            self._skipping = "object" if line.endswith("{") else None
        else:
            return False
        self._adjacent = 0
        return True

    def _drop_source(self) -> None:
        """Drop the line that carets point into, and the place of it before."""
        if self._adjacent:
            self.kept.pop()
            self._adjacent -= 1
        if self._adjacent and _PLACE_OF_NODE.match(self.kept[-1]):
            self.kept.pop()
            self._adjacent -= 1


def _is_doing(text: str) -> bool:
    return bool(_DOING.search(text)) and not _TELLS_OF_ERROR.search(text)
