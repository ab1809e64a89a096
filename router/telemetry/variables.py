"""Reads the `OTEL_*` variables: what to export, how to sample calls, what is wrong.

The names and values are those of the OpenTelemetry specification ("Environment Variable
Specification", "OTLP Exporter Configuration"); the SDK itself reads the ones that are not here,
such as headers, timeouts and the sizes of its batches.

Invariants:

- Nothing is exported unless a variable asks for it.
- A variable that asks for what there is not here is a problem with a way out, and never an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Signal: TypeAlias = Literal["traces", "metrics"]
SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics")

PROTOCOL: Final = "http/protobuf"
"""The one protocol that the extra brings an exporter for."""

INSTALL: Final = "uv tool install --reinstall '.[otel]', in a checkout of mcp-router"


class Sampling(Struct, frozen=True):
    """The rule by which calls are sampled (OpenTelemetry, Tracing SDK, Built-in samplers).

    Attributes:
        ratio: the part of the traces that begin here and are sampled, from 0 to 1.
        is_parent_based: True to follow the client, if it sent a `traceparent`.
    """

    ratio: float = 1.0
    is_parent_based: bool = True


class Variables(Struct, frozen=True):
    """The export that the `OTEL_*` variables ask for.

    Attributes:
        signals: what is to be exported; empty for nothing.
        places: the URLs of the collectors, without what may be secret in them.
        asked_by: the names of the variables that ask for it, for messages.
        sampling: how calls are sampled.
        secrets: values of headers, which no log may show.
        problems: what cannot be done as it is asked for, one line each.
    """

    signals: frozenset[Signal]
    places: Mapping[Signal, str] = {}
    asked_by: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    secrets: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_variables(environ: Mapping[str, str]) -> Variables:
    """Return what these variables ask for; an empty one counts as unset."""
    given = {name: value.strip() for name, value in environ.items() if name.startswith("OTEL_")}
    given = {name: value for name, value in given.items() if value}
    if given.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Variables(frozenset())
    asked = {signal: _asking(given, signal) for signal in SIGNALS}
    problems = [line for signal in SIGNALS for line in _problems(given, signal, asked[signal])]
    possible: frozenset[Signal] = frozenset(
        signal for signal in SIGNALS if _is_possible(given, signal, asked[signal])
    )
    sampling = Sampling()
    if "traces" in possible:
        sampling, more = _sampling(given)
        problems += [*more, *_propagator_problems(given)]
    if possible:
        problems += _header_problems(given)
    asked_by = dict.fromkeys(name for signal in SIGNALS for name in asked[signal])
    # One variable may be wrong for both signals; it is told once.
    return Variables(
        possible,
        {signal: _place(given, signal) for signal in possible},
        tuple(asked_by),
        sampling,
        tuple(_secrets(given)),
        tuple(dict.fromkeys(problems)),
    )


# --- What is asked for -----------------------------------------------------------------------


def _exporters(given: Mapping[str, str], signal: Signal) -> list[str]:
    value = given.get(f"OTEL_{signal.upper()}_EXPORTER", "")
    return [name for part in value.split(",") if (name := part.strip().lower())]


def _asking(given: Mapping[str, str], signal: Signal) -> list[str]:
    """Return the variables that ask for a signal; none if it is not wanted."""
    exporters = _exporters(given, signal)
    if exporters:
        return [] if exporters == ["none"] else [f"OTEL_{signal.upper()}_EXPORTER"]
    return [name for name in _per_signal("ENDPOINT", signal) if name in given]


def _per_signal(name: str, signal: Signal) -> tuple[str, str]:
    """Return the names of a variable of the exporter, the one that wins first."""
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", f"OTEL_EXPORTER_OTLP_{name}"


def _first(given: Mapping[str, str], name: str, signal: Signal) -> tuple[str, str] | None:
    """Return name and value of a variable of the exporter; None if it is not set."""
    found = (one for one in _per_signal(name, signal) if one in given)
    return next(((one, given[one]) for one in found), None)


# --- What is possible ------------------------------------------------------------------------


def _is_possible(given: Mapping[str, str], signal: Signal, asked: list[str]) -> bool:
    return bool(
        asked
        and ("otlp" in (_exporters(given, signal) or ["otlp"]))
        and _protocol_problem(given, signal) is None
        and _endpoint_problem(given, signal) is None
    )


def _problems(given: Mapping[str, str], signal: Signal, asked: list[str]) -> Iterator[str]:
    if not asked:
        return
    for name in _exporters(given, signal):
        if name not in ("otlp", "none"):
            yield f"OTEL_{signal.upper()}_EXPORTER: there is no exporter {name!r} here; use 'otlp'"
    for problem in (_protocol_problem(given, signal), _endpoint_problem(given, signal)):
        if problem is not None:
            yield problem


def _protocol_problem(given: Mapping[str, str], signal: Signal) -> str | None:
    found = _first(given, "PROTOCOL", signal)
    if found is None or found[1].lower() == PROTOCOL:
        return None
    return (
        f"{found[0]}: {found[1]!r} is not supported, so nothing is exported by it; "
        f"set it to '{PROTOCOL}', which collectors take at port 4318"
    )


def _endpoint_problem(given: Mapping[str, str], signal: Signal) -> str | None:
    found = _first(given, "ENDPOINT", signal)
    if found is None:
        return None
    try:
        url = urlsplit(found[1])
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if is_usable:
        return None
    # Not quoted: the URL may hold a password.
    return f"{found[0]}: it is no http or https URL, so nothing is exported; see 'http://host:4318'"


_DEFAULT_ENDPOINT: Final = "http://localhost:4318"


def _place(given: Mapping[str, str], signal: Signal) -> str:
    """Return the endpoint of a signal without user, password and query."""
    found = _first(given, "ENDPOINT", signal)
    url = urlsplit(_DEFAULT_ENDPOINT if found is None else found[1])
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


# --- Sampling --------------------------------------------------------------------------------

_RATIO_SAMPLERS: Final = {"traceidratio": False, "parentbased_traceidratio": True}
"""Sampler -> whether it follows the client."""

_SAMPLERS: Final = {
    "always_on": Sampling(1.0, is_parent_based=False),
    "always_off": Sampling(0.0, is_parent_based=False),
    "parentbased_always_on": Sampling(1.0),
    "parentbased_always_off": Sampling(0.0),
}


def _sampling(given: Mapping[str, str]) -> tuple[Sampling, list[str]]:
    """Return the sampling that is asked for, or the default and what is wrong."""
    name = given.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").lower()
    if name in _SAMPLERS:
        return _SAMPLERS[name], []
    if name not in _RATIO_SAMPLERS:
        known = ", ".join((*_SAMPLERS, *_RATIO_SAMPLERS))
        problem = f"OTEL_TRACES_SAMPLER: there is no sampler {name!r} here, so every call is traced"
        return Sampling(), [f"{problem}; use one of {known}"]
    is_parent_based = _RATIO_SAMPLERS[name]
    argument = given.get("OTEL_TRACES_SAMPLER_ARG", "1")
    ratio = _ratio(argument)
    if ratio is None:
        problem = f"OTEL_TRACES_SAMPLER_ARG: {argument!r} is no number from 0 to 1; 1 is used"
        return Sampling(1.0, is_parent_based), [problem]
    return Sampling(ratio, is_parent_based), []


def _ratio(text: str) -> float | None:
    try:
        ratio = float(text)
    except ValueError:
        return None
    return ratio if 0 <= ratio <= 1 else None


def _propagator_problems(given: Mapping[str, str]) -> list[str]:
    value = given.get("OTEL_PROPAGATORS", "tracecontext")
    if "tracecontext" in [name.strip().lower() for name in value.split(",")]:
        return []
    problem = f"OTEL_PROPAGATORS: {value!r} has no effect: MCP knows 'tracecontext' and 'baggage'"
    return [f"{problem} in '_meta' alone"]


# --- Secrets ---------------------------------------------------------------------------------


def _headers(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each header for collectors, after the name of its variable."""
    for name, value in given.items():
        if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("_HEADERS"):
            yield from ((name, part.strip()) for part in value.split(",") if part.strip())


def _header_problems(given: Mapping[str, str]) -> Iterator[str]:
    for name, header in _headers(given):
        if "=" not in header:
            # Not quoted: it may hold a password.
            yield f"{name}: a header without '=' is not sent; see 'authorization=Bearer%20abc'"


def _secrets(given: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of all headers for collectors, as they are written and as they are sent."""
    for _, header in _headers(given):
        # Where a header has no "=", nobody knows where its value begins: the SDK logs all of it.
        written = header.partition("=")[2].strip() if "=" in header else header
        yield from {written, unquote(written)} - {""}
