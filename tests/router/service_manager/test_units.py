"""Units of systemd: the shipped files, their quoting, and what systemd says of them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from router.config.options import Options, locate
from router.messages.errors import ConfigError
from router.service_manager.units import (
    CREDENTIALS,
    NOTIFY_RELOAD,
    Service,
    quoted,
    service_unit,
    socket_unit,
)

if TYPE_CHECKING:
    from router.config.values import Mode

SHIPPED: Final = Path(__file__).parents[3] / "deploy" / "systemd"
MOST_EXPOSED: Final = 11
"""The exposure in tenths, as `systemd-analyze security --threshold` takes it."""

ADDRESSES: Final[dict[Mode, tuple[str, int]]] = {"http": ("127.0.0.1", 3000)}

UNITS: Final = {
    "mcp-router.service": service_unit(Service("/usr/local/bin/mcp-router"), is_user=False),
    "mcp-router.socket": socket_unit(ADDRESSES, is_user=False),
    "user/mcp-router.service": service_unit(Service("%h/.local/bin/mcp-router"), is_user=True)
    .replace("%%h", "%h")
    .replace('"%h/.local/bin/mcp-router"', "%h/.local/bin/mcp-router"),
    "drop-ins/notify-reload.conf": NOTIFY_RELOAD,
    "drop-ins/credentials.conf": CREDENTIALS,
}

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")


def systemd_analyze(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- The shipped files -----------------------------------------------------------------------


@pytest.mark.parametrize("name", UNITS)
def test_shipped_file_is_what_the_command_writes(name: str) -> None:
    assert (SHIPPED / name).read_text() == UNITS[name]


def test_nothing_else_is_shipped() -> None:
    files = {str(file.relative_to(SHIPPED)) for file in SHIPPED.rglob("*") if file.is_file()}
    assert files == UNITS.keys()


@analyze
def test_exposure_of_the_service_is_low(tmp_path: Path) -> None:
    words = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager")
    found = systemd_analyze(*words, str(SHIPPED / "mcp-router.service"), folder=tmp_path)
    assert found.returncode == 0, found.stdout


@analyze
@pytest.mark.parametrize("is_user", [False, True])
def test_systemd_finds_nothing_wrong_with_units_of_an_installation(
    tmp_path: Path, *, is_user: bool
) -> None:
    program = tmp_path / "a b" / "50% $of; it"
    program.parent.mkdir()
    program.touch(mode=0o755)
    words = ("--transport", "http", "--config", '/srv/a "quoted" back\\slash/config.json')
    service = Service(str(program), words, "/opt/a b:/usr/bin", ("/srv/a b",))
    texts = {
        "mcp-router.service": service_unit(service, is_user=is_user),
        "mcp-router.socket": socket_unit(ADDRESSES, is_user=is_user),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    whose = ("--user",) if is_user else ("--system",)
    files = [str(tmp_path / name) for name in texts]
    found = systemd_analyze(*whose, "verify", "--man=no", *files, folder=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")


# --- Writing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/usr/bin/mcp-router", "/usr/bin/mcp-router"),
        ("a b", '"a b"'),
        ("50%", '"50%%"'),
        ("$HOME", '"$HOME"'),
        ('"', '"\\""'),
        ("\\", '"\\\\"'),
        ("", '""'),
        ("größe", "größe"),
    ],
)
def test_each_word_stays_one_word(word: str, expected: str) -> None:
    assert quoted(word) == expected
    assert shlex.split(expected.replace("%%", "%")) == [word]


def test_a_line_break_in_a_word_begins_no_other_option() -> None:
    service = Service(
        "/opt/mcp-router", ("--data", "a\nExecStartPre=/bin/b"), path="/c\r\nUser=root"
    )
    lines = service_unit(service, is_user=False).splitlines()
    assert [line for line in lines if line.startswith(("ExecStartPre", "User="))] == [
        "User=mcp-router"
    ]
    assert 'Environment="PATH=/c\\r\\nUser=root"' in lines


def test_no_argument_is_taken_for_a_variable() -> None:
    service = Service("/opt/$a/mcp-router", ("--view", "$b"))
    assert service.command == '"/opt/$a/mcp-router" serve --view "$$b"'


@pytest.mark.skipif(sys.platform != "linux", reason="systemd's folders are those of Linux")
def test_logrotate_looks_where_the_service_writes_its_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert " XDG_STATE_HOME=%L " in UNITS["mcp-router.service"]
    monkeypatch.setenv("XDG_STATE_HOME", "/var/log")  # systemd.unit(5): that is %L
    logs = locate(Options(), {}, tmp_path).logs
    rotated = (SHIPPED.parent / "logrotate" / "mcp-router").read_text()
    assert f"\n{logs}/audit.jsonl {logs}/latest-*.txt {{\n" in rotated


def test_installation_in_a_home_folder_is_said_to_be_out_of_sight() -> None:
    service = Service("/home/me/.local/bin/mcp-router")
    text = service_unit(service, is_user=False)
    assert "is in a home folder, which a system service does not see" in text
    assert "home folder" not in service_unit(service, is_user=True)


def test_python_in_a_home_folder_is_said_to_be_out_of_sight() -> None:
    python = "/root/.local/share/uv/python/bin/python3.12"
    service = Service("/usr/local/bin/mcp-router", interpreter=python)
    assert f"# {python} is in a home folder" in service_unit(service, is_user=False)


def test_socket_unit_has_a_stream_for_each_listener() -> None:
    addresses: dict[Mode, tuple[str, int]] = {"http": ("localhost", 3000), "api": ("::1", 8001)}
    text = socket_unit(addresses, is_user=True)
    assert "\nListenStream=127.0.0.1:3000\nListenStream=[::1]:8001\n" in text
    assert "systemctl --user enable --now mcp-router.socket" in text


def test_listener_without_a_port_of_its_own_gets_no_socket() -> None:
    with pytest.raises(ConfigError, match=r"config\.json: server\.sse\.port: is 0"):
        socket_unit({"sse": ("127.0.0.1", 0)}, is_user=False)
    with pytest.raises(ConfigError, match="--socket: stdio has no socket"):
        socket_unit({}, is_user=False)
