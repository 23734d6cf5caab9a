"""One faulty gateway for all tests of the checker, and targets for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from aione_mock.checker import Target, check
from aione_mock.checker.report import CheckReport
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.checker.faulty_gateway import ACCESS, KEY, OTHER, TOKEN, Fault, FaultyGateway

CheckGateway = Callable[..., CheckReport]


def target(url: str) -> Target:
    """Return a target with all credentials."""
    return Target(
        url,
        key=KEY,
        token=TOKEN,
        business_token="nex-console-business",
        other_token=OTHER,
        access_key=ACCESS[0],
        access_secret=ACCESS[1],
    )


@pytest.fixture(scope="session")
def gateway() -> Iterator[FaultyGateway]:
    """Serve the mock behind a layer that tests make faulty."""
    gateway = FaultyGateway(create_app(Settings(seed="checker")))
    with Server(gateway) as server:
        gateway.url = server.url
        yield gateway


@pytest.fixture
def check_gateway(gateway: FaultyGateway) -> Iterator[CheckGateway]:
    """Check the faulty gateway with a fault for some laws."""

    def run(*laws: str, fault: Fault | None = None, **options: object) -> CheckReport:
        gateway.app.sessions.reset(gateway.app.sessions.get())
        gateway.fault, gateway.seen = fault or Fault(), []
        given = {"only": laws, "phases": (), "allow_writes": True, **options}
        return check(target(gateway.url), **given)

    yield run
    gateway.fault = Fault()
