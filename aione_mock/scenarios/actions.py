"""`then`: what happens to a call."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson

from aione_mock.clock import parse_duration
from aione_mock.scenarios import templates
from aione_mock.scenarios.body_changes import BodyChange
from aione_mock.scenarios.conditions import MatchContext
from aione_mock.structs import frozen
from aione_mock.types import Fault, Headers, Json, Script, ToolCall, clean_header_value


@frozen
class Action:
    """What happens to one call. Without any member set, the call gets the ordinary response."""

    error: str | None = None
    """Name of an error of the contract."""
    message: str | None = None
    retry_after: int | None = None
    reply: Mapping[str, Json] | None = None
    """The scripted reply as written; `make_script` fills in its templates."""
    awkward: str | None = None
    """Name of an awkward answer."""
    pace: Mapping[str, Json] | None = None
    """Changes for `Pace.change`."""
    faults: tuple[Fault, ...] = ()
    set_headers: Headers = ()
    remove_headers: tuple[str, ...] = ()
    delay: float = 0.0
    """Seconds before anything is sent."""
    body: BodyChange | None = None
    """Members of the answer to change, as written; `make_body_change` fills in templates."""
    written: Mapping[str, Json] = MappingProxyType({})
    """The action as a rule has it, without `times`."""

    @property
    def label(self) -> str:
        """A name such as `rate_limit_exceeded`, `cut+stall`, `reply` or `pace`."""
        answer = "reply" if self.reply is not None else self.awkward
        parts = [self.error, answer, *[fault.name for fault in self.faults]]
        parts += ["body" if self.body else None, "pace" if self.pace else None]
        parts.append("headers" if self.set_headers or self.remove_headers else None)
        return "+".join(filter(None, parts)) or ("delay" if self.delay else "ordinary")

    def describe(self, context: MatchContext, call: int) -> dict[str, Json]:
        """Return the action as a rule has it, with its templates filled in."""
        return {name: _fill_member(name, value, context, call) for name, value in self.written.items()}

    def make_script(self, context: MatchContext, call: int) -> Script | None:
        """Return the scripted reply for a call, None if there is none."""
        if self.awkward is not None:
            return Script(awkward=self.awkward)
        return None if self.reply is None else _make_script(self.reply, context, call)

    def make_message(self, context: MatchContext, call: int) -> str | None:
        """Return the error's message for a call; None stands for the contract's own."""
        return None if self.message is None else templates.fill_text(self.message, context, call)

    def make_body_change(self, context: MatchContext, call: int) -> BodyChange | None:
        """Return the members to change for a call, None if there are none."""
        if self.body is None:
            return None
        return BodyChange(templates.fill_value(self.body.set, context, call), self.body.remove)

    def change_headers(self, headers: Headers, context: MatchContext, call: int) -> Headers:
        """Return response headers with some set and some removed."""
        replaced = {*self.remove_headers, *[name for name, _ in self.set_headers]}
        kept = tuple(pair for pair in headers if pair[0].lower() not in replaced)
        return kept + tuple(
            (name, clean_header_value(templates.fill_text(value, context, call))) for name, value in self.set_headers
        )


NO_ACTION = Action()


@frozen
class ActionStep:
    """An action and how many times in a row it happens; None is every time."""

    action: Action
    times: int | None = None


def parse_action(spec: Mapping[str, Json]) -> Action:
    """Return the action that a valid `Outcome` or `Then` of the rule schema describes."""
    headers, body = spec.get("headers", {}), spec.get("body")
    return Action(
        spec.get("error"),
        spec.get("message"),
        spec.get("retry_after"),
        spec.get("reply"),
        spec.get("awkward"),
        spec.get("pace"),
        tuple(_parse_fault(fault) for fault in spec.get("faults", ())),
        tuple((name.lower(), value) for name, value in headers.get("set", {}).items()),
        tuple(name.lower() for name in headers.get("remove", ())),
        parse_duration(spec.get("delay", 0.0)),
        None if body is None else BodyChange(body.get("set", {}), tuple(body.get("remove", ()))),
        {name: value for name, value in spec.items() if name not in ("times", "cycle")},
    )


def parse_steps(then: Mapping[str, Json]) -> tuple[ActionStep, ...]:
    """Return the steps of a valid `then`, in order."""
    if "sequence" in then:
        return tuple(ActionStep(parse_action(part), part.get("times", 1)) for part in then["sequence"])
    return (ActionStep(parse_action(then), then.get("times")),)


def _fill_member(name: str, value: Json, context: MatchContext, call: int) -> Json:
    """Fill in the templates of a member. Only some members take values that are not text from them."""
    if name in ("json", "body", "arguments"):
        return templates.fill_value(value, context, call)
    if isinstance(value, Mapping):
        return {key: _fill_member(key, item, context, call) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_fill_member("", item, context, call) for item in value]
    return templates.fill_text(value, context, call) if isinstance(value, str) else value


def _parse_fault(spec: Mapping[str, Json]) -> Fault:
    return Fault(spec["name"], {key: value for key, value in spec.items() if key != "name"})


def _make_script(reply: Mapping[str, Json], context: MatchContext, call: int) -> Script:
    if "body" in reply:
        return Script(body=templates.fill_value(reply["body"], context, call), whole=True)
    chunks = tuple(templates.fill_text(chunk, context, call) for chunk in reply.get("chunks", ()))
    text: str | None = None
    if "json" in reply:
        text = orjson.dumps(templates.fill_value(reply["json"], context, call)).decode()
    elif "text" in reply:
        text = templates.fill_text(reply["text"], context, call)
    elif chunks:
        text = "".join(chunks)
    reasoning = reply.get("reasoning")
    return Script(
        text,
        chunks,
        tuple(_make_tool_call(spec, context, call) for spec in reply.get("tool_calls", ())),
        None if reasoning is None else templates.fill_text(reasoning, context, call),
        reply.get("finish"),
        reply.get("usage", {}),
    )


def _make_tool_call(spec: Mapping[str, Json], context: MatchContext, call: int) -> ToolCall:
    arguments = templates.fill_value(spec.get("arguments", {}), context, call)
    return ToolCall(spec.get("id", ""), spec["name"], orjson.dumps(arguments).decode())
