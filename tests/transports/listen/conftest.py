"""The actor behind the listeners under test."""

from __future__ import annotations

import pytest

from tests.transports.listen.fake_actor import FakeActor


@pytest.fixture
def actor() -> FakeActor:
    return FakeActor()
