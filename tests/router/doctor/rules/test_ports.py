"""Ports that another process holds."""

from __future__ import annotations

from router.doctor.facts import PortOwner, Process, Running
from router.doctor.rules.ports import judge, wanted_ports
from tests.router.doctor.made_facts import facts, lines, settings

NODE = PortOwner(3000, 12, ("node", "server.js"))


def test_port_of_another_process_is_named_with_its_owner() -> None:
    assert lines(judge, facts(owners=(NODE, PortOwner(9, 1)))) == [
        "warning server.http.port: process 12 (node server.js) holds port 3000 -> end process 12, "
        "or set server.http.port to another, or server.http.auto_find_port to true"
    ]
    (line,) = lines(judge, facts(owners=(PortOwner(3001),)))
    assert line.startswith("warning server.sse.port: another process holds port 3001 -> end it, or")


def test_port_of_a_router_is_no_finding() -> None:
    assert lines(judge, facts(owners=(NODE,), processes=(Process(12),))) == []


def test_owner_that_is_not_known_is_taken_for_the_router_that_runs() -> None:
    unknown = (PortOwner(3000),)
    assert lines(judge, facts(owners=unknown, processes=(Process(7),))) == []
    assert lines(judge, facts(owners=unknown, running=Running("http://x:8001", "2.0.0"))) == []


def test_listener_that_looks_further_needs_nothing() -> None:
    moving = settings(server={"http": {"auto_find_port": True}})
    (line,) = lines(judge, facts(settings=moving, owners=(NODE,)))
    assert line.startswith("note server.http.port: ")


def test_api_counts_where_it_is_enabled_and_any_port_never() -> None:
    assert wanted_ports(settings(server={"sse": {"port": 0}})) == (3000,)
    assert wanted_ports(settings(api={"enabled": True})) == (3000, 3001, 8001)


def test_port_of_a_listener_that_may_not_be_wanted_is_a_note() -> None:
    sse = (PortOwner(3001, 12),)
    http_alone = settings(server={"transport_type": "http"})
    (line,) = lines(judge, facts(settings=http_alone, owners=sse))
    assert line.startswith("note server.sse.port: process 12 holds port 3001 -> none is needed")
    (line,) = lines(judge, facts(owners=sse, running=Running("http://x:8001", "2.0.0")))
    assert line.startswith("note server.sse.port: ")
    (line,) = lines(judge, facts(settings=http_alone, owners=(NODE,)))
    assert line.startswith("warning server.http.port: ")
