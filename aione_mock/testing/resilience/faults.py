"""Misfortunes that a client is put through, spelled as rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from aione_mock.generator import generate
from aione_mock.seed import Seed
from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.resilience.observation import Run, Setting
from aione_mock.types import Json

Rules = list[dict[str, Json]]
TOOLS_RULE = "two-tools"
"""Id of the rule that calls two tools."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A misfortune: `rules(setting, healthy run)`."""

    title: str
    rules: Callable[[Setting, Run], Rules]
    needs: Literal["", "stream", "tools"] = ""


def _always(**then: Json) -> Callable[[Setting, Run], Rules]:
    return lambda setting, healthy: [{"then": then}]


def _streams(*faults: dict[str, Json]) -> Callable[[Setting, Run], Rules]:
    return lambda setting, healthy: [{"when": {"stream": True}, "then": {"faults": list(faults)}}]


def _silence(setting: Setting, healthy: Run) -> Rules:
    # it ends at last, so that the client that waits for it ends too
    return [{"then": {"error": "upstream_timeout", "delay": setting.patience + 2}}]


def _stall(setting: Setting, healthy: Run) -> Rules:
    fault = {"name": "stall", "after": 2, "seconds": setting.patience + 2, "then": "cut"}
    return _streams(fault)(setting, healthy)


def _two_tools(setting: Setting, healthy: Run) -> Rules:
    tools = next((found for call in healthy.calls if (found := list(offered(call.body)))), [])
    calls = [
        {"name": name, "arguments": _arguments(schema, number)}
        for number, (name, schema) in enumerate((tools[0], tools[-1]))
    ]
    return [
        {
            "id": TOOLS_RULE,
            "when": {"tool_offered": True, "tool_result": False},
            "then": {"reply": {"tool_calls": calls}, "times": 1},
        }
    ]


TRIALS: Mapping[str, Trial] = {
    "healthy": Trial("nothing is wrong", lambda setting, healthy: []),
    "broken": Trial("every call is answered with an internal error", _always(error="internal_error")),
    "busy": Trial(
        "the first call is one too many; retry-after says 1 s",
        _always(error="rate_limit_exceeded", retry_after=1, times=1),
    ),
    "refused": Trial("the key is refused", _always(error="invalid_api_key")),
    "silent": Trial("no answer comes", _silence),
    "stalled": Trial("a stream stands still", _stall, "stream"),
    "cut": Trial("the connection drops in a stream", _streams({"name": "cut", "after": 4}), "stream"),
    "unfinished": Trial(
        "a stream ends without saying that it has", _streams({"name": "no_finish"}, {"name": "no_end"}), "stream"
    ),
    "spoilt": Trial("an error comes in a stream, after 200", _streams({"name": "error_event", "after": 4}), "stream"),
    "tools": Trial("the model calls two tools at once", _two_tools, "tools"),
    "web_page": Trial(
        "a proxy answers 200 with a web page", _always(faults=[{"name": "html_page", "status": 200}])
    ),
    "awkward": Trial(
        "a right stream with comments, CRLF and split packets",
        _streams({"name": "comments"}, {"name": "crlf"}, {"name": "split_events", "size": 5}),
        "stream",
    ),
}  # fmt: skip


def abilities(calls: Iterable[RecordedCall]) -> set[str]:
    """What a client makes use of: `stream`, `tools`."""
    seen = list(calls)
    found = {"stream"} if any(call.stream for call in seen) else set()
    return found | ({"tools"} if any(list(offered(call.body)) for call in seen) else set())


def offered(body: Json) -> Iterator[tuple[str, Json]]:
    """Name and schema of each tool that a request offers, in whichever protocol."""
    tools = body.get("tools") if isinstance(body, dict) else None
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            continue
        many = tool.get("functionDeclarations") or tool.get("function_declarations") or [tool.get("function", tool)]
        for one in many:
            if isinstance(one, dict) and isinstance(one.get("name"), str):
                yield one["name"], one.get("parameters", one.get("input_schema", one.get("parametersJsonSchema")))


def _arguments(schema: Json, number: int) -> Json:
    made = generate(_lower(schema), Seed.of("verdicts").child("arguments", number)) if isinstance(schema, dict) else {}
    return made if isinstance(made, dict) else {}


def _lower(schema: Json) -> Json:
    """Google spells types in capitals."""
    if isinstance(schema, list):
        return [_lower(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {k: v.lower() if k == "type" and isinstance(v, str) else _lower(v) for k, v in schema.items()}
