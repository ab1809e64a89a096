"""The list that a client of an `auto` view gets, the reason, and what it changes with."""

from typing import Any

import pytest

from router.core.costs import tool_costs
from router.core.views import list_choice
from router.messages.catalog import Item
from router.messages.commands import Principal, ShowViews
from router.messages.instances.exposure import NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, spec

MANY = tuple(f"tool_{number}" for number in range(40))
FEW_TOKENS = 200
"""More than two tools of the fakes cost, and less than forty."""

AUTO: dict[str, Any] = {"view": "auto", "auto_limit_tokens": FEW_TOKENS}
CLAUDE_CODE = {"name": "claude-code", "version": "2.1.7"}


def enters(talk: Conversation, info: Any = None, **options: Any) -> FakeClient:
    """Open a session, and shake hands."""
    client = talk.client(**options)
    params = {"protocolVersion": "2025-11-25", "capabilities": {}}
    client.asks("initialize", params | ({} if info is None else {"clientInfo": info}))
    client.lists()
    return client


def comes(talk: Conversation, name: str, *tools: str | Item) -> None:
    """Have an instance become ready."""
    talk.starting(name)
    talk.up(name, *tools)


def chosen(talk: Conversation, client: FakeClient) -> tuple[str, str]:
    choice = talk.state.clients[client.id].list_choice
    assert choice is not None
    return choice.kind, choice.reason


def shown(talk: Conversation, **limits: Any) -> list[tuple[Any, ...]]:
    rows = talk.admin_asks(ShowViews(), Principal("admin", **limits)).answer
    return [tuple(row.values()) for row in rows]


# --- The choice ------------------------------------------------------------------------------


def test_a_list_that_costs_little_is_listed_directly() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=("echo", "drop"))
    kind, reason = chosen(talk, enters(talk))
    assert kind == "direct"
    tokens = int(reason.partition(" ")[0])
    assert 20 < tokens < FEW_TOKENS
    assert reason == f"{tokens} of {FEW_TOKENS} tokens"


def test_beyond_the_limit_tools_are_searched() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=MANY)
    assert chosen(talk, enters(talk)) == ("search", "more than 200 tokens")


def test_a_client_that_searches_by_itself_is_listed_all_tools() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=MANY)
    assert chosen(talk, enters(talk, CLAUDE_CODE)) == (
        "direct",
        "claude-code 2.1.7 searches by itself",
    )
    older = CLAUDE_CODE | {"version": "2.1.6"}
    assert chosen(talk, enters(talk, older))[0] == "search"


@pytest.mark.parametrize("view", ["direct", "search"])
def test_in_other_views_there_is_no_choice(view: str) -> None:
    talk = Conversation(**AUTO | {"view": view})
    talk.with_upstreams("a", tools=MANY)
    client = enters(talk)
    row = talk.state.clients[client.id]
    assert row.list_choice is None
    assert list_choice.listed_as(talk.state, row, talk.state.view_of(row)) == view


def test_only_what_the_client_would_be_listed_counts() -> None:
    few = Profile("auto", tools=NameFilter(allow=("a__tool_1?",)))
    none = Profile("auto", instances=("b",))
    talk = Conversation(**AUTO, profiles={"few": few, "none": none, "all": Profile("auto")})
    talk.configured(spec("a"), spec("b"))
    comes(talk, "a", *MANY)
    comes(talk, "b", "echo")
    kinds = {name: chosen(talk, enters(talk, view=name))[0] for name in ("few", "none", "all")}
    assert kinds == {"few": "search", "none": "direct", "all": "search"}
    limited = Principal("limited", instances=frozenset({"b"}))
    assert chosen(talk, enters(talk, principal=limited))[0] == "direct"


def test_the_tools_that_manage_instances_count() -> None:
    talk = Conversation(**AUTO, allow_instance_management=True)
    talk.with_upstreams("a", tools=("echo",))
    assert chosen(talk, enters(talk))[0] == "search"
    talk.configured()
    assert chosen(talk, enters(talk)) == ("search", "more than 200 tokens")


def test_tools_that_there_is_no_time_to_count_are_taken_for_average_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tool_costs, "MAX_BYTES_AT_ONCE", 0)
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=MANY)
    assert chosen(talk, enters(talk))[0] == "search"


# --- When it is made -------------------------------------------------------------------------


def test_direct_is_provisional_while_a_list_is_unknown() -> None:
    talk = Conversation(**AUTO)
    talk.configured(spec("a"), spec("b"))
    client = enters(talk)
    assert chosen(talk, client) == (
        "direct",
        "0 of 200 tokens so far: 2 servers have yet to be listed",
    )
    comes(talk, "a", "echo")
    client.lists()
    assert chosen(talk, client)[1].endswith("so far: a server has yet to be listed")
    client.hears()
    comes(talk, "b", *MANY)
    assert client.hears() == ["notifications/tools/list_changed"]
    client.lists()
    assert chosen(talk, client) == ("search", "more than 200 tokens")


def test_nothing_is_chosen_before_the_instances_are_known() -> None:
    talk = Conversation(**AUTO)
    client = talk.client()
    answer = client.asks("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}})
    assert "If they are not listed, mcp.router.search finds them." in answer.result["instructions"]
    assert (talk.logged, shown(talk)) == ([], [])
    talk.with_upstreams("a", tools=MANY)
    client.lists()
    assert chosen(talk, client) == ("search", "more than 200 tokens")


@pytest.mark.parametrize(("tools", "is_open"), [(("echo",), True), (MANY, False)])
def test_instructions_say_whether_the_choice_is_open(
    tools: tuple[str, ...], *, is_open: bool
) -> None:
    talk = Conversation(**AUTO)
    talk.configured(spec("a"), spec("late"))
    comes(talk, "a", *tools)
    answer = talk.client().asks("initialize", {"protocolVersion": "2025-11-25"})
    assert ("If they are not listed" in answer.result["instructions"]) is is_open


def test_a_choice_that_was_made_with_all_lists_stays() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=("echo",))
    before = enters(talk)
    talk.configured(spec("a"), spec("b"))
    comes(talk, "b", *MANY)
    before.lists()
    assert chosen(talk, before)[0] == "direct"
    assert chosen(talk, enters(talk))[0] == "search"


def test_search_stays_when_the_list_becomes_short() -> None:
    talk = Conversation(**AUTO)
    talk.configured(spec("a"), spec("b"))
    comes(talk, "a", *MANY)
    client = enters(talk)
    assert chosen(talk, client)[0] == "search"
    talk.configured(spec("b"))
    client.lists()
    assert chosen(talk, client)[0] == "search"
    assert chosen(talk, enters(talk))[0] == "direct"


def test_another_limit_is_for_later_sessions_and_for_choices_that_are_not_final() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=("echo",))
    settled = enters(talk)
    talk.configured(spec("a"), spec("late"))
    waiting = enters(talk)
    talk.settings_change(**AUTO | {"auto_limit_tokens": 1})
    for client in (settled, waiting):
        client.lists()
    assert chosen(talk, settled)[0] == "direct"
    assert chosen(talk, waiting) == ("search", "more than 1 tokens")
    assert chosen(talk, enters(talk))[0] == "search"


def test_another_kind_of_view_holds_at_once() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=MANY)
    client = enters(talk)
    assert len(shown(talk)) == 1
    talk.settings_change(view="direct")
    assert client.lists() == [f"a__{name}" for name in MANY]
    assert shown(talk) == []


def test_a_request_without_a_session_has_its_own_choice_and_a_call_none() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=("echo",))
    client = talk.stateless_client()
    call = client.calls("a__echo")
    assert call.is_waiting
    assert shown(talk) == []
    client.lists()
    ((place, called, kind, _, sessions),) = shown(talk)
    assert (place, kind, sessions) == (None, "direct", 0)
    assert called
    talk.settings_change(**AUTO | {"auto_limit_tokens": 1})
    client.lists()
    assert [row[2] for row in shown(talk)] == ["search"]


# --- What is told of it ----------------------------------------------------------------------


def test_a_client_that_has_not_said_who_it_is_has_no_choice_yet() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=("echo",))
    client = talk.client()
    assert client.lists() == ["a__echo"]
    assert talk.state.clients[client.id].list_choice is None
    assert shown(talk) == []


def test_each_choice_is_logged_once() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=MANY)
    talk.logged.clear()
    client = enters(talk, {"name": "odd\nname", "version": "1"})
    client.lists()
    assert talk.logged == ["odd name 1, at the default view: search: more than 200 tokens"]
    talk.logged.clear()
    lone = talk.stateless_client()
    lone.lists()
    lone.lists()
    assert len(talk.logged) == 1


def test_equal_choices_are_one_row_with_the_number_of_their_sessions() -> None:
    talk = Conversation(**AUTO, profiles={"work": Profile("auto")})
    talk.with_upstreams("a", tools=MANY)
    for _ in range(2):
        enters(talk, CLAUDE_CODE)
    gone = enters(talk)
    enters(talk, view="work")
    searches, direct = "more than 200 tokens", "claude-code 2.1.7 searches by itself"
    assert shown(talk) == [
        (None, "claude-code 2.1.7", "direct", direct, 2),
        (None, list_choice.NO_NAME, "search", searches, 1),
        ("work", list_choice.NO_NAME, "search", searches, 1),
    ]
    gone.leaves()
    assert len(shown(talk)) == 2


def test_a_principal_with_limits_is_told_of_its_own_sessions() -> None:
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=MANY)
    enters(talk, CLAUDE_CODE)
    limits: dict[str, Any] = {"instances": frozenset({"a"})}
    enters(talk, principal=Principal("mine", **limits))
    told = talk.admin_asks(ShowViews(), Principal("mine", **limits)).answer
    assert [row["client"] for row in told] == [list_choice.NO_NAME]
    assert len(shown(talk)) == 2
    talk.stateless_client(principal=Principal("another")).lists()
    assert talk.admin_asks(ShowViews(), Principal("mine", **limits)).answer == told


def test_what_is_kept_of_clients_without_sessions_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(list_choice, "MAX_LONE", 3)
    monkeypatch.setattr(list_choice, "MAX_SHOWN", 2)
    talk = Conversation(**AUTO)
    talk.with_upstreams("a", tools=MANY)
    for number in range(5):
        talk.stateless_client(principal=Principal(f"p{number}")).lists()
    assert [key[2] for key in talk.state.lone_choices] == ["p2", "p3", "p4"]
    assert len(shown(talk)) <= 2
