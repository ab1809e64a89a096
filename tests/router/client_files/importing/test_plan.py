from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.client_files.importing.instances import PresentInstance, PresentInstances
from router.client_files.importing.itself import OwnAddresses
from router.client_files.importing.plan import Known, plan_import, reached_by
from router.client_files.reading.found import FoundServer
from router.messages.commands import AddInstance, UpdateInstance

if TYPE_CHECKING:
    from router.client_files.importing.plan import Row

URL = "https://x.example"
OWN = OwnAddresses(ports=frozenset({3000}))


def found(
    name: str, client: str = "cursor", problem: str | None = None, **entry: Any
) -> FoundServer:
    entry = entry or {"command": "x"}
    return FoundServer(name, entry, client, Path(f"/{client}"), place=name, problem=problem)


def present(name: str, written: dict[str, Any] | None = None, **entry: Any) -> PresentInstance:
    return PresentInstance(name, entry, written or entry, f"data/{name}/mcp_settings.json")


def plan(
    *servers: FoundServer,
    there: tuple[PresentInstance, ...] = (),
    folders: tuple[str, ...] = (),
    secrets: dict[str, str] | None = None,
    **known: Any,
) -> tuple[Row, ...]:
    values = secrets or {}
    instances = PresentInstances(there, folders)
    return plan_import(servers, Known(instances, values.get, values.keys(), own=OWN, **known))


# --- New servers -----------------------------------------------------------------------------


def test_new_server_is_added_in_a_folder_of_its_name() -> None:
    [row] = plan(found("db"))
    assert (row.state, row.missing, row.secrets) == ("new", (), {})
    assert row.change == AddInstance("db", {"name": "db", "command": "x"})


def test_name_that_no_folder_may_have_gets_a_common_folder() -> None:
    [row] = plan(found("文件"))
    assert row.change == AddInstance("imported", {"name": "文件", "command": "x"})


def test_folder_that_differs_in_case_alone_is_used() -> None:
    [row] = plan(found("GitHub"), folders=("github",))
    assert row.change == AddInstance("github", {"name": "GitHub", "command": "x"})


def test_same_server_of_several_clients_is_one_row() -> None:
    [row] = plan(found("db"), found("db", "vscode"), found("db", "zed"))
    assert [server.client for server in row.servers] == ["cursor", "vscode", "zed"]


def test_same_server_under_another_name_is_said() -> None:
    first, second = plan(found("db"), found("database", "vscode"))
    assert (first.state, second.state) == ("new", "equivalent")
    assert second.reason == "is the same as db"
    assert second.change is None


def test_other_server_of_the_same_name_is_left_out() -> None:
    first, second = plan(found("db"), found("DB", "vscode", command="y"))
    assert (first.state, second.state) == ("new", "left_out")
    assert second.reason.startswith("that of Cursor has this name and is another one")
    assert second.reason.endswith("to take this one, name its file or client")


def test_of_one_file_the_second_server_of_a_name_has_to_be_renamed() -> None:
    _, second = plan(found("db"), found("DB", command="y"))
    assert (second.state, second.reason.rpartition("; ")[2]) == ("left_out", "rename one")


def test_server_that_cannot_be_imported_leaves_its_name_to_the_next() -> None:
    broken, row = plan(found("db", problem="there is no command"), found("db", "vscode"))
    assert (broken.state, broken.reason, broken.change) == ("cannot", "there is no command", None)
    assert row.state == "new"


def test_router_itself_is_skipped() -> None:
    [row] = plan(found("router", url="http://127.0.0.1:3000/mcp"))
    assert (row.state, row.change) == ("itself", None)


def test_name_of_a_profile_cannot_be_taken() -> None:
    [row] = plan(found("work"), profiles=["work"])
    assert row.state == "cannot"
    assert "profile" in row.reason


# --- Instances that are there ----------------------------------------------------------------


def test_same_instance_is_left_alone() -> None:
    [row] = plan(found("db"), there=(present("db", command="x"),))
    assert (row.state, row.change) == ("same", None)


@pytest.mark.parametrize(
    "added", [{"isActive": False}, {"metadata": {"a": 1}}, {"tools": {"deny": ["a"]}}]
)
def test_what_a_user_added_to_an_instance_is_no_difference(added: dict[str, Any]) -> None:
    [row] = plan(found("db"), there=(present("db", command="x", **added),))
    assert row.state == "same"


@pytest.mark.parametrize("added", [{"isActive": False}, {"metadata": {"a": 1}}])
def test_switch_in_a_client_is_no_difference(added: dict[str, Any]) -> None:
    [row] = plan(found("db", command="x", **added), there=(present("db", command="x"),))
    assert row.state == "same"


def test_instance_that_an_other_client_has_is_not_replaced_by_the_first_one() -> None:
    rows = plan(
        found("db"), found("db", "vscode", command="y"), there=(present("db", command="y"),)
    )
    assert [row.state for row in rows] == ["left_out", "same"]


def test_different_server_that_is_there_under_another_name_replaces_nothing() -> None:
    there = (present("a", command="x"), present("b", command="y"))
    [row] = plan(found("b", command="x"), there=there)
    assert (row.state, row.reason) == ("equivalent", "is the same as a")


def test_instance_of_another_name_with_the_same_content_is_said() -> None:
    [row] = plan(found("db"), there=(present("other", command="x"),))
    assert (row.state, row.reason) == ("equivalent", "is the same as other")


def test_different_instance_is_a_change_with_its_differences() -> None:
    there = present("db", command="x", args=["a"], env={"A": "1", "B": "2"})
    [row] = plan(found("db", command="x", args=["b"], env={"A": "1", "C": "3"}), there=(there,))
    assert row.state == "different"
    assert row.change == UpdateInstance("db", {"args": ["b"], "env": {"A": "1", "C": "3"}})
    assert row.differences == (
        '- args: ["a"]',
        '+ args: ["b"]',
        '- env.B: "2"',
        '+ env.C: "3"',
    )


def test_change_of_the_transport_takes_the_old_keys_out() -> None:
    there = present("db", {"type": "stdio", "command": "x"}, command="x", args=["a"])
    [row] = plan(found("db", url="https://x.example"), there=(there,))
    assert row.change == UpdateInstance(
        "db", {"command": None, "args": None, "url": "https://x.example", "type": None}
    )


def test_filter_of_a_client_is_a_difference() -> None:
    [row] = plan(
        found("db", command="x", tools={"deny": ["a"]}), there=(present("db", command="x"),)
    )
    assert row.change == UpdateInstance("db", {"tools": {"deny": ["a"]}})


# --- Secrets ---------------------------------------------------------------------------------


def test_literal_secret_becomes_a_reference() -> None:
    [row] = plan(found("github", command="x", env={"GITHUB_TOKEN": "hunter2", "A": "1"}))
    assert row.secrets == {"GITHUB_TOKEN": "hunter2"}
    assert row.entry["env"] == {"GITHUB_TOKEN": "${secret:GITHUB_TOKEN}", "A": "1"}
    assert row.missing == ()
    assert "hunter2" not in repr(row)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"url": URL, "headers": {"Authorization": "Bearer hunter2"}}, "MY_DB_TOKEN"),
        ({"url": URL, "headers": {"X-Api-Key": "hunter2"}}, "MY_DB_X_API_KEY"),
        ({"command": "x", "env": {"TOKEN": "hunter2"}}, "MY_DB_TOKEN"),
        ({"command": "x", "env": {"dbPassword": "hunter2"}}, "DB_PASSWORD"),
        ({"command": "x", "args": ["--api-key", "hunter2"]}, "MY_DB_API_KEY"),
    ],
)  # fmt: skip
def test_secret_has_a_telling_name(entry: dict[str, Any], name: str) -> None:
    [row] = plan(found("my-db", **entry))
    assert row.secrets == {name: "hunter2"}


def test_same_value_has_one_name_and_another_value_another() -> None:
    rows = plan(
        found("a", command="a", env={"API_TOKEN": "one"}),
        found("b", command="b", env={"API_TOKEN": "one"}),
        found("c", command="c", env={"API_TOKEN": "two"}),
    )
    assert [row.secrets for row in rows] == [
        {"API_TOKEN": "one"},
        {"API_TOKEN": "one"},
        {"C_API_TOKEN": "two"},
    ]


def test_secret_that_is_set_already_is_not_set_again() -> None:
    [row] = plan(found("a", command="a", env={"A_KEY": "one"}), secrets={"A_KEY": "one"})
    assert row.secrets == {}
    assert row.entry["env"] == {"A_KEY": "${secret:A_KEY}"}


def test_secret_of_another_value_is_not_replaced() -> None:
    [row] = plan(found("a", command="a", env={"A_KEY": "new"}), secrets={"A_KEY": "old"})
    assert row.secrets == {"A_A_KEY": "new"}


def test_instance_with_the_reference_is_the_same() -> None:
    there = present("a", command="a", env={"A_KEY": "${secret:OTHER}"})
    [row] = plan(
        found("a", command="a", env={"A_KEY": "one"}), there=(there,), secrets={"OTHER": "one"}
    )
    assert (row.state, row.secrets) == ("same", {})


def test_new_value_of_a_secret_that_nobody_else_uses_takes_its_place() -> None:
    there = present("a", command="a", env={"A_KEY": "${secret:A_KEY}"})
    server = found("a", command="a", env={"A_KEY": "new"})
    [row] = plan(server, there=(there,), secrets={"A_KEY": "old"})
    assert (row.state, row.secrets) == ("different", {"A_KEY": "new"})
    assert row.differences == ('- env.A_KEY: "${secret:A_KEY}"', '+ env.A_KEY: "•••"')


@pytest.mark.parametrize("by", ["instance", "config"])
def test_new_value_of_a_secret_that_others_use_gets_a_name_of_its_own(by: str) -> None:
    there = [present("a", command="a", env={"A_KEY": "${secret:A_KEY}"})]
    if by == "instance":
        there.append(present("b", command="b", args=["${secret:A_KEY}"]))
    [row] = plan(
        found("a", command="a", env={"A_KEY": "new"}),
        there=tuple(there),
        secrets={"A_KEY": "old"},
        used_elsewhere=["A_KEY"] if by == "config" else [],
    )
    assert row.secrets == {"A_A_KEY": "new"}


def test_differences_never_show_a_secret_of_the_store() -> None:
    there = present("a", command="a", args=["${secret:WORD}"], env={"X": "${secret:WORD}"})
    [row] = plan(found("a", command="a", args=["b"]), there=(there,), secrets={"WORD": "plain"})
    assert row.differences
    assert "plain" not in str(row.differences)


def test_secret_in_the_path_of_a_url_is_named_after_its_server() -> None:
    step = "NTc0ZjE5YzYtMmQ1Yy00YzQzLWE0"
    [row] = plan(found("zap", url=f"{URL}/s/{step}/mcp"))
    assert row.entry == {"url": URL + "/s/${secret:ZAP_URL_TOKEN}/mcp"}
    assert row.secrets == {"ZAP_URL_TOKEN": step}


# --- What is missing -------------------------------------------------------------------------


def test_variables_and_secrets_that_are_not_set_are_missing() -> None:
    texts = ["${A}", "${B}", "${C:-x}", "${secret:D}", "${secret:E}", "${userHome}", "${roots.0}"]
    [row] = plan(
        found("x", command="x", args=texts, env={"F": "${B}"}),
        secrets={"E": "1"},
        environ={"A": ""},
    )
    assert row.missing == ("variable B", "secret D")


def test_placeholder_never_gets_the_secret_of_another_server() -> None:
    entry = {"command": "y", "env": {"API_TOKEN": "<TOKEN>"}}
    rows = plan(found("a", command="x", env={"API_TOKEN": "hunter2"}), found("b", **entry))
    assert [row.entry["env"]["API_TOKEN"] for row in rows] == [
        "${secret:API_TOKEN}",
        "${secret:B_API_TOKEN}",
    ]


def test_placeholder_is_a_secret_that_is_missing() -> None:
    [row] = plan(found("x", command="x", env={"API_KEY": "<YOUR_KEY>"}))
    assert row.entry["env"] == {"API_KEY": "${secret:X_API_KEY}"}
    assert (row.missing, row.secrets) == (("secret X_API_KEY",), {})
    there = present("x", command="x", env={"API_KEY": "${secret:X_API_KEY}"})
    for secrets in ({}, {"X_API_KEY": "set by now"}):
        [row] = plan(
            found("x", command="x", env={"API_KEY": "<YOUR_KEY>"}), there=(there,), secrets=secrets
        )
        assert row.state == "same"


def test_server_is_shown_by_its_url_or_its_command_line() -> None:
    assert reached_by({"url": "https://x.example"}) == "https://x.example"
    assert reached_by({"command": "npx", "args": ["-y", "a b"]}) == "npx -y a b"
    assert reached_by({}) == ""


# --- Again -----------------------------------------------------------------------------------

TEXTS = st.sampled_from(
    ["", "x", "${A}", "${secret:A_KEY}", "ghp_abcdefghijklmnopqrstuvwxyz", "<YOUR_KEY>", "hunter2"]
)
TABLES = st.dictionaries(
    st.sampled_from(["A_KEY", "TOKEN", "LOG", "B_PASSWORD"]), TEXTS, max_size=3
)
COMMANDS = st.builds(
    lambda args, env: {"command": "x", "args": args, "env": env},
    st.lists(TEXTS | st.sampled_from(["--token", "--key=v"]), min_size=1, max_size=3),
    TABLES,
)
URLS = st.builds(
    lambda query, headers: {"url": f"https://x.example/mcp?key={query}", "headers": headers},
    st.sampled_from(["abcdef", "1", "<KEY>"]),
    TABLES,
)
SERVERS = st.builds(
    lambda name, entry, client: found(name, client, **entry),
    st.sampled_from(["a", "b", "c-d", "文"]),
    COMMANDS | URLS,
    st.sampled_from(["cursor", "zed"]),
)


@settings(max_examples=60)
@given(st.lists(SERVERS, max_size=5))
def test_after_an_import_there_is_nothing_to_do_for_what_was_added(
    servers: list[FoundServer],
) -> None:
    rows = plan(*servers)
    secrets = {name: value for row in rows for name, value in row.secrets.items()}
    there = tuple(present(row.name, row.entry, **row.entry) for row in rows if row.change)
    again = plan(*servers, there=there, secrets=secrets)
    assert [(row.change, row.secrets) for row in again] == [(None, {})] * len(rows)
    assert "ghp_" not in str([row.entry for row in rows if row.change])
