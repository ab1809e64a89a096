"""`config.json` while the router runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from router.config.settings import Api, HttpListener, Logging, McpClient, Security, Server, Settings
from router.messages.errors import ConfigError
from router.reload.config_file import LIVE, ConfigFile, changed_keys, core_settings
from router.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 60.0


@attrs.define
class Fake:
    """A file that the test says the content of."""

    path: Path
    content: Settings | Exception = attrs.field(factory=Settings)
    applied: list[Settings] = attrs.field(factory=list)
    impossible: ConfigError | None = None
    file: Any = None

    def __attrs_post_init__(self) -> None:
        assert isinstance(self.content, Settings)
        self.file = ConfigFile(
            self.path, self.content, self._read, self.applied.append, self._prepare
        )

    def _read(self) -> Settings:
        if isinstance(self.content, Exception):
            raise self.content
        return self.content

    def _prepare(self, _: Settings) -> None:
        if self.impossible is not None:
            raise self.impossible

    async def becomes(self, content: Settings | Exception) -> bool:
        self.content = content
        with trio.fail_after(WAIT_S):
            return await self.file.reload()


@pytest.fixture
def fake(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Fake:
    caplog.set_level(logging.INFO)
    return Fake(tmp_path / "config.json")


# --- Comparing -------------------------------------------------------------------------------


def test_keys_that_differ_are_named_as_in_the_file() -> None:
    new = Settings(api=Api(port=1), server=Server(http=HttpListener(port=2), allowed_hosts=("x",)))
    assert changed_keys(Settings(), Settings()) == ()
    assert changed_keys(Settings(), new) == ("api.port", "server.allowed_hosts", "server.http.port")


def test_every_key_that_is_live_is_one_that_exists() -> None:
    def keys(settings: Any, path: str = "") -> set[str]:
        found = set[str]()
        for one in attrs.fields(type(settings)):
            value = getattr(settings, one.name)
            inner = keys(value, f"{path}{one.name}.") if attrs.has(type(value)) else None
            found |= inner or {f"{path}{one.name}"}
        return found

    assert keys(Settings()) >= LIVE


def test_core_is_told_what_it_needs() -> None:
    settings = Settings(
        mcp_client=McpClient(timeout=7),
        server=Server(tool_names="underscored", allow_instance_management=True),
        security=Security(allow_stdio_via_api="never"),
    )
    told = core_settings(settings)
    assert (told.version, told.timeout_s, told.tool_names) == (VERSION, 7, "underscored")
    assert (told.allow_instance_management, told.allow_stdio_via_api) == (True, "never")


# --- Reading again ---------------------------------------------------------------------------


async def test_file_that_did_not_change_changes_nothing(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    assert not await fake.becomes(Settings())
    assert fake.applied == []
    assert caplog.messages == []


async def test_what_is_live_is_applied_and_what_is_not_is_named(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    new = Settings(api=Api(enabled=True), logging=Logging(level="DEBUG"))
    assert await fake.becomes(new)
    assert fake.applied == [new]
    assert fake.file.current == new
    assert fake.file.waiting == ("api.enabled",)
    waiting = "config.json: api.enabled: waits for a restart of the router"
    assert fake.file.problems == (waiting,)
    assert caplog.messages == [
        "config.json: changed: api.enabled, logging.level",
        "config.json: restart the router to apply: api.enabled",
    ]


async def test_what_waits_is_told_beside_what_is_wrong(fake: Fake) -> None:
    waiting = "config.json: api.enabled: waits for a restart of the router"
    new = Settings(api=Api(enabled=True))
    await fake.becomes(new)
    await fake.becomes(FileNotFoundError())
    assert fake.file.problems == ("config.json: is gone; the settings before stay", waiting)
    await fake.becomes(new)
    assert fake.file.problems == (waiting,)


async def test_what_is_as_it_was_at_the_start_waits_for_nothing(fake: Fake) -> None:
    await fake.becomes(Settings(api=Api(enabled=True)))
    await fake.becomes(Settings())
    assert (fake.file.waiting, fake.file.problems) == ((), ())


async def test_logs_that_were_off_wait_for_a_restart(tmp_path: Path) -> None:
    fake = Fake(tmp_path / "config.json", Settings(logging=Logging(level="OFF")))
    await fake.becomes(Settings())
    assert fake.file.waiting == ("logging.level",)


async def test_what_cannot_be_put_into_force_is_tried_again(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    before, new = fake.file.current, Settings(api=Api(port=1))
    fake.impossible = ConfigError("127.0.0.1:1", "already in use")
    assert not await fake.becomes(new)
    assert not await fake.becomes(new)
    assert fake.file.current is before
    assert fake.applied == []
    assert fake.file.problems == ("127.0.0.1:1: already in use; the settings before stay",)
    assert caplog.messages == list(fake.file.problems)
    fake.impossible = None
    assert await fake.becomes(new)
    assert fake.applied == [new]
    assert (fake.file.problems, fake.file.waiting) == ((), ())


@pytest.mark.parametrize(
    ("error", "problems"),
    [
        (FileNotFoundError(), ("config.json: is gone; the settings before stay",)),
        (
            ConfigError("config.json: a", "x\nconfig.json: b: y"),
            (
                "config.json: a: x; the settings before stay",
                "config.json: b: y; the settings before stay",
            ),
        ),
    ],
)
async def test_invalid_file_keeps_the_settings_and_is_told_once(
    fake: Fake, caplog: pytest.LogCaptureFixture, error: Exception, problems: tuple[str, ...]
) -> None:
    before = fake.file.current
    assert not await fake.becomes(error)
    assert not await fake.becomes(error)
    assert fake.file.current is before
    assert fake.file.problems == problems
    assert caplog.messages == list(problems)
    await fake.becomes(Settings())
    assert fake.file.problems == ()
