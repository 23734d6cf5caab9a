"""The server that `serve` runs in the main thread. Imports uvicorn, so only `serve` imports it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn


class Foreground(uvicorn.Server):
    """Says when it is ready, and ends at once when told to: open streams are cut, not waited for."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and every connection; the app still gets its word of goodbye."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in tuple(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        # a task takes a few turns to see that its client has gone; one cancelled before would end in a traceback
        if tasks := tuple(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=0.5)
        await self.lifespan.shutdown()
