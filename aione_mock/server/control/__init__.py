"""The control API, `/_mock/…`: inspect and change the mock while it runs.

server           health, statistics, the list of errors
error_catalogue  every error of the contract, and how to trigger it
sessions         create, reset, snapshot, restore, fork and delete sessions
scenarios        activate scenarios, set rules
clock            freeze, unfreeze, set and advance time
journal          search requests and their responses
verify           check which calls were made

Access is checked in `server.auth`; the responses are declared in openapi/control.yaml.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from urllib.parse import parse_qsl

from aione_mock.errors import APIError, did_you_mean
from aione_mock.server.control import clock, journal, verify
from aione_mock.server.control.scenarios import ScenarioControl
from aione_mock.server.control.server import ServerControl
from aione_mock.server.control.sessions import SessionControl
from aione_mock.server.pipeline import Explanation, Handler, Pipeline
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Reply

ControlHandler = Callable[[Call, Session], Awaitable[Reply]]


def make_handlers(pipeline: Pipeline) -> dict[str, Handler]:
    """Return the handlers of the control API by operationId."""
    server, sessions, scenarios = ServerControl(pipeline), SessionControl(pipeline), ScenarioControl(pipeline.scenarios)
    table: Mapping[str, ControlHandler] = {
        "getHealth": server.get_health,
        "listErrors": server.list_errors,
        "getStats": server.get_stats,
        "listSessions": sessions.list_sessions,
        "createSession": sessions.create_session,
        "getSession": sessions.get_session,
        "deleteSession": sessions.delete_session,
        "resetSession": sessions.reset_session,
        "snapshotSession": sessions.snapshot_session,
        "restoreSession": sessions.restore_session,
        "forkSession": sessions.fork_session,
        "listScenarios": scenarios.list_scenarios,
        "activateScenario": scenarios.activate_scenario,
        "clearScenarios": scenarios.clear_scenarios,
        "listRules": scenarios.list_rules,
        "replaceRules": scenarios.replace_rules,
        "addRule": scenarios.add_rule,
        "deleteRule": scenarios.delete_rule,
        "getRuleSchema": scenarios.get_rule_schema,
        "getClock": clock.get_clock,
        "changeClock": clock.change_clock,
        "queryJournal": journal.query_journal,
        "clearJournal": journal.clear_journal,
        "getExchange": journal.get_exchange,
        "verifyCalls": verify.Verifier(pipeline.scenarios.compiler).verify_calls,
    }
    return {name: _check_query(answer) for name, answer in table.items()}


def build_explanations(pipeline: Pipeline) -> dict[str, Explanation]:
    """Return what explains a violation of a schema: operationId to a function that raises ScenarioError."""
    scenarios = ScenarioControl(pipeline.scenarios)
    return {
        "addRule": scenarios.explain_rule,
        "replaceRules": scenarios.explain_rules,
        "createSession": scenarios.explain_rules,
    }


def _check_query(answer: ControlHandler) -> Handler:
    @wraps(answer)
    async def check_and_answer(call: Call, session: Session) -> Reply:
        _refuse_unknown_parameters(call)
        return await answer(call, session)

    return check_and_answer


def _refuse_unknown_parameters(call: Call) -> None:
    """Raise APIError `invalid_request` for an unknown parameter: a misspelled filter would find everything."""
    known = [parameter.name for parameter in call.operation.parameters if parameter.location == "query"]
    if not known:
        return
    for name, _ in parse_qsl(call.query, keep_blank_values=True):
        if name not in known:
            remedy = did_you_mean(name, known) or f"; known: {', '.join(known)}"
            raise APIError("invalid_request", f"unknown parameter '{name[:80]}'{remedy}")
