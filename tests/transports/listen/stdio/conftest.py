"""A running stdio listener, with the client's and the actor's ends of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transports.listen.stdio.stdio_client import Wire

if TYPE_CHECKING:
    import trio


@pytest.fixture
async def wire(nursery: trio.Nursery) -> Wire:
    return await Wire.open(nursery)
