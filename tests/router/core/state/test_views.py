"""The views that places resolve to, and the instances that each shows to whom."""

from typing import Any

import pytest

from router.core.state.instance_table import Instances, new_instance
from router.core.state.views import ALL, View, Views
from router.messages.commands import Principal
from router.messages.core_settings import CoreSettings
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError
from router.messages.instances.exposure import NameFilter, Profile
from tests.router.core.conversation import Conversation, spec

ANYONE = Principal("anyone")
WORK = Profile("direct", ("a", "files-*"))
ONLY_A = Profile("transparent", ("a",))


def instances(*names: str) -> Instances:
    return Instances({name: new_instance(spec(name), 0.0) for name in names})


def settings(view: str = "router", **profiles: Profile) -> CoreSettings:
    return CoreSettings("1", view=view, profiles=profiles)


def found(place: str | None, chosen: CoreSettings, *names: str) -> View:
    view = Views().find(place, chosen, instances(*names))
    assert view is not None
    return view


# --- Places --------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["router", "direct"])
def test_the_default_place_shows_the_default_view(view: str) -> None:
    shown = found(None, settings(view), "a")
    assert (shown.expose, shown.instance, shown.is_transparent) == (view, None, False)


def test_the_default_view_may_be_a_profile_or_an_instance() -> None:
    assert found(None, settings("work", work=WORK)).profile is WORK
    assert found(None, settings("a"), "a").instance == "a"


def test_a_profile_comes_before_a_kind_of_view_and_that_before_an_instance() -> None:
    assert found(None, settings("auto", auto=WORK)).profile is WORK
    assert found(None, settings("auto"), "auto").expose == "auto"
    assert found("auto", settings("auto"), "auto").instance == "auto"


def test_a_place_is_a_profile_or_else_an_instance() -> None:
    chosen = settings(work=WORK, a=WORK, only=ONLY_A)
    assert found("work", chosen).profile is WORK
    assert found("a", chosen, "a").profile is WORK
    assert found("only", chosen, "a").instance == "a"
    assert found("文件 😀", chosen, "文件 😀").instance == "文件 😀"


@pytest.mark.parametrize("place", ["router", "direct", "", "*", "A", "a/", "nowhere"])
def test_there_is_no_other_place(place: str) -> None:
    assert Views().find(place, settings(work=WORK), instances("a")) is None


def test_a_view_is_kept_until_the_settings_change() -> None:
    views, seen, chosen = Views(), instances("a"), settings(work=WORK)
    first = views.find("work", chosen, seen)
    assert views.find("work", chosen, seen) is first
    assert views.find("work", settings(work=WORK), seen) is not first
    assert views.find("work", settings(), seen) is None


def test_the_place_of_an_instance_goes_and_comes_with_it() -> None:
    views, chosen = Views(), settings()
    assert views.find("a", chosen, instances()) is None
    assert views.find("a", chosen, instances("a")) is not None
    assert views.find("a", chosen, instances("b")) is None
    assert views.find("a", chosen, instances("a")) is not None


def test_a_profile_stays_a_place_while_its_only_instance_is_away() -> None:
    views, chosen = Views(), settings("only", only=ONLY_A)
    for place in ("only", None, "only", None):
        view = views.find(place, chosen, instances("b"))
        assert view is not None
        with pytest.raises(RpcError, match="Instance not found: a") as caught:
            view.the_instance(instances("b"), ANYONE)
        assert caught.value.code == INSTANCE_NOT_FOUND


# --- What a view shows ---------------------------------------------------------------------------


def shown(view: View, seen: Instances, principal: Principal = ANYONE) -> list[str]:
    return list(view.seen_by(seen, principal).by_name)


def test_a_profile_shows_the_instances_that_its_patterns_match_in_their_order() -> None:
    view = View(Profile("direct", ("files-?", "a")))
    seen = instances("files-b", "x", "a", "files-a", "files-10", "FILES-a")
    assert shown(view, seen) == ["files-b", "a", "files-a"]


def test_a_transparent_view_shows_one_instance_even_if_its_name_is_a_pattern() -> None:
    assert shown(View(Profile("transparent"), "*"), instances("a", "*")) == ["*"]


def test_a_principal_is_shown_no_instance_but_its_own() -> None:
    view, seen = View(WORK), instances("a", "files-b", "c")
    assert shown(view, seen, Principal("m", instances=frozenset({"a", "c"}))) == ["a"]
    assert shown(view, seen, Principal("m", instances=frozenset())) == []
    assert shown(view, seen) == ["a", "files-b"]


def test_a_transparent_view_of_an_instance_that_a_principal_may_not_see_is_empty() -> None:
    view, mallory = View(Profile("transparent"), "a"), Principal("m", instances=frozenset({"b"}))
    with pytest.raises(RpcError, match=r"^Instance not found: a$"):
        view.the_instance(instances("a", "b"), mallory)


def test_what_a_view_shows_is_worked_out_once_per_change_of_the_instances() -> None:
    view, seen = View(WORK), instances("a")
    first = view.seen_by(seen, ANYONE)
    assert view.seen_by(seen, Principal("another")) is first
    assert shown(view, instances("a", "files-b")) == ["a", "files-b"]


def test_whoever_sends_a_command_sees_everything() -> None:
    assert shown(ALL, instances("a", "b")) == ["a", "b"]
    assert ALL.profile.tools.admits_all


def test_a_view_admits_tools_by_the_names_that_it_shows() -> None:
    tools = NameFilter(deny=("a__rm", "rm_all"))
    direct, one = (
        View(Profile("direct", tools=tools)),
        View(Profile("transparent", tools=tools), "a"),
    )
    assert [direct.admits_tool("a", name, 48) for name in ("rm", "rm_all")] == [False, True]
    assert [one.admits_tool("a", name, 48) for name in ("rm", "rm_all")] == [True, False]


# --- The view of a client ------------------------------------------------------------------------


def view_of(talk: Conversation, **opened: Any) -> View:
    return talk.state.view_of(talk.state.clients[talk.client(**opened).id])


def test_the_profile_of_a_principal_is_its_default_view() -> None:
    talk = Conversation(profiles={"work": WORK, "other": ONLY_A})
    bound = Principal("m", profile="work")
    assert view_of(talk, principal=bound).profile is WORK
    assert view_of(talk, principal=bound, view="work").profile is WORK
    assert view_of(talk).expose == "router"


@pytest.mark.parametrize(
    ("opened", "name"),
    [
        ({"view": "gone"}, "gone"),
        ({"principal": Principal("m", profile="gone too")}, "gone too"),
        ({}, "the default"),
    ],
)
def test_a_client_whose_place_is_gone_is_told_its_name(opened: Any, name: str) -> None:
    talk = Conversation(view="the default")
    error = talk.client(**opened).asks("tools/list").error
    assert error == {"code": -32010, "message": f"View not found: {name}"}


def test_a_place_that_is_gone_is_gone_for_the_clients_that_are_there() -> None:
    talk = Conversation(profiles={"work": WORK})
    talk.with_instance("a", "echo")
    at_profile, at_instance = talk.client(view="work"), talk.client(view="a")
    assert at_profile.lists() == ["a__echo"]
    assert at_instance.asks("ping").result == {}
    talk.settings_change(profiles={})
    talk.configured()
    for client in (at_profile, at_instance):
        for method in ("tools/list", "ping", "initialize", "x/unknown"):
            assert client.asks(method).error["code"] == -32010
        client.says("notifications/odd")
        client.leaves()
    assert talk.state.clients == {}


def test_an_instance_that_takes_the_name_of_a_place_back_is_seen_again() -> None:
    talk = Conversation()
    talk.with_instance("a", "echo")
    client = talk.client(view="a")
    talk.configured()
    assert client.calls("echo").error["code"] == -32010
    upstream = talk.with_instance("a", "echo")
    client.calls("echo")
    assert upstream.sees_one()["params"] == {"name": "echo"}
