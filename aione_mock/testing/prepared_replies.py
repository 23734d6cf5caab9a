"""Replies that a test has prepared, and their priority.

Replies for a limited number of calls come first, in the order in which they were prepared. Then come replies for
every call, those with conditions before those without. Then come the rules of the marker, then the pace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from aione_mock.testing.calls import RecordedCall, quote_text
from aione_mock.types import Json


@dataclass(frozen=True, slots=True)
class PreparedReply:
    """What `reply`, `awkward`, `fail`, `fault`, `stream_fault` or `pace` prepared."""

    id: str
    """The method and a number, such as `reply-1`."""
    description: str
    """As shown in failure messages, such as `reply “Hello”`."""
    then: Mapping[str, Json]
    when: Mapping[str, Json]
    times: int | None
    """How many calls it is for; None for all."""

    def to_rule(self) -> dict[str, Json]:
        """Return the rule that the control API takes."""
        times = {} if self.times is None else {"times": self.times}
        return {"id": self.id, **({"when": self.when} if self.when else {}), "then": {**self.then, **times}}

    def was_refused(self, call: RecordedCall) -> bool:
        """Return whether a call used up this reply but was refused: its prompt was too long, for example."""
        answers = ("reply" in self.then or "awkward" in self.then) and "faults" not in self.then
        return answers and call.rule == self.id and call.status >= 400

    def __str__(self) -> str:
        return self.description + (f" when {dict(self.when)}" if self.when else "")


def sort_by_priority(replies: Iterable[PreparedReply]) -> list[PreparedReply]:
    """Sort replies as the module describes."""
    return sorted(replies, key=_rank_reply)


def _rank_reply(reply: PreparedReply) -> int:
    if reply.times is not None:
        return 0
    return 1 if reply.when else 3 if reply.id == "pace" else 2


_SEQUENCE_EXAMPLES = {"tool_calls": "{'find_order': {'number': 7}}", "chunks": "['Five ', 'days.']"}
"""Arguments that take several values. A string would be split into its characters."""


def build_reply(**arguments: Json) -> tuple[dict[str, Json], str]:
    """Return the `Reply` of the rule schema for the arguments of `reply`, and its description.

    Raises TypeError for a string where several values are needed.
    """
    __tracebackhide__ = True
    reply = {name: value for name, value in arguments.items() if value is not None}
    if (text := reply.get("text")) is not None and not isinstance(text, str):
        raise TypeError(f"reply() takes a text; use json= for other values: reply(json={text!r})")
    for name, example in _SEQUENCE_EXAMPLES.items():
        if isinstance(reply.get(name), str):
            raise TypeError(f"reply() takes {name} such as {example}, not the text {reply[name]!r}")
    if isinstance(calls := reply.get("tool_calls"), Mapping):
        reply["tool_calls"] = [{"name": name, "arguments": arguments} for name, arguments in calls.items()]
    for name in _SEQUENCE_EXAMPLES.keys() & reply.keys():
        reply[name] = list(reply[name])
    return reply, " ".join(["reply", *_describe(reply)])


def _describe(reply: Mapping[str, Json]) -> Iterator[str]:
    text = reply.get("text") or "".join(chunk for chunk in reply.get("chunks", ()) if isinstance(chunk, str))
    if isinstance(text, str) and text:
        yield quote_text(text)
    yield from (f"{name}={reply[name]!r}" for name in ("json", "body") if name in reply)
    if "tool_calls" in reply:
        names = [call.get("name") if isinstance(call, Mapping) else repr(call) for call in reply["tool_calls"]]
        yield f"calls {', '.join(map(str, names))}"
