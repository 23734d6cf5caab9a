"""Run a command of any language with a mock, and say what it left unused and what violated the contract."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from aione_mock.errors import ConfigError
from aione_mock.scenarios.rules import Rule
from aione_mock.server.app import Mock, create_app
from aione_mock.server.control.verify import Verifier
from aione_mock.server.http import Server
from aione_mock.server.journal import Exchange
from aione_mock.server.sessions import Session
from aione_mock.settings import MEMORY, Settings, build_environment, read_variable
from aione_mock.testing.environment import CONFLICTING_VARIABLES, make_session_variables

_FOUND = 1
_MAX_PROBLEMS = 50
"""Most problems that are printed."""
_REFUSED = ("invalid_request", "unknown_operation")
"""Findings of the journal about requests that the contract does not allow."""


def run_command(command: Sequence[str], settings: Settings, *, strict: bool, report: Callable[[str], None]) -> int:
    """Start a mock, run the command with the variables that SDKs read, and report what is wrong with its calls.

    Returns the exit code of the command; 1 if that is 0 and there are problems. Raises ConfigError if the command
    cannot be run.
    """
    app = create_app(settings.model_copy(update={"store": MEMORY, "workers": 1}))
    audit = _Audit(app, strict)
    app.sessions.on_end = audit.add
    with Server(app, settings.host, settings.port) as server:
        code = _run(command, _list_variables(app, server.url, settings))
    for session in app.sessions:
        audit.add(session)
    audit.add_rules_of_files()
    calls, sessions, problems = audit.calls, audit.sessions, len(audit.problems)
    report(f"aione-mock: {_count(calls, 'call')} in {_count(sessions, 'session')}, {_count(problems, 'problem')}")
    for problem in audit.problems[:_MAX_PROBLEMS]:
        report(f"  {problem}")
    if problems > _MAX_PROBLEMS:
        report(f"  … and {problems - _MAX_PROBLEMS} more")
    return code or (_FOUND if problems else 0)


def _list_variables(app: Mock, url: str, settings: Settings) -> dict[str, str]:
    """Return the variables for the command: those of the fixture `aione_env`, for the session `default`."""
    session = app.sessions.default
    variables = make_session_variables(
        url + settings.root_path,
        session.tenants.demo_key,
        no_proxy=read_variable("NO_PROXY") or "",
        credentials=app.sessions.world.list_credentials(),
    )
    token = {} if settings.control_token is None else {"AIONE_MOCK_CONTROL_TOKEN": settings.control_token}
    return variables | token


def _run(command: Sequence[str], variables: dict[str, str]) -> int:
    program = shutil.which(command[0]) or command[0]  # on Windows npm is npm.cmd
    try:
        process = subprocess.Popen(
            [program, *command[1:]], env=build_environment(variables, without=CONFLICTING_VARIABLES)
        )
    except OSError as error:
        raise ConfigError(f"cannot run {command[0]}: {error.strerror or error}") from None
    with _forward_signals(process):
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _forward_signals(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave the end to the command: it gets SIGTERM from here, and Ctrl-C from the terminal."""

    def forward(number: int, _: object) -> None:
        if number != signal.SIGINT or not os.isatty(0):
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Audit:
    """Collect what is wrong with the sessions of a server, each when it ends."""

    def __init__(self, app: Mock, strict: bool) -> None:
        self._verifier, self._strict = Verifier(app.pipeline.scenarios.compiler), strict
        self._file_rules = app.pipeline.scenarios.rule_files.rules
        self._used: Counter[str] = Counter()
        """Most turns that a rule of a file has had in one session."""
        self.calls = self.sessions = 0
        self.problems: list[str] = []

    def add(self, session: Session) -> None:
        """Note the problems of a session that has ended. One that was never called or changed does not count."""
        rules = (*session.scenarios, *session.rules)
        exchanges = list(session.journal)
        for rule in self._file_rules:
            turns = rule.count_turns(session.store.read_counter(f"rules/{rule.id}"))
            self._used[rule.id] = max(self._used[rule.id], turns)
        self.calls += len(exchanges)
        self.sessions += bool(exchanges or rules)
        found = [*self._find_unused(session, rules, exchanges), *self._find_wrong(exchanges)]
        self.problems += [f"session {session.name}: {problem}" for problem in found]

    def add_rules_of_files(self) -> None:
        """Note the rules of scenario files, which hold in every session, that no session has used up."""
        for rule in self._file_rules:
            if rule.total is not None and not rule.cycle and self._used[rule.id] < rule.total:
                used = f"at most {self._used[rule.id]} of {rule.total} times in a session"
                self.problems.append(f"rule '{rule.id}' of {rule.source} was used {used}")

    def _find_unused(self, session: Session, rules: Sequence[Rule], exchanges: Sequence[Exchange]) -> Iterator[str]:
        """Describe the rules for a number of calls that were not used up, or whose reply was refused."""
        for rule in rules:
            total = rule.total
            refused = [each for each in exchanges if each.rule == rule.id and _was_refused(rule, each)]
            used = rule.count_turns(session.store.read_counter(f"rules/{rule.id}")) - len(refused)
            if total is None or rule.cycle or used >= total:
                continue
            yield f"rule '{rule.id}' was used {used} of {total} times{self._explain(rule, session, refused)}"

    def _explain(self, rule: Rule, session: Session, refused: Sequence[Exchange]) -> str:
        if refused:
            return f"; {_describe(refused[-1])} was refused: {refused[-1].refusal}"
        matches = self._verifier.match_exchanges(rule.raw.get("when", {}), None, session)
        nearest = min((each for each in matches if each.reasons), key=lambda each: len(each.reasons), default=None)
        return f"; nearest is call {nearest.number}: {', '.join(nearest.reasons)}" if nearest else ""

    def _find_wrong(self, exchanges: Sequence[Exchange]) -> Iterator[str]:
        """Describe answers that violate the contract; if strict also refused requests, and calls without a rule."""
        for each in exchanges:
            for finding in each.findings:
                note = f" ({each.refusal})" if each.refusal else ""
                yield f"{_describe(each)}: the answer violates the contract: {finding}{note}"
            if not self._strict or each.rule is not None:
                continue
            if each.finding in _REFUSED:
                yield f"{_describe(each)}: the contract does not allow the request: {each.refusal}"
            elif each.operation is not None and each.operation.paid:
                nearest = each.nearest
                reason = f"; nearest is '{nearest.rule_id}': {', '.join(nearest.reasons)}" if nearest else ""
                yield f"{_describe(each)}: no rule answered it{reason}"


def _was_refused(rule: Rule, exchange: Exchange) -> bool:
    then = rule.raw["then"]
    return "reply" in then and "faults" not in then and exchange.status >= 400


def _describe(exchange: Exchange) -> str:
    return f"call {exchange.number}, {exchange.request.method} {exchange.path} → {exchange.status}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
