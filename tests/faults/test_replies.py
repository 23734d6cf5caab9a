"""Scripted answers through all three protocols, streamed and plain, and for operations that call no model."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from aione_mock.text.sse import decode
from tests.faults.conftest import CONTRACT, PROTOCOLS, SessionClient, build_call, build_chat, read_json

TOOLS = {
    "openai": {
        "tools": [{"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}],
    },
    "anthropic": {"tools": [{"name": "find_order", "input_schema": {"type": "object"}}]},
    "gemini": {"tools": [{"functionDeclarations": [{"name": "find_order", "description": "Finds an order"}]}]},
}


class Scripted:
    """A session with rules, asked plainly and in a stream."""

    def __init__(self, asking: SessionClient, protocol: str) -> None:
        self.asking, self.protocol = asking, protocol

    def rules(self, *rules: Any) -> None:
        """Reset the session and set these rules."""
        sessions = self.asking.app.sessions
        sessions.delete("scripted")
        sessions.get("scripted").rules = self.asking.app.pipeline.scenarios.compiler.compile([*rules])

    def plain(self, text: str = "Hello", **more: Any) -> Any:
        wire = self.asking(build_chat(self.protocol, text, stream=False, **more), session="scripted")
        assert wire.status == 200, wire.body
        return read_json(wire)

    def pieces(self, text: str = "Hello") -> list[str]:
        """Return the text of a streamed answer in pieces."""
        wire = self.asking(build_chat(self.protocol, text), session="scripted")
        assert wire.status == 200, wire.body
        data = [orjson.loads(e.data) for e in decode([wire.body]) if e.data != "[DONE]"]
        return [piece for item in data for piece in self._piece(item)]

    def _piece(self, item: Any) -> list[str]:
        if self.protocol == "openai":
            return [c["delta"]["content"] for c in item["choices"] if c["delta"].get("content")]
        if self.protocol == "anthropic":
            return [item["delta"]["text"]] if "text" in item.get("delta", {}) else []
        return [p["text"] for c in item["candidates"] for p in c["content"]["parts"] if p.get("text")]

    def text(self, body: Any) -> str:
        """Return the text of a plain answer."""
        if self.protocol == "openai":
            return str(body["choices"][0]["message"]["content"])
        if self.protocol == "anthropic":
            return "".join(block["text"] for block in body["content"] if block["type"] == "text")
        return "".join(part.get("text", "") for part in body["candidates"][0]["content"]["parts"])

    def finish(self, body: Any) -> str:
        """Return why the answer ended, as the protocol spells it."""
        if self.protocol == "openai":
            return str(body["choices"][0]["finish_reason"])
        return str(body["stop_reason"] if self.protocol == "anthropic" else body["candidates"][0]["finishReason"])

    def calls(self, body: Any) -> list[tuple[str, Any]]:
        """Return names and arguments of the tools called."""
        if self.protocol == "openai":
            found = [c["function"] for c in body["choices"][0]["message"].get("tool_calls", ())]
            return [(f["name"], orjson.loads(f["arguments"])) for f in found]
        if self.protocol == "anthropic":
            return [(b["name"], b["input"]) for b in body["content"] if b["type"] == "tool_use"]
        parts = body["candidates"][0]["content"]["parts"]
        return [(p["functionCall"]["name"], p["functionCall"].get("args", {})) for p in parts if "functionCall" in p]

    def tokens(self, body: Any) -> tuple[int, int]:
        """Return the token counts of an answer."""
        usage = body["usageMetadata" if self.protocol == "gemini" else "usage"]
        names = {
            "openai": ("prompt_tokens", "completion_tokens"),
            "anthropic": ("input_tokens", "output_tokens"),
            "gemini": ("promptTokenCount", "candidatesTokenCount"),
        }
        first, second = names[self.protocol]
        return usage[first], usage[second]


@pytest.fixture(params=PROTOCOLS)
def scripted(asking: SessionClient, request: pytest.FixtureRequest) -> Scripted:
    return Scripted(asking, request.param)


def test_text(scripted: Scripted) -> None:
    scripted.rules({"then": {"reply": {"text": "您好，世界。 You said: {{last_user}}"}}})
    assert scripted.text(scripted.plain("Ping")) == "您好，世界。 You said: Ping"
    assert "".join(scripted.pieces("Ping")) == "您好，世界。 You said: Ping"


def test_text_in_the_header(scripted: Scripted) -> None:
    body = scripted.plain(scenario='reply; text="One, two; {{model}}"')
    assert scripted.text(body).startswith("One, two; ")


def test_chunks_are_the_pieces_of_the_stream(scripted: Scripted) -> None:
    chunks = ["Your order ", "is on ", "its way", "."]
    scripted.rules({"then": {"reply": {"chunks": chunks}}})
    assert scripted.pieces() == chunks
    assert scripted.text(scripted.plain()) == "".join(chunks)


def test_json(scripted: Scripted) -> None:
    value = {"city": "杭州", "model": "{{model}}", "n": 3, "none": None}
    scripted.rules({"then": {"reply": {"json": value}}})
    said = orjson.loads(scripted.text(scripted.plain()))
    assert said == value | {"model": said["model"]}
    assert "{{" not in said["model"]


def test_tool_calls(scripted: Scripted) -> None:
    scripted.rules(
        {"then": {"reply": {"text": "Let me see.", "tool_calls": [{"name": "find_order", "arguments": {"id": 42}}]}}}
    )
    body = scripted.plain()
    assert scripted.calls(body) == [("find_order", {"id": 42})]
    assert scripted.text(body) == "Let me see."
    # Gemini has no reason of its own for calls
    assert (
        scripted.finish(body) == {"openai": "tool_calls", "anthropic": "tool_use", "gemini": "STOP"}[scripted.protocol]
    )
    assert "".join(scripted.pieces()) == "Let me see."


@pytest.mark.parametrize(
    ("reason", "spelled"),
    [
        ("stop", ("stop", "end_turn", "STOP")),
        ("length", ("length", "max_tokens", "MAX_TOKENS")),
        ("content_filter", ("content_filter", "refusal", "SAFETY")),
        ("stop_sequence", ("stop", "stop_sequence", "STOP")),
    ],
)
def test_finish(scripted: Scripted, reason: str, spelled: tuple[str, str, str]) -> None:
    scripted.rules({"then": {"reply": {"text": "Well", "finish": reason}}})
    assert scripted.finish(scripted.plain()) == spelled[PROTOCOLS.index(scripted.protocol)]
    scripted.pieces()


def test_usage_is_reported_and_booked(scripted: Scripted) -> None:
    scripted.rules({"then": {"reply": {"text": "Well", "usage": {"prompt": 1234, "completion": 56}}}})
    assert scripted.tokens(scripted.plain()) == (1234, 56)
    session = scripted.asking.app.sessions.get("scripted")
    assert session.journal.list_latest(1)[0].usage.total == 1290


def test_only_the_usage_changes_when_only_it_is_scripted(scripted: Scripted) -> None:
    scripted.rules()
    usual = scripted.text(scripted.plain())
    scripted.rules({"then": {"reply": {"usage": {"completion": 5}}}})
    assert scripted.text(scripted.plain()) == usual


def test_a_whole_body_must_be_the_operations_own(asking: SessionClient) -> None:
    scripted = Scripted(asking, "openai")
    plan = CONTRACT.operations["getPlan"]
    usual = read_json(asking(build_call(plan)))
    body = usual | {"name": "{{operation}} for {{header.x-who}}"}
    scripted.rules({"when": {"operation": "getPlan"}, "then": {"reply": {"body": body}}})
    wire = asking(build_call(plan, x_who="Ada"), session="scripted")
    assert (wire.status, read_json(wire)["name"]) == (200, "getPlan for Ada")


def test_a_whole_body_that_does_not_fit_is_refused_by_name(asking: SessionClient) -> None:
    scripted = Scripted(asking, "openai")
    dashboard = CONTRACT.operations["getDashboard"]
    body = read_json(asking(build_call(dashboard))) | {"data_freshness": "just now"}
    scripted.rules({"then": {"reply": {"body": body}}})
    wire = asking(build_call(dashboard), session="scripted")
    assert wire.status == 422
    assert read_json(wire)["detail"][0]["loc"] == ["body", "data_freshness"]


def test_a_scripted_answer_is_not_for_operations_without_a_model(asking: SessionClient) -> None:
    wire = asking(build_call(CONTRACT.operations["createKey"], x_mock_scenario="reply; text=Hello"))
    assert wire.status == 422
    assert "createKey calls no model" in wire.body.decode()


def test_explanations(asking: SessionClient) -> None:
    scripted = Scripted(asking, "openai")
    scripted.rules(
        {"id": "greet", "when": {"text": "Good morning"}, "then": {"reply": {"text": "And to you"}}},
        {"id": "odd", "when": {"text": "\x00\x7f\n你", "model": "gpt-4"}, "then": {"error": "internal_error"}},
    )
    told = asking(build_chat("openai", "Good morning", x_mock_explain="1"), session="scripted").headers
    assert (told["x-mock-rule"], told["x-mock-played"], told["x-mock-occurrence"]) == ("greet", "reply", "1")
    assert (told["x-mock-session"], told["x-mock-seed"]) == ("scripted", "0")
    assert told["x-mock-limits"].startswith("rpm 1/")
    told = asking(build_chat("openai", "Good night", x_mock_explain="1"), session="scripted").headers
    assert "x-mock-rule" not in told
    assert told["x-mock-nearest"].startswith("greet: the last user message 'Good night' does not contain")
    told = asking(
        build_chat("openai", "Hi", scenario="cut, crlf; times=9", x_mock_explain="1"), session="scripted"
    ).headers
    assert (told["x-mock-rule"], told["x-mock-played"]) == ("header", "cut+crlf")
    assert "x-mock-rule" not in asking(build_chat("openai"), session="scripted").headers


def test_headers_are_changed(asking: SessionClient) -> None:
    scripted = Scripted(asking, "anthropic")
    change = {"set": {"x-who": "{{last_user}}\t\n你", "Cache-Control": "none"}, "remove": ["X-Request-Id"]}
    scripted.rules({"then": {"headers": change}})
    wire = asking(build_chat("anthropic", "Ada"), session="scripted")
    assert wire.headers["x-who"] == "Ada ?"
    assert wire.headers["cache-control"] == "none"
    assert "x-request-id" not in wire.headers
