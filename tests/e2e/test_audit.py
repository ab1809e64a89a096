"""JSON logs and the audit log of a real router: each deed is one line, and no line gets lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.e2e.peers import debian_program
from tests.e2e.processes import RouterProcess, router_command, run_command
from tests.e2e.raw_client import HttpClient
from tests.e2e.rest_client import RestClient, chaos_entry
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.e2e

OPERATOR: Final = "canary-token-of-operator-0123456789"
PERMISSIONS: Final = ["call", "read", "admin"]
WRONG: Final = "canary-token-of-nobody-0123456789"
ARGUMENT: Final = "canary-argument-0123456789"

DEPLOYED: Final = Path(__file__).parents[2] / "deploy" / "logrotate" / "mcp-router"
LOGS_OF_SERVICE: Final = "/var/log/mcp-router/logs"

WAIT_S: Final = 30.0


@attrs.frozen
class AuditedRouter:
    """A router with an audit log and JSON logs."""

    workspace: Workspace
    router: RouterProcess
    mcp_url: str
    api: RestClient

    @property
    def folder(self) -> Path:
        return self.workspace.path / "logs"

    @property
    def audit_file(self) -> Path:
        return self.folder / "audit.jsonl"

    @contextmanager
    def client(self) -> Iterator[HttpClient]:
        """A client with a session of its own."""
        with closing(HttpClient(self.mcp_url, OPERATOR)) as client:
            client.initialize()
            yield client
            assert client.delete() == 204

    def lines_of(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event in all files, as far as they are written."""
        files = sorted(self.folder.glob("audit.jsonl*"))
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        ends_at_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < ends_at_s, self.router.stderr.text
            time.sleep(0.01)  # another process writes the file


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("audited"))
    workspace.configure(
        api={"enabled": True, "port": 0},
        security={"tokens": {"operator": {"token": OPERATOR, "permissions": PERMISSIONS}}},
        logging={"format": "json", "level": "DEBUG", "audit": "digests"},
    )
    with workspace.add_chaos("plain").serve("http") as router:
        mcp_url = router.stderr.wait_for(r"Listening on (http://[0-9.:]+/mcp)")[1]
        port = router.stderr.wait_for(r'Listening on http://[0-9.]+:(\d+)"')[1]
        router.stderr.wait_for("plain is ready")
        yield AuditedRouter(workspace, router, mcp_url, RestClient(int(port), OPERATOR))


# --- Lines -----------------------------------------------------------------------------------


def test_each_deed_is_one_line_and_holds_neither_arguments_nor_tokens(
    audited: AuditedRouter,
) -> None:
    with audited.client() as client:
        client.call(4711, "plain", "echo", text=ARGUMENT)
    with closing(HttpClient(audited.mcp_url, WRONG)) as nobody:
        assert nobody.post({"id": 1, "method": "ping"})[0] == 401
    entry = chaos_entry(audited.workspace, "added", env={"KEY": ARGUMENT})
    assert audited.api.ask("POST", "/api/instances", entry).status == 201
    for last in ("session_closed", "change"):
        audited.wait_for(lambda last=last: bool(audited.lines_of(last)))

    (opened,), (closed,) = audited.lines_of("session_opened"), audited.lines_of("session_closed")
    (call,) = audited.lines_of("call")
    (refused,) = audited.lines_of("refused")
    (change,) = audited.lines_of("change")
    assert opened["client"] == closed["client"] == call["client"]
    assert {line["principal"] for line in (opened, closed, call, change)} == {"operator"}
    assert {line["address"] for line in (opened, call, refused, change)} == {"127.0.0.1"}
    assert (call["request_id"], call["instance"], call["target"]) == (4711, "plain", "echo")
    assert (call["outcome"], len(call["arguments_sha256"])) == ("ok", 64)
    assert (refused["status"], refused["path"]) == (401, "/mcp")
    assert (change["action"], change["name"], change["outcome"]) == ("add_instance", "added", "ok")

    logs = list(audited.folder.iterdir())
    assert len(logs) == 2
    for file in logs:
        assert "canary" not in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600


def test_every_line_of_the_log_is_an_object_with_what_is_known(audited: AuditedRouter) -> None:
    with audited.client() as client:
        client.call(4712, "plain", "echo", text=ARGUMENT)
    audited.router.stderr.wait_for('"request_id":4712')
    lines = [json.loads(line) for line in audited.router.stderr.text.splitlines()]
    for line in lines:
        assert list(line)[:4] == ["time", "level", "logger", "message"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    (ready,) = [line for line in lines if line["message"] == "plain is ready"]
    assert ready["instance"] == "plain"
    (call,) = [line for line in lines if line.get("request_id") == 4712]
    assert (call["instance"], call["principal"]) == ("plain", "operator")
    assert 0 < call["duration_s"] < WAIT_S


# --- Rotation --------------------------------------------------------------------------------


class Load(threading.Thread):
    """Calls a tool as fast as it answers, until `stop`."""

    def __init__(self, client: HttpClient) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.calls = 0
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            self.client.call(self.calls, "plain", "echo", text="x")
            self.calls += 1

    def stop(self) -> None:
        self.is_over = True
        self.join(WAIT_S)
        assert not self.is_alive()


def _calls(audited: AuditedRouter) -> int:
    return len(audited.lines_of("call"))


def _calls_so_far(audited: AuditedRouter) -> int:
    """Return the number of calls once all are written that were made so far."""
    mark = f"mark {time.monotonic_ns()}"
    with audited.client() as client:
        client.call(mark, "plain", "echo", text="x")
    audited.wait_for(lambda: mark in [line["request_id"] for line in audited.lines_of("call")])
    return _calls(audited)


def test_moving_the_files_and_sighup_lose_no_line(audited: AuditedRouter) -> None:
    before = _calls_so_far(audited)
    log_file = audited.folder / "latest-http.txt"
    with audited.client() as client:
        load = Load(client)
        load.start()
        for number in range(3):
            done = load.calls
            audited.wait_for(lambda done=done: load.calls > done + 20)
            audited.audit_file.rename(audited.folder / f"audit.jsonl.{number}")
            log_file.rename(audited.folder / f"moved.{number}")
            audited.router.popen.send_signal(signal.SIGHUP)
            audited.wait_for(audited.audit_file.exists)
            audited.wait_for(log_file.exists)
        load.stop()
    audited.wait_for(lambda: _calls(audited) >= before + load.calls)
    assert _calls(audited) == before + load.calls
    assert not audited.lines_of("dropped")

    def logged() -> list[str]:
        files = [*audited.folder.glob("moved.*"), log_file]
        return [line for file in files for line in file.read_text().splitlines()]

    def logged_calls() -> int:
        return sum("tools/call plain echo: ok" in json.loads(line)["message"] for line in logged())

    audited.wait_for(lambda: logged_calls() >= _calls(audited))
    assert logged_calls() == _calls(audited)


def test_copying_and_cutting_the_file_leaves_no_hole(audited: AuditedRouter) -> None:
    before = _calls_so_far(audited)
    with audited.client() as client:
        for number in range(3):
            client.call(number, "plain", "echo", text="x")
            # copytruncate itself loses lines that come between its copy and its cut.
            audited.wait_for(lambda number=number: _calls(audited) == before + number + 1)
            shutil.copyfile(audited.audit_file, audited.folder / f"audit.jsonl.copy{number}")
            os.truncate(audited.audit_file, 0)
        client.call("last", "plain", "echo", text="x")
        audited.wait_for(lambda: _calls(audited) == before + 4)
    (line,) = audited.audit_file.read_text().splitlines()[:1]
    assert json.loads(line)["request_id"] == "last"


def test_shipped_configuration_of_logrotate_works(audited: AuditedRouter, tmp_path: Path) -> None:
    config, put_aside = tmp_path / "config", audited.folder / "24.03.02-14-05-http.txt"
    text = DEPLOYED.read_text().replace(LOGS_OF_SERVICE, str(audited.folder))
    config.write_text(re.sub("systemctl .*", f"kill -HUP {audited.router.pid}", text))
    config.chmod(0o644)
    put_aside.write_text("of an earlier run")
    with audited.client() as client:
        client.call("before", "plain", "echo", text="x")
        program, env = debian_program("logrotate")
        done = subprocess.run(
            [program, "--force", "--state", str(tmp_path / "state"), str(config)],
            env=env,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        audited.wait_for(audited.audit_file.exists)
        client.call("after", "plain", "echo", text="x")
        audited.wait_for(lambda: '"after"' in audited.audit_file.read_text())
    assert '"before"' in (audited.folder / "audit.jsonl.1").read_text()
    assert (audited.folder / "latest-http.txt.1").read_text()
    assert not put_aside.exists()


# --- Starts ----------------------------------------------------------------------------------


def test_audit_log_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.configure(logging={"audit": True, "format": "json"})
    (tmp_path / "logs" / "audit.jsonl").mkdir(parents=True)
    ended = run_command("serve", "--transport", "http", *workspace.words)
    assert ended.returncode == 1
    line = json.loads(ended.stderr.splitlines()[-1])
    assert (line["level"], line["logger"]) == ("ERROR", "mcp_router.cli")
    place = tmp_path / "logs" / "audit.jsonl"
    assert line["message"].startswith(f"config.json: logging.audit: {place} cannot be written (")


def test_journal_gets_priorities_and_no_times(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    reading, writing = os.pipe()
    status = os.fstat(writing)
    env = dict(os.environ) | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    words = router_command("stdio", *workspace.words)
    with open(reading) as journal:
        ended = subprocess.run(
            words, stdin=subprocess.DEVNULL, stderr=writing, env=env, timeout=WAIT_S, check=False
        )
        os.close(writing)
        lines = journal.read().splitlines()
    assert ended.returncode == 0
    assert "<6>mcp_router.stopping - INFO - Stopping (the client on stdio is gone)" in lines
    assert all(re.match(r"<[2-7]>mcp_router\.", line) for line in lines)
