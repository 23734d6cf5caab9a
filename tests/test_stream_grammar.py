"""The grammar of streams: what it finds wrong, and how events add up."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.contract.stream_grammar import StreamGrammar
from aione_mock.errors import ContractError
from aione_mock.text.sse import Event

CHAT: dict[str, Any] = {
    "kinds": {
        "done": {"const": "[DONE]"},
        "chunk": {"type": "object", "required": ["choices"]},
    },
    "order": "chunk+ done",
    "each": {
        "items": "/choices",
        "key": "/index",
        "kinds": {"finish": {"required": ["finish"]}, "piece": {"type": "object"}},
        "order": "piece* finish",
    },
    "constant": ["/id"],
    "fold": [
        {"from": "/id", "to": "/id", "op": "set"},
        {"to": "/object", "default": "answer"},
        {"from": "/choices/*/text", "to": "/choices/*/text", "op": "append", "default": None},
        {"from": "/choices/*/finish", "to": "/choices/*/finish", "op": "set"},
        {"from": "/choices/*/parts", "to": "/choices/*/parts", "op": "join"},
        {"from": "/choices/*/calls/*/name", "to": "/choices/*/calls/*/name", "op": "set"},
        {"from": "/choices/*/calls/*/args", "to": "/choices/*/calls/*/args", "op": "json"},
    ],
}
BLOCKS: dict[str, Any] = {
    "kind": "/type",
    "anywhere": ["ping"],
    "order": "start (open delta* close)* stop",
    "each": {
        "key": "/index",
        "kinds": {"open": {"properties": {"type": {"const": "open"}}}, "rest": {"type": "object"}},
        "order": "open rest*",
    },
    "fold": [
        {"from": "/message", "to": "", "op": "set", "on": "start"},
        {"from": "/block", "to": "/content/{/index}", "op": "set", "on": "open"},
        {"from": "/text", "to": "/content/{/index}/text", "op": "append", "on": "delta"},
        {"from": "/reason", "to": "/reason", "op": "set", "on": "stop"},
    ],
}


def events(*data: Any) -> list[Event]:
    return [Event(item if isinstance(item, str) else orjson.dumps(item).decode()) for item in data]


def chunk(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "a", "choices": list(choices), **more}


GOOD = [chunk({"index": 0, "text": "x"}), chunk({"index": 0, "finish": "stop"}), "[DONE]"]


def test_a_right_stream_has_no_findings():
    assert StreamGrammar.parse(CHAT).find_problems(events(*GOOD)) == []


@pytest.mark.parametrize(
    ("stream", "finding"),
    [
        (GOOD[:-1], "the stream ends without [DONE]; events come as 'chunk chunk'; expected 'chunk+ done'"),
        ([*GOOD, "[DONE]"], "event 4 is one too many: done; events come as 'chunk chunk done done'"),
        ([{"id": "a"}, *GOOD], "event 1 has no choices; events come as 'unknown chunk chunk done'"),
        ([GOOD[-1], *GOOD[:-1]], "events come as 'done chunk chunk'; expected"),
        ([GOOD[0], "{half", *GOOD[1:]], "chunk unknown chunk done"),
        (
            [GOOD[0], "[DONE]"],
            "choices 0: the stream ends without finish; events come as 'piece'; expected 'piece* finish' (finish has",
        ),
        (
            [*GOOD[:2], chunk({"index": 1, "text": "x"}), "[DONE]"],
            "choices 1: the stream ends without finish; events come as 'piece'",
        ),
        ([GOOD[0], {**GOOD[1], "id": "b"}, "[DONE]"], "/id: 'a', then 'b'; expected one value in all events"),
        ([], "events come as ''"),
    ],
)
def test_what_is_wrong_is_said(stream, finding):
    found = StreamGrammar.parse(CHAT).find_problems(events(*stream))
    assert any(finding in str(problem) for problem in found), found


def test_a_constant_may_be_missing_in_some_events_but_null_is_a_value():
    without = {"choices": [{"index": 0, "text": "x"}]}
    assert StreamGrammar.parse(CHAT).find_problems(events(without, *GOOD)) == []
    (problem,) = StreamGrammar.parse(CHAT).find_problems(events({**without, "id": None}, *GOOD))
    assert (problem.rule, problem.seen) == ("constant /id", "None, then 'a'")


def test_a_long_stream_is_shown_in_short():
    (finding, *_) = StreamGrammar.parse(CHAT).find_problems(events(*[GOOD[0]] * 50))
    assert len(finding.seen) < 160


def test_kinds_that_stand_anywhere_are_passed_over():
    good = [{"type": "start", "message": {}}, {"type": "ping"}, {"type": "stop"}, {"type": "ping"}]
    assert StreamGrammar.parse(BLOCKS).find_problems(events(*good)) == []


def test_events_without_a_kind_or_without_an_object_are_unknown():
    grammar = StreamGrammar.parse(BLOCKS)
    assert [grammar.find_kind(data) for data in ({"a": 1}, [], "text", 7, None)] == ["unknown"] * 5


def test_the_law_of_each_item_reads_events_that_have_its_key():
    stream = [
        {"type": "start", "message": {}},
        {"type": "open", "index": 0, "block": {}},
        {"type": "delta", "index": 1, "text": "x"},
        {"type": "close", "index": 0},
        {"type": "stop"},
    ]
    assert [problem.seen for problem in StreamGrammar.parse(BLOCKS).find_problems(events(*stream))] == [
        "event 1 is rest, not open; events come as 'rest'"
    ]


def test_an_event_of_another_kind_is_named_by_its_kind():
    stream = [{"type": "start", "message": {}}, {"type": "halt"}]
    (problem,) = StreamGrammar.parse(BLOCKS).find_problems(events(*stream))
    assert problem.seen == "event 2 is halt, not stop; events come as 'start halt'"


def test_text_is_appended_and_null_skipped():
    stream = [chunk({"index": 0, "text": None}), chunk({"index": 0, "text": "a"}), chunk({"index": 0, "text": "b"})]
    assert StreamGrammar.parse(CHAT).fold(events(*stream, "[DONE]")) == {
        "id": "a",
        "object": "answer",
        "choices": [{"text": "ab"}],
    }


def test_a_default_fills_every_place_that_nothing_filled():
    stream = [chunk({"index": 1, "finish": "stop"}, {"index": 0, "finish": "stop"})]
    assert StreamGrammar.parse(CHAT).fold(events(*stream))["choices"] == [{"finish": "stop", "text": None}] * 2


def test_null_does_not_overwrite():
    stream = [chunk({"index": 0, "finish": "stop"}), chunk({"index": 0, "finish": None})]
    assert StreamGrammar.parse(CHAT).fold(events(*stream))["choices"][0]["finish"] == "stop"


def test_json_is_parsed_when_it_is_whole():
    pieces = [{"index": 0, "calls": [{"index": 1, "args": text}]} for text in ('{"a"', ": 1}")]
    first = {"index": 0, "calls": [{"index": 0, "name": "f", "args": ""}]}
    folded = StreamGrammar.parse(CHAT).fold(events(chunk(first), *map(chunk, pieces)))
    assert folded["choices"][0]["calls"] == [{"name": "f", "args": {}}, {"args": {"a": 1}}]


def test_neighbouring_texts_of_one_sort_join():
    parts = [[{"text": "a"}], [{"text": "b"}, {"text": "c", "thought": True}], [{"other": 1}], [], [{"text": "d"}]]
    folded = StreamGrammar.parse(CHAT).fold(events(*[chunk({"index": 0, "parts": some}) for some in parts]))
    assert folded["choices"][0]["parts"] == [
        {"text": "ab"},
        {"text": "c", "thought": True},
        {"other": 1},
        {"text": "d"},
    ]


def test_blocks_are_placed_by_the_events_own_index_and_rules_keep_to_their_kind():
    stream = [
        {"type": "start", "message": {"id": "m", "content": []}, "reason": "not this"},
        {"type": "open", "index": 0, "block": {"text": ""}},
        {"type": "delta", "index": 0, "text": "a"},
        {"type": "delta", "index": 0, "text": "b"},
        {"type": "open", "index": 1, "block": {"text": ""}},
        {"type": "stop", "reason": "end"},
    ]
    folded = StreamGrammar.parse(BLOCKS).fold(events(*stream))
    assert folded == {"id": "m", "content": [{"text": "ab"}, {"text": ""}], "reason": "end"}


def test_a_rule_for_one_kind_leaves_the_others_alone():
    assert StreamGrammar.parse(BLOCKS).fold(events({"type": "start", "message": {}, "reason": "x"})) == {}


def test_an_index_out_of_all_reason_costs_no_memory():
    stream = [{"type": "start", "message": {"content": [{}]}}, {"type": "open", "index": 10**9, "block": {}}]
    with pytest.raises(ValueError, match="not a list index"):
        StreamGrammar.parse(BLOCKS).fold(events(*stream))


def test_folding_leaves_the_next_folding_alone():
    grammar = StreamGrammar.parse(BLOCKS)
    stream = events({"type": "start", "message": {"content": []}}, {"type": "open", "index": 0, "block": {"text": "x"}})
    assert grammar.fold(stream) == grammar.fold(stream) == {"content": [{"text": "x"}]}


@pytest.mark.parametrize(
    "stream",
    [
        [chunk({"index": 0, "text": 5})],
        [chunk({"index": 0, "parts": {"text": "x"}})],
        [chunk({"index": 0, "parts": ["x"]})],
        [chunk({"index": 10**9, "text": "x"})],
        [chunk({"index": "zero", "text": "x"}, {"index": 0, "text": "x"})],
        [chunk({"index": 0, "text": "x"}, {"index": "zero", "text": "x"})],
        [chunk({"index": 0, "text": "x"}, {"index": -1, "text": "x"})],
        [chunk({"index": 0, "calls": [{"args": "{half"}]})],
    ],
)
def test_events_that_cannot_add_up_are_a_value_error(stream):
    with pytest.raises(ValueError, match=r"\S"):
        StreamGrammar.parse(CHAT).fold(events(*stream))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "0", "{"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "choices", "index", "text", "parts", "calls", "args", "name", "finish", "type", "block"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
chunks = st.fixed_dictionaries({"choices": st.lists(anything, max_size=2)}) | anything


@given(st.lists(chunks, max_size=5), st.sampled_from([CHAT, BLOCKS]))
def test_whatever_comes_there_is_a_finding_or_an_answer_and_no_other_failure(stream, spec):
    grammar = StreamGrammar.parse(spec)
    assert all(str(finding) for finding in grammar.find_problems(events(*stream)))
    with suppress(ValueError):
        orjson.dumps(grammar.fold(events(*stream)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"order": ""}, "needs `order`"),
        ({"kind": "/type"}, "either `kind` or `kinds`"),
        ({"order": "chunk+ dnoe"}, "unknown kind 'dnoe'"),
        ({"order": "(chunk"}, "not a regular expression"),
        ({"fold": [{"from": "/a", "to": "/a", "op": "add"}]}, "unknown op 'add'"),
    ],
)
def test_a_bad_grammar_is_refused_by_its_place(change, words):
    with pytest.raises(ContractError, match=f"here.*{words}"):
        StreamGrammar.parse({**CHAT, **change}, "here")


def test_pointers():
    value = {"a/b": [{"~": 1}], "n": None}
    assert resolve_pointer(value, "") is value
    assert resolve_pointer(value, "/a~1b/0/~0") == 1
    assert resolve_pointer(value, "/n", "default") is None
    assert resolve_pointer(value, "/a~1b/9", "default") == "default"
    with pytest.raises(KeyError):
        resolve_pointer(value, "/missing")
