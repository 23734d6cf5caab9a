"""The generator gives valid instances, the same for the same seed, each value by its own path."""

from __future__ import annotations

import json
import re
import string
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aione_mock.errors import ContractError
from aione_mock.generator import generate, patterns, words
from aione_mock.generator.strings import FORMATS
from aione_mock.seed import Seed

SEED = Seed.of(1)
NAMES = st.sampled_from(["name", "age", "email", "city", "城市", "姓名", "price", "x", "createdAt", "tags", "a/b", "~"])
PATTERNS = st.sampled_from(
    [
        r"^[A-Z]{3}-\d{3,5}$",
        r"^(foo|bar)+$",
        r"^\S+@\S+$",
        r"\d{2}",
        r"^[^a-z]*$",
        r"^(?=.*\d)(?=.*[a-z]).{8,}$",
        r"^\w+\s\w+$",
    ]
)


HUGE = st.builds(
    lambda digits, power, sign: sign * digits * 10**power,
    st.integers(1, 999),
    st.integers(0, 320),
    st.sampled_from([1, -1]),
)
"""Numbers within and beyond 64 bits, and beyond the greatest float."""


def valid(schema: Any, value: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(value)


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    low = draw(st.integers(-1000, 1000))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + draw(st.integers(10, 500))
    if draw(st.booleans()):
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 3, 0.5, 0.25, 4]))
    return schema


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    shape = draw(st.sampled_from(["length", "format", "pattern"]))
    if shape == "format":
        schema["format"] = draw(st.sampled_from(sorted(FORMATS)))
    elif shape == "pattern":
        schema["pattern"] = draw(PATTERNS)
    else:
        schema["minLength"] = draw(st.integers(0, 60))
        schema["maxLength"] = schema["minLength"] + draw(st.integers(0, 5))
    return schema


INTEGERS = st.integers(-(2**53), 2**53)
LEAVES = st.one_of(
    numbers(),
    strings(),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["string", "null"]}),
    st.just({}),
    st.builds(lambda value: {"const": value}, st.none() | INTEGERS | st.text()),
    st.builds(lambda values: {"enum": values}, st.lists(INTEGERS | st.text(), min_size=1, max_size=4)),
    st.just({"$ref": "#/$defs/leaf"}),
    st.just({"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}),
    st.just({"$ref": "#/$defs/tree"}),
)


@st.composite
def objects(draw: st.DrawFn, children: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, children, max_size=4))
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    schema["required"] = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    rest = draw(st.sampled_from([None, False, "schema"]))
    if rest is not None:
        schema["additionalProperties"] = draw(children) if rest else False
    if rest is not False and draw(st.booleans()):
        schema["minProperties"] = draw(st.integers(0, 6))
    if properties and draw(st.booleans()):
        one, other = draw(st.sampled_from(sorted(properties))), draw(st.sampled_from(sorted(properties)))
        schema["dependentRequired"] = {one: [other]}
    return schema


@st.composite
def arrays(draw: st.DrawFn, children: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "items": draw(children)}
    if draw(st.booleans()):
        schema["prefixItems"] = draw(st.lists(children, min_size=1, max_size=2))
    if draw(st.booleans()):
        schema["minItems"] = draw(st.integers(0, 4))
        schema["maxItems"] = schema["minItems"] + draw(st.integers(0, 3))
    return schema


def draw_combination(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        objects(children),
        arrays(children),
        st.builds(lambda schemas: {"anyOf": schemas}, several),
        st.builds(lambda schema: {"allOf": [schema, {"description": "twice"}, schema]}, children),
        st.builds(lambda schema: {"oneOf": [schema, {"const": "never drawn before"}]}, children),
        st.builds(
            lambda schema: {"if": {"type": "object"}, "then": {"maxProperties": 20}, "allOf": [schema]}, children
        ),
    )


TREE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    "required": ["value", "children"],
    "additionalProperties": False,
}
SCHEMAS = st.recursive(LEAVES, draw_combination, max_leaves=8).map(
    lambda schema: {**schema, "$defs": {"leaf": {"type": "string", "format": "email"}, "tree": TREE}}
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS, st.integers(0, 5))
def test_what_is_generated_is_valid(schema: dict[str, Any], seed: int) -> None:
    drawn = generate(schema, Seed.of(seed))
    assert valid(schema, drawn), (schema, drawn)
    assert drawn == generate(schema, Seed.of(seed))


@given(numbers(), st.integers())
def test_numbers_keep_their_bounds(schema: dict[str, Any], seed: int) -> None:
    assert valid(schema, generate(schema, Seed.of(seed)))


@given(strings(), st.integers())
def test_strings_keep_their_form(schema: dict[str, Any], seed: int) -> None:
    assert valid(schema, generate(schema, Seed.of(seed)))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
        {"type": "number", "minimum": 0.3, "maximum": 0.3},
        {"type": "number", "minimum": 1e300},
        {"type": "integer", "format": "int64", "minimum": 2**40},
        {"type": "integer", "multipleOf": 2.5, "minimum": 1},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3},
        {"type": "string", "minLength": 5000},
        {"type": "string", "pattern": "[0-9]{3}", "minLength": 50},
        {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        {
            "allOf": [{"properties": {"a": {}}, "additionalProperties": False}, {"properties": {"b": {}}}],
            "type": "object",
        },
        {"type": "string", "pattern": "^[a-z]+$", "minLength": 50, "maxLength": 50},
        {"type": "string", "pattern": "[a-z]", "minLength": 50},
        {"type": "string", "format": "email", "maxLength": 8},
        {"type": "string", "format": "uri", "minLength": 80},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 2},
        {"type": "array", "contains": {"const": 7}, "minContains": 2, "items": {"type": "integer"}},
        {
            "type": "object",
            "patternProperties": {"^x-[a-z]{3}$": {"type": "integer"}},
            "additionalProperties": False,
            "minProperties": 2,
        },
        {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Z]{4}$"},
            "additionalProperties": {"type": "boolean"},
            "minProperties": 3,
        },
        {"type": "object", "properties": {"a": False, "b": True}},
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"minimum": 3}}},
                {"properties": {"a": {"type": "integer", "maximum": 3}}},
            ]
        },
        {"allOf": [{"enum": [1, 2, 3]}, {"enum": [3, 4]}]},
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"oneOf": [{"oneOf": [{"type": "null"}, {"const": "x"}]}, {"const": "x"}]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}], "not": {"type": "string"}},
        {
            "if": {"properties": {"kind": {"const": "a"}}, "required": ["kind"]},
            "then": {"required": ["x"]},
            "type": "object",
        },
        {
            "type": "object",
            "properties": {"a": {}},
            "required": ["a", "zz"],
            "dependentSchemas": {"a": {"required": ["q"]}},
        },
        {"type": "object", "required": ["next"], "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
        {"type": "string", "contentSchema": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        {
            "type": ["object", "null"],
            "properties": {"a": {"type": ["integer", "string"]}},
            "unevaluatedProperties": False,
        },
    ],
)
def test_corners(schema: dict[str, Any]) -> None:
    for seed in range(20):
        assert valid(schema, generate(schema, Seed.of(seed)))


@pytest.mark.parametrize(
    ("schema", "words_of_it"),
    [
        ({"$ref": "#/nowhere"}, "points to nothing"),
        ({"$ref": "http://example.com/schema"}, "not local"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no instance"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "no instance"),
        ({"$ref": "#"}, "no instance"),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "no instance"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}], "not": {"type": "null"}}, "no instance"),
        ({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}, "no instance"),
        ({"type": "string", "minLength": 10**9}, "no instance"),
        ({"type": "string", "pattern": "^a{1000000000}$"}, "invalid schema"),
        ({"type": "array", "minItems": 10**9}, "no instance"),
        (False, "no instance"),
        ({"type": "strin"}, "invalid schema"),
        ({"properties": {"a": 3}}, "must be an object or a boolean"),
    ],
)
def test_what_cannot_be_is_refused(schema: Any, words_of_it: str) -> None:
    with pytest.raises(ContractError, match=words_of_it):
        generate(schema, SEED)


def test_a_schema_of_any_depth_is_no_crash() -> None:
    schema: Any = {}
    for _ in range(150):
        schema = {"items": schema}
    with pytest.raises(ContractError, match="deep"):
        generate(schema, SEED)


def test_a_value_depends_on_its_own_path_alone() -> None:
    one = {"type": "object", "properties": {"a": {"type": "integer"}, "name": {"type": "string"}}}
    other = {"type": "object", "properties": {"zzz": {"type": "integer"}, "name": {"type": "string"}}}
    assert generate(one, SEED)["name"] == generate(other, SEED)["name"]


def test_seeds_differ() -> None:
    schema = {"type": "string", "format": "uuid"}
    assert generate(schema, Seed.of(1)) != generate(schema, Seed.of(2))


def test_examples_come_first_unless_asked_otherwise_or_wrong() -> None:
    assert generate({"type": "integer", "examples": [41]}, SEED) == 41
    assert generate({"type": "integer", "default": 42}, SEED) == 42
    assert generate({"type": "string", "example": "x", "enum": ["x", "y"]}, SEED) == "x"
    assert generate({"type": "integer", "examples": ["no"], "minimum": 5, "maximum": 5}, SEED) == 5
    assert generate({"type": "integer", "default": 7, "minimum": 0, "maximum": 3}, SEED) <= 3


def test_hints_are_taken_where_they_fit() -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]},
            "extra": {"type": "string"},
        },
        "required": ["n"],
    }
    assert generate(schema, SEED, hints=lambda path, _: [700, 7] if path == ("n",) else [], sparse=True) == {"n": 7}
    assert set(generate(schema, SEED, hints=lambda path, _: ["x"] if path == ("extra",) else [], sparse=True)) == {
        "n",
        "extra",
    }


def test_references_are_answered_by_the_resolver() -> None:
    known = {
        "#/components/schemas/A": {
            "type": "object",
            "properties": {"b": {"$ref": "#/components/schemas/B"}},
            "required": ["b"],
        }
    }
    known["#/components/schemas/B"] = {"const": "found"}
    assert generate({"$ref": "#/components/schemas/A"}, SEED, resolve=known.__getitem__) == {"b": "found"}


def test_recursion_ends() -> None:
    drawn = generate({"$ref": "#/$defs/tree", "$defs": {"tree": TREE}}, SEED)
    assert drawn["children"]
    assert all(child["children"] == [] for child in drawn["children"])


def test_recursion_through_an_alternative_ends_as_soon() -> None:
    schema = {
        "type": "object",
        "required": ["next"],
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    }
    for seed in range(10):
        assert generate(schema, Seed.of(seed)) in ({"next": None}, {"next": {"next": None}})


def test_words_fit_the_name_of_the_property() -> None:
    schema = {
        "type": "object",
        "properties": {n: {"type": "string"} for n in ("email", "city", "城市", "姓名", "orderDate")},
    }
    drawn = generate(schema, SEED)
    assert re.fullmatch(r"[a-z.]+@example\.com", drawn["email"])
    assert drawn["city"] in words.word_lists()["cities"]
    assert drawn["城市"] in words.word_lists()["cities"].values()
    assert words.CJK.search(drawn["姓名"])
    assert re.fullmatch(r"2026-\d\d-\d\d", drawn["orderDate"])


def test_nullable_of_openapi_3_0() -> None:
    drawn = {generate({"type": "string", "nullable": True, "enum": ["a"]}, SEED.child(number)) for number in range(20)}
    assert drawn == {"a", None}
    schema = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#", "nullable": True}}}
    assert generate(schema, SEED) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\p{L}{3}$",
        r"^(?<y>\d{4})-x$",
        r"^a\/b$",
        r"^[一-龥]{2,4}$",
        r"^[\w.-]+$",
        r"^(?:a|b)*?c$",
        r"^[^\d\s]{5}$",
        r"^$",
    ],
)
def test_patterns_of_ecma(pattern: str) -> None:
    for seed in range(10):
        assert valid({"pattern": pattern}, patterns.draw_match(pattern, Seed.of(seed)))


@given(st.text(string.printable, max_size=12))
def test_any_pattern_matches_or_is_refused(pattern: str) -> None:
    try:
        re.compile(pattern)
        drawn = patterns.draw_match(pattern, SEED)
    except (re.error, patterns.Unmatchable, RecursionError, OverflowError):
        return
    if not re.search(r"\\[bBA]|\(\?|\\Z|[\^$]", pattern):
        assert re.search(pattern, drawn), (pattern, drawn)


def test_the_same_words_kind_in_every_spelling() -> None:
    assert [words.find_kind(n) for n in ("email", "userEmail", "contact_email", "联系邮箱", "E-Mail")] == ["email"] * 5
    assert words.split_name("startDate2_x") == ("start", "date", "2", "x")
    assert words.find_kind("flurb") is None


@given(
    kind=st.sampled_from(["integer", "number"]),
    bounds=st.dictionaries(
        st.sampled_from(["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"]), HUGE, max_size=3
    ),
    items=st.booleans(),
)
@settings(max_examples=400)
def test_numbers_of_any_size_can_be_written_as_json(kind: str, bounds: dict[str, int], items: bool) -> None:
    node: dict[str, Any] = {
        "type": kind,
        **bounds,
        **({"multipleOf": abs(bounds["multipleOf"])} if "multipleOf" in bounds else {}),
    }
    raw = json.dumps({"type": "array", "items": node, "minItems": 2, "uniqueItems": True} if items else node)
    try:
        schema = orjson.loads(raw)
    except orjson.JSONDecodeError:  # beyond the greatest float
        return
    try:
        value = generate(schema, SEED)
    except ContractError:
        return
    assert valid(schema, orjson.loads(orjson.dumps(value)))


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"type": "integer", "minimum": 18446744073709551615, "maximum": 18446744073709551615}, 18446744073709551615),
        ({"type": "integer", "minimum": -(2**63), "maximum": -(2**63)}, -(2**63)),
        ({"type": "integer", "minimum": 1e30, "maximum": 1e30}, 1e30),
        ({"type": "integer", "exclusiveMinimum": 2.0**80, "maximum": 2.0**80 + 2.0**28}, 2.0**80 + 2.0**28),
        ({"type": "number", "minimum": 1.7976931348623157e308}, 1.7976931348623157e308),
    ],
)
def test_the_only_number_is_found(schema: Any, found: float) -> None:
    assert generate(schema, SEED) == found
