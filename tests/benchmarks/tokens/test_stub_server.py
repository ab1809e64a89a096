from __future__ import annotations

import json

from benchmarks.search.catalogues import Catalogue
from benchmarks.tokens.stub_server import stub_server
from tests.e2e.raw_client import HttpClient

FILES = Catalogue("files", "Files", "Read files.", [{"name": "read"}])
MAPS = Catalogue("maps", "", "", [{"name": "distance"}])


def test_each_path_lists_what_its_server_listed_and_calls_are_refused() -> None:
    with stub_server([FILES, MAPS]) as urls:
        for one in (FILES, MAPS):
            client = HttpClient(urls[one.name])
            client.initialize()
            _, body = client.post({"id": 1, "method": "tools/list"})
            assert json.loads(body)["result"]["tools"] == one.tools
            _, body = client.post({"id": 2, "method": "tools/call", "params": {}})
            assert json.loads(body)["error"]["message"] == "This server only lists its tools"
            assert client.delete() == 405
            client.close()


def test_a_server_says_of_itself_what_it_said() -> None:
    hello = {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
    with stub_server([FILES]) as urls:
        client = HttpClient(urls["files"])
        result = json.loads(client.post(hello)[1])["result"]
        client.close()
    assert result["instructions"] == "Read files."
    assert result["serverInfo"]["title"] == "Files"
