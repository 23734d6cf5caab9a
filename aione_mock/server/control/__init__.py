"""The control API, `/_mock/…`: what a test, a script or a curious person may ask and change while the mock runs.

server     health, counts, the catalogue of errors
errors     every error of the contract, and how to get it
sessions   make, reset, snapshot, restore, fork and delete sessions
scenarios  activate scenarios, set rules
clock      stop, start, set and move time
journal    what was asked and answered
verify     were such calls made?

Who may use it is decided in `access`; what the answers look like, in openapi/control.yaml.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from urllib.parse import parse_qsl

from aione_mock.errors import APIError, ConfigError, ScenarioError, did_you_mean
from aione_mock.server.control import clock, journal, verify
from aione_mock.server.control.scenarios import ScenarioControl
from aione_mock.server.control.server import ServerControl
from aione_mock.server.control.sessions import SessionControl
from aione_mock.server.pipeline import Handler, Pipeline
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Reply

Answer = Callable[[Call, Session], Awaitable[Reply]]


def handlers(pipeline: Pipeline) -> dict[str, Handler]:
    """The table of the control API: operationId to the function that answers it."""
    server, sessions, scenarios = ServerControl(pipeline), SessionControl(pipeline), ScenarioControl(pipeline.scenarios)
    table: Mapping[str, Answer] = {
        "getHealth": server.health,
        "listErrors": server.list_errors,
        "getStats": server.stats,
        "listSessions": sessions.list_all,
        "createSession": sessions.create,
        "getSession": sessions.get,
        "deleteSession": sessions.delete,
        "resetSession": sessions.reset,
        "snapshotSession": sessions.snapshot,
        "restoreSession": sessions.restore,
        "forkSession": sessions.fork,
        "listScenarios": scenarios.list_scenarios,
        "activateScenario": scenarios.activate,
        "clearScenarios": scenarios.clear,
        "listRules": scenarios.list_rules,
        "replaceRules": scenarios.replace_rules,
        "addRule": scenarios.add_rule,
        "deleteRule": scenarios.delete_rule,
        "getRuleSchema": scenarios.rule_schema,
        "getClock": clock.get_clock,
        "changeClock": clock.change_clock,
        "queryJournal": journal.query_journal,
        "clearJournal": journal.clear_journal,
        "getExchange": journal.get_exchange,
        "verifyCalls": verify.Verifier(pipeline).verify_calls,
    }
    return {name: _explained(answer) for name, answer in table.items()}


def _explained(answer: Answer) -> Handler:
    """The same, with what a rule or a setting gets wrong told as a refusal."""

    @wraps(answer)
    async def explained(call: Call, session: Session) -> Reply:
        _refuse_unknown(call)
        try:
            return await answer(call, session)
        except (ScenarioError, ConfigError) as error:
            raise APIError("invalid_request", str(error)) from None

    return explained


def _refuse_unknown(call: Call) -> None:
    """A filter with a slip in its name would find everything. Raises APIError `invalid_request`."""
    known = [parameter.name for parameter in call.operation.parameters if parameter.location == "query"]
    if not known:
        return
    for name, _ in parse_qsl(call.query, keep_blank_values=True):
        if name not in known:
            remedy = did_you_mean(name, known) or f"; there are: {', '.join(known)}"
            raise APIError("invalid_request", f"unknown parameter '{name[:80]}'{remedy}")
