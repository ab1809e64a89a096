"""Names that some client refuses."""

from __future__ import annotations

from msgspec import Raw

from router.doctor.rules.names import judge
from router.messages.catalog import Catalog, Item, KnownServer
from tests.router.doctor.made_facts import FOUND, facts, lines, settings, spec


def known(*tools: str) -> KnownServer:
    items = tuple(Item(name, Raw(f'{{"name": "{name}"}}'.encode())) for name in tools)
    return KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog(tools=items))


def test_settings_that_make_refused_names_are_found() -> None:
    server = settings(server={"tool_names": "dotted", "name_limit": 64})
    dotted, limit = lines(judge, facts(settings=server))
    assert dotted.startswith("warning config.json: server.tool_names: Claude Desktop, Cursor")
    assert limit.endswith("longer than the 64 that LLM providers take -> set it to 48 or less")


def test_tools_with_refused_names_matter_where_their_server_is_shown_alone() -> None:
    servers = {"files": known("read", "a.b", "x" * 65), "good": known("read_file", "a-b")}
    specs = (spec("files"), spec("good"), spec("never"))
    (line,) = lines(judge, facts(specs=specs, known=servers))
    assert line == (
        f"note files: in the view of files alone, most clients refuse the names a.b, {'x' * 65} -> "
        f'rename them with "tools" in {FOUND}, or use the view "direct"'
    )
    alone = settings(server={"view": "direct"})
    alone = type(alone)(server=type(alone.server)(view="files"))
    (line,) = lines(judge, facts(settings=alone, specs=specs, known=servers))
    assert line.startswith("warning files: ")
