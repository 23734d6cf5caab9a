"""Snapshots of conversations: what applications and models said, as YAML files beside the tests."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from aione_mock.testing.answers import read_answer
from aione_mock.testing.conversation import parse_arguments, read_prompt
from aione_mock.types import Json, Turn

if TYPE_CHECKING:
    from aione_mock.contract import Contract
    from aione_mock.testing.calls import RecordedCall

UPDATE = "--aione-mock-update-snapshots"
"""The option of pytest that writes snapshots."""
_FOLDER = "__snapshots__"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The snapshots of one test."""

    test_file: Path
    test_name: str
    update: bool = False

    def compare(self, calls: Iterable[RecordedCall], contract: Contract, name: str = "") -> str:
        """Return how a conversation differs from its snapshot, empty if it does not; write it if asked to."""
        path = self._find_path(name)
        seen = format_conversation(calls, contract)
        before = path.read_text(encoding="utf-8") if path.is_file() else None
        if seen == before:
            return ""
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(seen, encoding="utf-8")
            return ""
        shown = f"{_FOLDER}/{path.parent.name}/{path.name}"
        if before is None:
            return f"there is no snapshot {shown} yet\n\nTo write it, run pytest {UPDATE} and look at the file."
        lines = difflib.unified_diff(before.splitlines(), seen.splitlines(), "snapshot", "this run", n=2, lineterm="")
        see = f"If the new conversation is right, run pytest {UPDATE}."
        return "\n".join([f"the conversation differs from its snapshot {shown}", "", *lines, "", see])

    def _find_path(self, name: str) -> Path:
        file = "-".join(filter(None, [self.test_name, name]))
        return self.test_file.parent / _FOLDER / self.test_file.stem / f"{_NOT_IN_NAMES.sub('-', file).strip('-')}.yaml"


def format_conversation(calls: Iterable[RecordedCall], contract: Contract) -> str:
    """Return the conversations of calls as YAML: no ids, times or headers, which differ without a change of meaning."""
    described = [_describe_call(call, contract) for call in calls]
    return yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=100)


def _describe_call(call: RecordedCall, contract: Contract) -> dict[str, Json]:
    prompt, answer = read_prompt(call, contract), read_answer(call, contract)
    described: dict[str, Json] = {"operation": call.operation or f"{call.method} {call.path}"}
    if prompt is None:
        return described | ({} if call.body is None else {"body": call.body}) | {"status": call.status}
    described |= {"model": prompt.model, **({"stream": True} if call.stream else {})}
    described |= {"tools": [tool.name for tool in prompt.tools]} if prompt.tools else {}
    described["messages"] = [message for turn in prompt.turns for message in _describe_turn(turn)]
    if answer is None:
        return described | {"status": call.status}
    described["answer"] = {"text": answer.text} if answer.text or not answer.tool_calls else {}
    if answer.tool_calls:
        described["answer"]["calls"] = [{call.name: call.arguments} for call in answer.tool_calls]
    return described


def _describe_turn(turn: Turn) -> Iterator[dict[str, Json]]:
    calls = [{call.name: parse_arguments(call.arguments)} for call in turn.tool_calls]
    members = {"text": turn.text, "images": len(turn.images), "calls": calls}
    if any(members.values()):
        only_text = not turn.images and not calls
        yield {turn.role: turn.text if only_text else {name: value for name, value in members.items() if value}}
    for result in turn.results:
        yield {"result of " + result.name: result.text}
