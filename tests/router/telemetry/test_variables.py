"""The `OTEL_*` variables: what they ask for, and what is said of those that cannot be obeyed."""

import pytest

from router.telemetry.variables import Sampling, Variables, read_variables

URL = "http://127.0.0.1:4318"
BOTH = frozenset({"traces", "metrics"})


def read(**variables: str) -> Variables:
    return read_variables({f"OTEL_{name}": value for name, value in variables.items()})


def test_nothing_is_exported_unless_a_variable_asks_for_it() -> None:
    assert read_variables({"PATH": "/bin"}) == Variables(frozenset())
    assert read(SERVICE_NAME="x", BSP_SCHEDULE_DELAY="1").signals == frozenset()


@pytest.mark.parametrize(
    ("variables", "signals"),
    [
        ({"EXPORTER_OTLP_ENDPOINT": URL}, BOTH),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": URL}, {"traces"}),
        ({"EXPORTER_OTLP_METRICS_ENDPOINT": URL}, {"metrics"}),
        ({"TRACES_EXPORTER": "otlp"}, {"traces"}),
        ({"METRICS_EXPORTER": " OTLP "}, {"metrics"}),
        ({"EXPORTER_OTLP_ENDPOINT": URL, "TRACES_EXPORTER": "none"}, {"metrics"}),
        ({"EXPORTER_OTLP_ENDPOINT": URL, "METRICS_EXPORTER": "none"}, {"traces"}),
        ({"EXPORTER_OTLP_ENDPOINT": URL, "TRACES_EXPORTER": ""}, BOTH),
        ({"EXPORTER_OTLP_ENDPOINT": ""}, set()),
        ({"EXPORTER_OTLP_ENDPOINT": URL, "SDK_DISABLED": "True"}, set()),
        ({"EXPORTER_OTLP_ENDPOINT": URL, "SDK_DISABLED": "false"}, BOTH),
    ],
)
def test_signals_are_exported_that_are_asked_for(
    variables: dict[str, str], signals: set[str]
) -> None:
    found = read(**variables)
    assert (found.signals, found.problems) == (signals, ())


def test_the_variables_that_ask_are_named() -> None:
    found = read(EXPORTER_OTLP_ENDPOINT=URL, METRICS_EXPORTER="otlp")
    assert found.asked_by == ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_METRICS_EXPORTER")


# --- What cannot be done ---------------------------------------------------------------------


def test_other_protocols_are_refused_with_the_one_that_works() -> None:
    found = read(EXPORTER_OTLP_ENDPOINT=URL, EXPORTER_OTLP_PROTOCOL="grpc")
    (problem,) = found.problems
    assert problem.startswith("OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' is not supported")
    assert "'http/protobuf'" in problem
    assert "4318" in problem
    assert found.signals == frozenset()


def test_the_protocol_of_a_signal_wins() -> None:
    found = read(
        EXPORTER_OTLP_ENDPOINT=URL,
        EXPORTER_OTLP_PROTOCOL="grpc",
        EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
    )
    assert found.signals == {"traces"}
    assert len(found.problems) == 1


def test_the_protocol_of_what_nobody_wants_is_no_problem() -> None:
    assert read(EXPORTER_OTLP_PROTOCOL="grpc").problems == ()


@pytest.mark.parametrize("url", ["collector:4318", "grpc://c:4317", "http://", "http://h:x", "h"])
def test_an_endpoint_that_is_no_url_is_a_problem_and_is_not_quoted(url: str) -> None:
    found = read(EXPORTER_OTLP_ENDPOINT=url)
    (problem,) = found.problems
    assert problem.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: it is no http or https URL")
    assert found.signals == frozenset()


def test_exporters_that_are_not_here_are_named() -> None:
    found = read(TRACES_EXPORTER="console,otlp", METRICS_EXPORTER="prometheus")
    assert found.problems == (
        "OTEL_TRACES_EXPORTER: there is no exporter 'console' here; use 'otlp'",
        "OTEL_METRICS_EXPORTER: there is no exporter 'prometheus' here; use 'otlp'",
    )
    assert found.signals == {"traces"}


def test_propagators_without_trace_context_are_a_problem() -> None:
    (problem,) = read(TRACES_EXPORTER="otlp", PROPAGATORS="b3").problems
    assert problem.startswith("OTEL_PROPAGATORS: 'b3' has no effect")
    assert read(TRACES_EXPORTER="otlp", PROPAGATORS="b3, tracecontext").problems == ()


# --- Sampling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampler", "argument", "sampling"),
    [
        ("", "", Sampling(1.0, is_parent_based=True)),
        ("always_on", "", Sampling(1.0, is_parent_based=False)),
        ("always_off", "", Sampling(0.0, is_parent_based=False)),
        ("parentbased_always_on", "0.1", Sampling(1.0, is_parent_based=True)),
        ("parentbased_always_off", "", Sampling(0.0, is_parent_based=True)),
        ("traceidratio", "0.25", Sampling(0.25, is_parent_based=False)),
        ("ParentBased_TraceIdRatio", "1e-3", Sampling(0.001, is_parent_based=True)),
        ("traceidratio", "", Sampling(1.0, is_parent_based=False)),
    ],
)
def test_samplers_of_the_specification_are_known(
    sampler: str, argument: str, sampling: Sampling
) -> None:
    found = read(TRACES_EXPORTER="otlp", TRACES_SAMPLER=sampler, TRACES_SAMPLER_ARG=argument)
    assert (found.sampling, found.problems) == (sampling, ())


def test_an_unknown_sampler_is_named_with_those_that_there_are() -> None:
    found = read(TRACES_EXPORTER="otlp", TRACES_SAMPLER="xray")
    assert found.sampling == Sampling()
    (problem,) = found.problems
    assert problem.startswith("OTEL_TRACES_SAMPLER: there is no sampler 'xray' here")
    assert problem.endswith("traceidratio, parentbased_traceidratio")


@pytest.mark.parametrize("argument", ["2", "-0.1", "nan", "half"])
def test_a_ratio_that_is_none_is_named(argument: str) -> None:
    found = read(TRACES_EXPORTER="otlp", TRACES_SAMPLER="traceidratio", TRACES_SAMPLER_ARG=argument)
    assert found.sampling == Sampling(1.0, is_parent_based=False)
    assert found.problems == (
        f"OTEL_TRACES_SAMPLER_ARG: '{argument}' is no number from 0 to 1; 1 is used",
    )


# --- Secrets ---------------------------------------------------------------------------------


def test_values_of_headers_are_secret_as_written_and_as_sent() -> None:
    found = read(
        EXPORTER_OTLP_ENDPOINT=URL,
        EXPORTER_OTLP_HEADERS="authorization=Basic%20abc, x-key=k1",
        EXPORTER_OTLP_TRACES_HEADERS="x-key=k2,",
    )
    assert set(found.secrets) == {"Basic%20abc", "Basic abc", "k1", "k2"}


def test_header_without_an_equals_sign_is_a_problem_and_a_secret_as_a_whole() -> None:
    found = read(
        EXPORTER_OTLP_ENDPOINT=URL, EXPORTER_OTLP_HEADERS="authorization: Bearer abc, x-key=k1"
    )
    assert set(found.secrets) == {"authorization: Bearer abc", "k1"}
    (problem,) = found.problems
    assert problem.startswith("OTEL_EXPORTER_OTLP_HEADERS: a header without '=' is not sent")
    assert "abc" not in problem.partition(";")[0]
