"""An upstream over stdio, of a handshake revision: well-behaved, or misbehaving in exactly one way.

Run as `python chaos_upstream.py MODE`; `MODES` names the modes. It uses nothing but the standard
library, so it starts at once and says exactly the bytes that are written here. It answers from one
thread, in the order of arrival unless the mode says otherwise; tools that wait are kept in
`_waiting`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

PIXEL: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
FLOODS: Final[dict[str, dict[str, Any]]] = {
    "log": {
        "method": "notifications/message",
        "params": {"level": "error", "logger": "chaos", "data": "x" * 60},
    },
    "progress": {
        "method": "notifications/progress",
        "params": {"progressToken": 2, "progress": 1},
    },
    "lists": {"method": "notifications/tools/list_changed"},
    "requests": {"id": "flood", "method": "roots/list"},
}
"""What the tool `flood` sends, by its argument `kind`."""

DISCOVERED: Final = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "resultType": "complete",
    "ttlMs": 0,
    "cacheScope": "private",
}
"""The result of `server/discover` (MCP 2026-07-28)."""

GARBAGE: Final = b'this is no JSON\n\xff\xfe\x00 nor this\n{"half": \n[]\n'

MODES: Final = {
    "plain": "well-behaved",
    "reversed": "answers what has come in together in the opposite order",
    "exit": "says why on stderr and exits at once with status 3",
    "garbage": "prints lines that are no JSON, and nothing else",
    "noisy": "prints such lines before each of its answers",
    "silent": "reads and never answers",
    "stubborn": "ignores SIGTERM and the end of its stdin",
    "parent": "starts a child that would outlive it",
    "growing": "has one tool, `grow`, that adds a tool whenever it is called",
    "late": "answers `initialize` only once the file `PATH/let-in` is there",
    "crashing": "exits at once with status 3 while the file `PATH/broken` is there",
    "endless": "answers `tools/list` with pages without end",
    "slow_2026": "speaks both eras, and answers `server/discover` 6 s after it came",
    "asleep": "does nothing, and ignores SIGTERM",
    "daemon": "starts a child in a session of its own, whose parent has ended",
}


def _tool(name: str, description: str, **properties: str) -> dict[str, Any]:
    schema = {key: {"type": kind} for key, kind in properties.items()}
    return {
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": schema},
    }


TOOLS: Final = [
    _tool("echo", "Give back the text", text="string"),
    _tool("image", "One text and one image"),
    _tool("structured", "Structured content")
    | {
        "outputSchema": {
            "type": "object",
            "properties": {"sum": {"type": "number"}},
            "required": ["sum"],
        }
    },
    _tool("fail", "A result with isError"),
    _tool("refuse", "A JSON-RPC error"),
    _tool("steps", "Report progress `count` times, then answer", count="integer"),
    _tool("hang", "Report progress once and never answer", label="string"),
    _tool(
        "await_cancelled",
        "Answer once the hanging call of that label was cancelled",
        label="string",
    ),
    _tool("pid", "The number of this process"),
    _tool("raw", "The params of this very call, as they came in"),
    _tool("count_and_hang", "Add a line to the file and never answer", path="string"),
    _tool("answer_when", "Answer once the file is there", path="string"),
    _tool("later", "Answer after so many milliseconds", ms="integer"),
    _tool("long_line", "Send a line of so many bytes that is no answer", bytes="integer"),
    _tool("pieces", "Answer with the text, each byte of it written by itself", text="string"),
    _tool("shout", "Write so many bytes to stderr, then answer", bytes="integer"),
    _tool("close", "Close stdin or stdout, and live on", stream="string"),
    _tool("stop_reading", "Answer, and read nothing any more"),
    _tool(
        "flood", "Send messages of one kind as fast as they are read, from now on", kind="string"
    ),
]


def _text(text: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], **more}


class Upstream:
    """One server; `answer` is called with each message that came in."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._out: list[bytes] = []
        self._hanging: dict[Any, str] = {}
        self._cancelled: set[str] = set()
        self._waiting: list[tuple[Any, str]] = []
        self._tools = [_tool("grow", "Add a tool")] if mode == "growing" else TOOLS
        self._writing = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        noise = GARBAGE if self.mode == "noisy" else b""
        self._out.append(noise + json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def flush(self) -> None:
        out = reversed(self._out) if self.mode == "reversed" else self._out
        data = b"".join(out)
        self._out.clear()
        self._write(data)

    def _write(self, data: bytes) -> None:
        with self._writing:
            while data:
                data = data[os.write(1, data) :]

    def result(self, request_id: Any, result: dict[str, Any]) -> None:
        self.send({"id": request_id, "result": result})

    def answer(self, message: dict[str, Any]) -> None:
        method, request_id = message.get("method"), message.get("id")
        if method == "initialize":
            if self.mode == "late":
                _wait_for(Path(sys.argv[2]) / "let-in")
            self.result(request_id, self._hello(message["params"]["protocolVersion"]))
        elif method == "server/discover" and self.mode == "slow_2026":
            time.sleep(6.0)
            self.result(request_id, DISCOVERED)
        elif method == "tools/list":
            self.result(request_id, self._page((message.get("params") or {}).get("cursor", "0")))
        elif method == "tools/call":
            self._call(request_id, message["params"])
        elif method == "notifications/cancelled":
            self._cancel(message["params"]["requestId"])
        elif method == "ping":
            self.result(request_id, {})
        elif request_id is not None and method is not None:
            error = {"code": -32601, "message": f"Method not found: {method}"}
            self.send({"id": request_id, "error": error})

    def _page(self, cursor: str) -> dict[str, Any]:
        if self.mode == "endless":
            return {"tools": TOOLS[:1], "nextCursor": str(int(cursor) + 1)}
        return {"tools": self._tools}

    def _hello(self, revision: str) -> dict[str, Any]:
        return {
            "protocolVersion": revision,
            "capabilities": {"tools": {"listChanged": self.mode == "growing"}},
            "serverInfo": {"name": f"chaos-{self.mode}", "version": "1"},
        }

    def _call(self, request_id: Any, params: dict[str, Any]) -> None:
        arguments = params.get("arguments") or {}
        tool = getattr(self, f"_tool_{params['name']}", None)
        if tool is None:
            error = {"code": -32602, "message": f"Unknown tool: {params['name']}"}
            self.send({"id": request_id, "error": error})
        else:
            tool(request_id, arguments, params)

    def _tool_echo(self, request_id: Any, arguments: dict[str, Any], _: Any) -> None:
        self.result(request_id, _text(arguments.get("text", "")))

    def _tool_image(self, request_id: Any, _: Any, __: Any) -> None:
        image = {"type": "image", "data": PIXEL, "mimeType": "image/png"}
        self.result(request_id, {"content": [{"type": "text", "text": "one pixel"}, image]})

    def _tool_structured(self, request_id: Any, _: Any, __: Any) -> None:
        more = {"_meta": {"example.test/kept": [1, 2]}, "structuredContent": {"sum": 3}}
        self.result(request_id, _text('{"sum": 3}', **more))

    def _tool_fail(self, request_id: Any, _: Any, __: Any) -> None:
        self.result(request_id, _text("It did not work", isError=True))

    def _tool_refuse(self, request_id: Any, _: Any, __: Any) -> None:
        self.send({"id": request_id, "error": {"code": -32602, "message": "I refuse"}})

    def _tool_steps(self, request_id: Any, arguments: dict[str, Any], params: Any) -> None:
        for step in range(1, arguments["count"] + 1):
            self._progress(params, step, arguments["count"])
        self.result(request_id, _text("done"))

    def _progress(self, params: dict[str, Any], step: int, total: int) -> None:
        token = (params.get("_meta") or {}).get("progressToken")
        if token is not None:
            news = {"progressToken": token, "progress": step, "total": total}
            self.send({"method": "notifications/progress", "params": news})

    def _tool_hang(self, request_id: Any, arguments: dict[str, Any], params: Any) -> None:
        self._hanging[request_id] = arguments.get("label", "")
        self._progress(params, 0, 1)

    def _tool_await_cancelled(self, request_id: Any, arguments: dict[str, Any], _: Any) -> None:
        self._waiting.append((request_id, arguments.get("label", "")))
        self._settle()

    def _cancel(self, request_id: Any) -> None:
        if request_id in self._hanging:
            self._cancelled.add(self._hanging.pop(request_id))
            self._settle()

    def _settle(self) -> None:
        for request_id, label in [one for one in self._waiting if one[1] in self._cancelled]:
            self._waiting.remove((request_id, label))
            self.result(request_id, _text("cancelled"))

    def _tool_count_and_hang(self, request_id: Any, arguments: dict[str, Any], _: Any) -> None:
        self._hanging[request_id] = arguments.get("label", "")
        with Path(arguments["path"]).open("a") as file:
            file.write("called\n")

    def _tool_answer_when(self, request_id: Any, arguments: dict[str, Any], _: Any) -> None:
        path = Path(arguments["path"])
        path.with_suffix(".called").touch()
        _wait_for(path)
        self.result(request_id, _text("in time"))
        self.flush()
        path.with_suffix(".answered").touch()

    def _tool_later(self, request_id: Any, arguments: dict[str, Any], _: Any) -> None:
        answer = {"jsonrpc": "2.0", "id": request_id, "result": _text("later")}
        line = json.dumps(answer).encode() + b"\n"
        threading.Timer(arguments["ms"] / 1000, self._write, (line,)).start()

    def _tool_long_line(self, _: Any, arguments: dict[str, Any], __: Any) -> None:
        left, piece = arguments["bytes"], b"x" * (1 << 20)
        while left > 0:
            self._write(piece[:left])
            left -= len(piece)
        self._write(b"\n")

    def _tool_pieces(self, request_id: Any, arguments: dict[str, Any], _: Any) -> None:
        message = {"jsonrpc": "2.0", "id": request_id, "result": _text(arguments["text"])}
        for byte in json.dumps(message, ensure_ascii=False).encode() + b"\n":
            self._write(bytes([byte]))
            time.sleep(0.001)  # so that the reader finds each byte alone

    def _tool_shout(self, request_id: Any, arguments: dict[str, Any], _: Any) -> None:
        left, line = arguments["bytes"], b"chaos: " + b"x" * 92 + b"\n"
        while left > 0:
            left -= os.write(2, 100 * line)
        self.result(request_id, _text("done"))

    def _tool_close(self, _: Any, arguments: dict[str, Any], __: Any) -> None:
        os.close({"stdin": 0, "stdout": 1}[arguments["stream"]])
        threading.Event().wait()

    def _tool_stop_reading(self, request_id: Any, _: Any, __: Any) -> None:
        self.result(request_id, _text("from now on"))
        self.flush()
        threading.Event().wait()

    def _tool_pid(self, request_id: Any, _: Any, __: Any) -> None:
        self.result(request_id, _text(str(os.getpid())))

    def _tool_grow(self, request_id: Any, _: Any, __: Any) -> None:
        name = f"grown-{len(self._tools)}"
        self._tools.append(_tool(name, "Has come later"))
        self.send({"method": "notifications/tools/list_changed"})
        self.result(request_id, _text(name))

    def _tool_flood(self, request_id: Any, arguments: dict[str, Any], _: Any) -> None:
        self.result(request_id, _text("flooding"))
        message = {"jsonrpc": "2.0", **FLOODS[arguments["kind"]]}
        threading.Thread(
            target=self._flood, args=(json.dumps(message).encode() + b"\n",), daemon=True
        ).start()

    def _flood(self, line: bytes) -> None:
        while True:
            self._write(100 * line)

    def _tool_raw(self, request_id: Any, _: Any, params: Any) -> None:
        self.result(request_id, _text(json.dumps(params)))


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def serve(mode: str) -> None:
    """Answer until stdin ends; what has come in together is answered together."""
    upstream, buffer = Upstream(mode), b""
    while chunk := os.read(0, 1 << 20):
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            upstream.answer(json.loads(line))
        upstream.flush()


def _run_asleep() -> None:
    """Start a child in a session of its own whose parent has ended."""
    if os.fork() != 0:
        return
    os.setsid()
    if os.fork() == 0:
        for stream in (0, 1):
            os.close(stream)
        os.execv(sys.executable, [sys.executable, __file__, "asleep", *sys.argv[2:]])
    os._exit(0)


def begin(mode: str) -> None:
    """Do what a mode does before it serves, or in its place."""
    is_broken = mode == "crashing" and (Path(sys.argv[2]) / "broken").exists()
    if mode == "exit" or is_broken:
        sys.stderr.write("chaos: the licence has expired\n")
        sys.exit(3)
    if mode == "garbage":
        os.write(1, GARBAGE)
    if mode in {"garbage", "silent"}:
        while os.read(0, 1 << 20):
            pass
        sys.exit(0)
    if mode == "parent":
        command = [sys.executable, __file__, "stubborn", *sys.argv[2:]]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if mode == "daemon":
        _run_asleep()
    if mode in {"stubborn", "asleep"}:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "asleep":
        threading.Event().wait()


def main() -> None:
    mode = sys.argv[1]
    if mode not in MODES:
        sys.exit(f"chaos_upstream: unknown mode {mode!r}; one of {', '.join(MODES)}")
    begin(mode)
    serve(mode)
    if mode == "stubborn":
        threading.Event().wait()


if __name__ == "__main__":
    main()
