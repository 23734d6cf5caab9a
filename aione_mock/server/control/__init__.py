"""The control API, `/_mock/…`: inspect and change the mock while it runs.

server           health, readiness, statistics, metrics, the list of errors
error_catalogue  every error of the contract, and how to trigger it
sessions         create, reset, snapshot, restore, fork and delete sessions
scenarios        activate scenarios, set rules
clock            freeze, unfreeze, set and advance time
organisation     what keys use now, and signed requests
journal          search requests and their responses
canaries         list which canary was given to which question
violations       say how a response violates the contract
export           give the calls of a session as a cassette or an HTTP archive
events           report calls and changes as they come
verify           check which calls were made

Access is checked in `server.auth`; the responses are declared in openapi/control.yaml.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from urllib.parse import parse_qsl

from aione_mock.errors import APIError, did_you_mean
from aione_mock.server.control import canaries, clock, journal, verify
from aione_mock.server.control.events import EventControl
from aione_mock.server.control.export import ExportControl
from aione_mock.server.control.organisation import OrganisationControl
from aione_mock.server.control.scenarios import ScenarioControl
from aione_mock.server.control.server import ServerControl
from aione_mock.server.control.sessions import SessionControl
from aione_mock.server.pipeline import Explanation, Handler, Pipeline
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Reply, StreamReply

ControlHandler = Callable[[Call, Session], Awaitable[Reply]]


_CHANGES = {
    "addRule": "rules",
    "replaceRules": "rules",
    "deleteRule": "rules",
    "switchRule": "rules",
    "activateScenario": "scenarios",
    "clearScenarios": "scenarios",
    "changeClock": "clock",
    "clearJournal": "journal",
    "createSession": "session",
    "deleteSession": "session",
    "resetSession": "session",
    "restoreSession": "session",
    "snapshotSession": "session",
    "forkSession": "session",
}
"""Operation to the event that reports it."""


def make_handlers(pipeline: Pipeline) -> dict[str, Handler]:
    """Return the handlers of the control API by operationId."""
    server, sessions, scenarios = ServerControl(pipeline), SessionControl(pipeline), ScenarioControl(pipeline.scenarios)
    events, organisation = EventControl(pipeline.state.feed), OrganisationControl(pipeline)
    export = ExportControl(pipeline)
    table: Mapping[str, ControlHandler] = {
        "listControlOperations": server.list_operations,
        "getHealth": server.get_health,
        "getReady": server.get_ready,
        "listErrors": server.list_errors,
        "listCredentials": server.list_credentials,
        "getStats": server.get_stats,
        "getMetrics": server.get_metrics,
        "listLimits": organisation.list_limits,
        "sendSignedCall": organisation.send_signed_call,
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
        "switchRule": scenarios.switch_rule,
        "checkRules": scenarios.check_rules,
        "getRuleSchema": scenarios.get_rule_schema,
        "getClock": clock.get_clock,
        "changeClock": clock.change_clock,
        "queryJournal": journal.query_journal,
        "clearJournal": journal.clear_journal,
        "getExchange": journal.get_exchange,
        "exportCassette": export.export_cassette,
        "exportHar": export.export_har,
        "listCanaries": canaries.list_canaries,
        "listenToEvents": events.listen_to_events,
        "verifyCalls": verify.Verifier(pipeline.scenarios.compiler).verify_calls,
    }
    handlers = {name: _check_query(answer) for name, answer in table.items()}
    return {**handlers, **{name: _announce(handlers[name], event, events) for name, event in _CHANGES.items()}}


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


def _announce(answer: Handler, event: str, events: EventControl) -> Handler:
    @wraps(answer)
    async def answer_and_announce(call: Call, session: Session) -> Reply | StreamReply:
        reply = await answer(call, session)
        events.announce_change(event, call, session)
        return reply

    return answer_and_announce


def _refuse_unknown_parameters(call: Call) -> None:
    """Raise APIError `invalid_request` for an unknown parameter: a misspelled filter would find everything."""
    known = [parameter.name for parameter in call.operation.parameters if parameter.location == "query"]
    if not known:
        return
    for name, _ in parse_qsl(call.query, keep_blank_values=True):
        if name not in known:
            remedy = did_you_mean(name, known) or f"; known: {', '.join(known)}"
            raise APIError("invalid_request", f"unknown parameter '{name[:80]}'{remedy}")
