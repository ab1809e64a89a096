"""The processes of stdio upstreams: how they start, what they say, and that they end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trio

from router.messages.instances.instance_spec import InstanceSpec
from tests.e2e.processes import descendants, running_with, still_running
from tests.transports.connect.stdio.children import (
    LIMIT_S,
    PING,
    PONG,
    PONGED,
    STUBBORN_CHILD,
    STUBBORN_STRANGER,
    UNTIL_EOF,
    is_lost_from_outside,
    on_linux,
    on_posix,
    python,
    ready,
    receive_all,
    result_of,
    says,
    why_lost,
)
from transports.connect.stdio.process import NO_GRACE, GracePeriod
from transports.connect.stdio.stdio_wire import connect_stdio
from transports.connect.wire import Received, WireLost

if TYPE_CHECKING:
    from transports.connect.wire import Wire

# --- Starting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("no-such-tool", "command not found: 'no-such-tool'; "),
        ("./no-such-tool", "command not found: './no-such-tool'; "),
        ("sh\0", "command not found: 'sh"),
    ],
)
async def test_a_command_that_is_not_there_is_named(command: str, reason: str) -> None:
    with pytest.raises(WireLost) as lost:
        async with connect_stdio(InstanceSpec("test", "test", command=command)):
            raise AssertionError
    assert str(lost.value).startswith(reason)


async def test_an_argument_that_cannot_be_passed_is_an_error_in_a_sentence() -> None:
    spec = InstanceSpec("test", "test", command=sys.executable, args=("a\0b",))
    with pytest.raises(WireLost, match="embedded null byte"):
        async with connect_stdio(spec):
            raise AssertionError


@on_posix
async def test_a_script_without_its_first_line_says_so(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    reason = await why_lost(InstanceSpec("test", "test", command=str(script)))
    assert reason == "cannot be executed: Exec format error; a script must begin with a #! line"


@on_posix
async def test_a_script_whose_interpreter_cannot_be_executed_says_so(tmp_path: Path) -> None:
    (tmp_path / "interpreter").write_text("x")
    script = tmp_path / "script"
    script.write_text(f"#!{tmp_path}/interpreter\n")
    script.chmod(0o755)
    assert await why_lost(InstanceSpec("test", "test", command=str(script))) == (
        "cannot be executed: Permission denied; "
        "the program in its #! line must be executable, and within its sandbox"
    )


@on_posix
async def test_an_end_that_nothing_in_the_input_can_have_caused_is_known_as_that(
    token: str, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/nowhere/to/be/found\n")
    script.chmod(0o755)
    assert await is_lost_from_outside(InstanceSpec("test", "test", command=str(script)))
    assert await is_lost_from_outside(python(token, "os.kill(os.getpid(), signal.SIGKILL)"))
    assert not await is_lost_from_outside(python(token, "sys.exit(3)"))
    assert not await is_lost_from_outside(python(token, "os.kill(os.getpid(), signal.SIGTERM)"))


async def test_environment_folder_and_arguments_are_as_configured(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "ours")
    code = """
import json
sys.argv += [os.getcwd(), os.environ.get("API_KEY"), os.environ.get("SECRET")]
print(json.dumps({"jsonrpc": "2.0", "id": 2, "result": sys.argv}), flush=True)
sys.stdin.read()
"""
    spec = python(token, code, cwd=str(tmp_path), env={"API_KEY": "$HOME"})
    spec = InstanceSpec(
        "test",
        "test",
        command=spec.command,
        args=(*spec.args, "$HOME", "a  b;", "*"),
        env=spec.env,
        cwd=spec.cwd,
    )
    async with connect_stdio(spec) as wire:
        argv = result_of(await ready(wire))
    assert argv[2:] == ["$HOME", "a  b;", "*", str(tmp_path), "$HOME", None]


# --- Ending by itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("pass", "exited with status 0"),
        (
            "sys.stderr.write('chaos: the licence has expired\\n'); sys.exit(3)",
            "exited with status 3: chaos: the licence has expired",
        ),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL", marks=on_posix
        ),
        pytest.param(
            "os.write(2, b'at work\\n'); os.kill(os.getpid(), signal.SIGKILL)",
            "was killed by SIGKILL; last: at work",
            marks=on_posix,
        ),
        (
            "os.write(2, b'bad state\\n'); os.close(1); time.sleep(1000)",
            "closed its stdout; last: bad state",
        ),
        pytest.param("os.kill(os.getpid(), 40)", "was killed by signal 40", marks=on_linux),
        ("os.close(1); time.sleep(1000)", "closed its stdout"),
        pytest.param("os.close(0); time.sleep(1000)", "closed its stdin", marks=on_posix),
        ("os.write(0, b'why not'); os.close(0); time.sleep(1000)", "closed its stdin"),
    ],
)
async def test_the_reason_says_how_it_ended(token: str, code: str, reason: str) -> None:
    assert await why_lost(python(token, code)) == reason
    assert not still_running(running_with(token))


@on_linux
async def test_a_launcher_that_was_killed_is_a_reason_too(token: str) -> None:
    async with connect_stdio(says(token, PONG)) as wire:
        await ready(wire)
        (command,) = running_with(token)
        os.kill(command.parent, signal.SIGKILL)
        with trio.fail_after(LIMIT_S), pytest.raises(WireLost, match="its launcher was killed"):
            await wire.receive()
    assert not still_running(running_with(token))


async def test_sending_to_one_that_has_ended_says_how_it_ended(token: str) -> None:
    spec = python(token, f"os.write(1, {PONG!r}); sys.exit(3)")
    async with connect_stdio(spec) as wire:
        await ready(wire)
        with trio.fail_after(LIMIT_S), pytest.raises(WireLost, match="exited with status 3"):
            await _send_for_ever(wire)


async def _send_for_ever(wire: Wire) -> None:
    while True:
        await wire.send([PING])


async def test_its_last_words_are_received_before_its_end(token: str) -> None:
    received: list[Received] = []
    spec = python(
        token, f"sys.stdout.buffer.write({PONG!r} * 5000); sys.stdout.flush(); sys.exit(1)"
    )
    with trio.fail_after(LIMIT_S), pytest.RaisesGroup(pytest.RaisesExc(WireLost, match="status 1")):
        async with connect_stdio(spec) as wire:
            while True:
                received += await wire.receive()
    assert len(received) == 5000


# --- stderr ----------------------------------------------------------------------------------


async def test_stderr_is_logged_under_the_name_of_the_instance(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await why_lost(python(token, "sys.stderr.write('hello\\nyou')"))
    assert [(record.name, record.message) for record in caplog.records] == [
        ("mcp_router.upstream.test", "hello"),
        ("mcp_router.upstream.test", "you"),
    ]


async def test_a_flood_on_stderr_does_not_hold_up_anything(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    flood = "for _ in range(200): sys.stderr.write(('x' * 99 + '\\n') * 500)\n"
    assert await receive_all(python(token, flood + UNTIL_EOF), 1) == [PONGED]
    assert 3 <= len(caplog.messages) < 1000
    assert caplog.messages[-1].endswith("lines on stderr were not logged: too many")


# --- Being ended -----------------------------------------------------------------------------


def _at_the_end(deed: str) -> str:
    """Leave `deed` as a file in the folder that the token is."""
    return f"open(os.path.join(sys.argv[1], {deed!r}), 'w').close()"


FOR_EVER: Final = "while True: time.sleep(1000)\n"


async def test_it_may_finish_when_its_input_ends(token: str) -> None:
    much = "sys.stdout.write('x' * 1_000_000); sys.stdout.flush()\n"
    async with connect_stdio(python(token, UNTIL_EOF + much + _at_the_end("done"))) as wire:
        await ready(wire)
    assert os.listdir(token) == ["done"]


@on_posix
async def test_one_that_goes_on_without_input_gets_sigterm(token: str) -> None:
    code = f"signal.signal(signal.SIGTERM, lambda *_: ({_at_the_end('done')}, os._exit(0)))\n"
    grace = GracePeriod(0.1, LIMIT_S)
    async with connect_stdio(python(token, code + UNTIL_EOF + FOR_EVER), grace=grace) as wire:
        await ready(wire)
    assert os.listdir(token) == ["done"]


@on_posix
async def test_one_that_ignores_sigterm_is_killed_with_all_its_children(token: str) -> None:
    code = STUBBORN_CHILD + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    grace = GracePeriod(0.1, 0.1)
    async with connect_stdio(python(token, code + UNTIL_EOF + FOR_EVER), grace=grace) as wire:
        await ready(wire)
        tree = running_with(token)
        assert len(tree) == 2
    assert not still_running(tree)


@on_linux
@pytest.mark.parametrize("then", ["", FOR_EVER])
async def test_children_in_sessions_of_their_own_are_gone_too(token: str, then: str) -> None:
    spec = python(token, STUBBORN_STRANGER + UNTIL_EOF + then)
    async with connect_stdio(spec, grace=GracePeriod(0.2, 0.1)) as wire:
        await ready(wire)
        tree = running_with(token)
        assert len(tree) == 2
    assert not still_running(tree)


@on_linux
@pytest.mark.parametrize("grace", [NO_GRACE, GracePeriod(0.1, 0.1)])
async def test_a_guard_that_does_nothing_does_not_keep_it(token: str, grace: GracePeriod) -> None:
    async with connect_stdio(python(token, STUBBORN_STRANGER + UNTIL_EOF), grace=grace) as wire:
        await ready(wire)
        tree = running_with(token)
        (guard,) = {row.parent for row in tree} - {row.pid for row in tree}
        os.kill(guard, signal.SIGSTOP)
    assert not still_running(tree)


async def test_cancelled_it_is_killed_at_once(token: str) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    spec = python(token, ignore + UNTIL_EOF + FOR_EVER)
    tree = []
    with trio.CancelScope() as scope:
        async with connect_stdio(spec, grace=GracePeriod(1000, 1000)) as wire:
            await ready(wire)
            tree = running_with(token)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert tree
    assert not still_running(tree)


async def test_an_error_in_its_use_ends_it_soon(token: str) -> None:
    spec = python(token, UNTIL_EOF + FOR_EVER)
    with trio.fail_after(LIMIT_S), pytest.RaisesGroup(KeyError):
        async with connect_stdio(spec, grace=GracePeriod(1000, 1000)) as wire:
            await ready(wire)
            raise KeyError
    assert not still_running(running_with(token))


async def test_nothing_is_left_open(token: str) -> None:
    async with connect_stdio(says(token, PONG)) as wire:
        await ready(wire)
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        async with connect_stdio(says(token, PONG)) as wire:
            await ready(wire)
        with pytest.raises(WireLost):
            async with connect_stdio(InstanceSpec("test", "test", command="no-such-tool")):
                raise AssertionError
    assert len(os.listdir("/dev/fd")) == before


@on_linux
def test_nothing_outlives_a_router_that_is_killed(token: str) -> None:
    family = STUBBORN_STRANGER + UNTIL_EOF + FOR_EVER
    router = f"""
import sys, trio
from router.messages.instances.instance_spec import InstanceSpec
from transports.connect.stdio.stdio_wire import connect_stdio

async def main():
    args = ("-c", {family!r}, sys.argv[1])
    spec = InstanceSpec("test", "test", command=sys.executable, args=args)
    async with connect_stdio(spec) as wire:
        print(len(await wire.receive()), flush=True)
        await trio.sleep_forever()

trio.run(main)
"""
    root = Path(__file__).parents[4]
    argv = [sys.executable, "-c", router, token]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=root) as popen:
        assert popen.stdout is not None
        said = popen.stdout.readline()
        tree = descendants(popen.pid)
        popen.kill()
    assert said == b"1\n"
    assert len(tree) == 4  # launcher, guard, command and child
    assert not still_running(tree)
