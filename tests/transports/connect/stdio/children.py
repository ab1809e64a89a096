"""Small processes to be at the other end of a stdio wire, and what to expect of them."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from msgspec import Raw

from router.messages.frames import Request, Response
from router.messages.instances.instance_spec import InstanceSpec
from transports.connect.stdio.stdio_wire import connect_stdio
from transports.connect.wire import Received, WireLost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transports.connect.wire import Wire

on_posix = pytest.mark.skipif(os.name != "posix", reason="there are no such signals there")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="no orphans are adopted there")

LIMIT_S: Final = 20.0
"""For anything to happen: far beyond what it takes, on a busy machine too."""

PING: Final = Request(2, "ping")
PONG: Final = b'{"jsonrpc":"2.0","id":2,"result":{}}\n'
PONGED: Final = Received(Response(2, Raw(b"{}")))

ECHO: Final = """
import json, os, sys
for line in sys.stdin.buffer:
    answer = {"jsonrpc": "2.0", "id": 0, "result": json.loads(line)}
    os.write(1, json.dumps(answer).encode() + b"\\n")
"""
"""Answers each line with that line."""

UNTIL_EOF: Final = f"os.write(1, {PONG!r})\nwhile os.read(0, 1000): pass\n"
"""Says something, and then waits for the end of its input."""

STUBBORN_CHILD: Final = """
import os, signal, subprocess, sys, time
child = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.close(1); time.sleep(1000)"
argv = [sys.executable, "-I", "-S", "-c", child, sys.argv[1]]
subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=False).stdout.read()
"""
"""Starts a child that ignores SIGTERM, and waits until it does."""

STUBBORN_STRANGER: Final = STUBBORN_CHILD.replace("False", "True")
"""Starts such a child in a session of its own."""


def python(token: str, code: str, **more: Any) -> InstanceSpec:
    """An instance that runs this code; `sys.argv[1]` is the token."""
    args = ("-I", "-S", "-c", f"import os, sys, time, signal\n{code}", token)
    return InstanceSpec("test", "test", command=sys.executable, args=args, **more)


def says(token: str, *chunks: bytes) -> InstanceSpec:
    """An instance that says these bytes, one write for each of its reads, and then waits."""
    code = f"for chunk in {chunks!r}: os.write(1, chunk); os.read(0, 1000)"
    return python(token, code)


async def why_lost(spec: InstanceSpec, **more: Any) -> str:
    """The reason for which a wire that is only read is lost."""
    with trio.fail_after(LIMIT_S), pytest.RaisesGroup(WireLost) as lost:
        async with connect_stdio(spec, **more) as wire:
            while True:
                await wire.receive()
    return str(lost.value.exceptions[0])


async def is_lost_from_outside(spec: InstanceSpec) -> bool:
    """Return whether the end of a process is known to have nothing to do with its input."""
    with trio.fail_after(LIMIT_S), pytest.RaisesGroup(WireLost) as lost:
        async with connect_stdio(spec) as wire:
            await wire.receive()
    (error,) = lost.value.exceptions
    assert isinstance(error, WireLost)
    return error.is_from_outside


async def ready(wire: Wire) -> Received:
    """Wait for the process to say anything."""
    with trio.fail_after(LIMIT_S):
        (received,) = await wire.receive()
    return received


async def receive_all(spec: InstanceSpec, count: int) -> Sequence[Received]:
    """The first `count` frames of an instance; each receipt is answered with a ping."""
    received: list[Received] = []
    with trio.fail_after(LIMIT_S):
        async with connect_stdio(spec) as wire:
            while len(received) < count:
                received += await wire.receive()
                await wire.send([PING])
    return received


def result_of(received: Received) -> Any:
    """Return the result in a response of a process."""
    assert isinstance(received.frame, Response)
    return json.loads(bytes(received.frame.result))
