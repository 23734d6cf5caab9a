"""The contract as tests of a gateway: `pytest --pyargs aione_mock.checker --aione-url URL`.

There is one test for each operation and law. All of them share one run of the checker, which sends each request once.
`aione_mock.testing.pytest_plugin` registers the options.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from aione_mock.checker.options import CheckOptions, parse_flags
from aione_mock.errors import ConfigError, MockError
from aione_mock.structs import replace

if TYPE_CHECKING:
    from aione_mock.checker.pytest_suite import ContractSuite, MatrixPlace

_SUITE, _PROBLEM = pytest.StashKey["ContractSuite"](), pytest.StashKey[str]()
_OPTION = re.compile(
    r"(?<![\w-])--(?=(key|token|business-token|other-token|access-key|access-secret|allow-writes|max-time)\b)"
)
"""Options in messages, which have another prefix here."""


class AssumptionMismatch(UserWarning):
    """The gateway differs from what the contract only assumes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Create one test for each place of the matrix, or a single one for unusable options."""
    if "place" not in metafunc.fixturenames:
        return
    try:
        suite = metafunc.config.stash[_SUITE] = _create_suite(metafunc.config)
        metafunc.parametrize("place", suite.places, ids=str)
    except MockError as error:  # pytest shows an error during collection with a traceback
        metafunc.config.stash[_PROBLEM] = str(error)
        metafunc.parametrize("place", [None], ids=["options"])


def _create_suite(config: pytest.Config) -> ContractSuite:
    """Return the run of this process. Raises ConfigError or ContractError for unusable options."""
    from aione_mock.checker import prepare
    from aione_mock.checker.pytest_suite import ContractSuite
    from aione_mock.checker.target import Target

    if not config.getoption("--aione-url", None):
        raise ConfigError("name the gateway to check: --aione-url URL")
    if hasattr(config, "workerinput"):
        raise ConfigError("these tests share one run and cannot be distributed; leave out -n")
    prefix = "aione_contract_"
    given = {name.removeprefix(prefix): value for name, value in vars(config.option).items() if name.startswith(prefix)}
    target = Target.from_environment(config.getoption("--aione-url"), **parse_flags(Target, given))
    options = CheckOptions(**parse_flags(CheckOptions, given))
    overlays = tuple(config.invocation_params.dir / path for path in options.overlays)
    suite = ContractSuite(prepare(target, replace(options, overlays=overlays)))
    if not suite.places:
        raise ConfigError("these options leave nothing to check")
    return suite


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest) -> Iterator[ContractSuite]:
    """Provide the run, no longer than the chosen tests need. It cleans up after the last of them."""
    from aione_mock.checker.pytest_suite import MatrixPlace

    if problem := request.config.stash.get(_PROBLEM, ""):
        if hasattr(request.config, "workerinput"):  # pytest-xdist takes an exit for a crash
            pytest.fail(f"aione-mock: {problem}", pytrace=False)
        pytest.exit(f"aione-mock: {problem}", returncode=pytest.ExitCode.USAGE_ERROR)
    suite = request.config.stash[_SUITE]
    chosen = [item.callspec.params.get("place") for item in request.session.items if hasattr(item, "callspec")]
    suite.narrow(place for place in chosen if isinstance(place, MatrixPlace))
    yield suite
    for key in suite.close():
        warnings.warn(f"could not delete the key {key}", stacklevel=1)


@pytest.fixture(scope="session")
def failed_for_gone() -> list[str]:
    """Return a list that is not empty once a test has failed because the gateway stopped answering."""
    return []


def test_keeps(
    gateway: ContractSuite, place: MatrixPlace, pytestconfig: pytest.Config, failed_for_gone: list[str]
) -> None:
    """Fail unless the gateway keeps the law for the operation."""
    problem = ""
    try:
        outcome = gateway.find_outcome(place)
    except MockError as error:
        problem = _OPTION.sub("--aione-", str(error))
    if problem:  # outside the handler: pytest would show the cause
        pytest.exit(f"aione-mock: {problem}", returncode=2)
    if outcome.cell.state == "not checked":
        reason = _OPTION.sub("--aione-", outcome.cell.reason)
        if gateway.target_gone and not failed_for_gone:
            failed_for_gone.append(reason)
            pytest.fail(reason, pytrace=False)
        pytest.skip(f"not checked: {reason}")
    if outcome.cell.state == "broken":
        if outcome.severity == "violation" or pytestconfig.getoption("--aione-fail-on") != "violation":
            pytest.fail(str(outcome), pytrace=False)
        warnings.warn(AssumptionMismatch(str(outcome)), stacklevel=1)
