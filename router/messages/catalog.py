"""The lists that one upstream offers, and the rest of what is known of it. Data only."""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct

INSTRUCTIONS: Final = "(instructions)"
"""Stands for the instructions of a server among its tools, where these are compared with what was
approved."""


class Item(Struct, frozen=True, gc=False):
    """One tool, prompt, resource or template.

    Attributes:
        key: its name, or its URI (template).
        raw: the whole item, as the upstream listed it.
    """

    key: str
    raw: Raw


class Catalog(Struct, frozen=True, gc=False):
    """Everything that an upstream offers, in the upstream's order.

    Attributes:
        problems: a sentence about each list that is not whole.
    """

    tools: tuple[Item, ...] = ()
    prompts: tuple[Item, ...] = ()
    resources: tuple[Item, ...] = ()
    templates: tuple[Item, ...] = ()
    problems: tuple[str, ...] = ()


class ApprovedTool(Struct, frozen=True):
    """A tool as it was approved (`security.pinning`).

    Attributes:
        sha256: the digest of its canonical form, as 64 hex digits.
        tool: the whole tool, as its server listed it then.
    """

    sha256: str
    tool: Raw


class KnownServer(Struct, frozen=True):
    """The last known description of a server, which outlives its session.

    Attributes:
        revision: the protocol revision that was negotiated last.
        capabilities: the server's capabilities, a raw object.
        server_info: the server's `Implementation`, raw.
        instructions: the server's instructions for the model; None if it sent none.
        catalog: the lists that it offered.
    """

    revision: str
    capabilities: Raw
    server_info: Raw
    instructions: str | None
    catalog: Catalog
