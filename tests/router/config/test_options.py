"""The command line: it finds the files, and overrides settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from msgspec.structs import replace

from router.config.options import (
    Options,
    Paths,
    chosen_modes,
    locate,
    merge,
    with_data_folder,
    with_log_folder,
)
from router.config.settings import Settings
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from router.config.values import Mode

# --- Finding the files -----------------------------------------------------------------------


def beside(config: Path) -> Paths:
    """The default folders, beside the config file."""
    beside = config.parent
    return Paths(config, beside / "data", beside / "logs", beside / "cache")


def test_file_named_on_the_command_line_comes_first(tmp_path: Path) -> None:
    environ = {"MCP_ROUTER_CONFIG": "/elsewhere/c.json"}
    assert locate(Options(config="my/c.json"), environ, tmp_path) == beside(
        tmp_path / "my" / "c.json"
    )
    absolute = tmp_path / "c.json"
    assert locate(Options(config=str(absolute)), environ, Path("/nowhere")) == beside(absolute)


def test_file_named_by_the_environment_comes_second(config: Path, tmp_path: Path) -> None:
    config.write_text("{}")
    environ = {"MCP_ROUTER_CONFIG": "my/c.json"}
    assert locate(Options(), environ, tmp_path) == beside(tmp_path / "my" / "c.json")


def test_file_in_the_working_folder_comes_third(config: Path, tmp_path: Path) -> None:
    config.write_text("{}")
    assert locate(Options(), {}, tmp_path) == beside(config)
    assert locate(Options(), {"MCP_ROUTER_CONFIG": ""}, tmp_path) == beside(config)


def test_folders_of_the_user_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    for kind in ("config", "data", "state", "cache"):
        place = tmp_path / kind
        monkeypatch.setattr(platformdirs, f"user_{kind}_path", lambda place=place, **_: place)
    assert locate(Options(), {}, tmp_path) == Paths(
        tmp_path / "config" / "config.json",
        tmp_path / "data" / "data",
        tmp_path / "state" / "logs",
        tmp_path / "cache",
    )


def test_tilde_is_the_home_of_the_user(tmp_path: Path) -> None:
    paths = locate(Options(config="~/c.json", data="~/d"), {}, tmp_path)
    assert (paths.config, paths.data) == (Path.home() / "c.json", Path.home() / "d")


def test_data_folder_of_the_command_line_is_relative_to_the_working_folder(tmp_path: Path) -> None:
    paths = locate(Options(config="my/c.json", data="d"), {}, tmp_path)
    assert paths == replace(beside(tmp_path / "my" / "c.json"), data=tmp_path / "d")


def test_log_folder_is_relative_to_the_config_file(tmp_path: Path) -> None:
    paths = beside(tmp_path / "config.json")
    assert with_log_folder(paths, "logs") == paths
    assert with_log_folder(paths, "my/logs").logs == tmp_path / "my" / "logs"
    assert with_log_folder(paths, str(Path("/var/log/x").absolute())).logs == (
        Path("/var/log/x").absolute()
    )


def test_watch_path_is_the_data_folder_relative_to_the_config_file(tmp_path: Path) -> None:
    paths = beside(tmp_path / "config.json")
    assert with_data_folder(paths, Options(), "data") == paths
    assert with_data_folder(paths, Options(), "my/servers").data == tmp_path / "my" / "servers"
    assert with_data_folder(paths, Options(data="data"), "servers") == paths


# --- Overriding settings ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modes", "chosen"),
    [
        ((), ("stdio",)),
        (("http",), ("http",)),
        (("sse", "http", "sse"), ("http", "sse")),
        (("api", "stdio"), ("stdio", "api")),
    ],
)
def test_modes_are_those_of_the_command_line_each_once(
    modes: tuple[Mode, ...], chosen: tuple[Mode, ...]
) -> None:
    assert chosen_modes(Settings(), Options(modes=modes)) == chosen


def test_mode_of_the_file_counts_where_the_command_line_names_none() -> None:
    settings = Settings(server=attrs.evolve(Settings().server, transport_type="sse"))
    assert chosen_modes(settings, Options()) == ("sse",)


def test_options_that_are_not_given_change_nothing() -> None:
    assert merge(Settings(), Options()) == Settings()


def test_level_and_host_override_the_file() -> None:
    merged = merge(Settings(), Options(level="OFF", host="0.0.0.0", modes=("http", "sse")))
    assert merged.logging.level == "OFF"
    assert merged.server.host == "0.0.0.0"
    assert attrs.evolve(merged, logging=Settings().logging, server=Settings().server) == Settings()


@pytest.mark.parametrize("view", ["router", "direct", "work", "an-instance"])
def test_view_overrides_that_of_the_file(view: str) -> None:
    merged = merge(Settings(), Options(view=view))
    assert merged == attrs.evolve(Settings(), server=attrs.evolve(Settings().server, view=view))


@pytest.mark.parametrize(
    ("modes", "hosts"),
    [
        (("http",), ("h", "127.0.0.1")),
        (("api",), ("127.0.0.1", "h")),
        (("sse", "api"), ("h", "h")),
    ],
)
def test_host_is_for_the_listeners_of_the_command_line(
    modes: tuple[Mode, ...], hosts: tuple[str, str]
) -> None:
    merged = merge(Settings(), Options(host="h", modes=modes))
    assert (merged.server.host, merged.api.host) == hosts


@pytest.mark.parametrize("mode", ["http", "sse", "api"])
def test_port_is_that_of_the_one_listener_that_has_one(mode: Mode) -> None:
    merged = merge(Settings(), Options(modes=(mode,), port=0))
    server = merged.server
    ports = {"http": server.http.port, "sse": server.sse.port, "api": merged.api.port}
    assert ports == {"http": 3000, "sse": 3001, "api": 8001} | {mode: 0}


@pytest.mark.parametrize(
    ("modes", "problem"),
    [
        (("stdio",), "--port: stdio has no port; leave it out"),
        (
            ("http", "sse"),
            "--port: it is for one listener, and there are several; set server.http.port, "
            "server.sse.port and api.port in config.json",
        ),
    ],
)
def test_port_that_fits_no_single_listener_is_refused(
    modes: tuple[Mode, ...], problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        merge(Settings(), Options(modes=modes, port=4000))
    assert str(raised.value) == problem
