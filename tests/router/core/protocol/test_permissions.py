"""The permissions of a principal, as a check and as its clients meet them."""

import pytest

from router.core.protocol.permissions import check_may, check_may_name
from router.messages.commands import Permission, Principal
from router.messages.errors import NOT_ALLOWED, RpcError
from tests.router.core.conversation import Conversation, ready

READER = Principal("viewer", frozenset({"read"}))
ANYBODY = Principal("", frozenset({"read", "call"}))


def test_one_of_the_permissions_is_enough() -> None:
    check_may(READER, "read")
    check_may(READER, "call", "read")
    check_may(Principal(), "admin")


@pytest.mark.parametrize(
    ("principal", "needed", "message"),
    [
        (READER, ["call"], "This needs the permission 'call', which 'viewer' does not have"),
        (
            READER,
            ["call", "admin"],
            "This needs the permission 'call' or 'admin', which 'viewer' does not have",
        ),
        (
            ANYBODY,
            ["admin"],
            "Changing instances needs a token with the admin permission; "
            "set security.bearer_token in config.json",
        ),
    ],
)
def test_the_refusal_names_the_missing_permissions(
    principal: Principal, needed: list[Permission], message: str
) -> None:
    with pytest.raises(RpcError) as caught:
        check_may(principal, *needed)
    assert (caught.value.code, caught.value.message) == (NOT_ALLOWED, message)
    assert caught.value.string_code == "SECURITY_ERROR"


def test_only_names_among_its_own_instances_may_be_given() -> None:
    check_may_name(Principal(), "x")
    limited = Principal("t", instances=frozenset({"a"}))
    check_may_name(limited, "a")
    with pytest.raises(RpcError, match="'x' is not among the instances of this token"):
        check_may_name(limited, "x")


# --- Clients ---------------------------------------------------------------------------------

CALLER = Principal("caller", frozenset({"call"}))
LIMITED = Principal("limited", instances=frozenset({"b"}))


def test_the_call_permission_lets_a_client_list_and_select() -> None:
    talk, _, upstream = ready()
    caller = talk.client(principal=CALLER)
    assert [row["name"] for row in caller.calls("mcp.router.list").text] == ["a"]
    assert list(caller.calls("mcp.router.help").text) == ["a"]
    assert caller.uses().text["tools"] == ["echo"]
    caller.calls("echo")
    caller.routes("echo")
    assert len(upstream.sees()) == 2


def test_the_read_permission_lets_a_client_call_nothing() -> None:
    talk, _, upstream = ready()
    reader = talk.client(principal=READER)
    assert [row["name"] for row in reader.calls("mcp.router.list").text] == ["a"]
    assert list(reader.calls("mcp.router.help").text) == ["a"]
    assert reader.uses().text["tools"] == ["echo"]
    message = "This needs the permission 'call', which 'viewer' does not have"
    assert reader.routes("echo").tool_error == ("SECURITY_ERROR", message)
    assert reader.calls("echo").error == {"code": -32016, "message": message}
    assert upstream.sees() == []


def test_without_permissions_a_client_lists_nothing() -> None:
    talk, _, _ = ready()
    outsider = talk.client(principal=Principal("outsider", frozenset()))
    for tool in ("list", "help"):
        assert outsider.calls(f"mcp.router.{tool}").tool_error[0] == "SECURITY_ERROR"
    assert outsider.uses().tool_error[0] == "SECURITY_ERROR"


def test_a_client_sees_and_reaches_the_instances_of_its_principal_only() -> None:
    talk = Conversation()
    a, b = talk.with_upstreams("a", "b")
    limited = talk.client(principal=LIMITED)
    assert [row["name"] for row in limited.calls("mcp.router.list").text] == ["b"]
    assert list(limited.calls("mcp.router.help").text) == ["b"]
    unknown = ("INSTANCE_NOT_FOUND", "Instance not found: a. Available instances: 'b'")
    assert limited.uses("a").tool_error == unknown
    assert limited.routes("echo", "a").tool_error == unknown
    limited.uses("acme")
    limited.calls("echo")
    assert a.sees() == []
    assert b.sees_one()["params"]["name"] == "echo"
