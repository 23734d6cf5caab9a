"""One wrong-able server for all tests of the checker, and targets for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from aione_mock.checker import Target, check
from aione_mock.checker.report import CheckReport
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.checker.broken import ACCESS, KEY, OTHER, TOKEN, Change, Layer

Checked = Callable[..., CheckReport]


def target(url: str) -> Target:
    """All credentials that the laws may need."""
    return Target(
        url,
        key=KEY,
        token=TOKEN,
        business_token="nex-console-business",
        other_token=OTHER,
        access_key=ACCESS[0],
        access_secret=ACCESS[1],
    )


def given_time(
    run: Callable[[float], CheckReport], seen: Callable[[CheckReport], object], seconds: float
) -> CheckReport:
    """A run with generated cases, which has more seconds for them if it did not get far in those it had."""
    for more in (1, 4, 16):
        report = run(seconds * more)
        if seen(report):
            break
    return report


@pytest.fixture(scope="session")
def layer() -> Iterator[Layer]:
    """The mock on a socket behind a layer that tests make wrong."""
    layer = Layer(create_app(Settings(seed="checker")))
    with Server(layer) as server:
        layer.url = server.url  # type: ignore[attr-defined]
        yield layer


@pytest.fixture
def checked(layer: Layer) -> Iterator[Checked]:
    """Check the layered mock, made wrong by a change, for some laws alone."""

    def run(*laws: str, change: Change | None = None, **options: object) -> CheckReport:
        layer.app.sessions.reset(layer.app.sessions.get())
        layer.change, layer.seen = change or Change(), []
        given = {"only": laws, "phases": (), "allow_writes": True, **options}
        return check(target(layer.url), **given)  # type: ignore[attr-defined]

    yield run
    layer.change = Change()
