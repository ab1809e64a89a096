"""The messages that a model has to send to do a task, for each kind of view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.search.catalogues import NAME_LIMIT
from benchmarks.tokens.conversation import FailedCallError
from benchmarks.tokens.tasks import filled
from router.core.names.direct_names import direct_name
from router.core.protocol.own_tools.router_tools import (
    CALL,
    CALL_TOOL,
    DESCRIBE,
    HELP,
    LIST,
    RUN,
    SEARCH,
)

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.tokens.conversation import Conversation
    from benchmarks.tokens.tasks import Task, Use


class Script(Protocol):
    """Does a task in a conversation whose tools have been listed; `files` is the folder of files.

    Raises `FailedCallError` where a call fails, or a tool is not found.
    """

    def __call__(self, conversation: Conversation, task: Task, files: Path) -> None: ...


def by_direct_names(conversation: Conversation, task: Task, files: Path) -> None:
    """Call the tools, which are all listed."""
    for use in task.uses:
        for arguments in use.calls:
            conversation.call(shown_name(use), filled(arguments, files))


def by_instances(conversation: Conversation, task: Task, files: Path) -> None:
    """Look at the servers, then at the tools of each that may serve, and call them."""
    if LIST not in conversation.known:
        conversation.known[LIST] = conversation.find(LIST, {})
    for use in task.uses:
        _ask_for_help(conversation, use)
        for arguments in use.calls:
            called = {
                "instance_name": use.instance,
                "tool_name": use.own_name,
                "arguments": filled(arguments, files),
            }
            conversation.call(CALL, called)


def by_searching(conversation: Conversation, task: Task, files: Path) -> None:
    """Search for each tool, have it described where its schema did not come along, and call it."""
    for use in task.uses:
        _find(conversation, use)
        for arguments in use.calls:
            called = {"name": shown_name(use), "arguments": filled(arguments, files)}
            conversation.call(CALL_TOOL, called)


def by_code(conversation: Conversation, task: Task, files: Path) -> None:
    """Search for each tool as above, and call all of them in one piece of code."""
    for use in task.uses:
        _find(conversation, use)
    conversation.call(RUN, {"code": filled(task.code, files)})


def by_what_is_listed(conversation: Conversation, task: Task, files: Path) -> None:
    """Search if the list has a tool for that, else call what is listed."""
    is_searching = any(f'"{SEARCH}"' in text for text in conversation.texts["listing"])
    (by_searching if is_searching else by_direct_names)(conversation, task, files)


def shown_name(use: Use) -> str:
    """Return the direct name of a tool."""
    return direct_name(use.instance, use.own_name, NAME_LIMIT)


def _ask_for_help(conversation: Conversation, use: Use) -> None:
    known, instance = conversation.known, {"instance_name": use.instance}
    if use.instance not in known:
        known[use.instance] = conversation.find(HELP, instance)[use.instance]["tools"]
    described = [one["name"] for one in known[use.instance] if "inputSchema" in one]
    if use.own_name not in described and use.tool not in known:
        # The answer for a whole server has no schemas if these are too long.
        known[use.tool] = conversation.find(HELP, {**instance, "tool_name": use.own_name})


def _find(conversation: Conversation, use: Use) -> None:
    name = shown_name(use)
    if name in conversation.known:
        return
    for words in use.searches:
        answer: dict[str, Any] = conversation.find(SEARCH, {"query": words})
        found = [one["name"] for one in answer["tools"]]
        if name not in found:
            continue
        if found[0] != name or "schema" not in answer:
            conversation.find(DESCRIBE, {"tools": [name]})
        conversation.known[name] = True
        return
    raise FailedCallError(f"No search finds {name}: {', '.join(use.searches)}")
