"""Small changes that mutants are put together from."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from aione_mock.mutants.mutation import Answer, Ask, Change
from aione_mock.types import Json


def body(change: Callable[[Json], Json]) -> Change:
    """Another JSON body for a plain success. `change` may alter its argument, and what it returns counts."""

    def apply(answer: Answer, ask: Ask) -> Answer:
        data = answer.data
        return answer if not answer.ok or answer.streamed or data is None else answer.with_data(change(data))

    return apply


def refusal(change: Callable[[Json], Json]) -> Change:
    """Another JSON body for a refusal."""

    def apply(answer: Answer, ask: Ask) -> Answer:
        data = answer.data
        return answer if answer.ok or data is None else answer.with_data(change(data))

    return apply


def events(change: Callable[[list[bytes]], list[bytes]]) -> Change:
    """Other events for a stream."""

    def apply(answer: Answer, ask: Ask) -> Answer:
        return answer.with_events(change(answer.events)) if answer.streamed else answer

    return apply


def each_event(change: Callable[[int, Json], Json]) -> Change:
    """Other data for each event that is JSON; `change` gets its place in the stream."""

    def rewrite(place: int, event: bytes) -> bytes:
        head, mark, text = event.rpartition(b"data: ")
        try:
            return head + mark + orjson.dumps(change(place, orjson.loads(text))) + b"\n\n"
        except orjson.JSONDecodeError:
            return event

    return events(lambda found: [rewrite(place, event) for place, event in enumerate(found)])


def status(old: int, new: int, error: Json = None) -> Change:
    """Another status for a refusal, with the body that goes with it."""

    def apply(answer: Answer, ask: Ask) -> Answer:
        if answer.status != old:
            return answer
        changed = Answer(new, answer.headers, answer.body)
        return changed if error is None else changed.with_data(error)

    return apply


def without_header(*names: bytes) -> Change:
    """The answer without some headers."""

    def apply(answer: Answer, ask: Ask) -> Answer:
        return Answer(answer.status, tuple(p for p in answer.headers if p[0] not in names), answer.body)

    return apply


def header(name: bytes, change: Callable[[bytes], bytes]) -> Change:
    """Another value of a header, where the answer has it."""

    def apply(answer: Answer, ask: Ask) -> Answer:
        return Answer(answer.status, tuple((n, change(v) if n == name else v) for n, v in answer.headers), answer.body)

    return apply


def member(*path: str | int, to: Callable[[Json], Json]) -> Callable[[Json], Json]:
    """Change one member of a JSON value, where it is there; `*` goes over all items of a list."""

    def change(value: Json, steps: tuple[str | int, ...]) -> Json:
        if not steps:
            return to(value)
        step, rest = steps[0], steps[1:]
        if step == "*" and isinstance(value, list):
            return [change(item, rest) for item in value]
        if isinstance(value, dict) and step in value:
            return {**value, step: change(value[step], rest)}
        if isinstance(value, list) and isinstance(step, int) and len(value) > step:
            return [*value[:step], change(value[step], rest), *value[step + 1 :]]
        return value

    return lambda value: change(value, path)
