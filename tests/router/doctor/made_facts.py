"""Facts for one rule, of a router that has nothing wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from router.config.settings import Settings, settings_of
from router.doctor.facts import Facts
from router.messages.instances.instance_spec import InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.doctor.findings import Finding

FOUND = "data/p/mcp_settings.json"


def settings(**sections: Any) -> Settings:
    """Return the settings in a config file with these sections."""
    return settings_of(msgspec.json.encode(sections), "config.json")


def facts(**changes: Any) -> Facts:
    """Return facts of a router with the default settings, with these changes."""
    written = changes.pop("settings", None) or Settings()
    usual = {"config": Path("config.json"), "written": written, "version": "2.0.0"}
    return Facts(settings=written, **(usual | changes))


def spec(name: str = "files", **changes: Any) -> InstanceSpec:
    """Return an instance on stdio."""
    usual: dict[str, Any] = {"provider": "p", "type": "stdio", "command": "npx", "source": FOUND}
    return InstanceSpec(name=name, **(usual | changes))


def lines(judge: Callable[[Facts], Iterator[Finding]], found: Facts) -> list[str]:
    """Return the findings of a rule, a line each."""
    return [f"{one.severity} {one.subject}: {one.problem} -> {one.fix}" for one in judge(found)]
