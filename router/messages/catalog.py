"""The lists of tools, prompts, resources and templates that one upstream offers. Data only."""

from __future__ import annotations

from msgspec import Raw, Struct


class Item(Struct, frozen=True, gc=False):
    """One tool, prompt, resource or template.

    Attributes:
        key: its name, or its URI (template).
        raw: the whole item, as the upstream listed it.
    """

    key: str
    raw: Raw


class Catalog(Struct, frozen=True, gc=False):
    """Everything that an upstream offers, in the upstream's order."""

    tools: tuple[Item, ...] = ()
    prompts: tuple[Item, ...] = ()
    resources: tuple[Item, ...] = ()
    templates: tuple[Item, ...] = ()
