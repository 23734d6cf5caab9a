"""Assert that client code is resilient, on a server of its own where none is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aione_mock.testing.arguments import Kind, check_optional
from aione_mock.testing.resilience.in_process import check_client
from aione_mock.testing.resilience.report import ResilienceReport
from aione_mock.testing.resilience.runner import make_api_key
from aione_mock.testing.servers import start_server
from aione_mock.testing.session import MockSession

_SESSION = Kind("a session", "aione_mock", lambda value: isinstance(value, MockSession))


def assert_resilient(
    call: Callable[..., object],
    *,
    mock: MockSession | None = None,
    only: Sequence[str] = (),
    include: Sequence[str] = (),
    patience: float = 10.0,
    attempts: int = 5,
) -> ResilienceReport:
    """Run client code under faults and check it. Raises AssertionError with a table of what to change.

    `call` sends a question to the gateway and returns the answer; it may be asynchronous. If it takes an argument, it
    is given the session, with `base_url`, `openai_base_url` and `api_key`, and creates its client anew each time.
    `only` names checks, or groups of them. `include` names groups that run besides the usual checks: `awkward` has a
    check for each answer of `docs/reference/awkward-answers.md`. `patience` is the seconds within which it must give up
    on a silent gateway, `attempts` is how often it may send the same request. Raises ConfigError for an unknown
    name, and if the client fails without a fault.
    """
    __tracebackhide__ = True
    check_optional("assert_resilient()", _SESSION, mock=mock)
    if mock is not None:
        return check_client(call, mock, only=only, include=include, patience=patience, attempts=attempts)
    with start_server(auth="any") as server, server.session("resilience", api_key=make_api_key(server.url)) as own:
        return check_client(call, own, only=only, include=include, patience=patience, attempts=attempts)
