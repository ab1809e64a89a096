"""The `params` of a message: read lazily, each part once."""

import pytest
from msgspec import Raw

from router.messages.errors import RpcError
from router.messages.frames import NO_RAW
from router.messages.params import Params, given, object_of


def test_message_without_params_has_neither_members_nor_meta() -> None:
    assert (Params().members, Params().meta) == ({}, {})


def test_members_are_raw_and_in_order() -> None:
    params = Params(Raw(b'{"b": [1.50], "a":"x"}'))
    assert list(params.members.items()) == [("b", Raw(b"[1.50]")), ("a", Raw(b'"x"'))]


def test_each_part_is_decoded_once() -> None:
    params = Params(Raw(b'{"_meta":{"k":1}}'))
    assert params.members is params.members
    assert params.meta is params.meta
    assert params.meta == {"k": Raw(b"1")}


@pytest.mark.parametrize("raw", [b"{}", b'{"_meta":null}', b'{"_meta":{}}'])
def test_meta_that_is_absent_null_or_empty_has_no_members(raw: bytes) -> None:
    assert Params(Raw(raw)).meta == {}


def test_last_of_duplicate_keys_counts() -> None:
    params = Params(Raw(b'{"a":1,"_meta":{"k":1},"a":2,"_meta":{"k":2,"k":3}}'))
    assert (params.members["a"], params.meta["k"]) == (Raw(b"2"), Raw(b"3"))


def test_params_that_are_no_object_are_refused_when_they_are_read() -> None:
    params = Params(Raw(b"[]"))
    for _ in range(2):
        with pytest.raises(RpcError, match="params must be an object") as caught:
            _ = params.meta
        assert caught.value.code == -32602


@pytest.mark.parametrize("meta", [b"[]", b"5", b'"x"'])
def test_meta_that_is_no_object_leaves_the_members_readable(meta: bytes) -> None:
    params = Params(Raw(b'{"_meta":%b,"a":1}' % meta))
    with pytest.raises(RpcError, match=r"params\._meta must be an object"):
        _ = params.meta
    assert params.members["a"] == Raw(b"1")


def test_params_that_nest_too_deeply_are_refused() -> None:
    params = Params(Raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))
    with pytest.raises(RpcError, match="params must be an object"):
        _ = params.members


def test_params_of_the_routers_own_requests_are_never_encoded() -> None:
    members = {"name": Raw(b'"echo"')}
    params = Params.from_members(members)
    assert (params.members, params.meta) == (members, {})


# --- Objects and their members ---------------------------------------------------------------


def refused(call: object, *args: object) -> str:
    assert callable(call)
    with pytest.raises(RpcError) as caught:
        call(*args)
    assert caught.value.code == -32602
    return caught.value.message


def test_the_members_of_an_object_keep_their_order_and_their_bytes() -> None:
    members = object_of(Raw(b'{"b": 1.50, "a" :{"x" : 1}}'))
    assert [(key, bytes(value)) for key, value in members.items()] == [
        ("b", b"1.50"),
        ("a", b'{"x" : 1}'),
    ]


@pytest.mark.parametrize("absent", [None, NO_RAW])
def test_an_absent_object_has_no_members(absent: Raw | None) -> None:
    assert object_of(absent) == {}


@pytest.mark.parametrize("data", [b"[]", b"5", b"null", b'"x"', b"{", b"[" * 9999])
def test_other_json_than_an_object_is_refused(data: bytes) -> None:
    assert refused(object_of, Raw(data), "params.x") == "params.x must be an object"


def test_an_object_nested_too_deeply_is_refused() -> None:
    deep = Raw(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert refused(object_of, deep) == "params must be an object"


def test_null_counts_as_absent() -> None:
    members = {"null": Raw(b"null"), "true": Raw(b"true"), "one": Raw(b"1")}
    assert [given(members, key) for key in ("null", "none")] == [None, None]
    assert [bytes(given(members, key) or b"") for key in ("true", "one")] == [
        b"true",
        b"1",
    ]
