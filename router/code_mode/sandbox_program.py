"""Runs code of models in a sandbox, in a process of its own; the router never imports this file.

    python -E -P sandbox_program.py [CONFINE FIELD...]

CONFINE is the path of a file with a function `confine`, which gets the fields: see
`sandboxes.rights`.

It reads lines of JSON from stdin and writes lines of JSON to stdout, one run after another:

- `{"run": {"code": str, "timeout_s": float}}` begins a run. Then come, from here,
- `{"printed": str}`, each at most `MAX_PRINTED_BYTES`, all together a little more;
- `{"call": ID, "name": str, "arguments": {...}}` and `{"search": ID, "query": str, "limit": int}`,
  each answered with `{"answer": ID, "text": str}`, `{"answer": ID, "json": str}`, which is JSON
  that nobody has looked into, or `{"answer": ID, "error": str}`;
- and at the end `{"result": ...}` or `{"failed": str}`.

Why a process between the router and the sandbox: what the code hands out is unfolded here. A list
that holds one long string ten thousand times is small in the sandbox, and gigabytes outside.

Invariants:

- The sandbox itself is a process below this one (pydantic-monty). This one has limits and rights
  which that one inherits, and is the first of a process group, so that both are killed at once.
- The end of stdin, which also comes when the router is killed, ends both at once.
- No line is longer than `MAX_LINE_BYTES`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import runpy
import signal
import sys
import threading
import time
from typing import Any, Final, cast

import pydantic_monty as monty

MAX_PRINTED_BYTES: Final = 64 * 1024
MAX_RESULT_BYTES: Final = 256 * 1024
MAX_ARGUMENTS_BYTES: Final = 1024 * 1024
MAX_FAILURE_CHARS: Final = 8 * 1024
MAX_REPR_CHARS: Final = 1000
MAX_LINE_BYTES: Final = MAX_ARGUMENTS_BYTES + 64 * 1024

MEMORY_BYTES: Final = 64 * 2**20
"""Memory of the code's own objects."""

PROCESS_MEMORY_BYTES: Final = 256 * 2**20
"""Memory of this process, and of the sandbox, where the system has such a limit."""

RECURSION_DEPTH: Final = 200

SUSPENSIONS: Final = 1000
"""The number of times that the code may ask for something that is not in the sandbox."""

DEATH_MARGIN_S: Final = 1.0
"""The router ends a run in time; this much later the sandbox does so itself."""


def limit() -> None:
    """Limit what this process and those below it may use."""
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
            resource.setrlimit(resource.RLIMIT_DATA, (PROCESS_MEMORY_BYTES, PROCESS_MEMORY_BYTES))


class Router:
    """The other end of stdin and stdout."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        """Take lines as they come: while the sandbox is busy, only this sees the end of stdin."""
        try:
            for line in sys.stdin.buffer:
                self._lines.put(json.loads(line))
        finally:  # Also when a line does not fit into memory: without this, nothing sees the end.
            if sys.platform != "win32":
                os.killpg(0, signal.SIGKILL)
            os._exit(0)

    def receive(self) -> dict[str, Any]:
        """Return the next line, once it is there."""
        return self._lines.get()

    def send(self, line: dict[str, Any]) -> None:
        """Send a line."""
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        sys.stdout.buffer.write(text.encode(errors="replace") + b"\n")
        sys.stdout.buffer.flush()


class Printed:
    """Passes on what the code prints, as long as there is room."""

    def __init__(self, router: Router) -> None:
        self._router, self._room = router, MAX_PRINTED_BYTES + 1

    def __call__(self, _stream: str, text: str) -> None:
        """Take a piece of text. One byte beyond the limit tells the router that there was more."""
        if self._room > 0:
            text = text[: self._room]
            self._room -= len(text.encode(errors="replace"))
            self._router.send({"printed": text})


def run(pool: monty.Monty, router: Router, code: str, timeout_s: float) -> None:
    """Run code, and send how it ended."""
    limits: monty.ResourceLimits = {
        "max_feed_duration_secs": timeout_s + DEATH_MARGIN_S,
        "max_memory": MEMORY_BYTES,
        "max_recursion_depth": RECURSION_DEPTH,
        "max_suspensions": SUSPENSIONS,
        "max_total_sleep_secs": timeout_s,
    }
    try:
        # By default, it sleeps 10 s where the code asks for more.
        with pool.checkout(limits=limits, os_policy={"sleep_system_max": math.inf}) as session:
            step = session.feed_start(code, print_callback=Printed(router))
            while not isinstance(step, monty.MontyComplete):
                step = answer(step, router)
            ended = result_line(step.output)
    except monty.MontyCrashedError:
        # How it ended may tell of this machine, and helps nobody who writes code.
        ended = {"failed": "The sandbox ended: the code needed more memory than it may have"}
    except (monty.MontySyntaxError, monty.MontyRuntimeError) as error:
        ended = {"failed": shortened(error.display(), MAX_FAILURE_CHARS)}
    except (MemoryError, RecursionError):
        ended = {"failed": "The code handed out more than fits into the memory of a run"}
    router.send(ended)


def answer(step: Any, router: Router) -> Any:
    """Answer what the code asks for, and return where it stands then."""
    if isinstance(step, monty.NameLookupSnapshot):
        if step.object_id is None and step.variable_name in OUTSIDE:
            return step.resume(value=OUTSIDE[step.variable_name])
        return step.resume()
    if isinstance(step, monty.FutureSnapshot):
        return settle(step, router)
    if step.is_os_function:
        if step.function_name in SLEEPS:
            time.sleep(float(step.args[0]))
            return step.resume({"return_value": None})
        return step.resume_not_handled()
    if step.object_id is not None or step.function_name not in OUTSIDE:
        message = f"name '{step.function_name}' is not defined"
        return step.resume({"exc_type": "NameError", "message": message})
    try:
        router.send(OUTSIDE[step.function_name](step.call_id, *step.args, **step.kwargs))
    except (TypeError, ValueError, RecursionError) as error:
        name = "ValueError" if isinstance(error, ValueError) else "TypeError"
        message = shortened(str(error), MAX_REPR_CHARS)
        return step.resume({"exc_type": name, "message": message})
    return step.resume({"future": ...})


def settle(step: Any, router: Router) -> Any:
    """Wait for the first answer to what the code awaits."""
    line = router.receive()
    return step.resume({line["answer"]: settled(line)})


def settled(line: dict[str, Any]) -> dict[str, Any]:
    """Return what a call gives to the code, or raises in it."""
    if "text" in line:
        return {"return_value": line["text"]}
    error = line.get("error")
    if error is None:
        try:
            return {"return_value": decoded(line["json"])}
        except (ValueError, RecursionError, MemoryError):
            error = "The result is no JSON that code can take: it is wrong, too deep or too big"
    return {"exc_type": "RuntimeError", "message": error}


def decoded(text: str) -> Any:
    """Return what JSON means.

    Raises:
        ValueError, RecursionError, MemoryError: nobody can say, or not within the limits.
    """
    value = json.loads(text)
    if "\\ud" in text or "\\uD" in text:
        # A server has cut a text in the middle of a character, and the sandbox takes no halves.
        value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return value


def call_tool(call: int, name: Any, arguments: Any = None) -> dict[str, Any]:
    """Return the line that calls a tool; it is also what the code finds by this name.

    Raises:
        TypeError, ValueError: an argument is no JSON, of the wrong type, or too long.
    """
    if not isinstance(name, str):
        raise TypeError(f"call_tool: name must be a string, not {type(name).__name__}")
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        raise TypeError("call_tool: arguments must be a dict")
    try:
        text = json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"call_tool: arguments must be JSON: {error}") from None
    if max(len(text), len(json.dumps(name))) > MAX_ARGUMENTS_BYTES // 2:
        raise ValueError(f"call_tool: arguments are longer than {MAX_ARGUMENTS_BYTES // 2:,} bytes")
    return {"call": call, "name": name, "arguments": json.loads(text)}


def search(call: int, query: Any, limit: Any = 5) -> dict[str, Any]:
    """Return the line that searches for tools; it is also what the code finds by this name.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or too long.
    """
    if not isinstance(query, str) or not isinstance(limit, int):
        raise TypeError("search: query must be a string, and limit an int")
    if len(json.dumps(query)) > MAX_ARGUMENTS_BYTES // 2 or abs(limit) > sys.maxsize:
        raise ValueError("search: query is too long, or limit is too high")
    return {"search": call, "query": query, "limit": int(limit)}


OUTSIDE: Final[dict[str, Any]] = {"call_tool": call_tool, "search": search}
"""The functions that the code finds beside those of the language."""

SLEEPS: Final = frozenset({"system.sleep", "system.async_sleep"})
"""All that the code may ask of the system; its seconds are bounded, each and in all."""


# --- Results ---------------------------------------------------------------------------------


def result_line(value: Any) -> dict[str, Any]:
    """Return the line for the result of a run."""
    plain = as_json(value)
    size = len(json.dumps(plain, ensure_ascii=False).encode(errors="replace"))
    if size > MAX_RESULT_BYTES:
        text = f"The result is {size:,} bytes of JSON; at most {MAX_RESULT_BYTES:,} are allowed. "
        return {"failed": text + "Have the code return less, such as the fields that matter."}
    return {"result": plain}


def as_json(value: Any) -> Any:
    """Return a value as JSON can have it; what it cannot have becomes its bounded `repr`."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else shortened(hex(value), MAX_REPR_CHARS)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return {key if isinstance(key, str) else as_key(key): as_json(one) for key, one in pairs}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(one) for one in cast("list[Any]", value)]
    return shortened(repr(value), MAX_REPR_CHARS)


def as_key(key: Any) -> str:
    """Return a key that is no string, as JSON has `1`, `true` and `null`."""
    plain = as_json(key)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def shortened(text: str, max_chars: int) -> str:
    """Return a text without its middle, where it is longer than that."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


def main() -> None:
    """Run code for the router until it is gone."""
    limit()
    path, *fields = sys.argv[1:] or [""]
    if path:
        runpy.run_path(path)["confine"]([each.encode() for each in fields])
    router = Router()
    # A worker serves one run: nothing of it is left for the next.
    with monty.Monty(min_processes=1, max_processes=1, max_checkouts_per_worker=1) as pool:
        while True:
            asked = router.receive().get("run")
            if asked is not None:  # else the late answer to a run that has ended
                run(pool, router, asked["code"], asked["timeout_s"])


if __name__ == "__main__":
    main()
