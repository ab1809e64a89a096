"""The fast lanes of one listener: serves connections in them, and ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.listen.serving.hosting.arrivals import open_arrivals
from transports.listen.serving.hosting.lane.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Container

    from transports.listen.serving.exchange import Endpoint, Locate
    from transports.listen.serving.hosting.arrivals import Arrivals
    from transports.listen.serving.hosting.connection import Connection


class Lanes:
    """The lanes of the open connections.

    Args:
        endpoint: answers the requests.
        locate: see `AsgiListener`.
        head_limit_bytes: the largest head of a request.
        left_paths: paths that the application answers without the endpoint.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        locate: Locate,
        head_limit_bytes: int,
        left_paths: Container[str] = (),
    ) -> None:
        self._endpoint = endpoint
        self._locate = locate
        self._head_limit_bytes = head_limit_bytes
        self._left_paths = left_paths
        self._lanes: set[Lane] = set()
        self._arrivals: Arrivals | None = None  # while `receive` runs
        self._is_finishing = False
        self._is_ending = False

    async def serve(self, connection: Connection) -> bool:
        """Serve the plain requests of a connection; return whether Hypercorn is to go on with it.

        What was received of the first other request will be received once more then.
        """
        try:
            lane = Lane(
                connection,
                self._endpoint,
                self._locate,
                self._head_limit_bytes,
                self._left_paths,
            )
        except trio.BrokenResourceError:
            # Its request could still be read, but nobody could tell where that came from.
            await connection.aclose()
            return False
        connection.arrivals = self._arrivals
        if self._is_finishing:
            lane.finish()
        if self._is_ending:
            lane.end()
        self._lanes.add(lane)
        try:
            left = await lane.serve()
        finally:
            self._lanes.discard(lane)
        if left is None:
            await connection.close_gently()
            return False
        connection.return_received(left)
        return True

    async def receive(self) -> None:
        """Receive for the connections that wait for requests, until cancelled; see `Arrivals`."""
        with open_arrivals() as self._arrivals:
            if self._arrivals is not None:
                await self._arrivals.run()

    async def end_idle(self, idle_s: float, look_s: float) -> None:
        """Close connections that have waited so long for a request or its head, until cancelled.

        Args:
            idle_s: how long they may wait.
            look_s: the time between two looks.
        """
        while True:
            await trio.sleep(look_s)
            latest_s = trio.current_time() - idle_s
            for lane in list(self._lanes):
                if lane.idle_since_s is not None and lane.idle_since_s <= latest_s:
                    lane.end()

    def finish(self) -> None:
        """Close each connection after its next answer."""
        self._is_finishing = True
        for lane in self._lanes:
            lane.finish()

    def end(self) -> None:
        """Close each connection now, or after the answer to its request."""
        self._is_ending = True
        for lane in list(self._lanes):
            lane.end()
