"""The pytest plugin: fixtures, a marker and command-line options. The rest of the package does their work.

pytest imports this module in every run of every suite, so it imports nothing large until a fixture is used.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anthropic import Anthropic
    from openai import AsyncOpenAI, OpenAI

    from aione_mock.testing import MockServer, MockSession

MARKER = "aione_mock"
_SDK_LOGGERS = ("openai", "anthropic", "google_genai", "httpx", "httpx2", "httpcore", "httpcore2")
_CONFIGS: list[pytest.Config] = []
"""The runs of pytest that go on, the innermost last."""
_SESSION = pytest.StashKey["MockSession"]()
"""The session of a test, for the check after it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the command-line options."""
    group = parser.getgroup("aione-mock", "aione-mock, a mock of the AIone gateway")
    group.addoption("--aione-mock-url", metavar="URL", help="Use the mock that runs at URL instead of starting one.")
    group.addoption("--aione-mock-seed", metavar="SEED", help="Seed of sessions whose marker has none.")
    extensions = "Operations that the mock serves too, as in serve --with: embeddings, responses."
    group.addoption("--aione-mock-with", action="append", metavar="NAMES", default=[], help=extensions)
    parser.addini("aione_mock_with", extensions, type="args", default=[])
    strict = "Fail tests whose calls to a model no prepared reply or rule answers, and tests with unused replies."
    group.addoption("--aione-mock-strict", action="store_true", help=strict)
    parser.addini("aione_mock_strict", strict, type="bool", default=False)
    group.addoption(
        "--aione-mock-update-snapshots",
        action="store_true",
        help="Write the snapshots of assert_matches_snapshot() instead of comparing with them.",
    )
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
        group.addoption(f"--aione-{flag.option}", dest=f"aione_contract_{flag.name}", help=flag.help, **settings)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    _CONFIGS.append(config)
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*, seed, scenario, rules, pace, now, replay, replay_only, models, keys, world, strict): options of "
        "the session of the fixture aione_mock.",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget the run."""
    if config in _CONFIGS:
        _CONFIGS.remove(config)


def find_terminal() -> tuple[Callable[[str], None], bool] | None:
    """Return what writes past pytest's capture, and whether to a terminal; None if pytest does not run."""
    if not _CONFIGS:
        return None
    plugins = _CONFIGS[-1].pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
    if reporter is None or capture is None:  # in a worker of pytest-xdist
        return (lambda text: None), False

    def write(text: str) -> None:
        if threading.current_thread() is threading.main_thread():  # the capture is this thread's
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write(text, flush=True)

    return write, reporter.isatty


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a strict test that has passed although its replies do not fit its calls; show the calls of a failed test.

    It comes last, so that its section stands before what the test has logged.
    """
    try:
        yield
    except Exception:
        if (session := item.stash.get(_SESSION, None)) is not None:
            item.add_report_section("call", "aione-mock", session.describe_calls())
        raise
    session = item.stash.get(_SESSION, None)
    problem = session.find_strict_problem() if session is not None and session.is_strict else ""
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def aione_mock_server(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    """Run the mock server of this process (with pytest-xdist: of this worker), for sessions of your own."""
    __tracebackhide__ = True
    from aione_mock.errors import MockError
    from aione_mock.testing import connect_to_server, start_server

    url, seed = request.config.getoption("--aione-mock-url"), request.config.getoption("--aione-mock-seed")
    extensions = [*request.config.getini("aione_mock_with"), *request.config.getoption("--aione-mock-with")]
    problem = ""
    try:
        server = (
            connect_to_server(url, seed=seed, label=_name_worker(request.config))
            if url
            else start_server(seed=seed, extensions=extensions)
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
    from aione_mock.testing.snapshots import Snapshots

    options = {"strict": _is_strict(request.config), **_merge_marker_options(request)}
    update = request.config.getoption("--aione-mock-update-snapshots")
    try:
        session = aione_mock_server.session(request.node.name, folder=request.path.parent, **options)
        session.snapshots = Snapshots(request.path, request.node.name, update)
        session.open()
    except MockError as error:  # the marker is wrong; frames of this package would not help
        raise error.with_traceback(None) from None
    request.node.stash[_SESSION] = session
    with _quiet_sdks(), session.waits.patch_clients():
        yield session
    session.close()


@pytest.fixture
def aione(aione_mock: MockSession) -> MockSession:
    """Return the session of `aione_mock`, under a name that does not hide the module."""
    return aione_mock


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
    from aione_mock.testing.sdk_clients import make_openai_client

    with make_openai_client(aione_mock) as client:
        yield client


@pytest.fixture
def aione_async_openai(aione_mock: MockSession) -> AsyncOpenAI:
    """Return an asynchronous OpenAI client for the session. It does not retry; its timeout is 10 s."""
    _require_sdk("openai", "aione_async_openai")
    from aione_mock.testing.sdk_clients import make_async_openai_client

    return make_async_openai_client(aione_mock)


@pytest.fixture
def aione_anthropic(aione_mock: MockSession) -> Iterator[Anthropic]:
    """Return an Anthropic client for the session. It does not retry; its timeout is 10 s."""
    _require_sdk("anthropic", "aione_anthropic")
    from aione_mock.testing.sdk_clients import make_anthropic_client

    with make_anthropic_client(aione_mock) as client:
        yield client


def _merge_marker_options(request: pytest.FixtureRequest) -> dict[str, Any]:
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


@contextmanager
def _quiet_sdks() -> Iterator[None]:
    """Keep the log of HTTP clients, up to hundreds of lines a call, out of reports unless a test has set its level."""
    loggers = [logging.getLogger(name) for name in _SDK_LOGGERS]
    changed = [logger for logger in loggers if logger.level == logging.NOTSET]
    for logger in changed:
        logger.setLevel(logging.WARNING)
    yield
    for logger in changed:
        logger.setLevel(logging.NOTSET)


def _is_strict(config: pytest.Config) -> bool:
    return bool(config.getoption("--aione-mock-strict") or config.getini("aione_mock_strict"))


def _require_sdk(package: str, fixture: str) -> None:
    __tracebackhide__ = True
    pytest.importorskip(package, reason=f"{fixture} needs the {package} SDK: pip install {package}")


def _name_worker(config: pytest.Config) -> str:
    """Return what keeps the sessions of this worker of this run apart from all others on a shared server."""
    worker = getattr(config, "workerinput", {})
    return f"{worker.get('workerid', 'main')}-{worker.get('testrunuid', '')[:8] or os.getpid()}"
