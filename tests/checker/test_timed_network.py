"""The private names of httpx2 that the checker's time limit depends on."""

from __future__ import annotations

import httpx2

from aione_mock.checker.timed_network import _TimedBackend, limit_time


def test_every_connection_pool_gets_the_timed_backend() -> None:
    with httpx2.Client() as client:
        limit_time(client)
        assert isinstance(client._transport, httpx2.HTTPTransport)
        assert isinstance(client._transport._pool._network_backend, _TimedBackend)
