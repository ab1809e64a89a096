"""A conversation about instances that their first use starts, and that are stopped when idle."""

from typing import Any

from router.messages.catalog import KnownServer
from router.messages.events import CataloguesRead
from router.messages.instances.run_policy import RunPolicy
from tests.router.core.conversation import Conversation, FakeUpstream, raw, spec
from tests.router.core.fake_peers import Named, catalog_of

IDLE_S = 100.0


def known(*tools: str, instructions: str | None = None, **others: Named) -> KnownServer:
    """Return what is known of a server from an earlier session."""
    info = raw({"name": "x", "version": "1"})
    capabilities = raw({"tools": {}})
    return KnownServer("2025-11-25", capabilities, info, instructions, catalog_of(tools, **others))


def runs(name: str = "a", *, more: Any = None, **policy: Any) -> Any:
    """Return the configuration of an instance that runs by this policy; `more` are other keys."""
    return spec(name, run_policy=RunPolicy(**policy), **(more or {}))


def lazy(name: str = "a", **policy: Any) -> Any:
    return runs(name, start="lazy", **policy)


def idle_talk(*specs: Any, server: KnownServer | None = None, **settings: Any) -> Conversation:
    """Begin with lazy instances that are known, so that they are idle; `a` by default."""
    talk = Conversation(**settings)
    specs = specs or (lazy(),)
    talk.happens(CataloguesRead({one.name: server or known("echo") for one in specs}))
    talk.configured(*specs)
    return talk


def comes_up(talk: Conversation, name: str = "a", *tools: str, **more: Any) -> FakeUpstream:
    """Have an instance that the core started become ready."""
    assert talk.started, "nothing was started"
    assert talk.started[-1].name == name
    talk.starting(name)
    return talk.up(name, *(tools or ("echo",)), **more)


def serves(upstream: FakeUpstream, call: Any) -> None:
    """Have a server answer the one call that it sees."""
    upstream.answers(upstream.sees()[-1], {"content": []})
    assert call.result == {"content": []}


def state_of(talk: Conversation, name: str = "a") -> str:
    return talk.state.instances.by_name[name].state
