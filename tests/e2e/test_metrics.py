"""The numbers of a real router for Prometheus, and the dashboard, alerts and table about them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from tests.e2e.rest_client import RestClient, configure_rest, rest_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

ROOT: Final = Path(__file__).parents[2]
GRAFANA: Final = ROOT / "deploy" / "grafana"


@attrs.frozen
class Watched:
    """A router that has done something, and its answer to Prometheus after that.

    Attributes:
        client: asks the router.
        families: the metrics in the answer, by name.
        labels: name of a sample -> the labels that it has in some series.
    """

    client: RestClient
    families: dict[str, Metric]
    labels: dict[str, set[str]]

    def value(self, sample: str, **labels: str) -> float:
        (found,) = [
            one.value
            for family in self.families.values()
            for one in family.samples
            if one.name == sample and labels.items() <= one.labels.items()
        ]
        return found

    def labels_of(self, samples: set[str]) -> set[str]:
        """Return the labels that any of these samples has."""
        return set[str]().union(*(self.labels[name] for name in samples))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    workspace = Workspace(tmp_path_factory.mktemp("metrics"))
    configure_rest(workspace, logging={"audit": True})
    workspace.add_chaos("plain").add_command("off", "true", isActive=False)
    with rest_router(workspace) as (router, client):
        router.stderr.wait_for("plain is ready")
        assert client.call("echo", text="x").status == 200
        assert client.call("refuse").status == 400
        assert client.call("echo", "off").status == 503
        assert client.ask("GET", "/metrics").status == 200  # begins to measure the lag
        answer = client.ask("GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {one.name: one for one in plain_text(answer.body.decode())}
        labels: dict[str, set[str]] = {}
        for family in families.values():
            for sample in family.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)
        yield Watched(client, families, labels)


# --- The answer ------------------------------------------------------------------------------


def test_calls_and_instances_are_counted(watched: Watched) -> None:
    calls = "mcp_router_calls_total"
    of_plain: Any = {"mcp_instance": "plain", "method": "tools/call"}
    assert watched.value(calls, **of_plain, outcome="ok") == 1
    assert watched.value(calls, **of_plain, outcome="error") == 1
    assert watched.value(calls, mcp_instance="off", outcome="error", code="-32013") == 1
    bucket = "mcp_router_call_duration_seconds_bucket"
    assert watched.value(bucket, **of_plain, le="+Inf") == 2
    assert watched.value("mcp_router_instance_state", mcp_instance="off", state="disabled") == 1
    assert watched.value("mcp_router_instance_sessions", mcp_instance="plain") == 1
    assert watched.value("mcp_router_connections_accepted_total", listener="api") >= 4
    assert watched.value("mcp_router_actor_events_total") > 0


def test_a_token_is_needed(watched: Watched) -> None:
    assert attrs.evolve(watched.client, token=None).ask("GET", "/metrics").status == 401


def test_whoever_asks_for_openmetrics_gets_it(watched: Watched) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = watched.client.ask("GET", "/metrics", Accept=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in openmetrics(answer.body.decode())}
    assert {"mcp_router_calls", "mcp_router_call_duration_seconds"} <= names
    assert all(name.startswith(("mcp_router", "process_")) for name in names)


def test_every_metric_has_a_help_text_and_its_unit_in_its_name(watched: Watched) -> None:
    for name, family in watched.families.items():
        assert family.documentation, name
        if family.type == "histogram":
            assert name.endswith("_seconds")


def test_a_removed_instance_is_gone(watched: Watched) -> None:
    watched.client.ask("DELETE", "/api/instances/off")
    text = watched.client.ask("GET", "/metrics").body.decode()
    assert 'mcp_instance="plain"' in text
    assert 'mcp_instance="off"' not in text


# --- What speaks of it -----------------------------------------------------------------------

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RANGE: Final = re.compile(r"\[[^\]]*\]")
_BRACES: Final = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*\{([^}]*)\}")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_FUNCTION: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\s*(?=\()")
_KEYWORDS: Final = {"and", "or", "unless", "bool"}
_OF_PROMETHEUS: Final = {"job", "instance"}
"""Labels that Prometheus adds to every series."""


def metrics_in(expr: str) -> dict[str, set[str]]:
    """Return the samples that a PromQL expression reads, each with the labels that it selects by.

    The labels that it groups by count for all of them, but `le`, which a function takes away.
    """
    bare = _RANGE.sub("", _STRING.sub('""', expr))
    selected = {name: set(_WORD.findall(inner)) for name, inner in _BRACES.findall(bare)}
    grouped = {label for inner in _GROUPING.findall(bare) for label in _WORD.findall(inner)}
    rest = _FUNCTION.sub("", _GROUPING.sub("", _BRACES.sub(r"\1", bare)))
    names = set(_WORD.findall(rest)) - _KEYWORDS
    return {name: selected.get(name, set()) | grouped for name in names}


def check_expression(watched: Watched, expr: str) -> set[str]:
    """Check that everything in an expression is served; return the samples that it reads."""
    found = metrics_in(expr)
    assert found, expr
    for name, labels in found.items():
        assert name in watched.labels, f"{name} is not served: {expr}"
        unknown = labels - watched.labels[name] - _OF_PROMETHEUS
        assert not unknown, (expr, unknown)
    return set(found)


def test_what_reads_expressions_finds_names_and_labels() -> None:
    assert metrics_in('sum by (a, le) (rate(x_total{b="{c}",d=~"$e"}[5m])) / y > 0.5 and z') == {
        "x_total": {"a", "b", "d", "le"},
        "y": {"a", "le"},
        "z": {"a", "le"},
    }


def test_the_dashboard_shows_what_there_is(watched: Watched) -> None:
    dashboard = json.loads((GRAFANA / "mcp-router.json").read_bytes())
    assert dashboard["schemaVersion"] == 39  # Grafana 11
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    shown: set[str] = set()
    for target in (target for panel in panels for target in panel["targets"]):
        read = check_expression(watched, target["expr"])
        legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert legend <= watched.labels_of(read), target
        shown |= read
    assert all(panel["targets"] for panel in panels)
    (variable,) = [one for one in dashboard["templating"]["list"] if one["type"] == "query"]
    query = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
    assert query is not None
    assert query[2] in watched.labels[query[1]]
    for name in watched.families:
        assert any(one.startswith(name) for one in shown) or not name.startswith("mcp_"), name


def test_the_alerts_ask_for_what_there_is(watched: Watched) -> None:
    # JSON is YAML (YAML 1.2 section 1.3), and needs no library here.
    (group,) = json.loads((GRAFANA / "alerts.yaml").read_bytes())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)
    for rule in group["rules"]:
        read = check_expression(watched, rule["expr"])
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert named <= watched.labels_of(read) | _OF_PROMETHEUS, rule


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_a_router_that_is_missing_is_one_alert(tmp_path: Path) -> None:
    gone = {"series": _INFO.format(instance="gone"), "values": "1x10 stale"}
    alive = {"series": _INFO.format(instance="alive"), "values": "1x60"}
    its_labels = {"job": "routers", "instance": "gone"}
    cases = [([gone], {}), ([gone, alive], its_labels)]
    rules = {
        "rule_files": [str(GRAFANA / "alerts.yaml")],
        "tests": [
            {"interval": "1m", "input_series": series, "alert_rule_test": _missing(labels)}
            for series, labels in cases
        ],
    }
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps(rules))  # JSON is YAML
    words = ["promtool", "test", "rules", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


_INFO: Final = 'mcp_router_info{{job="routers",instance="{instance}"}}'


def _missing(labels: dict[str, str]) -> list[dict[str, Any]]:
    """Return what promtool expects: nothing at first, and one alert once a router is gone."""
    (group,) = json.loads((GRAFANA / "alerts.yaml").read_text())["groups"]
    rule = next(one for one in group["rules"] if one["alert"] == "McpRouterMissing")
    alert = {"exp_labels": rule["labels"] | labels, "exp_annotations": rule["annotations"]}
    about = {"alertname": "McpRouterMissing"}
    return [
        about | {"eval_time": "5m", "exp_alerts": []},
        about | {"eval_time": "20m", "exp_alerts": [alert]},
    ]


def test_the_table_in_the_docs_is_what_there_is(watched: Watched) -> None:
    text = (ROOT / "docs" / "deploy.md").read_text()
    section = text.partition("\n## Metrics and alerts\n")[2].partition("\n## ")[0]
    row = re.compile(r"^\| `(mcp_router\w*)` \| (\w+) \|([^|]*)\| [^|]+ \|$", re.MULTILINE)
    rows = row.findall(section)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    served: dict[str, tuple[str, set[str]]] = {}
    for name, family in watched.families.items():
        if name.startswith("mcp_router"):
            labels = watched.labels_of({one.name for one in family.samples}) - {"le"}
            shown = name + "_total" if family.type == "counter" else name
            served[shown] = (family.type, labels)
    assert told == served
