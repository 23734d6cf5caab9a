from collections.abc import Callable
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.scenarios.faults import FAULTS, apply_faults, explain_misfit
from aione_mock.scenarios.stream_faults import PACKET_GAP
from aione_mock.seed import Seed
from aione_mock.text import sse
from aione_mock.types import Fault, Response

SEED = Seed.of(0)


def openai(text="Hé, 世界"):
    def chunk(**more):
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", **more}

    def choice(delta, finish=None):
        return chunk(choices=[{"index": 0, "delta": delta, "finish_reason": finish}], usage=None)

    data = [choice({"role": "assistant"}), *[choice({"content": letter}) for letter in text], choice({}, "stop")]
    data.append(chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4, "details": {"cached": 0}}))
    return [sse.encode(orjson.dumps(item)) for item in data] + [sse.encode(b"[DONE]")]


def anthropic(text="Hé"):
    data = [
        {"type": "message_start", "message": {"id": "msg_1", "stop_reason": None, "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": c}} for c in text],
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]
    return [sse.encode(orjson.dumps(item), item["type"].encode()) for item in data]


def gemini(text="Hé"):
    parts = [{"candidates": [{"content": {"parts": [{"text": c}]}, "index": 0}], "responseId": "r"} for c in text]
    parts[-1]["candidates"][0]["finishReason"] = "STOP"
    parts[-1]["usageMetadata"] = {"promptTokenCount": 3}
    return [sse.encode(orjson.dumps(item)) for item in parts]


PROTOCOLS: dict[str, Callable[[], list[bytes]]] = {"openai": openai, "anthropic": anthropic, "gemini": gemini}


def stream(events, step=0.5):
    sends = tuple((round(n * step, 6), raw) for n, raw in enumerate(events))
    return Response(200, (("content-type", "text/event-stream"), ("x-request-id", "r1")), sends)


def plain(body=b'{"a": 1, "b": "text"}'):
    return Response(200, (("content-type", "application/json"), ("x-request-id", "r1")), ((0.5, body),))


def apply_to_stream(*faults, events=None, answer=None):
    uses = [Fault(name, options) for name, options in faults]
    before = answer or stream(events or openai())
    return apply_faults(
        uses,
        before,
        stream=answer is None,
        seed=SEED,
        render_error_event=lambda n: sse.encode(b'{"error":"%s"}' % n.encode()),
    )


def list_raws(transmission):
    return [raw for _, raw in transmission.sends]


def join_raws(transmission):
    return b"".join(list_raws(transmission))


def parse_data(raw):
    return orjson.loads(next(sse.decode([raw])).data)


@pytest.mark.parametrize(("after", "mid"), [(0, False), (3, False), (0, True), (3, True), (99, True)])
def test_cut(after, mid):
    events = openai()
    cut = apply_to_stream(("cut", {"after": after, "mid": mid}))
    half = events[after][: len(events[after]) // 2] if mid and after < len(events) else b""
    assert join_raws(cut) == b"".join(events[:after]) + half
    assert (cut.end, cut.status, cut.headers) == ("cut", 200, stream([]).headers)


def test_stall():
    events = openai()
    go = apply_to_stream(("stall", {"after": 2, "seconds": 3}))
    assert list_raws(go) == events
    assert [due for due, _ in go.sends[:4]] == [0.0, 0.5, 4.0, 4.5]
    cut = apply_to_stream(("stall", {"after": 2, "seconds": 3, "then": "cut"}))
    assert (cut.sends[-1], cut.end, join_raws(cut)) == ((3.5, b""), "cut", b"".join(events[:2]))
    assert apply_to_stream(("stall", {"after": 0, "seconds": 3, "then": "cut"})).sends == ((0.0, b""), (3, b""))
    early = apply_to_stream(("stall", {"after": 0, "seconds": 3}))
    assert [early.sends[0], early.sends[1][0]] == [(0.0, b""), 3.0], "the head comes at once, the rest late"
    hang = apply_to_stream(("stall", {"after": 2, "then": "hang"}))
    assert (list_raws(hang), hang.end) == (events[:2], "hang")


def test_drip():
    drip = apply_to_stream(("drip", {"size": 10, "seconds": 0.1}), events=openai()[:2])
    assert join_raws(drip) == b"".join(openai()[:2])
    assert max(map(len, list_raws(drip))) == 10
    dues = [due for due, _ in drip.sends]
    assert all(b - a >= 0.0999 for a, b in pairwise(dues))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_malformed_json_is_one_byte_of_one_event(protocol):
    events = PROTOCOLS[protocol]()
    after = list_raws(apply_to_stream(("malformed_json", {"at": 2}), events=events))
    assert after == [events[0], events[1][:-3] + b"\n\n", *events[2:]]
    assert list_raws(apply_to_stream(("malformed_json", {}), answer=plain())) == [plain().sends[0][1][:-1]]


def test_error_event():
    after = list_raws(apply_to_stream(("error_event", {"after": 1, "error": "upstream_failed"})))
    assert after == [openai()[0], b'data: {"error":"upstream_failed"}\n\n']


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_no_end(protocol):
    events = PROTOCOLS[protocol]()
    assert list_raws(apply_to_stream(("no_end", {}), events=events)) == events[:-1]


@pytest.mark.parametrize(("protocol", "place"), [("openai", -3), ("anthropic", -2), ("gemini", -1)])
def test_finish_reason_missing_or_double(protocol, place):
    events = PROTOCOLS[protocol]()
    place %= len(events)
    after = list_raws(apply_to_stream(("no_finish", {}), events=events))
    assert [n for n, (a, b) in enumerate(zip(events, after, strict=True)) if a != b] == [place]
    spoilt = parse_data(after[place])
    assert orjson.dumps(spoilt).count(b"STOP") + orjson.dumps(spoilt).count(b"end_turn") == 0
    assert b'"finish_reason":"stop"' not in after[place]
    assert "finishReason" not in orjson.dumps(spoilt).decode()
    assert list_raws(apply_to_stream(("double_finish", {}), events=events)) == [*events[: place + 1], *events[place:]]


def test_usage_missing():
    events = openai()
    assert list_raws(apply_to_stream(("no_usage", {}), events=events)) == [*events[:-2], events[-1]]
    after = list_raws(apply_to_stream(("no_usage", {}), events=anthropic()))
    assert len(after) == len(anthropic())
    assert b"usage" not in b"".join(after)
    assert b"usageMetadata" not in b"".join(list_raws(apply_to_stream(("no_usage", {}), events=gemini())))


def test_usage_wrong():
    after = list_raws(apply_to_stream(("wrong_usage", {"add": 7})))
    assert after[:-2] == openai()[:-2]
    assert parse_data(after[-2])["usage"] == {"prompt_tokens": 10, "completion_tokens": 11, "details": {"cached": 7}}
    lower = list_raws(apply_to_stream(("wrong_usage", {"add": -9}), events=anthropic()))
    assert parse_data(lower[0])["message"]["usage"] == {"input_tokens": 0}


def test_empty_choices():
    after = list_raws(apply_to_stream(("empty_choices", {"at": 2})))
    assert parse_data(after[1]) == {**parse_data(openai()[1]), "choices": []}
    assert [*after[:1], *after[2:]] == [*openai()[:1], *openai()[2:]]
    assert parse_data(list_raws(apply_to_stream(("empty_choices", {"at": 1}), events=gemini()))[0])["candidates"] == []


def test_duplicated_and_reordered_events():
    a, b, c, d, *rest = openai()
    assert list_raws(apply_to_stream(("duplicate_event", {"at": 2}))) == [a, b, b, c, d, *rest]
    swapped = apply_to_stream(("reorder_events", {"at": 3}))
    assert list_raws(swapped) == [a, b, d, c, *rest]
    assert [due for due, _ in swapped.sends] == [due for due, _ in stream(openai()).sends]


def test_changed_id():
    events = openai()
    after = list_raws(apply_to_stream(("changed_id", {"at": 3})))
    assert after[:2] == events[:2]
    assert [parse_data(raw)["id"] for raw in after[2:-1]] == ["chatcmpl-1-other"] * (len(events) - 3)
    assert after[-1] == events[-1]


def test_comments_line_ends_and_marks_change_no_event():
    expected = list(sse.decode(openai()))
    for name, options in [("comments", {"every": 2}), ("crlf", {}), ("cr", {}), ("bom", {})]:
        after = apply_to_stream((name, options))
        assert list(sse.decode([join_raws(after)])) == expected, name
        assert join_raws(after) != b"".join(openai())
    assert join_raws(apply_to_stream(("comments", {"every": 3}))).count(b": keep-alive\n\n") == -(-len(openai()) // 3)
    assert b"\n" not in join_raws(apply_to_stream(("cr", {})))
    assert join_raws(apply_to_stream(("crlf", {}))) == b"".join(openai()).replace(b"\n", b"\r\n")
    assert join_raws(apply_to_stream(("bom", {}))) == b"\xef\xbb\xbf" + b"".join(openai())


def test_packets():
    events = openai()
    one = apply_to_stream(("one_packet", {}))
    assert one.sends == ((0.5 * (len(events) - 1), b"".join(events)),)
    many = apply_to_stream(("split_events", {"size": 5}))
    assert (join_raws(many), many.apart, max(map(len, list_raws(many)))) == (b"".join(events), PACKET_GAP, 5)
    assert list_raws(apply_to_stream(("packet_each", {}))) == events
    split = apply_to_stream(("split_utf8", {}))
    assert (join_raws(split), split.apart, len(split.sends)) == (b"".join(events), PACKET_GAP, len(events) + 3)
    for raw in list_raws(split):
        if raw[-1] >= 0xC0:
            with pytest.raises(UnicodeDecodeError):
                raw.decode()


def test_a_big_event_means_the_same():
    after = list_raws(apply_to_stream(("big_event", {"at": 2})))
    assert len(after[1]) == 1 << 20
    assert parse_data(after[1]) == parse_data(openai()[1])
    assert [*after[:1], *after[2:]] == [*openai()[:1], *openai()[2:]]


def test_wrong_content_type():
    for before in (stream(openai()), plain()):
        after = apply_faults(
            [Fault("wrong_content_type", {"value": "text/html"})], before, stream=before.sends[0][0] == 0, seed=SEED
        )
        assert after.headers == (("content-type", "text/html"), ("x-request-id", "r1"))
        assert after.sends == before.sends


def test_bodies():
    body = plain().sends[0][1]
    cut = apply_to_stream(("cut_body", {}), answer=plain())
    assert (join_raws(cut), cut.end) == (body[: len(body) // 2], "cut")
    assert ("content-length", str(len(body))) in cut.headers
    empty = apply_to_stream(("empty_body", {}), answer=plain())
    assert (join_raws(empty), empty.status, empty.end) == (b"", 200, "finish")
    gzip = apply_to_stream(("gzip_garbage", {}), answer=plain())
    assert join_raws(gzip).startswith(b"\x1f\x8b")
    assert gzip.headers == (*plain().headers, ("content-length", "64"), ("content-encoding", "gzip"))
    page = apply_to_stream(("html_page", {"status": 504}), answer=plain())
    assert (page.status, page.headers) == (504, (("content-type", "text/html"), ("content-length", "162")))
    assert b"504 Gateway Timeout" in join_raws(page)
    slow = apply_to_stream(("slow_body", {"seconds": 2, "parts": 4}), answer=plain())
    assert (join_raws(slow), [due for due, _ in slow.sends]) == (body, [0.5, 1.166667, 1.833333, 2.5])


@pytest.mark.parametrize(("name", "off"), [("content_length_long", 5), ("content_length_short", -5)])
def test_wrong_content_length(name, off):
    body = plain().sends[0][1]
    after = apply_to_stream((name, {"by": 5}), answer=plain())
    head, _, rest = join_raws(after).partition(b"\r\n\r\n")
    assert (rest, after.raw, after.end) == (body, True, "finish")
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 200 OK",
        "content-type: application/json",
        "x-request-id: r1",
        f"content-length: {len(body) + off}",
        "connection: close",
    ]


@pytest.mark.parametrize(("name", "end"), [("reset", "cut"), ("hang", "hang")])
def test_nothing_at_all(name, end):
    for answer in (None, plain()):
        after = apply_to_stream((name, {}), answer=answer)
        assert (after.sends, after.end, after.raw, after.status) == ((), end, True, 0)


def test_order_matters():
    events = openai()
    assert join_raws(apply_to_stream(("cut", {"after": 2}), ("one_packet", {}))) == b"".join(events[:2])
    assert join_raws(apply_to_stream(("one_packet", {}), ("cut", {"after": 1}))) == b"".join(events)
    assert join_raws(apply_to_stream(("bom", {}), ("crlf", {}))).startswith(b"\xef\xbb\xbfdata: ")


def test_faults_that_do_not_fit_are_left_out_and_can_be_told():
    assert apply_faults([Fault("cut_body")], stream(openai()), stream=True, seed=SEED) == stream(openai())
    assert apply_faults([Fault("no_end")], plain(), stream=False, seed=SEED) == plain()
    assert explain_misfit([Fault("bom"), Fault("cut_body")], stream=True) == (
        "fault 'cut_body' needs a plain answer, but this one is a stream"
    )
    assert explain_misfit([Fault("cut")], stream=False) == "fault 'cut' needs a stream, but this answer is plain"
    assert explain_misfit([Fault("reset"), Fault("drip")], stream=False) is None


# What keeps each event as it is, or only the events around the one it is about.
HARMLESS = (
    "drip",
    "comments",
    "crlf",
    "cr",
    "bom",
    "one_packet",
    "packet_each",
    "split_events",
    "split_utf8",
    "big_event",
)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
uses = st.lists(st.sampled_from(sorted(FAULTS)), max_size=4)


@given(texts, st.sampled_from(sorted(HARMLESS)))
def test_awkward_but_right_streams_say_the_same(text, name):
    expected = [orjson.loads(e.data) if e.data != "[DONE]" else e for e in sse.decode(openai(text))]
    after = apply_to_stream((name, {"size": 50} if name == "big_event" else {}), events=openai(text))
    assert [orjson.loads(e.data) if e.data != "[DONE]" else e for e in sse.decode(list_raws(after))] == expected


@given(st.sampled_from(sorted(PROTOCOLS)), uses, st.booleans())
def test_any_faults_compose(protocol, names, is_stream):
    before = stream(PROTOCOLS[protocol]()) if is_stream else plain()
    faults = [Fault(name, {"size": 100} if name == "big_event" else {}) for name in names]
    again = [
        apply_faults(faults, before, stream=is_stream, seed=SEED, render_error_event=lambda n: b"e\n\n")
        for _ in range(2)
    ]
    assert again[0] == again[1]
    dues = [due for due, _ in again[0].sends]
    assert dues == sorted(dues)
    assert all(isinstance(raw, bytes) for raw in list_raws(again[0]))


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini", "plain"])
def test_each_fault_does_something_where_it_fits(name, kind):
    """Except where a protocol has nothing of the sort to spoil."""
    before = plain() if kind == "plain" else stream(PROTOCOLS[kind]())
    after = apply_faults(
        [Fault(name)], before, stream=kind != "plain", seed=SEED, render_error_event=lambda n: b"data: {}\n\n"
    )
    fits = explain_misfit([Fault(name)], stream=kind != "plain") is None
    nothing = {("no_end", "gemini"), ("empty_choices", "anthropic")}
    assert (after != before) == (fits and (name, kind) not in nothing)


@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_trips_over_nothing(name):
    for sends in ((), ((0.0, b""),), ((0.0, b"\n\n"),), ((0.0, b": c\n\n"),), ((0.0, b"data: 3\n\n"),)):
        before = Response(200, (), sends)
        for is_stream in (True, False):
            assert apply_faults([Fault(name)], before, stream=is_stream, seed=SEED, render_error_event=lambda n: b"")
