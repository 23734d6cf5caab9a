"""Answers in JSON satisfy the schema, hold what the prompt names, and refuse schemas outside the subset by name."""

from __future__ import annotations

from datetime import date
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.errors import APIError
from aione_mock.model import structured
from aione_mock.seed import Seed
from aione_mock.types import Prompt, Turn

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
SEED, TODAY = Seed.of(1), date(2026, 1, 7)


def answer(text: str, schema: Any = None, seed: Seed = SEED) -> Any:
    prompt = Prompt("m", (Turn("user", text),), format="schema" if schema else "json", schema=schema)
    return orjson.loads(structured.compose_json(prompt, seed, TODAY))


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


SCHEMAS = [
    obj(name=STRING, date=STRING, participants={"type": "array", "items": STRING}),
    obj(steps={"type": "array", "items": obj(explanation=STRING, output=STRING)}, final_answer=STRING),
    {
        "$defs": {"node": obj(value=INTEGER, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]})},
        **obj(root={"$ref": "#/$defs/node"}),
    },
    obj(item={"anyOf": [obj(kind={"const": "a"}, n=INTEGER), obj(kind={"const": "b"}, s=STRING)]}),
    obj(tags={"type": "array", "items": {"enum": ["x", "y", "z"]}, "minItems": 2, "uniqueItems": True}),
    obj(code={"type": "string", "pattern": "^[A-Z]{2}\\d{3}$"}, at={"type": "string", "format": "date-time"}),
    obj(
        n={"type": "number", "exclusiveMinimum": 0, "maximum": 1, "multipleOf": 0.25},
        maybe={"type": ["string", "null"]},
    ),
    {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 2},
    {"type": "string", "enum": ["happy", "sad"]},
    {
        "properties": {"pair": {"type": "array", "prefixItems": [STRING, INTEGER], "items": False, "minItems": 2}},
        "type": "object",
    },
    {"definitions": {"a": INTEGER}, **obj(x={"allOf": [{"$ref": "#/definitions/a"}, {"minimum": 5}]})},
]


@pytest.mark.parametrize("schema", SCHEMAS)
@settings(max_examples=20, deadline=None)
@given(text=st.sampled_from(["hello", "Tom is 7 on 2026-03-01", '北京 "x" AB123', "happy 0.5"]), seed=st.integers(0, 9))
def test_answers_satisfy_the_subset(schema: dict[str, Any], text: str, seed: int) -> None:
    structured.check_schema(schema, "response_format")
    drawn = answer(text, schema, Seed.of(seed))
    assert jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(drawn)


def test_what_the_prompt_names_lands_in_the_answer() -> None:
    schema = obj(age=INTEGER, name=STRING, mood={"enum": ["sad", "happy"]})
    assert answer("Jason is 25 and happy", schema) == {"age": 25, "name": "Jason", "mood": "happy"}


def test_text_is_compact_and_in_the_order_of_the_schema() -> None:
    prompt = Prompt("m", (Turn("user", "Jason is 25"),), format="schema", schema=obj(name=STRING, age=INTEGER))
    assert structured.compose_json(prompt, SEED, TODAY) == '{"name":"Jason","age":25}'


def test_plain_json_has_an_answer() -> None:
    (drawn,) = answer("Tell me about mountains as JSON").items()
    assert drawn[0] == "answer"
    assert "mountains" in drawn[1]


def test_plain_json_has_the_keys_that_are_quoted() -> None:
    text = 'Reply in JSON with keys "name", `age` and "city" (not "other keys"). Jason is 25 and lives in Paris.'
    assert answer(text) == {"name": "Jason", "age": 25, "city": "Paris"}
    joke = "Tell me a joke about cats. Return the result as a JSON with 'setup' and 'punchline' keys."
    assert answer(joke).keys() == {"setup", "punchline"}
    assert answer("用JSON回答，字段：“姓名”、“城市”。张伟住在北京") == {"姓名": "张伟", "城市": "北京"}


def test_the_last_user_turn_counts() -> None:
    turns = (Turn("user", "Bob is 3"), Turn("assistant", "ok"), Turn("user", "Tom is 4"))
    prompt = Prompt("m", turns, format="schema", schema=obj(name=STRING))
    assert structured.compose_json(prompt, SEED, TODAY) == '{"name":"Tom"}'


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            {"properties": {"a/b": {"patternProperties": {}}}},
            "'patternProperties' at '/properties/a~1b/patternProperties'",
        ),
        ({"anyOf": [{}, {"not": {}}]}, "'not' at '/anyOf/1/not'"),
        ({"$defs": {"x": {"if": True}}}, "'if' at '/$defs/x/if'"),
        ({"items": {"minContains": 1}}, "'minContains' at '/items/minContains'"),
        ({"$ref": "#/$defs/x"}, "points to nothing"),
        ({"$ref": "https://example.com/x"}, "not local"),
        ({"type": "strin"}, "at '/type'"),
        ({"type": "string", "pattern": "("}, "regex"),
        ({"properties": {"a": 3}}, "at '/properties/a'"),
        ({"required": "a"}, "at '/required'"),
        ([], "must be an object"),
    ],
)
def test_schemas_outside_the_subset_are_refused_by_name(schema: Any, words: str) -> None:
    with pytest.raises(APIError) as caught:
        structured.check_schema(schema, "response_format.json_schema.schema")
    assert words in caught.value.message
    assert (caught.value.name, caught.value.fields) == (
        "invalid_request",
        {"param": "response_format.json_schema.schema"},
    )


@pytest.mark.parametrize("depth", [100, 300, 600])
def test_depth_is_refused(depth: int) -> None:
    schema: Any = {}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(APIError, match="nested deeper"):
        structured.check_schema(schema, "p")


def test_words_that_are_names_are_no_keywords() -> None:
    structured.check_schema(obj(**{"not": STRING, "patternProperties": STRING}), "p")
    structured.check_schema({"enum": [{"not": 1}], "default": {"if": 1}}, "p")


def test_a_schema_without_an_instance_is_refused() -> None:
    with pytest.raises(APIError, match="no instance") as caught:
        answer("hi", {"type": "integer", "minimum": 3, "maximum": 2})
    assert caught.value.name == "invalid_request"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            obj(a=obj(b={"type": "integer", "minimum": 3, "maximum": 2})),
            "'minimum', 'type' at '/properties/a/properties/b'",
        ),
        (obj(a=STRING, b={"type": "string", "pattern": "(?=a)b"}), "'pattern', 'type' at '/properties/b'"),
        (obj(next={"$ref": "#"}), "'$ref' at '/properties/next'"),
        (
            {"$defs": {"n": obj(next={"$ref": "#/$defs/n"})}, **obj(n={"$ref": "#/$defs/n"})},
            "'$ref' at '/properties/n'",
        ),
        ({"type": "array", "items": {"enum": [1]}, "minItems": 2, "uniqueItems": True}, "'uniqueItems' at ''"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "'additionalProperties', 'required'"),
        (obj(a=False), "nothing is allowed at '/properties/a'"),
    ],
)
def test_parts_that_contradict_each_other_are_named(schema: Any, words: str) -> None:
    with pytest.raises(APIError) as caught:
        structured.check_schema(schema, "p")
    assert words in caught.value.message
    assert caught.value.fields == {"param": "p"}
