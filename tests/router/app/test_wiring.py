"""The parts of one router, and what a change of `config.json` does to them."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from msgspec import Raw

from router.app.sockets import Bound
from router.app.wiring import Router, telemetry_for, wire
from router.config.options import Options, Paths, merge
from router.config.settings import load_settings
from router.instance_files.catalogue_folder import CatalogueFolder
from router.logs.logs import Logs
from router.messages.catalog import Catalog, KnownServer
from router.messages.commands import Principal
from router.messages.effects import SaveCatalogue
from router.messages.errors import HttpRefusal
from router.messages.events import CoreSettingsChanged, InstancesChanged
from router.messages.observability.records import ChangeRecord
from router.reload.file_watcher import keep_current
from router.telemetry.telemetry import Telemetry
from router.telemetry.variables import Variables
from tests.router.instance_files.providers import COMMAND, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0
HEADERS = {"host": "127.0.0.1"}


def configure(folder: Path, **sections: Any) -> None:
    server = {"http": {"port": 1}}
    sections = {"watcher": {"enabled": False, "debounce_delay": 0.01}, "server": server} | sections
    (folder / "config.json").write_text(json.dumps(sections))


@attrs.frozen
class Site:
    """A folder of configuration, and the router that was wired from it."""

    folder: Path
    router: Router

    async def keeps_current(self) -> None:
        router = self.router
        await keep_current(
            router.settings,
            router.parts,
            router.instances,
            router.reload_request,
            router.channels.inbox_in,
        )

    async def next_event(self) -> Any:
        with trio.fail_after(WAIT_S):
            return await self.router.channels.inbox.receive()


@pytest.fixture
def options() -> Options:
    return Options(modes=("http",))


@pytest.fixture
def sections() -> dict[str, Any]:
    return {}


@pytest.fixture
def telemetry() -> Telemetry | None:
    return None


@pytest.fixture
def site(
    tmp_path: Path, options: Options, sections: dict[str, Any], telemetry: Telemetry | None
) -> Iterator[Site]:
    configure(tmp_path, **sections)
    (tmp_path / "data").mkdir()
    put(tmp_path / "data", "p", COMMAND)
    config = tmp_path / "config.json"
    paths = Paths(config, tmp_path / "data", tmp_path / "logs", tmp_path / "cache")
    settings = merge(load_settings(paths.config), options)
    sock: Any = None
    bound = [Bound("http", "127.0.0.1", 1, 1, sock)]
    with Logs.from_settings(settings.logging, paths.logs, "http") as logs:
        router = wire(options, paths, settings, ("http",), bound, logs, telemetry=telemetry)
        yield Site(tmp_path, router)


@pytest.mark.parametrize("options", [Options(modes=("http",), level="INFO")])
async def test_command_line_counts_more_than_the_file_at_any_time(site: Site) -> None:
    configure(site.folder, logging={"level": "DEBUG"}, api={"port": 7})
    await site.router.settings.reload(site.router.parts)
    current = site.router.settings.current
    assert (current.logging.level, current.api.port) == ("INFO", 7)


async def test_missing_file_is_not_written(site: Site) -> None:
    (site.folder / "config.json").unlink()
    await site.router.settings.reload(site.router.parts)
    assert not (site.folder / "config.json").exists()


async def test_live_keys_take_effect(site: Site, nursery: trio.Nursery) -> None:
    listeners = site.router.listeners
    nursery.start_soon(site.keeps_current)
    assert isinstance(await site.next_event(), InstancesChanged)
    listeners.admission.server.admit(HEADERS)
    configure(
        site.folder,
        watcher={"enabled": False, "debounce_delay": 0.01},
        logging={"level": "ERROR"},
        mcp_client={"enabled": False, "timeout": 7},
        security={"bearer_token": "t0ken-123"},
    )
    site.router.reload_request.make()
    told = await site.next_event()
    assert isinstance(told, CoreSettingsChanged)
    assert told.settings.timeout_s == 7
    (spec,) = (await site.next_event()).specs
    assert spec.problem == "mcp_client.enabled is false in config.json"
    assert logging.getLogger("mcp_router").level == logging.ERROR
    with pytest.raises(HttpRefusal):
        listeners.admission.server.admit(HEADERS)
    listeners.admission.server.admit(HEADERS | {"authorization": "Bearer t0ken-123"})
    assert site.router.logs.mask("t0ken-123 is wrong") == "*** is wrong"
    assert listeners.config()["problems"] == []
    assert "t0ken-123" not in json.dumps(listeners.config())


@pytest.mark.parametrize("sections", [{"logging": {"audit": True}}])
async def test_records_go_to_the_audit_log(site: Site) -> None:
    site.router.records.write(ChangeRecord("operator", "", "remove_instance", "p"))
    site.router.close(is_hurried=False)
    (line,) = (site.folder / "logs" / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["action"] == "remove_instance"
    assert site.router.records.dropped() == 0


async def test_without_one_there_is_no_audit_log(site: Site) -> None:
    site.router.records.write(ChangeRecord("operator", "", "remove_instance", "p"))
    site.router.close(is_hurried=False)
    assert not (site.folder / "logs" / "audit.jsonl").exists()


async def test_hang_up_reads_the_files_again(site: Site) -> None:
    site.router.hang_up()
    with trio.fail_after(WAIT_S):
        await site.router.reload_request.wait()


async def test_profiles_and_instances_are_places(site: Site, nursery: trio.Nursery) -> None:
    places, anybody = site.router.listeners.places, Principal()
    nursery.start_soon(site.keeps_current)
    await site.next_event()
    with trio.fail_after(WAIT_S):
        await places.wait_for_instances()
    assert places.has("p", anybody)
    assert not places.has("work", anybody)
    configure(site.folder, profiles={"work": {}, "p": {}})
    site.router.reload_request.make()
    told = await site.next_event()
    assert list(told.settings.profiles) == ["work", "p"]
    assert places.has("work", anybody)
    (problem,) = site.router.listeners.config()["problems"]
    assert problem.startswith("config.json: profiles.p: an instance has this name too")


@pytest.mark.parametrize("telemetry", [Telemetry(Variables(frozenset({"traces"})))])
async def test_traces_go_on_when_the_settings_change(site: Site, nursery: trio.Nursery) -> None:
    nursery.start_soon(site.keeps_current)
    await site.next_event()
    configure(site.folder, mcp_client={"timeout": 7})
    site.router.reload_request.make()
    told = await site.next_event()
    assert told.settings.records == {"traces"}


@pytest.mark.parametrize("telemetry", [Telemetry(Variables(frozenset({"traces"})))])
def test_records_go_to_the_export(site: Site, telemetry: Telemetry) -> None:
    assert telemetry.write in site.router.records.keepers


async def test_catalogues_are_kept_in_the_cache_folder(site: Site, nursery: trio.Nursery) -> None:
    nursery.start_soon(site.keeps_current)
    (spec,) = (await site.next_event()).specs
    known = KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog())
    channels = site.router.channels
    channels.catalogues_in.send_nowait(SaveCatalogue(spec, known))
    channels.catalogues_in.close()
    with trio.fail_after(WAIT_S):
        await site.router.catalogues.keep(channels.catalogues)
    assert CatalogueFolder(site.folder / "cache").read([spec]) == {"p": known}


async def test_present_problems_are_shown_by_the_config_route(
    site: Site, nursery: trio.Nursery
) -> None:
    nursery.start_soon(site.keeps_current)
    before = (await site.next_event()).specs
    configure(site.folder, api={"port": "x"})
    put(site.folder / "data", "p", "{")
    site.router.reload_request.make()
    assert (await site.next_event()).specs == before
    config, data = site.router.listeners.config()["problems"]
    assert config.startswith('config.json: api.port: expected an integer, got "x"')
    assert data.startswith("data/p/mcp_settings.json: line 1, column 2")


# --- OpenTelemetry ---------------------------------------------------------------------------


def test_nothing_is_exported_unless_a_variable_asks_for_it(site: Site) -> None:
    assert telemetry_for({"PATH": "/bin"}, site.router.logs) is None
    assert telemetry_for({"OTEL_SERVICE_NAME": "x"}, site.router.logs) is None


def test_secrets_of_an_export_are_masked_in_the_logs(site: Site) -> None:
    environ = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=k3y-of-c"}
    telemetry = telemetry_for(environ, site.router.logs)
    assert telemetry is not None
    assert telemetry.record_reasons == {"traces"}
    assert site.router.logs.mask("it is k3y-of-c") == "it is ***"
