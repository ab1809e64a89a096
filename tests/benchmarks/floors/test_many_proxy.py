"""The floor in front of many servers: each call reaches the server that it names."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from benchmarks.client import Client
from benchmarks.native import native
from benchmarks.native.native import echo_command
from benchmarks.proxies.many import ManyFloor
from benchmarks.proxies.proxy import Upstream

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(native.obstacle() is not None, reason=str(native.obstacle())),
]


def test_each_server_answers_the_calls_that_name_it(tmp_path: Path) -> None:
    short, long = (
        Upstream(name, echo_command(result_bytes=size)) for name, size in (("a", 5), ("b", 50))
    )
    floor = ManyFloor("byte proxy")
    with (
        floor.serve("http", [short, long], tmp_path) as running,
        closing(Client(running)) as client,
    ):
        client.open_session()
        lengths = [
            len(client.text_of(*floor.called_over_stdio([one]), "text")) for one in (short, long)
        ]
    assert lengths == [5, 50]


def test_floor_serves_http_alone(tmp_path: Path) -> None:
    floor = ManyFloor("byte proxy")
    with pytest.raises(ValueError, match="sse"), floor.serve("sse", [], tmp_path):
        pass
    with pytest.raises(ValueError, match="stdio"):
        floor.command([], tmp_path)
