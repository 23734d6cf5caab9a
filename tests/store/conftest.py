"""Two workers on one store, and a session of the test's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.redis_server import running_redis
from tests.store.pairs import Pair, two_workers


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Two workers that the tests of a module share."""
    with two_workers() as found:
        yield found


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return re.sub(r"\W+|_", "-", request.node.name)[:60].strip("-")


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The URL of a Redis that the tests of a module share."""
    with running_redis() as url:
        yield url


@pytest.fixture
def options(store: str, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options of a mock of two workers with a state of its own."""
    return "--workers", "2", "--store", store, "--store-prefix", re.sub(r"\W", "-", request.node.name)[-60:]
