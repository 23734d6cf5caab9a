"""The contract as tests of a gateway: `pytest --pyargs aione_mock.checker --aione-url URL`.

One test for each operation and law. All of them together are one run of the checker, which makes each request once.
The options are those of `aione-mock check`; `aione_mock.testing.pytest_plugin` registers them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aione_mock.clock import parse_duration
from aione_mock.errors import ConfigError, MockError

if TYPE_CHECKING:
    from aione_mock.checker.pytest_suite import ContractSuite, MatrixPlace

_SUITE, _PROBLEM = pytest.StashKey["ContractSuite"](), pytest.StashKey[str]()
_OPTION = re.compile(
    r"(?<![\w-])--(?=(key|token|business-token|other-token|access-key|access-secret|allow-writes|max-time)\b)"
)
"""Options that reasons speak of, by the names that `aione-mock check` has for them."""


class AssumptionMismatch(UserWarning):
    """The gateway differs from what the contract only assumes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each place of the checker's matrix; a single one for options that cannot be used."""
    if "place" not in metafunc.fixturenames:
        return
    try:
        suite = metafunc.config.stash[_SUITE] = _prepared(metafunc.config)
        metafunc.parametrize("place", suite.places, ids=str)
    except MockError as error:  # an error of the collection would come with a traceback
        metafunc.config.stash[_PROBLEM] = str(error)
        metafunc.parametrize("place", [None], ids=["options"])


def _prepared(config: pytest.Config) -> ContractSuite:
    """The run of this process. Raises ConfigError or ContractError for options that cannot be used."""
    if not config.getoption("--aione-url", None):
        raise ConfigError("which gateway? Name it with --aione-url URL")
    if hasattr(config, "workerinput"):
        raise ConfigError("these tests are one run, which makes each request once; leave out -n")
    from aione_mock.checker import Target, prepare
    from aione_mock.checker.pytest_suite import ContractSuite
    from aione_mock.checker.target import VARIABLES

    def given(name: str) -> Any:
        return config.getoption(f"--aione-{name.replace('_', '-')}")

    run = prepare(
        Target.from_environment(
            given("url"),
            model=given("model"),
            verify=not given("insecure"),
            **{name: given(name) for name in VARIABLES},
        ),
        overlays=[config.invocation_params.dir / Path(name) for name in given("overlay")],
        only=given("only"),
        skip=given("skip"),
        max_time=_seconds(given("max_time")),
        rate_limit=given("rate_limit") or None,
        allow_writes=given("allow_writes"),
        spend_limit=str(given("spend_limit")),
        max_paid_calls=given("max_paid_calls"),
    )
    suite = ContractSuite(run)
    if not suite.places:
        raise ConfigError("these options leave nothing to check")
    return suite


def _seconds(text: str | None) -> float | None:
    seconds = None if text is None else parse_duration(text)
    if seconds is not None and seconds <= 0:
        raise ConfigError(f"'{text}' is no time to check in; give one such as 30s or 5m")
    return seconds


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest) -> Iterator[ContractSuite]:
    """The run, made no longer than the chosen tests need; it ends, and cleans up, after the last of them."""
    from aione_mock.checker.pytest_suite import MatrixPlace

    if problem := request.config.stash.get(_PROBLEM, ""):
        if hasattr(request.config, "workerinput"):  # pytest-xdist takes an exit for a crash
            pytest.fail(f"aione-mock: {problem}", pytrace=False)
        pytest.exit(f"aione-mock: {problem}", returncode=pytest.ExitCode.USAGE_ERROR)
    suite = request.config.stash[_SUITE]
    chosen = [item.callspec.params.get("place") for item in request.session.items if hasattr(item, "callspec")]
    suite.narrow(place for place in chosen if isinstance(place, MatrixPlace))
    yield suite
    for left in suite.close():
        warnings.warn(f"could not delete the key {left}", stacklevel=1)


@pytest.fixture(scope="session")
def said_gone() -> list[str]:
    """Not empty once a test has failed because the gateway stopped answering; one is enough."""
    return []


def test_keeps(gateway: ContractSuite, place: MatrixPlace, pytestconfig: pytest.Config, said_gone: list[str]) -> None:
    """The gateway keeps the law for the operation."""
    problem = ""
    try:
        outcome = gateway.outcome(place)
    except MockError as error:
        problem = _OPTION.sub("--aione-", str(error))
    if problem:
        pytest.exit(f"aione-mock: {problem}", returncode=2)
    if outcome.cell.state == "not checked":
        reason = _OPTION.sub("--aione-", outcome.cell.reason)
        if gateway.gone and not said_gone:
            said_gone.append(reason)
            pytest.fail(reason, pytrace=False)
        pytest.skip(f"not checked: {reason}")
    if outcome.cell.state == "broken":
        if outcome.severity == "violation" or pytestconfig.getoption("--aione-fail-on") == "assumption":
            pytest.fail(str(outcome), pytrace=False)
        warnings.warn(AssumptionMismatch(str(outcome)), stacklevel=1)
