"""A streamable HTTP endpoint, and a client that has a session on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transports.listen.fake_actor import admit
from tests.transports.listen.http.http_client import Session
from transports.listen.http.http_endpoint import HttpEndpoint

if TYPE_CHECKING:
    from tests.transports.listen.fake_actor import FakeActor


@pytest.fixture
def endpoint(actor: FakeActor) -> HttpEndpoint:
    return HttpEndpoint(actor.inbox, admit)


@pytest.fixture
async def session(endpoint: HttpEndpoint, actor: FakeActor) -> Session:
    return await Session.open(endpoint, actor)
