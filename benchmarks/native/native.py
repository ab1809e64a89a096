"""Builds the programs in C of the benchmarks with `cc`, and runs the load generator.

Invariants:

- The programs are in `.cache/bench`, and are built anew when one of their sources is newer.
- A load with wrong or missing answers is an error, unless the caller says that it counts them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.proxies.proxy import Kind

SOURCES: Final = Path(__file__).parent
BUILT: Final = SOURCES.parents[1] / ".cache" / "bench"
COMPILER: Final = "cc"
_FLAGS: Final = ("-O2", "-Wall", "-Wextra", "-Wno-unused-function")


Program = Literal["load", "echo", "http_echo"]


class LoadError(Exception):
    """The generator could not be built or run, or got answers that are not those of its calls."""


@attrs.frozen
class Load:
    """The figures of one run of the generator; `load.c` says what each is.

    Attributes:
        calls: calls that were answered rightly within the measured time.
        seconds: the measured time.
        p50_us, p99_us: from a call's first byte sent to its answer's last byte read.
        sent: the number of calls sent in all, with those of the warm-up.
        wrong: answers with an id or a text that the call does not have.
        missing: calls without an answer.
        cpu_s: the processor time of the generator.
        fault: the first wrong or missing answer in words; None for none.
        command_cpu_s: the processor time of a command on stdio within the measured time, without
            that of its children; None for other transports.
    """

    calls: int
    seconds: float
    p50_us: float
    p99_us: float
    sent: int
    wrong: int
    missing: int
    cpu_s: float
    fault: str | None
    command_cpu_s: float | None = None

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds


def obstacle() -> str | None:
    """Return why the programs cannot be built and run here; None if they can."""
    if sys.platform != "linux":
        return "the load generator needs Linux (epoll)"
    if shutil.which(COMPILER) is None:
        return f"the load generator needs a C compiler as {COMPILER}: install gcc or clang"
    return None


def build(name: Program) -> Path:
    """Return the path of a program, after building it if it is older than its sources.

    Raises:
        LoadError: it cannot be built here, or the compiler refuses the sources.
    """
    program = BUILT / name
    newest_s = max(source.stat().st_mtime for source in SOURCES.glob("*.[ch]"))
    if program.exists() and program.stat().st_mtime >= newest_s:
        return program
    if (why_not := obstacle()) is not None:
        raise LoadError(f"Cannot build {name}.c: {why_not}")
    BUILT.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")
    command = [COMPILER, *_FLAGS, "-o", str(unfinished), str(SOURCES / f"{name}.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LoadError(f"{COMPILER} refused {name}.c:\n{done.stderr}")
    unfinished.rename(program)  # in one step: others may be building it at the same time
    return program


def run_program(
    name: Program, words: Sequence[str], given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with `given` on stdin."""
    command = [str(build(name)), *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def echo_command(*, tools: int = 1, result_bytes: int = 0) -> tuple[str, ...]:
    """Return the command of an MCP server on stdio that costs next to nothing.

    Args:
        tools: the number of tools that it lists. Only the first, `echo`, can be called.
        result_bytes: the least length of its results' text, which it fills up with dots.
    """
    return (str(build("echo")), "--tools", str(tools), "--result-bytes", str(result_bytes))


def http_echo_command(*, result_bytes: int = 0) -> tuple[str, ...]:
    """Return the command of the same server over streamable HTTP."""
    return (str(build("http_echo")), "--result-bytes", str(result_bytes))


def load(
    kind: Kind,
    target: str | Sequence[str],
    *,
    headers: Mapping[str, str] | None = None,
    counts_faults: bool = False,
    **options: str | float | bool,
) -> Load:
    """Run the generator to its end.

    Args:
        kind: the transport.
        target: the URL; for stdio the command to run.
        headers: headers of every request.
        counts_faults: return a load with wrong or missing answers, in place of an error.
        options: those of `options.h`, with `_` for `-`; True for those without a value.

    Raises:
        LoadError: a session could not be opened; or, unless `counts_faults`, an answer was wrong or
            missing.
    """
    words = [kind, *([target] if isinstance(target, str) else []), *_words(options)]
    for name, value in (headers or {}).items():
        words += ["--header", f"{name}: {value}"]
    if not isinstance(target, str):
        words += ["--", *target]
    done = run_program("load", words)
    if done.returncode != 0:
        raise LoadError(f"{done.stderr.strip() or 'load failed'} ({target})")
    figures = figures_in(done.stdout)
    if not counts_faults and (figures.wrong or figures.missing):
        raise LoadError(
            f"{figures.wrong} wrong and {figures.missing} missing answers: {figures.fault} "
            f"({target})"
        )
    if not counts_faults and not figures.calls:
        raise LoadError(f"No call was answered in the measured time; give it more ({target})")
    return figures


def figures_in(line: str) -> Load:
    """Read the line that the generator prints.

    Raises:
        LoadError: it is something else.
    """
    try:
        figures: Any = json.loads(line)
        return Load(**figures)
    except (ValueError, TypeError) as error:
        raise LoadError(f"Not the figures of a load: {line!r}") from error


def _words(options: Mapping[str, str | float | bool]) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not False:
            words += [option, str(value)]
    return words
