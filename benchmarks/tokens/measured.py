"""Does every task in every view, and counts what that puts into a model's context."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.tokens import scripts
from benchmarks.tokens.conversation import PARTS, Conversation, FailedCallError
from benchmarks.tokens.routed import routed
from benchmarks.tokens.tasks import TASKS
from benchmarks.tokens.token_counts import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.search.catalogues import Catalogue
    from benchmarks.tokens.conversation import Part
    from benchmarks.tokens.routed import Routed
    from benchmarks.tokens.scripts import Script
    from benchmarks.tokens.tasks import Task
    from router.messages.instances.exposure import Expose

SCRIPTS: Final[dict[Expose, Script]] = {
    "direct": scripts.by_direct_names,
    "router": scripts.by_instances,
    "search": scripts.by_searching,
    "auto": scripts.by_what_is_listed,
    "code": scripts.by_code,
}


@attrs.frozen
class Cost:
    """The size of texts in a context."""

    sent_bytes: int
    tokens: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.sent_bytes + other.sent_bytes, self.tokens + other.tokens)


NOTHING: Final = Cost(0, 0)


@attrs.frozen
class Done:
    """The costs of a task in a view."""

    costs: dict[Part, Cost] = attrs.field(hash=False)

    @property
    def whole(self) -> Cost:
        return sum(self.costs.values(), NOTHING)


FOLDER: Final = "/home/person"

TOGETHER: Final = "all ten in one conversation"
"""The name of all tasks in one conversation, which finds no tool twice."""


def measure(
    catalogues: Sequence[Catalogue], kinds: Sequence[Expose]
) -> Iterator[tuple[Expose, dict[str, Done]]]:
    """Do all tasks in each of these views: each in a conversation of its own, then all in one.

    Yields:
        A view, with what each task cost in it, by the name of the task, and at last `TOGETHER`.

    Raises:
        FailedCallError: a call failed, or a task was not done.
        NotReadyError: a server is not ready in time.
    """
    with (
        TemporaryDirectory(prefix="tokens-") as folder,
        routed(catalogues, Path(folder), kinds=kinds) as router,
    ):
        for kind in kinds:
            router.lay_out_anew()
            costs = {task.name: _cost_of(router, kind, [task]) for task in TASKS}
            router.lay_out_anew()
            yield kind, costs | {TOGETHER: _cost_of(router, kind, TASKS)}


def _cost_of(router: Routed, kind: Expose, tasks: Sequence[Task]) -> Done:
    with router.session(kind) as (client, instructions):
        conversation = Conversation(client)
        conversation.list_tools(instructions)
        for task in tasks:
            _do(conversation, kind, task, router.files)
    return counted(conversation, router.folder)


def _do(conversation: Conversation, kind: Expose, task: Task, files: Path) -> None:
    try:
        SCRIPTS[kind](conversation, task, files)
    except FailedCallError as error:
        raise FailedCallError(f"{kind} view, {task.name!r}: {error}") from error
    if task.expected not in conversation.last:
        raise FailedCallError(
            f"{kind} view, {task.name!r}: {task.expected!r} is not in the last result: "
            f"{conversation.last[:500]}"
        )


def counted(conversation: Conversation, folder: Path) -> Done:
    """Return what a conversation has put into a context.

    Args:
        conversation: is counted so far.
        folder: the one with all files; its path counts as `FOLDER`, so that counts do not change
            with the machine.
    """
    texts: list[tuple[Part, str]] = [
        (part, text.replace(str(folder), FOLDER))
        for part in PARTS
        for text in conversation.texts[part]
    ]
    tokens = count_tokens([text for _, text in texts])
    costs: dict[Part, Cost] = dict.fromkeys(PARTS, NOTHING)
    for (part, text), number in zip(texts, tokens, strict=True):
        costs[part] += Cost(len(text.encode()), number)
    return Done(costs)


def listing(catalogues: Sequence[Catalogue], kind: Expose) -> Cost:
    """Return what the tools and the instructions of a view cost, before a model says a word.

    Raises:
        NotReadyError: a server is not ready in time.
    """
    with (
        TemporaryDirectory(prefix="tokens-") as folder,
        routed(catalogues, Path(folder), kinds=[kind]) as router,
        router.session(kind) as (client, instructions),
    ):
        conversation = Conversation(client)
        conversation.list_tools(instructions)
    return counted(conversation, router.folder).costs["listing"]
