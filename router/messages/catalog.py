"""The lists of tools, prompts, resources and templates that one upstream offers."""

from __future__ import annotations

from msgspec import Raw, Struct


class Item(Struct, frozen=True, gc=False):
    """One tool, prompt, resource or template: `key` is its name or URI, `raw` all of it."""

    key: str
    raw: Raw


class Catalog(Struct, frozen=True, gc=False):
    """Everything an upstream offers, in its own order."""

    tools: tuple[Item, ...] = ()
    prompts: tuple[Item, ...] = ()
    resources: tuple[Item, ...] = ()
    templates: tuple[Item, ...] = ()
