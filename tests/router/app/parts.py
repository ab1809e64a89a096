"""Parts of a router for tests: real ones that are not running, with channels the test holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from router.access.live_admission import LiveAdmission
from router.access.places import Places
from router.app.listeners import Listeners
from router.app.listening.browser_login import BrowserLogin
from router.app.records import Records
from router.config.options import Options
from router.messages.observability.metrics import ActorCounts
from router.reload.catalogue_store import CatalogueStore
from router.reload.instance_store import InstanceStore
from router.reload.live_settings import LiveSettings
from router.reload.profile_store import ProfileStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.app.sockets import Bound
    from router.config.settings import Settings


def listeners_of(
    settings: Settings, bound: Sequence[Bound], *, inbox: Any = None, commands: Any = None
) -> Listeners:
    """Listeners at these sockets, with these settings in force."""
    live = LiveSettings(Path("config.json"), Options(), settings)
    admission = LiveAdmission(settings)
    return Listeners(
        settings=live,
        instances=InstanceStore(Path("data"), CatalogueStore(Path("cache")), live, _hide),
        profiles=ProfileStore(live, lambda _: False),
        admission=admission,
        places=Places(settings, "config.json"),
        follow=lambda level, wake: None,  # type: ignore[arg-type, return-value]
        write_record=Records().write,
        actor_counts=ActorCounts(),
        drops={},
        inbox=trio.open_memory_channel[Any](16)[0] if inbox is None else inbox,
        commands=trio.open_memory_channel[Any](16)[0] if commands is None else commands,
        bound=bound,
        browser_login=BrowserLogin(live, admission, is_served=True),
    )


def _hide(_: Iterable[str]) -> None:
    pass
