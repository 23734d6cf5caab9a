"""`then`: what happens to a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from aione_mock.clock import parse_duration
from aione_mock.scenarios import templates
from aione_mock.scenarios.conditions import Facts
from aione_mock.structs import frozen
from aione_mock.types import Fault, Headers, Json, Script, ToolCall, header_value


@frozen
class Outcome:
    """What happens to one call. All empty: the ordinary answer."""

    error: str | None = None
    """Name of an error of the contract."""
    message: str | None = None
    retry_after: int | None = None
    reply: Mapping[str, Json] | None = None
    """As written; `script` fills it in."""
    pace: Mapping[str, Json] | None = None
    """Changes for `Pace.changed`."""
    faults: tuple[Fault, ...] = ()
    set_headers: Headers = ()
    remove_headers: tuple[str, ...] = ()
    delay: float = 0.0
    """Seconds before anything else happens."""

    @property
    def label(self) -> str:
        """What it is, for explanations: `rate_limit_exceeded`, `cut+stall`, `reply`, `pace`."""
        parts = [self.error, "reply" if self.reply is not None else None, *[fault.name for fault in self.faults]]
        parts += ["pace" if self.pace else None, "headers" if self.set_headers or self.remove_headers else None]
        return "+".join(filter(None, parts)) or ("delay" if self.delay else "ordinary")

    def script(self, facts: Facts, call: int) -> Script | None:
        """The scripted reply for this call, None if there is none."""
        return None if self.reply is None else _script(self.reply, facts, call)

    def headers(self, headers: Headers, facts: Facts, call: int) -> Headers:
        """The answer's headers, changed as the outcome says."""
        gone = {*self.remove_headers, *[name for name, _ in self.set_headers]}
        kept = tuple(pair for pair in headers if pair[0].lower() not in gone)
        return kept + tuple(
            (name, header_value(templates.text(value, facts, call))) for name, value in self.set_headers
        )

    def refusal(self, facts: Facts, call: int) -> str | None:
        """The error's own message, its templates filled in; None leaves the usual one."""
        return None if self.message is None else templates.text(self.message, facts, call)


ORDINARY = Outcome()


@frozen
class Step:
    """An outcome and how often it happens in a row; None is always."""

    outcome: Outcome
    times: int | None = None


def outcome(spec: Mapping[str, Json]) -> Outcome:
    """An `Outcome` or `Then` that satisfies the schema, as a value."""
    headers = spec.get("headers", {})
    return Outcome(
        spec.get("error"),
        spec.get("message"),
        spec.get("retry_after"),
        spec.get("reply"),
        spec.get("pace"),
        tuple(
            Fault(f["name"], {key: value for key, value in f.items() if key != "name"}) for f in spec.get("faults", ())
        ),
        tuple((name.lower(), value) for name, value in headers.get("set", {}).items()),
        tuple(name.lower() for name in headers.get("remove", ())),
        parse_duration(spec.get("delay", 0.0)),
    )


def steps(then: Mapping[str, Json]) -> tuple[Step, ...]:
    """The outcomes of a `then`, one after the other."""
    if "sequence" in then:
        return tuple(Step(outcome(part), part.get("times", 1)) for part in then["sequence"])
    return (Step(outcome(then), then.get("times")),)


def merge(outcomes: Iterable[Outcome]) -> Outcome:
    """All of them at once: faults one after the other, delays added, and of everything else the last word."""
    merged = ORDINARY
    for more in outcomes:
        merged = Outcome(
            more.error or merged.error,
            more.message or merged.message,
            more.retry_after or merged.retry_after,
            merged.reply if more.reply is None else more.reply,
            {**(merged.pace or {}), **(more.pace or {})} or None,
            merged.faults + more.faults,
            (*merged.set_headers, *more.set_headers),
            merged.remove_headers + more.remove_headers,
            merged.delay + more.delay,
        )
    return merged


def _script(reply: Mapping[str, Json], facts: Facts, call: int) -> Script:
    if "body" in reply:
        return Script(body=templates.fill(reply["body"], facts, call), whole=True)
    chunks = tuple(templates.text(chunk, facts, call) for chunk in reply.get("chunks", ()))
    words: str | None = None
    if "json" in reply:
        words = orjson.dumps(templates.fill(reply["json"], facts, call)).decode()
    elif "text" in reply:
        words = templates.text(reply["text"], facts, call)
    elif chunks:
        words = "".join(chunks)
    reasoning = reply.get("reasoning")
    return Script(
        words,
        chunks,
        tuple(_tool_call(spec, facts, call) for spec in reply.get("tool_calls", ())),
        None if reasoning is None else templates.text(reasoning, facts, call),
        reply.get("finish"),
        reply.get("usage", {}),
    )


def _tool_call(spec: Mapping[str, Json], facts: Facts, call: int) -> ToolCall:
    arguments = templates.fill(spec.get("arguments", {}), facts, call)
    return ToolCall(spec.get("id", ""), spec["name"], orjson.dumps(arguments).decode())
