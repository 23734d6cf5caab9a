"""Completions and calls made by Hypothesis, and what every protocol's answers are held against."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import orjson
from hypothesis import strategies as st

from aione_mock.contract import STREAM, Contract, Operation
from aione_mock.contract.loading import load_contract
from aione_mock.contract.stream_grammar import decode_data
from aione_mock.model import input_images
from aione_mock.settings import DOCUMENTS, locate_document
from aione_mock.text.sse import Event, decode
from aione_mock.types import Call, Choice, Completion, ImageInput, Json, Picture, TokenText, ToolCall, Usage

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FINISHES = ("stop", "stop_sequence", "length", "tool_calls", "content_filter", "malformed_call")


@cache
def contract() -> Contract:
    return load_contract([locate_document(name) for name in DOCUMENTS])


def call(operation: str, data: Json, **params: Json) -> Call:
    found = contract().operations[operation]
    return Call(found, "POST", found.path, "", (), b"", "127.0.0.1", "req_1", params, data)


def look(uri: str, place: str) -> ImageInput:
    return input_images.read_image_uri(uri, place)


def make_text(*pieces: str) -> TokenText:
    return TokenText.of(pieces)


tricky = st.sampled_from(
    ["", " ", "\n\n", "data: x", '"', "\\", "é", "🏳️‍🌈", "👩‍👩‍👧", "\u2028", "\x85", "\r\n", "中文", "[DONE]"]
)
pieces = st.lists(tricky | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=6)
texts = pieces.map(TokenText.of)
words = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
identities = st.text("ABCXYZabcxyz0123456789", min_size=8, max_size=29)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words | st.sampled_from(["text", "index", "id"]), values, max_size=4)
tool_calls = st.builds(ToolCall, identities, words, objects.map(lambda value: orjson.dumps(value).decode()))
pictures = st.builds(Picture, st.just("image/png"), st.binary(min_size=3, max_size=40), st.just(1), st.just(1))


@st.composite
def choices(draw: st.DrawFn, *, pictured: bool = False) -> Choice:
    finish = draw(st.sampled_from(FINISHES))
    return Choice(
        draw(texts),
        draw(texts),
        tuple(draw(st.lists(tool_calls, max_size=3))),
        tuple(draw(st.lists(pictures, max_size=2))) if pictured else (),
        finish,
        draw(words) if finish == "stop_sequence" else None,
        draw(st.booleans()),
    )


@st.composite
def completions(draw: st.DrawFn, *, pictured: bool = False) -> Completion:
    said = tuple(draw(st.lists(choices(pictured=pictured), min_size=1, max_size=3)))
    thought = sum(len(choice.reasoning) for choice in said)
    spoken = sum(len(choice.text) for choice in said)
    fresh, cached, written, extra = (draw(st.integers(0, 5000)) for _ in range(4))
    usage = Usage(fresh + cached + written, thought + spoken + extra, thought, cached, written)
    return Completion(draw(identities), draw(st.integers(0, 2**33)), "gemini-2.5-flash", said, usage)


def read_events(events: Iterable[bytes]) -> list[Event]:
    """Read events as a client gets them. Each must be one event."""
    whole = list(events)
    found = list(decode(whole))
    assert len(found) == len(whole)
    return found


def body_problems(operation: Operation, body: Json) -> list[str]:
    """Return what the contract has against a plain answer, after a trip through JSON."""
    validator = operation.get_response_validator(200, "application/json")
    assert validator is not None
    return [error.message for error in validator.iter_errors(orjson.loads(orjson.dumps(body)))]


def event_problems(operation: Operation, events: Iterable[Event]) -> list[str]:
    """Return what the contract has against events: their envelope, and the JSON in `data`, which validators skip."""
    envelope = operation.get_response_validator(200, STREAM)
    assert envelope is not None
    data = operation.responses["200"]["content"][STREAM]["schema"]["properties"]["data"]
    schema = next(option["contentSchema"] for option in data.get("oneOf", [data]) if "contentSchema" in option)
    inside = contract().get_schema_validator(operation.document, schema)
    found = []
    for event in events:
        value = {"data": event.data} | ({"event": event.name} if event.name else {})
        found += [error.message for error in envelope.iter_errors(value)]
        if event.data != "[DONE]":
            found += [error.message for error in inside.iter_errors(decode_data(event))]
    return found
