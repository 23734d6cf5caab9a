"""The pytest plugin: fixtures, a marker and two options. What they do lives in `aione_mock.testing`.

pytest imports this module in every run of every suite, so it imports nothing of weight until a fixture is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anthropic import Anthropic
    from openai import AsyncOpenAI, OpenAI

    from aione_mock.testing import MockServer, MockSession

MARKER = "aione_mock"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the command line."""
    group = parser.getgroup("aione-mock", "aione-mock, a stand-in for the AIone gateway")
    group.addoption(
        "--aione-mock-url", metavar="URL", help="Run the tests against the mock at URL, not one of their own."
    )
    group.addoption("--aione-mock-seed", metavar="SEED", help="Seed of sessions whose marker names none.")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*, seed, scenario, rules, pace, now): how the session of the fixture aione_mock begins.",
    )


@pytest.fixture(scope="session")
def aione_mock_server(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    """The mock server of this process (with pytest-xdist: of this worker), for wiring of your own."""
    __tracebackhide__ = True
    from aione_mock.exceptions import MockError
    from aione_mock.testing import reach, start

    url, seed = request.config.getoption("--aione-mock-url"), request.config.getoption("--aione-mock-seed")
    problem = ""
    try:
        server = reach(url, seed=seed, label=_label(request.config)) if url else start(seed=seed)
    except MockError as error:
        problem = f"aione-mock: {error}"
    if problem:  # outside the handler, or pytest would show what led to it
        pytest.fail(problem, pytrace=False)
    with server:
        yield server


@pytest.fixture
def aione_mock(request: pytest.FixtureRequest, aione_mock_server: MockServer) -> Iterator[MockSession]:
    """A session of the mock for this test alone: frozen clock, no waiting, nothing left from other tests."""
    __tracebackhide__ = True
    from aione_mock.exceptions import MockError

    session = aione_mock_server.session(request.node.name, folder=request.path.parent, **_marked(request))
    try:
        session.open()
    except MockError as error:  # the marker's fault: how it was found out is of no interest
        raise error.with_traceback(None) from None
    yield session
    session.close()


@pytest.fixture
def aione_base_url(aione_mock: MockSession) -> str:
    """Root of the session, without a slash at the end. OpenAI's clients want `/v1` behind it."""
    return aione_mock.base_url


@pytest.fixture
def aione_api_key(aione_mock: MockSession) -> str:
    """A key for every model."""
    return aione_mock.api_key


@pytest.fixture
def aione_env(aione_mock: MockSession, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Aims clients that read the environment (OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_…, …) at the session."""
    from aione_mock.config import environment
    from aione_mock.testing.surroundings import STRAY

    variables = aione_mock.env(no_proxy=environment("NO_PROXY") or "")
    for name in STRAY:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def aione_openai(aione_mock: MockSession) -> Iterator[OpenAI]:
    """OpenAI's client for the session. It does not retry, and gives up after 10 s."""
    _need("openai", "aione_openai")
    from aione_mock.testing.clients import openai_client

    with openai_client(aione_mock) as client:
        yield client


@pytest.fixture
def aione_async_openai(aione_mock: MockSession) -> AsyncOpenAI:
    """OpenAI's asynchronous client for the session. It does not retry, and gives up after 10 s."""
    _need("openai", "aione_async_openai")
    from aione_mock.testing.clients import async_openai_client

    return async_openai_client(aione_mock)


@pytest.fixture
def aione_anthropic(aione_mock: MockSession) -> Iterator[Anthropic]:
    """Anthropic's client for the session. It does not retry, and gives up after 10 s."""
    _need("anthropic", "aione_anthropic")
    from aione_mock.testing.clients import anthropic_client

    with anthropic_client(aione_mock) as client:
        yield client


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options of all markers, the nearest last. Raises TypeError for one that does not exist."""
    __tracebackhide__ = True
    from aione_mock.testing import Options

    where = f"@pytest.mark.{MARKER}"
    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers(MARKER))):
        if mark.args:
            raise TypeError(f"{where} takes keywords only, such as seed=7; it was given {mark.args[0]!r}")
        try:
            Options.of(where, mark.kwargs)
        except TypeError as error:
            raise error.with_traceback(None) from None
        options |= mark.kwargs
    return options


def _need(package: str, fixture: str) -> None:
    __tracebackhide__ = True
    pytest.importorskip(package, reason=f"{fixture} needs the {package} SDK: pip install {package}")


def _label(config: pytest.Config) -> str:
    """What sets the sessions of this worker of this run apart from all others on a shared server."""
    worker = getattr(config, "workerinput", {})
    return f"{worker.get('workerid', 'main')}-{worker.get('testrunuid', '')[:8] or os.getpid()}"
