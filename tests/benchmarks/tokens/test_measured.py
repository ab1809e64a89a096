from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tokens import measured
from benchmarks.tokens.conversation import Conversation
from benchmarks.tokens.measured import TOGETHER, Cost, Done, counted
from benchmarks.tokens.tables import large_line, part_table, task_table
from tests.benchmarks.tokens.fake_client import FakeClient

if TYPE_CHECKING:
    import pytest

    from router.messages.instances.exposure import Expose

COSTS: dict[Expose, dict[str, Done]] = {
    "direct": {
        "read": Done({"listing": Cost(4000, 900), "finding": Cost(0, 0), "calling": Cost(100, 30)}),
        TOGETHER: Done(
            {"listing": Cost(4000, 900), "finding": Cost(0, 0), "calling": Cost(200, 1060)}
        ),
    }
}


def test_parts_are_counted_and_the_folder_counts_the_same_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measured, "count_tokens", lambda texts: [1 for _ in texts])
    found: list[Done] = []
    for folder in ("/tmp/short", "/tmp/another-folder"):
        conversation = Conversation(FakeClient({"read": f"in {folder}/a"}))
        conversation.call("read", {"path": f"{folder}/a"})
        found.append(counted(conversation, Path(folder)))
    assert found[0].costs == found[1].costs
    assert found[0].costs["calling"].tokens == 2
    assert found[0].whole == found[0].costs["calling"]


def test_tables_have_a_line_for_each_task_and_for_each_part() -> None:
    tasks = task_table(COSTS)
    assert "| read | 930 (4.1 kB) |" in tasks
    assert "| **all ten in one conversation** | 1,960 (4.2 kB) |" in tasks
    assert "| calls and results | 1,060 |" in part_table(COSTS)


def test_a_list_beyond_the_target_is_said_to_be() -> None:
    assert "770 tokens" in large_line(Cost(3000, 770), 5000, 275)
    assert "; reached)" in large_line(Cost(3000, 770), 5000, 275)
    assert "; not reached)" in large_line(Cost(9000, 1501), 5000, 275)
