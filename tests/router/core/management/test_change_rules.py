"""Rules for changes of instances, as far as they need no disk."""

from typing import Any

import pytest

from router.core.management.change_rules import CheckedChange, check_change
from router.core.state.instance_table import Instances, new_instance
from router.messages.commands import (
    AddInstance,
    Change,
    Principal,
    RemoveInstance,
    SetActive,
    UpdateInstance,
)
from router.messages.core_settings import CoreSettings
from router.messages.errors import (
    ALREADY_EXISTS,
    INSTANCE_NOT_FOUND,
    INVALID_PARAMS,
    NOT_ALLOWED,
    RpcError,
)
from router.messages.instances.exposure import Profile
from tests.router.core.conversation import spec

OPEN = CoreSettings("1")
NEVER = CoreSettings("1", allow_stdio_via_api="never")
ADMIN = Principal("admin")
ANYBODY = Principal("", frozenset({"read", "call"}))
A, B = spec("a", provider="pa"), spec("b", provider="pb", type="http", url="http://b")


def check(
    change: Change, principal: Principal = ADMIN, settings: CoreSettings = OPEN
) -> CheckedChange:
    instances = Instances({one.name: new_instance(one, 0.0) for one in (A, B)})
    return check_change(change, principal, instances, settings)


def refusal(
    change: Change, principal: Principal = ADMIN, settings: CoreSettings = OPEN
) -> RpcError:
    with pytest.raises(RpcError) as caught:
        check(change, principal, settings)
    return caught.value


def add(**entry: Any) -> AddInstance:
    return AddInstance("acme", entry)


def update(**fields: Any) -> UpdateInstance:
    return UpdateInstance("a", fields)


# --- Who and which ---------------------------------------------------------------------------


@pytest.mark.parametrize("change", [add(), update(), RemoveInstance("a"), SetActive("a", True)])
def test_every_change_needs_the_admin_permission(change: Change) -> None:
    error = refusal(change, ANYBODY)
    assert error.code == NOT_ALLOWED
    assert "set security.bearer_token in config.json" in error.message


@pytest.mark.parametrize(
    "change", [UpdateInstance("x", {}), RemoveInstance("x"), SetActive("x", False)]
)
def test_what_is_not_there_or_not_seen_cannot_be_changed(change: Change) -> None:
    error = refusal(change)
    assert error.code == INSTANCE_NOT_FOUND
    assert error.message == "Instance not found: x. Available instances: 'a', 'b'"
    limited = Principal("limited", instances=frozenset({"b"}))
    unseen = refusal(RemoveInstance("a"), limited)
    assert unseen.message == "Instance not found: a. Available instances: 'b'"


def test_an_instance_may_be_named_by_its_provider() -> None:
    assert check(SetActive("pb", True)) == CheckedChange(SetActive("b", True), B, "b")
    assert check(RemoveInstance("a")) == CheckedChange(RemoveInstance("a"), A, "a")
    assert check(UpdateInstance("pa", {"url": "u"})).change == UpdateInstance("a", {"url": "u"})


# --- The name of a new one -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "flat"),
    [
        ({"url": "u"}, {"url": "u", "name": "acme"}),
        ({"name": "n", "url": "u"}, {"name": "n", "url": "u"}),
        ({"mcpServers": {"n": {"url": "u"}}}, {"url": "u", "name": "n"}),
        ({"servers": {"n": {"url": "u", "name": "m"}}, "inputs": []}, {"url": "u", "name": "m"}),
    ],
)
def test_a_new_entry_is_taken_out_of_what_it_is_wrapped_in_and_named(
    entry: dict[str, Any], flat: dict[str, Any]
) -> None:
    assert check(add(**entry)) == CheckedChange(AddInstance("acme", flat), None, flat["name"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"mcpServers": {"n": {}, "m": {}}}, "mcpServers must hold one entry"),
        ({"mcpServers": {}}, "mcpServers must hold one entry"),
        ({"servers": [1]}, "servers must hold one entry"),
        ({"mcpServers": {"n": 1}}, "mcpServers must hold one entry"),
        ({"mcpServers": {"n": {"mcpServers": {}}}}, "mcpServers is no key of an entry"),
        ({"servers": None}, "servers is no key of an entry"),
        ({"name": 1}, "name must be a string"),
        ({"name": "A"}, "'A' differs from another instance in case only"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(entry: dict[str, Any], message: str) -> None:
    error = refusal(add(**entry))
    assert error.code == INVALID_PARAMS
    assert error.message.startswith(message)


def test_an_update_cannot_turn_an_entry_into_a_wrapper() -> None:
    assert refusal(update(servers={"x": {"command": "sh"}})).code == INVALID_PARAMS


def test_a_name_that_is_taken_is_refused() -> None:
    error = refusal(add(name="a"))
    assert (error.code, error.message) == (ALREADY_EXISTS, "Instance 'a' already exists")


@pytest.mark.parametrize("change", [add(name="work"), update(name="work")])
def test_a_name_that_a_profile_has_is_refused(change: Change) -> None:
    error = refusal(change, settings=CoreSettings("1", profiles={"work": Profile()}))
    assert error.code == ALREADY_EXISTS
    assert error.message == "'work' is the name of a profile; choose another name"


def test_an_instance_that_is_called_like_a_profile_already_can_be_changed_and_renamed() -> None:
    settings = CoreSettings("1", profiles={"a": Profile()})
    assert check(update(url="u"), settings=settings).name == "a"
    assert check(update(name="c"), settings=settings).name == "c"


@pytest.mark.parametrize("name", [None, "a"])
def test_an_update_that_changes_no_name_is_one(name: str | None) -> None:
    assert check(update(name=name)) == CheckedChange(update(name=name), A, "a")


@pytest.mark.parametrize("name", ["c", "A"])
def test_a_new_name_is_what_the_instance_is_called_afterwards(name: str) -> None:
    assert check(update(name=name)) == CheckedChange(update(name=name), A, name)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("b", ALREADY_EXISTS, "Instance 'b' already exists"),
        ("B", INVALID_PARAMS, "'B' differs from another instance in case only"),
        (1, INVALID_PARAMS, "name must be a string"),
    ],
)
def test_a_new_name_is_checked_as_that_of_a_new_instance(
    name: object, code: int, message: str
) -> None:
    error = refusal(update(name=name))
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize("name", ["b", "B", "x"])
def test_whose_instances_are_listed_gives_no_other_names_and_learns_of_no_others(
    name: str,
) -> None:
    limited = Principal("limited", instances=frozenset({"a", "c"}))
    error = refusal(update(name=name), limited)
    assert error.code == NOT_ALLOWED
    assert error.message == f"'{name}' is not among the instances of this token"
    assert check(update(name="c"), limited).name == "c"


def test_whose_instances_are_listed_may_add_those_only_and_learns_of_no_others() -> None:
    limited = Principal("limited", instances=frozenset({"b", "c"}))
    assert check(add(name="c"), limited).name == "c"
    messages = {refusal(add(name=name), limited).message.replace(name, "X", 1) for name in "ax"}
    assert messages == {"'X' is not among the instances of this token"}


# --- What is run -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "sh", "args": ["-c", "x"]},
        {"Command": "sh"},
        {"args": []},
        {"env": {"A": "b"}},
        {"cwd": "/"},
        {"sandbox": None},
        {"type": "stdio"},
        {"type": None},
        {"transport": "STDIO"},
    ],
)
def test_what_is_run_can_be_forbidden_to_everybody(entry: dict[str, Any]) -> None:
    for change in (add(**entry), update(**entry), add(mcpServers={"n": entry})):
        error = refusal(change, settings=NEVER)
        assert error.code == NOT_ALLOWED
        assert "security.allow_stdio_via_api" in error.message
        check(change)


@pytest.mark.parametrize("key", ["allow_private", "Allow_Private"])
@pytest.mark.parametrize("value", [True, None, "false"])
def test_private_addresses_can_be_forbidden_with_it(key: str, value: Any) -> None:
    entry = {"url": "http://x", key: value}
    for change in (add(**entry), update(**entry), add(mcpServers={"n": entry})):
        error = refusal(change, settings=NEVER)
        assert error.code == NOT_ALLOWED
        assert error.message == (
            f"{key} lets the instance reach private addresses, and "
            'security.allow_stdio_via_api is "never"; it belongs in the file'
        )
        check(change)


@pytest.mark.parametrize(
    "entry",
    [
        {"url": "http://x", "headers": {"A": "b"}},
        {"url": "http://x", "allow_private": False},
        {"type": "streamableHttp", "url": "http://x"},
        {"type": "sse", "metadata": {"command": "x"}},
        {"isActive": False},
    ],
)
def test_remote_instances_can_be_changed_even_then(entry: dict[str, Any]) -> None:
    check(add(**entry), settings=NEVER)
    check(update(**entry), settings=NEVER)
    check(SetActive("a", True), settings=NEVER)
    check(RemoveInstance("a"), settings=NEVER)


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_ANYTHING", "DYLD_INSERT_LIBRARIES", "NODE_OPTIONS", "pythonpath"),
        *("PYTHONWARNINGS", "PYTHONPYCACHEPREFIX", "GIT_CONFIG_COUNT", "GIT_CONFIG_VALUE_0"),
        *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS", "ZDOTDIR", "BASH_ENV"),
        *("GEM_HOME", "BUNDLE_GEMFILE", "RUBYOPT", "PERL5LIB", "LUA_INIT", "OPENSSL_CONF"),
        *("CORECLR_PROFILER_PATH", "COR_PROFILER", "DOTNET_STARTUP_HOOKS", "PHP_INI_SCAN_DIR"),
        *("UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "npm_config_registry", "HOME"),
        *("USERPROFILE", "APPDATA", "XDG_CONFIG_HOME", "PATH", "_JAVA_OPTIONS", "PAGER"),
    ],
)
@pytest.mark.parametrize("key", ["env", "ENV"])
def test_variables_that_have_code_loaded_belong_in_the_file(key: str, name: str) -> None:
    for change in (add(**{key: {name: "x"}}), update(**{key: {"OK": "1", name: 1}})):
        error = refusal(change)
        assert error.code == NOT_ALLOWED
        assert error.message == f"{key}.{name} has programs load code; it belongs in the file"


@pytest.mark.parametrize(
    "name",
    [
        *("API_KEY", "GITHUB_TOKEN", "LOG_LEVEL", "HOME_ASSISTANT_URL", "LDAP_URL", "NODE_ENV"),
        *("PYTHONUNBUFFERED", "PYTHONIOENCODING", "GIT_AUTHOR_NAME", "HTTPS_PROXY", "TZ"),
    ],
)
def test_others_may_be_set_here(name: str) -> None:
    check(update(env={name: "x"}))


def test_a_variable_that_loads_code_may_stay_or_be_removed() -> None:
    check(update(env={"LD_PRELOAD": {"set": True}, "PATH": None, "OTHER": "x"}))
    check(update(env="no object: for the instance store to refuse"))
