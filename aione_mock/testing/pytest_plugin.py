"""The pytest plugin: fixtures, a marker and options. What they do lives in `aione_mock.testing`.

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
    _add_contract_options(parser.getgroup("aione-contract", "aione-mock, the contract: --pyargs aione_mock.checker"))


def _add_contract_options(group: pytest.OptionGroup) -> None:
    """Options of `aione_mock/contract/test_gateway.py`, as `aione-mock check` has them."""
    for name, what in _CONTRACT_VALUES.items():
        group.addoption(name, metavar=what[0], help=what[1])
    for name, what in _CONTRACT_LISTS.items():
        group.addoption(name, metavar=what[0], help=what[1], action="append", default=[])
    for name, help_ in _CONTRACT_SWITCHES.items():
        group.addoption(name, help=help_, action="store_true")
    group.addoption("--aione-spend-limit", metavar="RMB", type=amount, default=5.0, help="The most to spend on models.")
    group.addoption("--aione-max-paid-calls", metavar="N", type=int, default=250, help="The most calls to models.")
    group.addoption("--aione-rate-limit", metavar="N", type=amount, default=0.0, help="At most N requests a second.")
    group.addoption(
        "--aione-fail-on",
        choices=["violation", "assumption"],
        default="assumption",
        help="Whether what is only assumed fails a test too (assumption) or is a warning (violation).",
    )


_CONTRACT_VALUES = {
    "--aione-url": ("URL", "The gateway to check: where /v1 and /api begin."),
    "--aione-key": ("SECRET", "API key of the data plane; else $AIONE_API_KEY."),
    "--aione-token": ("SECRET", "Console token; else $AIONE_CONSOLE_TOKEN."),
    "--aione-business-token": ("SECRET", "Console token with the payers' view; else $AIONE_BUSINESS_TOKEN."),
    "--aione-other-token": ("SECRET", "Console token of a second organisation; else $AIONE_OTHER_TOKEN."),
    "--aione-access-key": ("ID", "ModelRouter access key id; else $AIONE_ACCESS_KEY_ID."),
    "--aione-access-secret": ("SECRET", "ModelRouter access key secret; else $AIONE_ACCESS_KEY_SECRET."),
    "--aione-model": ("ID", "The model to call; the cheapest if not given."),
    "--aione-max-time": ("TIME", "End after this long, such as 30s or 5m."),
}
_CONTRACT_LISTS = {
    "--aione-only": ("NAME", "Only this tag, operation, law, area of laws or generated phase; repeatable."),
    "--aione-skip": ("NAME", "Not this one; repeatable."),
    "--aione-overlay": ("FILE", "An OpenAPI Overlay that changes the contract; repeatable."),
}
_CONTRACT_SWITCHES = {
    "--aione-allow-writes": "Create, change and delete keys of its own, and clean up.",
    "--aione-insecure": "Do not check TLS certificates.",
}


def amount(text: str) -> float:
    """A number of the command line, zero or more. Raises ValueError."""
    number = float(text)
    if 0 <= number < float("inf"):
        return number
    raise ValueError(text)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*, seed, scenario, rules, pace, now, replay, replay_only): how the session "
        "of the fixture aione_mock begins.",
    )


@pytest.fixture(scope="session")
def aione_mock_server(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    """The mock server of this process (with pytest-xdist: of this worker), for wiring of your own."""
    __tracebackhide__ = True
    from aione_mock.errors import MockError
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
    from aione_mock.errors import MockError

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
    from aione_mock.settings import read_variable
    from aione_mock.testing.environment import STRAY

    variables = aione_mock.env(no_proxy=read_variable("NO_PROXY") or "")
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
