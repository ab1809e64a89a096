"""`config.json` while the router runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from router.config import code_extra
from router.config.live import values_for_core
from router.config.options import Options
from router.config.security.tokens import NamedToken, Rate
from router.config.settings import (
    Api,
    Logging,
    McpClient,
    Security,
    Server,
    Settings,
    to_json,
)
from router.messages.core_settings import CoreSettings
from router.messages.errors import ConfigError
from router.messages.instances.exposure import Profile
from router.messages.rates import RateLimits
from router.reload.live_settings import LiveSettings, core_settings
from router.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 60.0


@attrs.define
class Site:
    """A `config.json`, the settings in force, and a part of the router that applies them."""

    path: Path
    first: Settings = attrs.field(factory=Settings)
    applied: list[Settings] = attrs.field(factory=list)
    impossible: ConfigError | None = None
    live: LiveSettings = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.live = LiveSettings(self.path, Options(), self.first)

    def prepare(self, new: Settings) -> None:
        if self.impossible is not None:
            raise self.impossible

    def apply(self, new: Settings) -> None:
        self.applied.append(new)

    async def becomes(self, content: Settings | str) -> bool:
        self.path.write_bytes(content.encode() if isinstance(content, str) else to_json(content))
        return await self.reload()

    async def reload(self) -> bool:
        with trio.fail_after(WAIT_S):
            return await self.live.reload([self])


@pytest.fixture
def site(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Site:
    caplog.set_level(logging.INFO)
    (tmp_path / "config.json").write_bytes(to_json(Settings()))
    return Site(tmp_path / "config.json")


def test_the_core_is_told_what_it_needs() -> None:
    settings = Settings(
        mcp_client=McpClient(timeout=7),
        server=Server(
            tool_names="underscored",
            help_limit_bytes=9,
            name_limit=64,
            allow_instance_management=True,
        ),
        security=Security(
            tokens={"ci": NamedToken("s3cret", rate=Rate(600))},
            allow_stdio_via_api="never",
            check_arguments=True,
        ),
    )
    assert core_settings(settings) == CoreSettings(
        version=VERSION,
        timeout_s=7,
        tool_names="underscored",
        help_limit_bytes=9,
        name_limit=64,
        allow_instance_management=True,
        allow_stdio_via_api="never",
        check_arguments=True,
        rates={"ci": RateLimits(600, 60)},
    )


def test_every_setting_of_the_core_has_its_key() -> None:
    told = {attribute.name for attribute in attrs.fields(CoreSettings)}
    made = {"version", "rates", "records", "can_run_code"}
    assert made | values_for_core(Settings()).keys() == told


@pytest.mark.parametrize(
    ("audit", "records"),
    [(False, set()), (True, {"audit"}), ("digests", {"audit", "digests"})],
)
def test_the_core_makes_records_for_the_audit_log(audit: bool | str, records: set[str]) -> None:
    assert core_settings(Settings(logging=Logging(audit=audit))).records == records


def test_the_core_makes_records_for_lines_at_debug() -> None:
    assert core_settings(Settings(logging=Logging(level="DEBUG"))).records == {"log"}


def test_other_reasons_for_records_are_added() -> None:
    told = core_settings(Settings(logging=Logging(audit=True)), frozenset({"traces"}))
    assert told.records == {"audit", "traces"}


# --- Reading again ---------------------------------------------------------------------------


async def test_audit_log_waits_for_a_restart_and_the_core_records_as_before(site: Site) -> None:
    site.path.write_bytes(to_json(Settings(logging=Logging(audit=True))))
    events_in, events = trio.open_memory_channel[Any](1)
    with trio.fail_after(WAIT_S), events_in, events:
        await site.live.reload_and_tell([site], events_in)
        assert events.statistics().current_buffer_used == 0
    assert site.live.waiting == ("logging.audit",)


async def test_token_whose_file_was_exchanged_counts_from_the_next_reading_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    secret = site.path.with_name("token")
    secret.write_text("first-token\n")
    assert await site.becomes('{"security": {"bearer_token": "${file:token}"}}')
    secret.write_text("second-token\n")
    assert await site.reload()
    assert [one.security.bearer_token for one in site.applied] == ["first-token", "second-token"]
    secret.unlink()
    assert not await site.reload()
    assert site.live.current.security.bearer_token == "second-token"
    (problem,) = site.live.problems
    assert "${file:token}: there is no file" in problem
    assert "-token" not in str(caplog.messages)


async def test_file_that_did_not_change_changes_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    assert not await site.becomes(Settings())
    assert site.applied == []
    assert caplog.messages == []


async def test_what_is_live_is_applied_and_what_is_not_is_named(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    new = Settings(api=Api(enabled=True), logging=Logging(level="DEBUG"))
    assert await site.becomes(new)
    assert site.applied == [new]
    assert site.live.current == new
    assert site.live.waiting == ("api.enabled",)
    waiting = "config.json: api.enabled: waits for a restart of the router"
    assert site.live.problems == (waiting,)
    assert caplog.messages == [
        "config.json: changed: api.enabled, logging.level",
        "config.json: restart the router to apply: api.enabled",
    ]


async def test_what_waits_is_told_beside_what_is_wrong(site: Site) -> None:
    waiting = "config.json: api.enabled: waits for a restart of the router"
    new = Settings(api=Api(enabled=True))
    await site.becomes(new)
    site.path.unlink()
    await site.reload()
    assert site.live.problems == ("config.json: is gone; the settings before stay", waiting)
    await site.becomes(new)
    assert site.live.problems == (waiting,)


async def test_what_is_as_it_was_at_the_start_waits_for_nothing(site: Site) -> None:
    await site.becomes(Settings(api=Api(enabled=True)))
    await site.becomes(Settings())
    assert (site.live.waiting, site.live.problems) == ((), ())


async def test_logs_that_were_off_wait_for_a_restart(tmp_path: Path) -> None:
    site = Site(tmp_path / "config.json", Settings(logging=Logging(level="OFF")))
    await site.becomes(Settings())
    assert site.live.waiting == ("logging.level",)


async def test_invalid_file_is_told_once_and_again_to_who_asks(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.becomes("{")
    (problem,) = site.live.problems
    await site.reload()
    assert caplog.messages == [problem]
    site.live.tell_again()
    await site.reload()
    await site.reload()
    assert caplog.messages == [problem, problem]


async def test_what_cannot_be_put_into_force_is_tried_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    before, new = site.live.current, Settings(api=Api(port=1))
    site.impossible = ConfigError("127.0.0.1:1", "already in use")
    assert not await site.becomes(new)
    assert not await site.becomes(new)
    assert site.live.current is before
    assert site.applied == []
    assert site.live.problems == ("127.0.0.1:1: already in use; the settings before stay",)
    assert caplog.messages == list(site.live.problems)
    site.impossible = None
    assert await site.becomes(new)
    assert site.applied == [new]
    assert (site.live.problems, site.live.waiting) == ((), ())


async def test_file_that_was_never_there_is_not_gone(tmp_path: Path) -> None:
    site = Site(tmp_path / "config.json")
    assert not await site.reload()
    assert site.live.problems == ()
    await site.becomes(Settings())
    site.path.unlink()
    await site.reload()
    assert site.live.problems == ("config.json: is gone; the settings before stay",)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (None, ["is gone"]),
        (
            '{"api": {"port": "x", "host": 5}}',
            [
                'api.port: expected an integer, got "x"',
                "api.host: expected a string, got 5",
            ],
        ),
    ],
)
async def test_invalid_file_keeps_the_settings_and_is_told_once(
    site: Site, caplog: pytest.LogCaptureFixture, text: str | None, problems: list[str]
) -> None:
    before = site.live.current
    if text is None:
        site.path.unlink()
    else:
        site.path.write_text(text)
    assert not await site.reload()
    assert not await site.reload()
    assert site.live.current is before
    told = [f"config.json: {problem}; the settings before stay" for problem in problems]
    assert sorted(site.live.problems) == sorted(told)
    assert sorted(caplog.messages) == sorted(told)
    await site.becomes(Settings())
    assert site.live.problems == ()


async def test_profiles_that_want_code_without_the_extra_are_in_the_log_once_for_each_change(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_extra, "PACKAGE", "no_such_package")
    wanting = Settings(profiles={"work": Profile("code")})
    await site.becomes(wanting)
    assert not core_settings(site.live.current).can_run_code
    await site.becomes(attrs.evolve(wanting, mcp_client=McpClient(timeout=7)))
    warnings = [line for line in caplog.messages if "profiles.work" in line]
    assert warnings == [
        'config.json: profiles.work: "expose": "code" needs mcp-router[code]; until then its '
        f"clients search, and run no code; run: {code_extra.how_to_install()}"
    ]
