"""The pytest plugin: fixtures, a marker and command-line options. The rest of the package does their work.

pytest imports this module in every run of every suite, so it imports nothing large until a fixture is used.
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
    """Add the command-line options."""
    group = parser.getgroup("aione-mock", "aione-mock, a mock of the AIone gateway")
    group.addoption("--aione-mock-url", metavar="URL", help="Use the mock that runs at URL instead of starting one.")
    group.addoption("--aione-mock-seed", metavar="SEED", help="Seed of sessions whose marker has none.")
    _add_contract_options(parser.getgroup("aione-contract", "aione-mock, the contract: --pyargs aione_mock.checker"))


def _add_contract_options(group: pytest.OptionGroup) -> None:
    """Add the options of `aione_mock/checker/test_gateway.py`, which are those of `aione-mock check`."""
    from aione_mock.checker import CheckOptions, Target
    from aione_mock.checker.options import read_flags

    group.addoption("--aione-url", metavar="URL", help="The gateway to check: the part of its URL before /v1 and /api.")
    for flag in (*read_flags(Target), *read_flags(CheckOptions)):
        settings: dict[str, Any] = {"metavar": flag.metavar or None, "choices": flag.choices or None}
        if flag.is_repeatable:
            settings |= {"action": "append", "default": []}
        if isinstance(flag.default, bool):
            settings = {"action": "store_true"}
        name = flag.name.replace("_", "-")
        group.addoption(f"--aione-{name}", dest=f"aione_contract_{flag.name}", help=flag.help, **settings)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*, seed, scenario, rules, pace, now, replay, replay_only): options of the session "
        "of the fixture aione_mock.",
    )


@pytest.fixture(scope="session")
def aione_mock_server(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    """Run the mock server of this process (with pytest-xdist: of this worker), for sessions of your own."""
    __tracebackhide__ = True
    from aione_mock.errors import MockError
    from aione_mock.testing import connect_to_server, start_server

    url, seed = request.config.getoption("--aione-mock-url"), request.config.getoption("--aione-mock-seed")
    problem = ""
    try:
        server = (
            connect_to_server(url, seed=seed, label=_worker_label(request.config)) if url else start_server(seed=seed)
        )
    except MockError as error:
        problem = f"aione-mock: {error}"
    if problem:  # outside the handler, because pytest would show the handled exception too
        pytest.fail(problem, pytrace=False)
    with server:
        yield server


@pytest.fixture
def aione_mock(request: pytest.FixtureRequest, aione_mock_server: MockServer) -> Iterator[MockSession]:
    """Open a session of the mock for this test alone: frozen clock, no delays, no state of other tests."""
    __tracebackhide__ = True
    from aione_mock.errors import MockError

    session = aione_mock_server.session(request.node.name, folder=request.path.parent, **_marker_options(request))
    try:
        session.open()
    except MockError as error:  # the marker is wrong; frames of this package would not help
        raise error.with_traceback(None) from None
    yield session
    session.close()


@pytest.fixture
def aione_base_url(aione_mock: MockSession) -> str:
    """Return the session's root, without a trailing slash. OpenAI's clients need `/v1` after it."""
    return aione_mock.base_url


@pytest.fixture
def aione_api_key(aione_mock: MockSession) -> str:
    """Return an API key for every model."""
    return aione_mock.api_key


@pytest.fixture
def aione_env(aione_mock: MockSession, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_… and so on, so that clients use the session."""
    from aione_mock.settings import read_variable
    from aione_mock.testing.environment import CONFLICTING_VARIABLES

    variables = aione_mock.env(no_proxy=read_variable("NO_PROXY") or "")
    for name in CONFLICTING_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def aione_openai(aione_mock: MockSession) -> Iterator[OpenAI]:
    """Return an OpenAI client for the session. It does not retry; its timeout is 10 s."""
    _require_sdk("openai", "aione_openai")
    from aione_mock.testing.sdk_clients import openai_client

    with openai_client(aione_mock) as client:
        yield client


@pytest.fixture
def aione_async_openai(aione_mock: MockSession) -> AsyncOpenAI:
    """Return an asynchronous OpenAI client for the session. It does not retry; its timeout is 10 s."""
    _require_sdk("openai", "aione_async_openai")
    from aione_mock.testing.sdk_clients import async_openai_client

    return async_openai_client(aione_mock)


@pytest.fixture
def aione_anthropic(aione_mock: MockSession) -> Iterator[Anthropic]:
    """Return an Anthropic client for the session. It does not retry; its timeout is 10 s."""
    _require_sdk("anthropic", "aione_anthropic")
    from aione_mock.testing.sdk_clients import anthropic_client

    with anthropic_client(aione_mock) as client:
        yield client


def _marker_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Merge the options of all markers; the nearest wins. Raises TypeError for one that does not exist."""
    __tracebackhide__ = True
    from aione_mock.testing import SessionOptions

    where = f"@pytest.mark.{MARKER}"
    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers(MARKER))):
        if mark.args:
            raise TypeError(f"{where} takes keywords only, such as seed=7; it was given {mark.args[0]!r}")
        try:
            SessionOptions.parse(where, mark.kwargs)
        except TypeError as error:
            raise error.with_traceback(None) from None
        options |= mark.kwargs
    return options


def _require_sdk(package: str, fixture: str) -> None:
    __tracebackhide__ = True
    pytest.importorskip(package, reason=f"{fixture} needs the {package} SDK: pip install {package}")


def _worker_label(config: pytest.Config) -> str:
    """Return what keeps the sessions of this worker of this run apart from all others on a shared server."""
    worker = getattr(config, "workerinput", {})
    return f"{worker.get('workerid', 'main')}-{worker.get('testrunuid', '')[:8] or os.getpid()}"
