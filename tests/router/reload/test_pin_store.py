"""The store of pins: it reads the file when it has to, and answers each batch."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from router.files.safe_folder import SafeFolder
from router.instance_files.pin_file import read_pins
from router.messages.effects import PinTools
from router.messages.errors import NOT_SAVED
from router.messages.instances.pin_events import PinsRead, ToolsPinned
from router.reload import pin_store
from router.reload.pin_store import PinStore

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 60.0
TOOL = b'{"name":"send","description":"x\\u200b"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pins.json"


@pytest.fixture
def damaged(path: Path) -> Path:
    path.write_text("{")
    return path


def text_of(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


async def done(store: PinStore, batch: PinTools) -> ToolsPinned:
    """Have one batch carried out."""
    inbox_in, inbox = trio.open_memory_channel[Any](1)
    batches_in, batches = trio.open_memory_channel[PinTools](1)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.keep, batches, inbox_in)
            with batches_in, inbox:
                await batches_in.send(batch)
                answer = await inbox.receive()
    return answer


async def test_a_batch_is_digested_looked_at_and_saved(path: Path) -> None:
    batch = PinTools(7, frozenset({TOOL, b"{}"}), {"a": {"send": TOOL}})
    answer = await done(PinStore(path), batch)
    assert answer.key == 7
    assert len(answer.digests[TOOL]) == 64
    assert answer.digests.keys() == {TOOL, b"{}"}
    assert list(answer.flags) == [TOOL]
    assert answer.problem is None
    assert read_pins(path)["a"]["send"].sha256 == answer.digests[TOOL]


async def test_tools_that_need_no_approval_touch_no_file(path: Path) -> None:
    await done(PinStore(path), PinTools(7, frozenset({TOOL}), {}))
    assert text_of(path) is None


async def test_a_disk_that_fails_is_a_problem_of_that_batch(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SafeFolder, "write", fail)
    answer = await done(PinStore(path), PinTools(7, frozenset({TOOL}), {"a": {"send": TOOL}}))
    assert answer.problem is not None
    assert answer.problem.code == NOT_SAVED
    assert "No space left" in answer.problem.message
    assert answer.digests
    assert "No space left" in caplog.text


async def test_a_damaged_file_is_a_problem_and_stays(damaged: Path) -> None:
    answer = await done(PinStore(damaged), PinTools(7, frozenset(), {"a": {"send": TOOL}}))
    assert answer.problem is not None
    assert text_of(damaged) == "{"


async def test_a_disk_that_hangs_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.abc.Clock
) -> None:
    released = threading.Event()
    monkeypatch.setattr(pin_store.PinStore, "_carry_out", lambda *_: released.wait(WAIT_S))
    try:
        answer = await done(PinStore(path), PinTools(7, frozenset({TOOL}), {}))
    finally:
        released.set()
    assert answer.problem is not None
    assert "took longer" in answer.problem.message


def test_the_file_is_read_once_while_pinning_is_on(path: Path) -> None:
    store = PinStore(path)
    assert store.read_if_needed("off") is None
    assert store.read_if_needed("block") == PinsRead({})
    assert store.read_if_needed("warn") is None
    assert store.read_if_needed("off") is None
    assert store.read_if_needed("warn") == PinsRead({})


def test_a_damaged_file_is_read_until_it_is_sound_and_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("{")
    store = PinStore(path)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            read = store.read_if_needed("block")
            assert read is not None
            assert read.problem is not None
    assert len(caplog.records) == 1
    assert "all tools are quarantined" in caplog.text
    path.unlink()
    assert store.read_if_needed("block") == PinsRead({})
    assert store.read_if_needed("block") is None
