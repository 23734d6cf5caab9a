"""Each stream fault on the wire, byte by byte, in each protocol: the damage is there, and nothing but the damage."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import orjson
import pytest

from aione_mock.scenarios.faults import FAULTS
from tests.faults.conftest import CONTRACT, PROTOCOLS, SessionClient, build_chat
from tests.timing import at_best
from tests.wire_reader import Wire

TEXT = "你好，请介绍一下杭州的天气。"
FINISH = {"openai": "finish_reason", "anthropic": "stop_reason", "gemini": "finishReason"}
USAGE = {"openai": "usage", "anthropic": "usage", "gemini": "usageMetadata"}
OPERATION = {"openai": "createChatCompletion", "anthropic": "createMessage", "gemini": "streamGenerateContent"}


def events(body: bytes) -> list[bytes]:
    """Return the events of a stream, each with its empty line."""
    return re.findall(rb"(?s).*?\n\n", body)


def data(event: bytes) -> Any:
    """Return the data of an event, as text if it is not JSON."""
    text = next(line for line in event.split(b"\n") if line.startswith(b"data: ")).removeprefix(b"data: ")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.decode()


def found(value: Any, name: str) -> list[Any]:
    """Return all values of a name, at any depth."""
    if isinstance(value, dict):
        return [v for k, v in value.items() if k == name] + [x for v in value.values() for x in found(v, name)]
    return [x for item in value for x in found(item, name)] if isinstance(value, list) else []


def remove_members(value: Any, name: str) -> Any:
    """Return a value without the members of a name, at any depth."""
    if isinstance(value, dict):
        return {k: remove_members(v, name) for k, v in value.items() if k != name}
    return [remove_members(item, name) for item in value] if isinstance(value, list) else value


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Damage:
    """One question, as it is answered without and with a fault."""

    def __init__(self, asking: SessionClient, protocol: str) -> None:
        self.asking, self.protocol = asking, protocol
        self.usual = asking(build_chat(protocol, TEXT))
        assert self.usual.whole
        self.events = events(self.usual.body)

    def __call__(self, scenario: str, **more: Any) -> Wire:
        wire = self.asking(build_chat(self.protocol, TEXT, scenario=scenario), **more)
        if wire.head:
            assert wire.head == self.usual.head
            assert wire.headers == self.usual.headers, "no fault of the stream touches the head"
        return wire

    def whole(self, scenario: str, **more: Any) -> list[bytes]:
        """Return the events of a response that ends properly."""
        wire = self(scenario, **more)
        assert wire.whole
        assert wire.end == "open", "the connection stays good"
        return events(wire.body)


@pytest.fixture
def damage(asking: SessionClient, protocol: str) -> Damage:
    return Damage(asking, protocol)


def test_the_usual_answer_is_one_event_after_the_other(damage: Damage) -> None:
    assert b"".join(damage.events) == damage.usual.body
    assert damage.usual.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert any(max(event) > 0x7F for event in damage.events), "it speaks Chinese"


@pytest.mark.parametrize("after", [0, 1, 3])
def test_cut(damage: Damage, after: int) -> None:
    wire = damage(f"cut; after={after}")
    assert (wire.end, wire.whole) == ("closed", False)
    assert wire.body == b"".join(damage.events[:after])
    assert wire.raw.endswith(damage.events[after - 1] + b"\r\n" if after else b"\r\n\r\n"), "no last chunk"


def test_cut_in_the_middle_of_an_event(damage: Damage) -> None:
    wire = damage("cut; after=2; mid=true")
    event = damage.events[2]
    assert (wire.end, wire.whole) == ("closed", False)
    assert wire.body == b"".join(damage.events[:2]) + event[: len(event) // 2]


@pytest.mark.parametrize("after", [0, 2])
@at_best
def test_stall_and_go_on(damage: Damage, after: int) -> None:
    wire = damage(f"stall; after={after}; seconds=0.3")
    assert wire.whole
    assert wire.body == damage.usual.body
    # what came before the longest silence, whenever a busy machine let it come
    silences = [later - before for (before, _), (later, _) in pairwise(wire.reads)]
    place = silences.index(max(silences)) + 1
    early = b"".join(raw for _, raw in wire.reads[:place])
    assert early.endswith(damage.events[after - 1] + b"\r\n" if after else b"\r\n\r\n")
    assert 0.29 <= wire.last < 5.0


def test_stall_and_cut(damage: Damage) -> None:
    wire = damage("stall; after=2; seconds=0.3; then=cut")
    assert (wire.end, wire.whole, wire.body) == ("closed", False, b"".join(damage.events[:2]))


@at_best
def test_stall_and_hang(damage: Damage) -> None:
    wire = damage("stall; after=2; then=hang", patience=0.4)
    assert (wire.end, wire.whole, wire.body) == ("open", False, b"".join(damage.events[:2]))


def test_drip(damage: Damage) -> None:
    wire = damage("drip; size=400; seconds=0.01")
    assert wire.whole
    assert wire.body == damage.usual.body
    assert max(map(len, wire.chunks)) <= 400
    assert wire.last >= 0.01 * (len(wire.chunks) - 1) * 0.98


def test_malformed_json(damage: Damage) -> None:
    after = damage.whole("malformed_json; at=2")
    broken = damage.events[1]
    assert after == [damage.events[0], broken.removesuffix(b"}\n\n") + b"\n\n", *damage.events[2:]]


@pytest.mark.parametrize("error", ["internal_error", "upstream_unavailable", "rate_limit_exceeded"])
def test_error_event(damage: Damage, error: str) -> None:
    *before, last = damage.whole(f"error_event; after=2; error={error}")
    assert before == damage.events[:2]
    operation = CONTRACT.operations[OPERATION[damage.protocol]]
    spec = operation.errors[error]
    validator = operation.get_response_validator(spec.status, "application/json")
    assert validator is not None
    assert validator.is_valid(data(last))
    named = {"openai": "code", "anthropic": "type", "gemini": "status"}[damage.protocol]
    assert found(data(last)["error"], named) == found(spec.body["error"], named)
    assert last.startswith(b"event: error\n" if damage.protocol == "anthropic" else b"data: {")


def test_no_end(damage: Damage) -> None:
    after = damage.whole("no_end")
    # Gemini's streams have no event that does nothing but end them
    ends = {"openai": 1, "anthropic": 1, "gemini": 0}[damage.protocol]
    assert after == damage.events[: len(damage.events) - ends]
    assert b"[DONE]" not in b"".join(after)
    assert b"message_stop" not in b"".join(after)


def test_no_finish(damage: Damage) -> None:
    name, after = FINISH[damage.protocol], damage.whole("no_finish")
    assert any(found(data(event), name) not in ([], [None]) for event in damage.events)
    assert all(found(data(event), name) in ([], [None]) for event in after)
    assert [remove_members(data(e), name) for e in after] == [remove_members(data(e), name) for e in damage.events]


def test_double_finish(damage: Damage) -> None:
    name = FINISH[damage.protocol]
    place = next(i for i, e in enumerate(damage.events) if any(found(data(e), name)))
    assert damage.whole("double_finish") == [*damage.events[: place + 1], *damage.events[place:]]


def test_no_usage(damage: Damage) -> None:
    name, after = USAGE[damage.protocol], damage.whole("no_usage")
    assert any(any(found(data(event), name)) for event in damage.events)
    assert not any(any(found(data(event), name)) for event in after)
    left = [remove_members(data(e), name) for e in damage.events if data(e) == "[DONE]" or data(e).get("choices") != []]
    assert [remove_members(data(event), name) for event in after] == left


def test_wrong_usage(damage: Damage) -> None:
    name, after = USAGE[damage.protocol], damage.whole("wrong_usage; add=7")
    counts = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "promptTokenCount")
    seen = 0
    for before, wrong in zip(damage.events, after, strict=True):
        assert remove_members(data(before), name) == remove_members(data(wrong), name)
        for count in counts:
            assert [n + 7 for n in found(data(before), count)] == found(data(wrong), count)
            seen += len(found(data(wrong), count))
    assert seen >= 2


def test_empty_choices(damage: Damage) -> None:
    after = damage.whole("empty_choices; at=2")
    name = {"openai": "choices", "anthropic": "", "gemini": "candidates"}[damage.protocol]
    if not name:
        assert after == damage.events, "Anthropic's events have no list that could be empty"
        return
    assert after[:1] + after[2:] == damage.events[:1] + damage.events[2:]
    assert data(after[1]) == data(damage.events[1]) | {name: []}


def test_duplicate_event(damage: Damage) -> None:
    assert damage.whole("duplicate_event; at=2") == [*damage.events[:2], *damage.events[1:]]


def test_reorder_events(damage: Damage) -> None:
    first, second, third, *rest = damage.events
    assert damage.whole("reorder_events; at=2") == [first, third, second, *rest]


def test_changed_id(damage: Damage) -> None:
    after, name = damage.whole("changed_id; at=1"), "responseId" if damage.protocol == "gemini" else "id"
    assert [remove_members(data(e), name) for e in after] == [remove_members(data(e), name) for e in damage.events]
    changed = [(a, b) for a, b in zip(after, damage.events, strict=True) if a != b]
    assert changed
    assert all(found(data(a), name) == [f"{i}-other" for i in found(data(b), name)] for a, b in changed)


def test_comments(damage: Damage) -> None:
    after = damage.whole("comments; every=2")
    assert [event for event in after if event != b": keep-alive\n\n"] == damage.events
    assert after.count(b": keep-alive\n\n") == -(-len(damage.events) // 2)


@pytest.mark.parametrize(("fault", "end"), [("crlf", b"\r\n"), ("cr", b"\r")])
def test_line_ends(damage: Damage, fault: str, end: bytes) -> None:
    wire = damage(fault)
    assert wire.whole
    assert b"\n" not in wire.body.replace(end, b"")
    assert wire.body.replace(end, b"\n") == damage.usual.body


def test_bom(damage: Damage) -> None:
    assert damage("bom").body == b"\xef\xbb\xbf" + damage.usual.body


def test_packet_each(damage: Damage) -> None:
    wire = damage("packet_each")
    assert wire.chunks == list(damage.events)
    assert wire.segments == 0 or wire.segments >= 0.9 * len(damage.events), "packets of TCP too"


def test_one_packet(damage: Damage) -> None:
    wire = damage("one_packet, pace; ttft=0.05; tps=2000")
    assert wire.chunks == [damage.usual.body]
    assert wire.segments <= 2 + len(damage.usual.body) // 1400, "the head and one packet, as far as it fits"


def test_split_events(damage: Damage) -> None:
    wire = damage("split_events; size=200")
    assert wire.whole
    assert wire.body == damage.usual.body
    parts = [event[start : start + 200] for event in damage.events for start in range(0, len(event), 200)]
    assert wire.chunks == parts
    assert wire.segments == 0 or wire.segments >= 0.9 * len(parts), "packets of TCP too"


def test_split_utf8(damage: Damage) -> None:
    wire = damage("split_utf8")
    assert wire.whole
    assert wire.body == damage.usual.body
    torn = [event for event in damage.events if max(event) > 0x7F]
    assert sum(chunk[-1] >= 0xC0 for chunk in wire.chunks) == len(torn)
    assert sum(0x80 <= chunk[0] < 0xC0 for chunk in wire.chunks) == len(torn)
    assert wire.segments == 0 or wire.segments >= 0.9 * len(wire.chunks)


def test_big_event(damage: Damage) -> None:
    after = damage.whole("big_event; at=2")
    assert after[:1] + after[2:] == damage.events[:1] + damage.events[2:]
    assert len(after[1]) == 1 << 20
    assert data(after[1]) == data(damage.events[1])


def test_wrong_content_type(damage: Damage) -> None:
    wire = damage.asking(build_chat(damage.protocol, TEXT, scenario="wrong_content_type; value=application/json"))
    assert wire.headers == damage.usual.headers | {"content-type": "application/json"}
    assert (wire.body, wire.whole) == (damage.usual.body, True)


def test_html_page(damage: Damage) -> None:
    wire = damage.asking(build_chat(damage.protocol, TEXT, scenario="html_page; status=504"))
    assert wire.head == "HTTP/1.1 504 Gateway Timeout"
    assert wire.headers == {"content-type": "text/html", "content-length": str(len(wire.body))}
    assert wire.whole
    assert b"<h1>504 Gateway Timeout</h1>" in wire.body


def test_reset(damage: Damage) -> None:
    wire = damage("reset")
    assert (wire.raw, wire.end) == (b"", "reset")


def test_hang(damage: Damage) -> None:
    wire = damage("hang", patience=0.3)
    assert (wire.raw, wire.end) == (b"", "open")


def test_faults_compose(damage: Damage) -> None:
    wire = damage("crlf, bom, comments; every=1000, split_events; size=300, cut; after=4")
    whole = b"\xef\xbb\xbf" + damage.usual.body.replace(b"\n", b"\r\n")
    assert (wire.end, wire.whole) == ("closed", False)
    assert (b": keep-alive\n\n" + whole).startswith(wire.body)
    assert len(wire.chunks) == 4


def test_every_fault_of_streams_is_tested_here() -> None:
    """A fault that is added to the table needs a test in this module."""
    names = " ".join(name for name in globals() if name.startswith("test_"))
    missing = [f.name for f in FAULTS.values() if f.applies_to != "plain" and f.name not in names]
    assert missing == ["crlf", "cr"], "these two are tested as line ends"


def test_nothing_is_logged(asking: SessionClient, protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    """A cut is not a mistake of the server's, so its log says nothing of it."""
    for scenario in ("cut", "cut; after=0", "stall; seconds=0.05; then=cut", "reset", "html_page"):
        asking(build_chat(protocol, TEXT, scenario=scenario))
    asking(build_chat(protocol, TEXT, scenario="hang"), patience=0.05)
    asking(build_chat(protocol, TEXT, scenario="stall; then=hang"), patience=0.05)
    assert [record.getMessage() for record in caplog.records] == []
