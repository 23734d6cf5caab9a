"""Select the scenario that applies to a call, and apply it to the response.

Precedence: the request header `X-Mock-Scenario`, then the session's rules (control API, pytest), then scenario files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract, Operation
from aione_mock.errors import APIError, ConfigError, ScenarioError
from aione_mock.protocols.errors import translate_error_name
from aione_mock.scenarios.actions import NO_ACTION, Action
from aione_mock.scenarios.awkward import explain_unmet_need
from aione_mock.scenarios.catalogue import ScenarioCatalogue
from aione_mock.scenarios.conditions import MatchContext, meets_all
from aione_mock.scenarios.faults import apply_faults, explain_misfit
from aione_mock.scenarios.pace import INSTANT, Pace, make_realistic, schedule
from aione_mock.scenarios.rule_compiler import RuleCompiler
from aione_mock.scenarios.rule_files import RuleFiles
from aione_mock.scenarios.rules import Rule, RuleMatch, find_nearest, select_rule
from aione_mock.seed import Seed
from aione_mock.server.match_context import make_match_context, read_model
from aione_mock.server.sessions import Session
from aione_mock.settings import Settings
from aione_mock.structs import frozen, replace
from aione_mock.types import Call, Json, Reply, Response, StreamReply

FILES_LOG = "aione_mock.files"
"""Name of the log of what is wrong with files that are read again. Of several processes one writes it."""
_log = logging.getLogger(FILES_LOG)
_NO_WAIT = {"retry-after-ms": "1"}
"""What makes OpenAI's and Anthropic's SDKs try again at once; they ignore `retry-after: 0`."""
_RELOAD_SECONDS = 0.5
"""Interval at which scenario files are checked for changes."""


@frozen
class ActiveScenario:
    """What happens to one call, and which rule has decided it."""

    action: Action = NO_ACTION
    rule_id: str | None = None
    """Id of the rule; `header` for the request header."""
    context: MatchContext | None = None
    seen: int = 0
    """Number of calls that the rule has matched, this one included."""
    nearest: RuleMatch | None = None
    """The rule that came nearest, if none applies."""

    @property
    def label(self) -> str | None:
        """A name of the action for explanations; None for the ordinary response."""
        return None if self.action is NO_ACTION else self.action.label

    def describe(self) -> Mapping[str, Json] | None:
        """Return the action as a rule has it, with its templates filled in; None for the ordinary response."""
        if self.action is NO_ACTION or self.context is None:
            return None
        return self.action.describe(self.context, self.seen)

    def script_call(self, call: Call) -> Call:
        """Return the call with its scripted reply, if any. Raises the APIError that the scenario asks for."""
        if self.context is None:
            return call
        if self.action.error is not None:
            raise self._make_error(self.action, call.operation, self.context)
        return replace(call, script=self.action.make_script(self.context, self.seen))

    def _make_error(self, action: Action, operation: Operation, context: MatchContext) -> APIError:
        name = action.error or ""
        spec = operation.errors[_find_error(name, operation) or name]
        headers = {}
        if action.retry_after is not None:
            headers = {name: str(action.retry_after) for name in spec.headers if name.endswith("retry-after")}
            headers |= _NO_WAIT if action.retry_after == 0 else {}
        return APIError(spec.name, action.make_message(context, self.seen) or "", headers=headers)


NO_SCENARIO = ActiveScenario()


class ScenarioEngine:
    """Hold the scenarios and rules of a server, and apply them to calls."""

    def __init__(self, contract: Contract, config: Settings) -> None:
        errors = [(protocol, name, spec.status) for (protocol, name), spec in contract.errors.items()]
        # ModelRouter documents its errors by codes
        codes = {spec.body["errCode"]: name for (_, name), spec in contract.errors.items() if "errCode" in spec.body}
        self.catalogue = ScenarioCatalogue((error for error in errors if error[0] != "control"), codes)
        operations = [o.id for o in contract.operations.values() if o.protocol != "control"]
        self.compiler = RuleCompiler(contract.documents["control.yaml"], self.catalogue, operations)
        self._rule_files = RuleFiles.open(config.scenarios, self.compiler, config.configured_rules)
        self._checked_at = SYSTEM_CLOCK.timestamp()
        self._time_scale = config.time_scale
        try:
            self.default_pace = self.catalogue.parse_pace(config.pace)
            """The pace of sessions without one, as changes."""
        except ScenarioError as error:
            raise ConfigError(f"--pace {config.pace}: {error}") from None
        self._instant = self.default_pace == {"profile": "instant"}

    @property
    def rule_files(self) -> RuleFiles:
        """The scenario files, reloaded when they have changed."""
        if self._rule_files.paths and SYSTEM_CLOCK.timestamp() - self._checked_at > _RELOAD_SECONDS:
            self._checked_at = SYSTEM_CLOCK.timestamp()
            self.reload_rules()
        return self._rule_files

    def reload_rules(self) -> None:
        """Reload the scenario files that have changed, and log what is wrong with them."""
        known = set(self._rule_files.errors)
        self._rule_files = self._rule_files.reload(self.compiler)
        for error in self._rule_files.errors:
            if error not in known:
                _log.warning("%s (the last valid rules of the file stay in force)", error)

    async def select(
        self,
        call: Call,
        session: Session,
        occurrence: int,
        context: MatchContext | None = None,
        candidates: Sequence[Rule] | None = None,
    ) -> ActiveScenario:
        """Return the scenario that applies to a call. Raises APIError for an unknown scenario in the header.

        None applies to the control API, so that a rule for every call cannot lock out who has set it. A call that is
        not valid needs a `context`. `candidates` is the result of `list_candidates`, where it is known.
        """
        if call.operation.protocol == "control":
            return NO_SCENARIO
        header = call.header("x-mock-scenario")
        context = context or make_match_context(call, session, f"{call.key.hex()}/{occurrence}")
        if header is not None:
            return await self._select_by_header(header, call, session, context)

        async def count(rule_id: str) -> int:
            return await session.store.increment(f"rules/{rule_id}")

        rules = session.scenarios + session.rules + self.rule_files.rules
        if candidates is None:
            candidates = [rule for rule in rules if not _explain_impossible_rule(rule, call.operation, context)]
        selection = await select_rule(candidates, context, count)
        if selection.rule is None:
            passed = (*selection.passed, *_list_impossible(rules, call.operation, context))
            return ActiveScenario(context=context, nearest=find_nearest(rules, context, passed))
        return ActiveScenario(selection.action, selection.rule.id, context, selection.seen)

    def list_candidates(self, call: Call, session: Session, context: MatchContext) -> list[Rule]:
        """Return the rules whose conditions a call meets, in order. `select` counts them until one has its turn."""
        rules = session.scenarios + session.rules + self.rule_files.rules
        return [
            rule
            for rule in rules
            if rule.enabled
            and meets_all(rule.conditions, context)
            and not _explain_impossible_rule(rule, call.operation, context)
        ]

    async def _select_by_header(
        self, header: str, call: Call, session: Session, context: MatchContext
    ) -> ActiveScenario:
        step = self.catalogue.parse_header(header)
        seen = 1 if step.times is None else session.count_header(header)
        if step.times is not None and seen > step.times:
            return ActiveScenario(context=context, seen=seen)
        if problem := _explain_impossible(step.action, call.operation, context, strict=False):
            raise APIError("invalid_request", problem, fields={"param": "X-Mock-Scenario"})
        return ActiveScenario(step.action, "header", context, seen)

    def sends_at_once(self, scenario: ActiveScenario, session: Session) -> bool:
        """Return whether `apply` would return the response as it is."""
        return scenario is NO_SCENARIO and self._instant and not session.pace

    def needs_whole_answer(self, scenario: ActiveScenario, session: Session) -> bool:
        """Return whether `apply` changes more of an answer than when it begins."""
        action = scenario.action
        changed = action.faults or action.body or action.set_headers or action.remove_headers or action.pace
        return bool(changed or session.pace or not self._instant)

    def apply(
        self,
        scenario: ActiveScenario,
        response: Response,
        reply: Reply | StreamReply,
        call: Call,
        session: Session,
        seed: Seed,
        render_error_event: Callable[[str], bytes],
    ) -> tuple[Response, bool]:
        """Pace and damage a response; the flag is whether headers or faults have changed it.

        Due times of the result are real seconds, divided by the time scale. `render_error_event` renders an error of
        the contract, by name, as an event of the call's protocol.
        """
        stream, action = isinstance(reply, StreamReply), scenario.action
        paced = _pace_response(response, reply, action.delay, self._get_pace(scenario, reply, call, session), seed)
        damaged = paced
        if scenario.context is not None and (change := action.make_body_change(scenario.context, scenario.seen)):
            damaged = change.change_response(damaged, stream=stream)
        if scenario.context is not None and (action.set_headers or action.remove_headers):
            headers = action.change_headers(damaged.headers, scenario.context, scenario.seen)
            damaged = replace(damaged, headers=headers)
        if action.faults:
            damaged = apply_faults(
                action.faults, damaged, stream=stream, seed=seed, render_error_event=render_error_event
            )
        return self._scale_times(damaged, action.delay, stream=stream), damaged is not paced

    def _get_pace(self, scenario: ActiveScenario, reply: Reply | StreamReply, call: Call, session: Session) -> Pace:
        # an error waits only if its scenario says so
        usual = (self.default_pace, session.pace) if reply.status < 400 else ()
        changes = [change for change in (*usual, scenario.action.pace) if change]
        if not changes or not call.operation.paid:
            return INSTANT
        model = session.catalogue.find(read_model(call) or "")
        realistic = make_realistic(model.pace.ttft, model.pace.tokens_per_second) if model else INSTANT
        pace = INSTANT
        for change in changes:
            pace = pace.change(change, realistic)
        return pace

    def _scale_times(self, response: Response, delay: float, *, stream: bool) -> Response:
        sends = response.sends
        if stream and not response.raw and sends and sends[0][0] > delay:
            # the head of a stream does not wait for the first token
            sends = ((delay, b""), *sends)
        if self._time_scale != 1:
            sends = tuple((due / self._time_scale, data) for due, data in sends)
        return replace(response, sends=sends)


def _pace_response(response: Response, reply: Reply | StreamReply, delay: float, pace: Pace, seed: Seed) -> Response:
    if pace == INSTANT and not delay:
        return response
    tokens = reply.usage.completion if reply.usage else 1
    weights = reply.weights if isinstance(reply, StreamReply) else (tokens,)
    if len(response.sends) <= 1:
        # a plain response is due with its last token, one without a body with the first
        rest = max(0, sum(weights) - 1) if response.sends else 0
        dues = schedule((1, rest), pace, seed)[-1:]
    else:
        dues = schedule(weights or (1,) * len(response.sends), pace, seed)
    sends = zip(dues, response.sends or ((0.0, b""),), strict=True)
    return replace(response, sends=tuple((due + delay, data) for due, (_, data) in sends))


def _find_error(name: str, operation: Operation) -> str | None:
    """Return the operation's own name of an error, None if it does not declare it."""
    names = name, translate_error_name(operation.protocol, name)
    return next((candidate for candidate in names if candidate in operation.errors), None)


def _explain_impossible_rule(rule: Rule, operation: Operation, context: MatchContext) -> str | None:
    """Return why a call cannot be answered by all actions of a rule, or None if it can."""
    problems = (_explain_impossible(step.action, operation, context) for step in rule.steps)
    return next((problem for problem in problems if problem), None)


def _list_impossible(rules: Iterable[Rule], operation: Operation, context: MatchContext) -> Iterator[RuleMatch]:
    """Yield the rules whose conditions a call meets although it cannot be answered by them, with the reason."""
    for rule in rules:
        if meets_all(rule.conditions, context) and (problem := _explain_impossible_rule(rule, operation, context)):
            yield RuleMatch(rule.id, False, len(rule.conditions), (problem,))


def _explain_impossible(
    action: Action, operation: Operation, context: MatchContext, *, strict: bool = True
) -> str | None:
    """Return why a call of an operation cannot be answered by an action, or None if it can.

    Unless `strict`, faults that do not fit an error response are skipped.
    """
    if action.error and _find_error(action.error, operation) is None:
        return f"{operation.id} cannot answer '{action.error}'; it declares {', '.join(operation.errors)}"
    if action.error and not strict:
        return None
    if action.awkward and not operation.prompt_format:
        return f"{operation.id} {_describe_lack(operation)}, so it cannot answer '{action.awkward}'"
    unmet = explain_unmet_need(action.awkward, context.features) if action.awkward else None
    return unmet or _explain_reply(action, operation) or explain_misfit(action.faults, stream=context.stream)


def _explain_reply(action: Action, operation: Operation) -> str | None:
    if action.reply is None or ("body" in action.reply) != bool(operation.prompt_format):
        return None
    if operation.prompt_format:
        return f"{operation.id} calls a model; script its text"
    return f"{operation.id} {_describe_lack(operation)}; script its body"


def _describe_lack(operation: Operation) -> str:
    return "takes no prompt" if operation.paid else "calls no model"
