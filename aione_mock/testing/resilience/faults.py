"""The faults that a client is run under, as rules of the mock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from aione_mock.generator import generate
from aione_mock.seed import Seed
from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.resilience.observation import Observation, Thresholds
from aione_mock.types import Json

Rules = list[dict[str, Json]]
BuildRules = Callable[[Thresholds, Observation], Rules]
"""Rules for a client, given what it did without a fault."""
Feature = Literal["stream", "tools", "json", "schema", "thinking"]
"""What a client may use."""
TWO_TOOLS_RULE = "two-tools"
"""Id of the rule that calls two tools."""


@dataclass(frozen=True, slots=True)
class FaultScenario:
    """Something that a gateway does and a client must handle."""

    build_rules: BuildRules
    needs: Feature | None = None
    """The feature that a client must use for the fault to reach it."""


def _match_every_call(**then: Json) -> BuildRules:
    return lambda thresholds, healthy: [{"then": then}]


def _match_every_stream(*faults: dict[str, Json]) -> BuildRules:
    return lambda thresholds, healthy: [{"when": {"stream": True}, "then": {"faults": list(faults)}}]


def _build_silence(thresholds: Thresholds, healthy: Observation) -> Rules:
    # it ends in the end, so that a client without a timeout ends too
    return [{"then": {"error": "upstream_timeout", "delay": thresholds.patience + 2}}]


def _build_stall(thresholds: Thresholds, healthy: Observation) -> Rules:
    fault = {"name": "stall", "after": 2, "seconds": thresholds.patience + 2, "then": "cut"}
    return _match_every_stream(fault)(thresholds, healthy)


def _build_two_tool_calls(thresholds: Thresholds, healthy: Observation) -> Rules:
    tools = next((tools for call in healthy.calls if (tools := list(list_offered_tools(call.body)))), [])
    calls = [
        {"name": name, "arguments": _generate_arguments(schema, number)}
        for number, (name, schema) in enumerate((tools[0], tools[-1]))
    ]
    return [
        {
            "id": TWO_TOOLS_RULE,
            "when": {"tool_offered": True, "tool_result": False},
            "then": {"reply": {"tool_calls": calls}, "times": 1},
        }
    ]


FAULT_SCENARIOS: Mapping[str, FaultScenario] = {
    "broken": FaultScenario(_match_every_call(error="internal_error")),
    "busy": FaultScenario(_match_every_call(error="rate_limit_exceeded", retry_after=1, times=1)),
    "refused": FaultScenario(_match_every_call(error="invalid_api_key")),
    "silent": FaultScenario(_build_silence),
    "stalled": FaultScenario(_build_stall, "stream"),
    "cut": FaultScenario(_match_every_stream({"name": "cut", "after": 4}), "stream"),
    "unfinished": FaultScenario(_match_every_stream({"name": "no_finish"}, {"name": "no_end"}), "stream"),
    "error_event": FaultScenario(_match_every_stream({"name": "error_event", "after": 4}), "stream"),
    "tools": FaultScenario(_build_two_tool_calls, "tools"),
    "web_page": FaultScenario(_match_every_call(faults=[{"name": "html_page", "status": 200}])),
    # a valid stream, but one that naive parsers fail on
    "unusual": FaultScenario(
        _match_every_stream({"name": "comments"}, {"name": "crlf"}, {"name": "split_events", "size": 5}), "stream"
    ),
}


def is_silent(rules: Rules) -> bool:
    """Return whether the rules keep a client waiting for longer than its patience."""
    faults = [fault["name"] for rule in rules for fault in rule["then"].get("faults", ())]
    return "stall" in faults or any("delay" in rule["then"] for rule in rules)


def list_features(calls: Iterable[RecordedCall]) -> set[Feature]:
    """Return the features that a client uses."""
    features = set[Feature]()
    for call in calls:
        features |= {"stream"} if call.stream else set()
        features |= {"tools"} if any(list_offered_tools(call.body)) else set()
        if isinstance(call.body, dict):
            features |= set(_list_formats(call.body)) | ({"thinking"} if _asks_to_think(call.body) else set())
        features |= {"json"} if _is_object(call.text) else set()
    return features


def _list_formats(body: Mapping[str, Json]) -> Iterator[Feature]:
    """Yield `json` and `schema` for a request of any protocol that asks for them."""
    asked = _get_object(body, "response_format").get("type")
    settings = _get_object(body, "generationConfig")
    formats = _get_object(body, "output_config"), body
    schema = asked == "json_schema" or settings.keys() & {"responseSchema", "responseJsonSchema"}
    if schema or _get_object(formats[0], "format") or _get_object(formats[1], "output_format"):
        yield from ("json", "schema")
    elif asked == "json_object" or settings.get("responseMimeType") == "application/json":
        yield "json"


def _asks_to_think(body: Mapping[str, Json]) -> bool:
    thinking = _get_object(body, "thinking").get("type")
    thinking_config = _get_object(_get_object(body, "generationConfig"), "thinkingConfig")
    return (
        body.get("reasoning_effort") not in (None, "none")
        or thinking in ("enabled", "adaptive")
        or thinking_config != {}
    )


def _get_object(holder: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def list_offered_tools(body: Json) -> Iterator[tuple[str, Json]]:
    """Yield name and schema of each tool that a request of any protocol offers."""
    tools = body.get("tools") if isinstance(body, dict) else None
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            continue
        many = tool.get("functionDeclarations") or tool.get("function_declarations") or [tool.get("function", tool)]
        for one in many:
            if isinstance(one, dict) and isinstance(one.get("name"), str):
                yield one["name"], one.get("parameters", one.get("input_schema", one.get("parametersJsonSchema")))


def _generate_arguments(schema: Json, number: int) -> Json:
    if not isinstance(schema, dict):
        return {}
    arguments = generate(_lower_types(schema), Seed.of("resilience").child("arguments", number))
    return arguments if isinstance(arguments, dict) else {}


def _lower_types(schema: Json) -> Json:
    """Return the schema with type names in lower case; Google's are in capitals."""
    if isinstance(schema, list):
        return [_lower_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {k: v.lower() if k == "type" and isinstance(v, str) else _lower_types(v) for k, v in schema.items()}
