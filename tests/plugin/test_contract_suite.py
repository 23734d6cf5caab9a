"""`pytest --pyargs aione_mock.checker`: the contract as tests of a gateway."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from aione_mock.checker import prepare
from aione_mock.checker.pytest_suite import MatrixPlace, list_places, narrow_plan
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.structs import replace
from tests.checker.conftest import target
from tests.checker.faulty_gateway import ACCESS, KEY, OTHER, TOKEN, Fault, FaultyGateway, SeenRequest, SentResponse

pytest_plugins = ["pytester"]
SECRETS = {
    "AIONE_API_KEY": KEY,
    "AIONE_CONSOLE_TOKEN": TOKEN,
    "AIONE_OTHER_TOKEN": OTHER,
    "AIONE_ACCESS_KEY_ID": ACCESS[0],
    "AIONE_ACCESS_KEY_SECRET": ACCESS[1],
}
Suite = Callable[..., pytest.RunResult]


@pytest.fixture(scope="module")
def gateway() -> Iterator[FaultyGateway]:
    gateway = FaultyGateway(create_app(Settings(seed="checker")))
    with Server(gateway) as server:
        gateway.url = server.url
        yield gateway


@pytest.fixture
def suite(pytester: pytest.Pytester, gateway: FaultyGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Suite]:
    """Run the suite against the faulty gateway, with credentials in the environment."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)

    def run(
        *options: str, fault: Fault | None = None, url: str = "", name: bool = True, apart: bool = False
    ) -> pytest.RunResult:
        gateway.app.sessions.reset(gateway.app.sessions.get())
        gateway.fault, gateway.seen = fault or Fault(), []
        where = ("--aione-url", url or gateway.url) if name else ()
        arguments = ("-p", "no:cacheprovider", "--pyargs", "aione_mock.checker", *where, *options)
        return pytester.runpytest_subprocess(*arguments) if apart else pytester.runpytest_inprocess(*arguments)

    yield run
    gateway.fault = Fault()


def leaks(request: SeenRequest, response: SentResponse) -> SentResponse:
    """List models without a credential, with a key as id."""
    if request.path != "/v1/models" or response.status == 200:
        return response
    return replace(response, status=200, body=b'{"object": "list", "data": [{"id": "%s"}]}' % KEY.encode())


def reject_with_400(request: SeenRequest, response: SentResponse) -> SentResponse:
    """Reject unknown models with a status that the contract does not assume."""
    if response.status == 404 and b"model" in response.body:
        return replace(response, status=400)
    return response


def test_one_test_for_each_operation_and_law(suite: Suite) -> None:
    result = suite("--aione-only", "access-none", "--aione-only", "access-wrong", "-v", apart=True)
    result.assert_outcomes(passed=39, skipped=12)
    result.stdout.fnmatch_lines(["*test_gateway.py::test_keeps[[]listModels-access-none[]] PASSED*"])
    result.stdout.fnmatch_lines(["*test_gateway.py::test_keeps[[]createMessage-access-wrong[]] PASSED*"])


def test_what_is_not_checked_says_why_and_how_to(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIONE_OTHER_TOKEN")
    result = suite("--aione-only", "isolation-listed", "--aione-only", "key-deletion", "-rs")
    result.assert_outcomes(skipped=8)
    result.stdout.fnmatch_lines_random(
        [
            "SKIPPED *test_gateway.py:*: not checked: no token of a second organisation *(--aione-other-token)*",
            "SKIPPED *: not checked: it creates, changes and deletes keys (--aione-allow-writes)",
        ]
    )


def test_options_come_before_the_environment(
    suite: Suite, gateway: FaultyGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "of-somebody-else")
    only = ("--aione-only", "key-prefix", "--aione-allow-writes")
    result = suite(*only, "--aione-key", KEY, "--aione-token", TOKEN, "--aione-other-token", OTHER,
                   "--aione-access-key", ACCESS[0], "--aione-access-secret", ACCESS[1])  # fmt: skip
    result.assert_outcomes(passed=3)
    assert not [request for request in gateway.seen if "of-somebody-else" in str(request.headers)]
    assert {"POST", "DELETE"} <= {request.method for request in gateway.seen}


def test_a_violation_fails_its_test_alone_and_shows_no_credential(suite: Suite) -> None:
    options = ("--aione-fail-on", "violation", "--showlocals", "-vv")
    result = suite("--aione-only", "access-none", *options, apart=True, fault=Fault(on_response=leaks))
    result.assert_outcomes(passed=20, failed=1, skipped=6)
    result.stdout.fnmatch_lines(
        [
            "*test_keeps[[]listModels-access-none[]]*",
            "violation at listModels: *[[]access-none[]]*",
            "  expected *401*",
            "  seen *200*",
            "  repeat    curl *",
            "FAILED *test_keeps[[]listModels-access-none[]]*",
        ]
    )
    shown = result.stdout.str() + result.stderr.str()
    assert "$AIONE_API_KEY" in shown, "the answer holds the key"
    assert [secret for secret in SECRETS.values() if secret in shown] == []


@pytest.mark.parametrize(
    ("fail_on", "outcome"), [("assumption", {"failed": 1}), ("violation", {"passed": 1, "warnings": 1})]
)
def test_an_assumption_mismatch_fails_or_warns(suite: Suite, fail_on: str, outcome: dict[str, int]) -> None:
    chosen = ("-k", "createMessage-error-unknown-model", "--aione-only", "error-unknown-model")
    result = suite(*chosen, "--aione-fail-on", fail_on, fault=Fault(on_response=reject_with_400))
    result.assert_outcomes(deselected=6, **outcome)
    result.stdout.fnmatch_lines(["*assumption mismatch at createMessage: *[[]error-unknown-model[]]*", "*overlay *"])


def test_no_more_is_asked_than_chosen_tests_need(suite: Suite, gateway: FaultyGateway) -> None:
    suite("--aione-only", "access", "-k", "access-not-echoed").assert_outcomes(passed=8, deselected=124)
    alone = len(gateway.seen)
    suite("--aione-only", "access")
    assert 0 < alone < len(gateway.seen) / 4


def test_rules_and_generated_checks_are_tests_too(suite: Suite) -> None:
    only = ("--aione-only", "listModels", "--aione-only", "coverage", "--aione-only", "schema")
    # the generator's modules would be forgotten after a run inside this process, and later be there twice
    result = suite(*only, "-v", apart=True)
    result.stdout.fnmatch_lines(
        [
            "*test_keeps[[]listModels-negative_data_rejection[]] PASSED*",
            "*test_keeps[[]listModels-schema[]] PASSED*",
        ]
    )
    assert result.ret == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--aione-only", "acess"), "no tag, operation, law, area, phase or check 'acess'; did you mean 'access'?"),
        (("--aione-max-time", "soon"), "'soon' is not a duration such as 250ms, 61s, 15m, 2h or 30d"),
        (("--aione-overlay", "none.yaml"), "*none.yaml*No such file*"),
    ],
)
def test_options_that_cannot_be_used(suite: Suite, options: tuple[str, ...], message: str) -> None:
    result = suite(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines([f"*Exit: aione-mock: {message}*"])
    assert "Traceback" not in result.stdout.str()


def test_no_address_and_no_answer(suite: Suite) -> None:
    unnamed = suite(name=False)
    assert unnamed.ret == pytest.ExitCode.USAGE_ERROR
    unnamed.stdout.fnmatch_lines(["*aione-mock: name the gateway to check: --aione-url URL*"])
    nobody = suite(url="http://127.0.0.1:9")
    assert nobody.ret == 2
    nobody.stdout.fnmatch_lines(["*aione-mock: could not check: no answer from http://127.0.0.1:9: *"])


def test_one_process_makes_the_run(suite: Suite) -> None:
    result = suite("-n", "1", "--aione-only", "access-none")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["aione-mock: these tests share one run and cannot be distributed; leave out -n"])


def test_a_run_is_narrowed_to_chosen_places() -> None:
    plan = prepare(target("http://127.0.0.1:9")).plan
    every = list_places(plan)
    assert len(set(map(str, every))) == len(every) > 700
    assert narrow_plan(plan, every) == plan
    one = narrow_plan(plan, [MatrixPlace("listModels", "access-none")])
    assert (one.operations, [law.name for law in one.laws], one.rules, one.phases) == (
        ("listModels",), ["access-none"], (), ()
    )  # fmt: skip
    # a rule needs somebody who asks
    rule = narrow_plan(plan, [MatrixPlace("listModels", "schema")])
    assert ([r.name for r in rule.rules], rule.laws, rule.phases) == (["schema"], (), ())
    assert "read-answered" in {law.name for law in rule.asking_laws}


def test_it_is_loaded_by_pytest_alone() -> None:
    code = "import sys, aione_mock.contract; sys.exit('pytest' in sys.modules or 'aione_mock.checker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
