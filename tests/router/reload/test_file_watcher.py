"""Changes on disk are noticed, in good time and not too often."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
import watchfiles

from router.config.options import Options
from router.config.settings import McpClient, Settings, Watcher, load_settings, to_json
from router.messages.events import CoreSettingsChanged, InstancesChanged
from router.reload.catalogue_store import CatalogueStore
from router.reload.file_watcher import ReloadRequest, Watched, keep_current
from router.reload.instance_store import InstanceStore
from router.reload.live_settings import LiveSettings
from router.secret_store.store import SecretStore
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAIT_S = 60.0


# --- When: on a clock of the test's own ------------------------------------------------------


@attrs.define
class FakeDisk:
    """Notes when it is read, and when somebody wants to be told again."""

    data: Path
    read_at_s: list[float] = attrs.field(factory=list)
    told_again_at_s: list[float] = attrs.field(factory=list)

    def tell_again(self) -> None:
        self.told_again_at_s.append(trio.current_time())

    async def announce(self, _: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.read_at_s.append(trio.current_time())


@attrs.define(eq=False)
class FakeConfig(LiveSettings):
    """Has settings, and others from the next reading on."""

    coming: Settings | None = None

    async def reload(self, parts: object) -> bool:
        await trio.lowlevel.checkpoint()
        self.current, self.coming = self.coming or self.current, None
        return True


@attrs.define
class Scene:
    disk: FakeDisk
    config: FakeConfig
    request: ReloadRequest
    events: Any

    def read_since_s(self, began_s: float) -> list[float]:
        return [round(at_s - began_s, 3) for at_s in self.disk.read_at_s]


@pytest.fixture
async def scene(tmp_path: Path, nursery: trio.Nursery) -> Scene:
    """Something that has read everything once and waits, with a delay of 1 s."""
    request = ReloadRequest()
    inbox, events = trio.open_memory_channel[Any](100)
    disk: Any = FakeDisk(tmp_path)
    config: Any = FakeConfig(tmp_path, Options(), Settings(watcher=Watcher(enabled=False)))
    nursery.start_soon(keep_current, config, (), disk, request, inbox)
    await trio.testing.wait_all_tasks_blocked()
    assert len(disk.read_at_s) == 1
    disk.read_at_s.clear()
    return Scene(disk, config, request, events)


async def test_edit_that_comes_alone_is_read_after_a_pause(
    scene: Scene, autojump_clock: Any
) -> None:
    began_s = trio.current_time()
    scene.request.make()
    await trio.sleep(10)
    assert scene.read_since_s(began_s) == [0.25]


async def test_who_asks_is_told_again_and_a_change_of_the_files_tells_nobody(
    scene: Scene, autojump_clock: Any
) -> None:
    scene.request.note_change()
    await trio.sleep(10)
    assert scene.disk.told_again_at_s == []
    scene.request.make()
    scene.request.note_change()
    await trio.sleep(10)
    assert len(scene.disk.read_at_s) == 2
    assert scene.disk.told_again_at_s == scene.disk.read_at_s[1:]


async def test_several_edits_in_a_row_are_read_once(scene: Scene, autojump_clock: Any) -> None:
    began_s = trio.current_time()
    for _ in range(4):
        scene.request.make()
        await trio.sleep(0.2)
    await trio.sleep(10)
    assert scene.read_since_s(began_s) == [0.85]


async def test_edits_without_end_are_read_all_the_same(scene: Scene, autojump_clock: Any) -> None:
    began_s = trio.current_time()
    for _ in range(24):
        scene.request.make()
        await trio.sleep(0.1)
    last_s = trio.current_time() - 0.1 - began_s
    await trio.sleep(10)
    read = scene.read_since_s(began_s)
    assert read[0] == pytest.approx(1.0)
    assert len(read) == 3
    assert last_s < read[-1] <= last_s + 1.0


async def test_core_hears_of_settings_only_if_they_concern_it(
    scene: Scene, autojump_clock: Any
) -> None:
    for timeout_s, told in ((30, 0), (7, 1), (7, 1)):
        client = McpClient(timeout=timeout_s, max_starting=3)
        scene.config.coming = attrs.evolve(scene.config.current, mcp_client=client)
        scene.request.make()
        await trio.sleep(10)
        assert scene.events.statistics().current_buffer_used == told
    event = scene.events.receive_nowait()
    assert isinstance(event, CoreSettingsChanged)
    assert event.settings.timeout_s == 7


# --- Where -----------------------------------------------------------------------------------


def test_only_paths_of_config_and_entries_concern_the_router(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "config.json", tmp_path / "d" / "data")
    data = watched.data
    secrets = tmp_path / "secrets.json"
    for path in (watched.config, secrets, data, data / "p", data / "p" / "mcp_settings.json"):
        assert watched.concerns(path)
    assert watched.concerns(tmp_path / "..data")
    for path in (
        tmp_path / "other.json",
        data / ".lock",
        data / "p" / ".mcp_settings.json.x.tmp",
        data / "p" / "node_modules",
        data / "p" / "q" / "mcp_settings.json",
        data / "mcp_settings.json" / "x",
    ):
        assert not watched.concerns(path)


def test_folders_are_watched_one_level_deep_and_only_those_that_are_there(tmp_path: Path) -> None:
    watched = Watched.of(tmp_path / "config.json", tmp_path / "data")
    root = tmp_path.resolve()
    assert watched.folders() == {root}
    (root / "data" / "p" / "node_modules").mkdir(parents=True)
    (root / "data" / "file").write_text("")
    assert watched.folders() == {root, root / "data", root / "data" / "p"}


# --- Real files ------------------------------------------------------------------------------


@attrs.define
class Real:
    """A folder that is watched, and what the actor hears."""

    folder: Path
    events: Any

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def configure(self, **sections: Any) -> None:
        settings = Settings(watcher=Watcher(debounce_delay=0.1), **sections)
        (self.folder / "config.json").write_bytes(to_json(settings))

    async def until(self, fits: Callable[[Any], bool]) -> None:
        """Wait for an event that fits."""
        with trio.fail_after(WAIT_S):
            while not fits(await self.events.receive()):
                pass

    async def until_there_are(self, *commands: str) -> None:
        def fits(event: Any) -> bool:
            if not isinstance(event, InstancesChanged):
                return False
            return [spec.command for spec in event.specs] == list(commands)

        await self.until(fits)


@pytest.fixture
async def real(tmp_path: Path, nursery: trio.Nursery) -> Real:
    inbox, events = trio.open_memory_channel[Any](1000)
    real = Real(tmp_path, events)
    real.data.mkdir()
    put(real.data, "a", COMMAND)
    real.configure()
    path = tmp_path / "config.json"
    live = LiveSettings(path, Options(), load_settings(path))
    catalogues = CatalogueStore(tmp_path / "cache")
    instances = InstanceStore(
        real.data, catalogues, live, lambda _: None, secrets_file=tmp_path / "secrets.json"
    )
    nursery.start_soon(keep_current, live, (), instances, ReloadRequest(), inbox)
    await real.until_there_are("npx")
    return real


async def test_file_that_changes_is_read(real: Real) -> None:
    put(real.data, "a", {"command": "other"})
    await real.until_there_are("other")


async def test_new_folder_is_watched_too(real: Real) -> None:
    put(real.data, "b", {"command": "second"})
    await real.until_there_are("npx", "second")
    put(real.data, "b", {"command": "third"})
    await real.until_there_are("npx", "third")


async def test_folder_and_all_that_go_are_noticed(real: Real) -> None:
    put(real.data, "b", {"command": "second"})
    await real.until_there_are("npx", "second")
    shutil.rmtree(real.data / "a")
    await real.until_there_are("second")


async def test_folder_of_all_may_go_and_come_again(real: Real) -> None:
    real.data.rename(real.folder / "moved")
    await real.until_there_are("npx")
    real.data.mkdir()
    await real.until_there_are()
    put(real.data, "b", {"command": "second"})
    await real.until_there_are("second")


async def test_config_that_changes_is_read(real: Real) -> None:
    real.configure(mcp_client=McpClient(timeout=7))
    await real.until(lambda event: isinstance(event, CoreSettingsChanged))


async def test_secret_that_is_set_is_read(real: Real) -> None:
    put(real.data, "b", {"command": "run-${secret:TOOL}"})
    await real.until_there_are("npx", "")
    SecretStore(real.folder / "secrets.json", {}).set("TOOL", "x")
    await real.until_there_are("npx", "run-x")


async def test_file_that_is_replaced_is_read(real: Real) -> None:
    path = real.data / "a" / "mcp_settings.json"
    (real.folder / "new").write_text('{"command": "other"}')
    (real.folder / "new").rename(path)
    await real.until_there_are("other")


# --- Where the system does not let us --------------------------------------------------------


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Watching fails, and polling goes on as the first element says."""
    may_poll = [True]
    watch = watchfiles.watch

    def refuse(*paths: Any, force_polling: bool | None, **options: Any) -> Iterator[Any]:
        if not force_polling or not may_poll[0]:
            raise OSError(28, "OS file watch limit reached")
        options["poll_delay_ms"] = 50
        return watch(*paths, force_polling=True, **options)

    monkeypatch.setattr(watchfiles, "watch", refuse)
    return may_poll


async def test_folders_that_cannot_be_watched_are_polled(
    refusal: list[bool], caplog: pytest.LogCaptureFixture, real: Real
) -> None:
    put(real.data, "a", {"command": "other"})
    await real.until_there_are("other")
    put(real.data, "b", {"command": "second"})
    await real.until_there_are("other", "second")
    (message,) = (one.message for one in caplog.records if one.name == "mcp_router.watch")
    assert message.startswith("Changes on disk cannot be watched ([Errno 28] OS file watch limit")


async def test_failure_of_watching_and_polling_is_logged(
    refusal: list[bool],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal[0] = False
    said = trio.Event()
    token = trio.lowlevel.current_trio_token()

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "not noticed any more" in record.getMessage():
                token.run_sync_soon(said.set)

    logger = logging.getLogger("mcp_router.watch")
    handler = Noting()
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "handlers", [handler])
    inbox, _events = trio.open_memory_channel[Any](100)
    config: Any = FakeConfig(tmp_path / "config.json", Options(), Settings())
    disk: Any = FakeDisk(tmp_path / "data")
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_current, config, (), disk, ReloadRequest(), inbox)
            await said.wait()
            nursery.cancel_scope.cancel()


# --- Requests --------------------------------------------------------------------------------


async def test_request_is_settled_once_it_and_all_later_ones_are_carried_out() -> None:
    request = ReloadRequest()
    await request.settled()
    request.make()
    await request.wait()
    request.make()
    request.carried_out()
    with trio.move_on_after(0) as scope:
        await request.settled()
    assert scope.cancelled_caught
    await request.wait()
    request.carried_out()
    await request.settled()


async def test_files_that_change_all_the_time_do_not_keep_a_request_from_being_settled() -> None:
    request = ReloadRequest()
    request.make()
    await request.wait()
    assert request.take_asked()
    request.note_change()
    request.carried_out()
    with trio.fail_after(WAIT_S):
        await request.settled()
