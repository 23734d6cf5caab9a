"""Read the conversations of recorded calls, independent of their protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from aione_mock.errors import APIError
from aione_mock.protocols import NORMALIZERS, PROMPT_READERS
from aione_mock.types import Call, ImageInput, Json, Prompt

if TYPE_CHECKING:
    from aione_mock.contract import Contract
    from aione_mock.testing.calls import RecordedCall


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that an application ran because the model asked for it."""

    name: str
    arguments: Json
    """What the model passed; None if the request does not repeat it."""
    call: int
    """Number of the call that brought the model the result."""

    def __str__(self) -> str:
        return self.name if self.arguments is None else f"{self.name} {orjson.dumps(self.arguments).decode()}"


def calls_model(call: RecordedCall, contract: Contract) -> bool:
    """Return whether a call asks a model something."""
    operation = contract.operations.get(call.operation or "")
    return operation is not None and bool(operation.prompt_format)


def read_prompt(call: RecordedCall, contract: Contract) -> Prompt | None:
    """Return what a call asks a model; None for a call that asks none or that cannot be read."""
    operation = contract.operations.get(call.operation or "")
    reader = PROMPT_READERS.get(operation.prompt_format) if operation is not None else None
    if reader is None or operation is None:
        return None
    with contextlib.suppress(APIError, AttributeError, LookupError, TypeError, ValueError):
        normalize = NORMALIZERS.get(operation.protocol)
        data = normalize(call.body, operation) if normalize else call.body
        params = dict(contract.match(call.path).params)
        return reader(Call(operation, call.method, call.path, call.query, (), b"", "", "", params, data), _skip_image)
    return None


def list_tool_uses(calls: Iterable[RecordedCall], contract: Contract) -> list[ToolUse]:
    """Return the tools that the application ran, in order: those whose results it sent to the model.

    A request repeats what was said before, and a retry repeats a request, so each result counts once.
    """
    uses: dict[tuple[Json, ...], ToolUse] = {}
    for call in calls:
        if (prompt := read_prompt(call, contract)) is not None:
            for key, use in _read_tool_uses(prompt, call.number):
                uses.setdefault(key, use)
    return list(uses.values())


def _read_tool_uses(prompt: Prompt, number: int) -> Iterator[tuple[tuple[Json, ...], ToolUse]]:
    """Yield each result of a request, and what tells it from all others."""
    question = next((turn.text for turn in prompt.turns if turn.role == "user"), "")
    pending = [call for turn in prompt.turns for call in turn.tool_calls]
    for position, result in enumerate([result for turn in prompt.turns for result in turn.results]):
        # Gemini's results may name the tool alone: then they belong to its first call that has no result yet
        same = [call for call in pending if call.id == result.call_id] or [c for c in pending if c.name == result.name]
        if same:
            pending.remove(same[0])
        arguments = parse_arguments(same[0].arguments) if same else None
        yield (question, position, result.call_id, result.name), ToolUse(result.name, arguments, number)


def parse_arguments(text: str) -> Json:
    """Return the arguments of a tool call; the text itself where it is not JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _skip_image(uri: str, param: str) -> ImageInput:
    # tests look at texts, so no image is decoded
    return ImageInput("", 0, 0, "")
