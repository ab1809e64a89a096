from __future__ import annotations

import pytest

from benchmarks.search.catalogues import Catalogue, copies

FILES = Catalogue("files", "Files", "Read files. Write them.", [{"name": "read"}, {"name": "a.b"}])
MAPS = Catalogue("maps", "Maps", "", [{"name": "distance"}])


def test_copies_have_other_names_and_as_many_tools_as_are_wanted() -> None:
    found = copies([FILES, MAPS], 7)
    assert [(one.name, len(one.tools)) for one in found] == [
        ("files", 2),
        ("maps", 1),
        ("files-2", 2),
        ("maps-2", 1),
        ("files-3", 1),
    ]


def test_nothing_cannot_be_copied() -> None:
    with pytest.raises(ValueError, match="no tools"):
        copies([], 1)


def test_a_router_is_told_direct_names_and_a_line_about_the_server() -> None:
    command = FILES.index_tools()
    assert (command.row, command.instance, command.summary) == ("files", "files", "Read files.")
    assert [one.key for one in command.offered] == ["read", "a.b"]
    first = next(iter(command.offered))
    assert first.shown == "files__read"
    assert bytes(first.raw) == b'{"name":"read"}'
    assert MAPS.summary == "Maps"
