"""Scenarios meet calls: which one applies, and what it makes of the answer.

Precedence: request header `X-Mock-Scenario`, then rules of the session (control API, pytest), then scenario files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aione_mock import protocols
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract, Operation
from aione_mock.errors import APIError, ConfigError, ScenarioError
from aione_mock.protocols.errors import protocol_name
from aione_mock.scenarios import faults, outcomes, rules
from aione_mock.scenarios.catalogue import Catalogue
from aione_mock.scenarios.conditions import Facts
from aione_mock.scenarios.files import Shelf
from aione_mock.scenarios.outcomes import ORDINARY, Outcome
from aione_mock.scenarios.pace import INSTANT, Pace, realistic, schedule
from aione_mock.scenarios.rulebook import Rulebook
from aione_mock.scenarios.rules import Match, Rule
from aione_mock.seed import Seed
from aione_mock.server.sessions import Session
from aione_mock.settings import Settings
from aione_mock.structs import frozen, replace
from aione_mock.types import Call, ImageInput, Json, Prompt, Response

_log = logging.getLogger("aione_mock")
_LOOK_AGAIN = 0.5
"""Seconds after which scenario files are looked at again."""


@frozen
class Playing:
    """What a scenario makes of one call."""

    outcome: Outcome = ORDINARY
    rule: str | None = None
    facts: Facts | None = None
    seen: int = 0
    nearest: Match | None = None

    @property
    def label(self) -> str | None:
        """What is played, for explanations; None for the ordinary answer."""
        return None if self.outcome is ORDINARY else self.outcome.label


NOTHING = Playing()


class Player:
    """Holds what can be played: the catalogue of names, the rulebook and the scenario files."""

    def __init__(self, contract: Contract, config: Settings) -> None:
        errors = [(protocol, name, spec.status) for (protocol, name), spec in contract.errors.items()]
        self.catalogue = Catalogue(e for e in errors if e[0] != "control")
        operations = [o.id for o in contract.operations.values() if o.protocol != "control"]
        self.book = Rulebook(contract.documents["control.yaml"], self.catalogue, operations)
        self._shelf = Shelf.open(config.scenarios, self.book)
        self._looked = SYSTEM_CLOCK.timestamp()
        self._scale = config.time_scale
        self.usual_pace = self.read_pace(config.pace)
        """The server's pace, as changes."""
        self.instant = self.usual_pace == {"profile": "instant"}
        """Whether an answer that no scenario is about, in a session without a pace, comes at once."""

    def read_pace(self, text: str) -> Mapping[str, Json]:
        """`instant`, `realistic` or `pace; ttft=0.5; tps=20` as changes of a pace. Raises ConfigError."""
        usable = "use instant, realistic or 'pace; ttft=0.5; tps=20'"
        try:
            found = self.catalogue.read(text)
        except ScenarioError as error:
            raise ConfigError(f"--pace {text}: {error}; {usable}") from None
        if len(found) != 1 or set(found[0]) != {"pace"}:
            raise ConfigError(f"--pace: '{text}' is not a pace; {usable}")
        pace: Mapping[str, Json] = found[0]["pace"]
        return pace

    @property
    def shelf(self) -> Shelf:
        """The scenario files, read again when they changed."""
        if self._shelf.paths and SYSTEM_CLOCK.timestamp() - self._looked > _LOOK_AGAIN:
            self._looked = SYSTEM_CLOCK.timestamp()
            self._read_again()
        return self._shelf

    def _read_again(self) -> None:
        known = set(self._shelf.errors)
        self._shelf = self._shelf.refreshed(self.book)
        for error in self._shelf.errors:
            if error not in known:
                _log.warning("%s; the last good rules of the file stay in force", error)

    def script(self, playing: Playing, call: Call) -> Call:
        """Return the call with the reply that a scenario scripted. Raises the APIError that a scenario asks for."""
        if playing.facts is None:
            return call
        if error := self.refusal(playing, call.operation):
            raise error
        return replace(call, script=playing.outcome.script(playing.facts, playing.seen))

    async def choose(self, call: Call, session: Session, occurrence: int) -> Playing:
        """What applies to a call. Raises APIError for an unknown scenario in the header.

        Nothing applies to the control API: a rule for every call must not lock its owner out.
        """
        if call.operation.protocol == "control":
            return NOTHING
        asked = call.header("x-mock-scenario")
        known = session.scenarios + session.rules + self.shelf.rules
        facts = facts_of(call, session, f"{call.key.hex()}/{occurrence}")
        if asked is not None:
            return await self._asked(asked, call, session, facts)
        fitting = [rule for rule in known if _can(rule, call.operation, facts.stream)]

        async def counter(rule_id: str) -> int:
            return await session.store.increment(f"rules/{rule_id}")

        chosen = await rules.select(fitting, facts, counter)
        if chosen.rule is None:
            return Playing(facts=facts, nearest=rules.nearest(known, facts, chosen.passed))
        return Playing(chosen.outcome, chosen.rule.id, facts, chosen.seen)

    async def _asked(self, text: str, call: Call, session: Session, facts: Facts) -> Playing:
        steps = self.catalogue.parse_header(text)
        limits = [step.times for step in steps if step.times is not None]
        seen = await session.store.increment(f"scenario/{text}") if limits else 1
        if limits and seen > min(limits):
            return Playing(facts=facts, seen=seen)
        outcome = outcomes.merge(step.outcome for step in steps)
        if outcome.error and _declared(outcome.error, call.operation) is None:
            known = ", ".join(call.operation.errors)
            raise _refused(f"{call.operation.id} cannot answer '{outcome.error}'; it declares {known}")
        problem = _unsaid(outcome, call.operation) or faults.misfit(outcome.faults, stream=facts.stream)
        if not outcome.error and problem:
            raise _refused(problem)
        return Playing(outcome, "header", facts, seen)

    def refusal(self, playing: Playing, operation: Operation) -> APIError | None:
        """The error that a scenario wants, if any."""
        outcome = playing.outcome
        if outcome.error is None or playing.facts is None:
            return None
        wait = str(outcome.retry_after) if outcome.retry_after else None
        spec = operation.errors[_declared(outcome.error, operation) or outcome.error]
        headers = {name: wait for name in spec.headers if wait and name.endswith("retry-after")}
        return APIError(spec.name, outcome.refusal(playing.facts, playing.seen) or "", headers=headers)

    def paced(self, sent: Response, weights: tuple[int, ...], playing: Playing, pace: Pace, seed: Seed) -> Response:
        """The transmission with due times, in seconds before any time scale."""
        delay = playing.outcome.delay
        if pace == INSTANT and not delay:
            return sent
        if len(sent.sends) <= 1:
            # a plain answer comes when its last token would, one without a body with the first
            rest = max(0, sum(weights) - 1) if sent.sends else 0
            dues: tuple[float, ...] = schedule((1, rest), pace, seed)[-1:]
        else:
            dues = schedule(weights or (1,) * len(sent.sends), pace, seed)
        sends = zip(dues, sent.sends or ((0.0, b""),), strict=True)
        return replace(sent, sends=tuple((due + delay, data) for due, (_, data) in sends))

    def settled(self, sent: Response, playing: Playing, *, stream: bool) -> Response:
        """The transmission in real time; a stream's head does not wait for the first token."""
        sends, head = sent.sends, playing.outcome.delay
        if stream and not sent.raw and sends and sends[0][0] > head:
            sends = ((head, b""), *sends)
        if self._scale != 1:
            sends = tuple((due / self._scale, data) for due, data in sends)
        return replace(sent, sends=sends)

    def pace(self, playing: Playing, session: Session, call: Call, *, usual: bool = True) -> Pace:
        """The pace in force for a call; a refusal (not `usual`) waits only if its scenario says so."""
        changes = (self.usual_pace, session.pace, playing.outcome.pace)[0 if usual else 2 :]
        if not any(changes) or not call.operation.paid:
            return INSTANT
        model = session.catalogue.find(_model_named(call) or "")
        figures = realistic(model.pace.ttft, model.pace.tokens_per_second) if model else INSTANT
        pace = INSTANT
        for change in changes:
            pace = pace.changed(change, figures) if change else pace
        return pace

    def damaged(
        self, sent: Response, playing: Playing, *, stream: bool, seed: Seed, error_event: Callable[[str], bytes]
    ) -> Response:
        """The transmission as the scenario's header changes and faults leave it."""
        outcome = playing.outcome
        if playing.facts is not None and (outcome.set_headers or outcome.remove_headers):
            sent = replace(sent, headers=outcome.headers(sent.headers, playing.facts, playing.seen))
        if not outcome.faults:
            return sent
        return faults.apply(outcome.faults, sent, stream=stream, seed=seed, error_event=error_event)


def _refused(problem: str) -> APIError:
    return APIError("invalid_request", problem, fields={"param": "X-Mock-Scenario"})


def _declared(name: str, operation: Operation) -> str | None:
    """The operation's own name of an error, None when it declares none such."""
    names = name, protocol_name(operation.protocol, name)
    return next((candidate for candidate in names if candidate in operation.errors), None)


def _can(rule: Rule, operation: Operation, stream: bool) -> bool:
    """Whether the contract lets the operation answer like that; a rule is for the calls that it can be for."""
    for step in rule.steps:
        outcome = step.outcome
        if outcome.error and _declared(outcome.error, operation) is None:
            return False
        if faults.misfit(outcome.faults, stream=stream):
            return False
        if _unsaid(outcome, operation):
            return False
    return True


def _unsaid(outcome: Outcome, operation: Operation) -> str | None:
    """Why a scripted reply cannot be the operation's, or None when it can."""
    if outcome.reply is None or ("body" in outcome.reply) != operation.paid:
        return None
    return f"{operation.id} {'answers with what a model says' if operation.paid else 'calls no model; script its body'}"


def facts_of(call: Call, session: Session, name: str, *, valid: bool = True) -> Facts:
    """What rules may ask about a call; `name` is that of this very call. One that is not valid has no prompt."""
    caller = call.caller
    prompt = _prompt(call) if valid else None
    last = max((i for i, turn in enumerate(prompt.turns) if turn.role == "user"), default=-1) if prompt else -1
    return Facts(
        operation_id=call.operation.id,
        seed=session.seed,
        call=name,
        model=prompt.model if prompt else _model_named(call),
        key_id=caller.key_id if caller else None,
        key_label=caller.label.rpartition(" (")[0] or caller.label if caller else None,
        key_prefix=caller.label.rpartition("(")[2].removesuffix("...)") if caller else None,
        team_id=caller.team_id if caller else None,
        headers={key.decode("latin-1"): value.decode("latin-1") for key, value in call.headers},
        last_user=prompt.turns[last].text if prompt and last >= 0 else "",
        tools=tuple(tool.name for tool in prompt.tools) if prompt else (),
        tool_results=_results(prompt, last),
        stream=streams(call),
        body=call.data,
    )


def _model_named(call: Call) -> str | None:
    named = call.params.get("model") or (call.data.get("model") if isinstance(call.data, dict) else None)
    return named if isinstance(named, str) else None


def _prompt(call: Call) -> Prompt | None:
    reader = protocols.PROMPT.get(call.operation.protocol)
    return reader(call, _unseen) if reader and call.operation.paid else None


def _unseen(uri: str, param: str) -> ImageInput:
    # no rule asks about pictures, so none is decoded for them
    return ImageInput("", 0, 0, "")


def _results(prompt: Prompt | None, last: int) -> tuple[str, ...]:
    turns: Iterable[Any] = prompt.turns[last + 1 :] if prompt else ()
    return tuple(result.name for turn in turns for result in turn.results)


def streams(call: Call) -> bool:
    """Whether the answer will be a stream of events."""
    if call.operation.stream is None:
        return False
    if "alt" in {parameter.name for parameter in call.operation.parameters}:
        return bool(call.params.get("alt") == "sse")
    return bool(isinstance(call.data, dict) and call.data.get("stream"))
