"""Ten tasks, each with the tools that do it, and how a model looks for these.

A script stands in for the model, so that all views do exactly the same work. It knows what to look
for, never what a tool is called or which arguments it takes. What a task did is checked.

`{files}` in an argument is the folder that the servers for files may use.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from pathlib import Path


@attrs.frozen
class Use:
    """One tool, and the calls of it.

    Attributes:
        tool: the tool as `INSTANCE/TOOL`.
        searches: the words with which a model looks for it; the next ones only where the ones
            before do not find it.
        calls: the arguments of each call.
    """

    tool: str
    searches: tuple[str, ...]
    calls: tuple[dict[str, Any], ...] = attrs.field(hash=False)

    @property
    def instance(self) -> str:
        return self.tool.partition("/")[0]

    @property
    def own_name(self) -> str:
        """Its name on its server."""
        return self.tool.partition("/")[2]


@attrs.frozen
class Task:
    """One task.

    Attributes:
        name: the task in a few words.
        uses: the tools, in the order of their calls.
        code: does the same in the code mode, and gives only what the task asks for.
        expected: stands in the last result, if the task is done.
    """

    name: str
    uses: tuple[Use, ...]
    code: str
    expected: str


_LIST: Final = Use(
    "filesystem/list_directory",
    ("list the files in a directory", "filesystem list directory"),
    ({"path": "{files}/notes"},),
)
_READ_SEARCHES: Final = ("read a text file", "filesystem read text file")
_READ: Final = Use(
    "filesystem/read_text_file", _READ_SEARCHES, ({"path": "{files}/notes/plan.md"},)
)
_REMEMBER_SEARCHES: Final = ("remember a fact about a person", "memory create entities")
_PAGE_LINES: Final = 100
_PAGES: Final = 3

TASKS: Final = (
    Task(
        "one call of a small tool",
        (
            Use(
                "everything/get-sum",
                ("add two numbers", "sum of two numbers"),
                ({"a": 40, "b": 2},),
            ),
        ),
        'await call_tool("everything__get-sum", {"a": 40, "b": 2})',
        "42",
    ),
    Task(
        "read a file",
        (_READ,),
        'await call_tool("filesystem__read_text_file", {"path": "{files}/notes/plan.md"})',
        "the harbour opens at six",
    ),
    Task(
        "list a folder, then read what is there",
        (_LIST, _READ),
        """listed = await call_tool("filesystem__list_directory", {"path": "{files}/notes"})
await call_tool("filesystem__read_text_file", {"path": "{files}/notes/plan.md"})""",
        "the harbour opens at six",
    ),
    Task(
        "edit a file: a tool with a nested schema",
        (
            Use(
                "filesystem/edit_file",
                ("replace text in a file", "filesystem edit file"),
                (
                    {
                        "path": "{files}/notes/edited.md",
                        "edits": [{"oldText": "at six", "newText": "at seven"}],
                    },
                ),
            ),
        ),
        'await call_tool("filesystem__edit_file", {"path": "{files}/notes/edited.md", '
        '"edits": [{"oldText": "at six", "newText": "at seven"}]})',
        "at seven",
    ),
    Task(
        "remember something, then look it up",
        (
            Use(
                "memory/create_entities",
                _REMEMBER_SEARCHES,
                (
                    {
                        "entities": [
                            {
                                "name": "Harbour",
                                "entityType": "place",
                                "observations": ["opens at six"],
                            }
                        ]
                    },
                ),
            ),
            Use(
                "memory/search_nodes",
                ("search what was remembered", "memory search nodes"),
                ({"query": "Harbour"},),
            ),
        ),
        """await call_tool("memory__create_entities", {"entities": [{"name": "Harbour",
    "entityType": "place", "observations": ["opens at six"]}]})
await call_tool("memory__search_nodes", {"query": "Harbour"})""",
        "opens at six",
    ),
    Task(
        "last commits, then what the newest changed",
        (
            Use(
                "git/git_log",
                ("show the history of commits", "git log"),
                ({"path": "{files}/project", "maxCount": 3},),
            ),
            Use(
                "git/git_show",
                ("show what a commit changed", "git show"),
                ({"path": "{files}/project", "object": "HEAD"},),
            ),
        ),
        """log = await call_tool("git__git_log", {"path": "{files}/project", "maxCount": 3})
await call_tool("git__git_show", {"path": "{files}/project", "object": "HEAD"})""",
        "the third step",
    ),
    Task(
        "page through a long file",
        (
            Use(
                "desktop-commander/read_file",
                ("read part of a file by line offset and length", "desktop commander read file"),
                tuple(
                    {
                        "path": "{files}/long.log",
                        "offset": page * _PAGE_LINES,
                        "length": _PAGE_LINES,
                    }
                    for page in range(_PAGES)
                ),
            ),
        ),
        """failed = []
for page in range(3):
    text = await call_tool("desktop-commander__read_file",
        {"path": "{files}/long.log", "offset": page * 100, "length": 100})
    failed += [line for line in str(text).split("\\n") if "failed" in line]
failed""",
        "request 299 failed",
    ),
    Task(
        "the same of ten files",
        (
            Use(
                "filesystem/get_file_info",
                ("size and date of a file", "filesystem get file info"),
                tuple({"path": f"{{files}}/many/{number}.txt"} for number in range(10)),
            ),
        ),
        """sizes = []
for number in range(10):
    info = await call_tool("filesystem__get_file_info", {"path": f"{files}/many/{number}.txt"})
    sizes.append(str(info).partition("size: ")[2].split()[0])
"size: " + sizes[9]""",
        "size: 109",
    ),
    Task(
        "read three files, then write one of them all",
        (
            Use(
                "filesystem/read_multiple_files",
                ("read several files at once", "filesystem read multiple files"),
                ({"paths": [f"{{files}}/parts/{number}.md" for number in range(3)]},),
            ),
            Use(
                "filesystem/write_file",
                ("write a file", "filesystem write file"),
                ({"path": "{files}/parts/all.md", "content": "{parts}"},),
            ),
        ),
        """parts = []
for number in range(3):
    parts.append(str(await call_tool("filesystem__read_text_file",
        {"path": f"{files}/parts/{number}.md"})))
await call_tool("filesystem__write_file",
    {"path": "{files}/parts/all.md", "content": "".join(parts)})""",
        "Successfully wrote",
    ),
    Task(
        "the weather of one server into the memory of another",
        (
            Use(
                "everything/get-structured-content",
                ("weather of a city", "everything structured content weather"),
                ({"location": "Chicago"},),
            ),
            Use(
                "memory/create_entities",
                _REMEMBER_SEARCHES,
                (
                    {
                        "entities": [
                            {
                                "name": "Chicago",
                                "entityType": "city",
                                "observations": ["Light rain / drizzle"],
                            }
                        ]
                    },
                ),
            ),
        ),
        """weather = await call_tool("everything__get-structured-content", {"location": "Chicago"})
await call_tool("memory__create_entities", {"entities": [{"name": "Chicago",
    "entityType": "city", "observations": [str(weather)]}]})""",
        "Chicago",
    ),
)


PART: Final = "".join(
    f"- point {number}: the ferry leaves when the tide allows it\n" for number in range(40)
)


def filled(value: Any, files: Path) -> Any:
    """Return arguments or code with the places of files in it."""
    if isinstance(value, str):
        return value.replace("{files}", str(files)).replace("{parts}", PART * 3)
    if isinstance(value, list):
        return [filled(one, files) for one in value]
    if isinstance(value, dict):
        return {key: filled(one, files) for key, one in value.items()}
    return value


def lay_out(files: Path) -> None:
    """Write the files that the tasks use."""
    for folder in ("notes", "many", "parts", "project"):
        (files / folder).mkdir(parents=True)
    for name in ("plan.md", "edited.md"):
        (files / "notes" / name).write_text("# Plan\n\nRemember: the harbour opens at six.\n")
    for number in range(10):
        (files / "many" / f"{number}.txt").write_text("x" * (100 + number))
    for number in range(3):
        (files / "parts" / f"{number}.md").write_text(PART)
    lines = (
        f"2026-01-01T00:00:00Z request {number} {'failed' if number % 50 == 49 else 'answered'}\n"
        for number in range(_PAGES * _PAGE_LINES)
    )
    (files / "long.log").write_text("".join(lines))
    _make_project(files / "project")


def _make_project(folder: Path) -> None:
    """Make a repository with three commits; they are the same each time."""
    who = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org")
    dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-01-01T00:00:00Z")

    def git(*words: str) -> None:
        command = ["git", "-c", "init.defaultBranch=main", "-C", str(folder), *who, *words]
        subprocess.run(
            command, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"} | dates
        )

    git("init")
    for step in ("first", "second", "third"):
        (folder / f"{step}.txt").write_text(f"the {step} step\n" * 10)
        git("add", ".")
        git("commit", "-m", f"Take the {step} step")
