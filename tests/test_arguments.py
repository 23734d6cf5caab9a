"""What a text names is found and lands in the parameter that it fits."""

from __future__ import annotations

import contextlib
import re
from datetime import date
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione_mock.errors import ContractError
from aione_mock.model import arguments, dates
from aione_mock.model.mentions import Mentions
from aione_mock.model.slots import collect_slots
from aione_mock.seed import Seed

STRING, INTEGER, NUMBER, BOOLEAN = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
DATE, EMAIL = {"type": "string", "format": "date"}, {"type": "string", "format": "email"}
SEED, TODAY = Seed.of(1), date(2026, 1, 7)


def found(text: str, kind: str) -> list[Any]:
    return [item.value for item in Mentions(text, TODAY).find(kind)]


def fill(schema: Any, text: str, seed: Seed = SEED, **options: Any) -> Any:
    return arguments.fill_schema(schema, collect_slots(schema), Mentions(text, TODAY), seed, **options)


def filled(text: str, /, **properties: Any) -> Any:
    return fill({"type": "object", "properties": properties, "required": list(properties)}, text)


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("it costs 3.5 or 1,200 or -4 or $20.50", "number", [3.5, 1200, -4, 20.5]),
        ("a table for two people", "number", [2]),
        ("两个人住三晚", "number", [2, 3]),
        ("今年28岁，有3个孩子", "number", [28, 3]),
        ("order 4711, at 7pm on 2026-03-01, INV-20", "number", [4711]),
        ("mail bob2@example.com 3 times", "number", [3]),
        ('say "hello there" or 「你好」', "quoted", ["hello there", "你好"]),
        ("named '你好啊集团' (Hello Group)", "quoted", ["你好啊集团"]),
        ("it's Bob's book", "quoted", []),
        ("on 2026-03-01 or 2026/3/2", "date", ["2026-03-01", "2026-03-02"]),
        ("March 1st, 2026 and 2 May 2027", "date", ["2026-03-01", "2027-05-02"]),
        ("3月1日，2027年12月31号", "date", ["2026-03-01", "2027-12-31"]),
        ("on February 31st", "date", []),
        ("today, tomorrow, Friday, 后天, 周日", "date", [f"2026-01-{day}" for day in ("07", "08", "09", "09", "11")]),
        ("at 2026-03-01 14:30", "datetime", ["2026-03-01T14:30:00Z"]),
        ("at 7pm, 7:05 am, 23:59 or 12 a.m.", "time", ["19:00", "07:05", "23:59", "00:00"]),
        ("下午3点半或上午9点", "time", ["15:30", "09:00"]),
        ("write to bob.lee@example.com.", "email", ["bob.lee@example.com"]),
        ("see https://example.com/a?b=1.", "url", ["https://example.com/a?b=1"]),
        ("id 7f9c24e8-3b12-4fd1-9f0a-1c2d3e4f5a6b", "uuid", ["7f9c24e8-3b12-4fd1-9f0a-1c2d3e4f5a6b"]),
        ("from Bergen to Tokyo", "place", ["Tokyo"]),
        ("the weather in Bergen", "place", ["Bergen"]),
        ("in paris", "place", ["paris"]),
        ("San Francisco, CA and Paris, France", "place", ["San Francisco, CA", "Paris", "France"]),
        ("Tokyo's weather", "place", ["Tokyo"]),
        ("北京和上海的天气", "place", ["北京", "上海"]),
        ("Weather? Please", "place", []),
        ("Is Alice there in May", "place", []),
        ("the capital of France", "place", ["France"]),
        ("a dog named Rex", "name", ["Rex"]),
        ("Alice met Bob in Paris", "name", ["Alice", "Bob"]),
        ("我叫李雷，张伟住在北京", "name", ["李雷", "张伟"]),
        ("order ABC-123 and A4711", "id", ["ABC-123", "A4711"]),
        ("AAPL in USD", "code", ["AAPL", "USD"]),
        ("call +1 202 555 0100", "phone", ["+1 202 555 0100"]),
    ],
)
def test_kinds(text: str, kind: str, values: list[Any]) -> None:
    assert found(text, kind) == values


def test_a_date_without_year_is_the_next_one() -> None:
    assert dates.parse_date("March 1st", date(2026, 5, 1)) == date(2027, 3, 1)
    assert dates.parse_date("3月1日", date(2026, 2, 1)) == date(2026, 3, 1)


KINDS = "number quoted url email uuid datetime date time phone id code place name capitalised".split()


@given(st.text(max_size=200), st.sampled_from(KINDS))
def test_any_text_can_be_read(text: str, kind: str) -> None:
    for item in Mentions(text, TODAY).find(kind):
        assert 0 <= item.start < item.end <= len(text)


@pytest.mark.parametrize("unit", ["a", "A", "1", "a@", "-1", '"', "Aa ", "(", "1 + ", "https://", "+1 ", "北", "，"])
def test_long_texts_are_read_in_time(unit: str) -> None:
    # quadratic expressions would take minutes over this
    mentions = Mentions(unit * 200_000, TODAY)
    assert all(mentions.find(kind) is not None for kind in KINDS)


def test_the_end_of_a_long_text_counts() -> None:
    assert found("word " * 10_000 + "in Paris", "place") == ["Paris"]


UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}


@pytest.mark.parametrize(
    ("text", "properties", "expected"),
    [
        (
            "weather in Paris in Fahrenheit",
            {"location": STRING, "unit": UNIT},
            {"location": "Paris", "unit": "fahrenheit"},
        ),
        (
            "red or dark blue",
            {"c": {"type": "array", "items": {"enum": ["dark_blue", "green", "red"]}}},
            {"c": ["red", "dark_blue"]},
        ),
        ("it scared me", {"c": {"enum": ["zzz", "red"], "default": "zzz"}}, {"c": "zzz"}),
        ("到北京，选经济舱", {"class": {"enum": ["商务舱", "经济舱"]}}, {"class": "经济舱"}),
        (
            "Book a flight to Rome from Boston on 2026-03-01, 2 adults and 1 child",
            {"origin": STRING, "destination": STRING, "departure_date": DATE, "children": INTEGER, "adults": INTEGER},
            {"origin": "Boston", "destination": "Rome", "departure_date": "2026-03-01", "children": 1, "adults": 2},
        ),
        ("从北京到上海", {"from_city": STRING, "to_city": STRING}, {"from_city": "北京", "to_city": "上海"}),
        ("Where is order 4711?", {"number": INTEGER}, {"number": 4711}),
        ("Where is order 4711?", {"order_id": STRING}, {"order_id": "4711"}),
        ("订单0047在哪里", {"order_number": STRING}, {"order_number": "0047"}),
        ("A customer named '你好啊集团' (Hello Group)", {"customer_name": STRING}, {"customer_name": "你好啊集团"}),
        ("Jason is 25 years old", {"name": STRING, "age": INTEGER}, {"name": "Jason", "age": 25}),
        (
            "The city is Kyoto, the country Japan.",
            {"city": STRING, "country": STRING},
            {"city": "Kyoto", "country": "Japan"},
        ),
        ("add 3 and 5", {"a": INTEGER, "b": INTEGER}, {"a": 3, "b": 5}),
        ("y = 5, x = 4", {"x": INTEGER, "y": INTEGER}, {"x": 4, "y": 5}),
        (
            "72 degrees and 30% humidity",
            {"humidity": NUMBER, "temperature": NUMBER},
            {"humidity": 30, "temperature": 72},
        ),
        ("delete user 42 from team 7", {"team_id": INTEGER, "user_id": INTEGER}, {"team_id": 7, "user_id": 42}),
        ("at most 700 or 7", {"n": {"type": "integer", "maximum": 9}}, {"n": 7}),
        ("1.5 or 2", {"n": INTEGER}, {"n": 2}),
        ("mean of 1, 2 and 3", {"values": {"type": "array", "items": NUMBER}}, {"values": [1, 2, 3]}),
        ("write to a@b.co", {"recipient": EMAIL}, {"recipient": "a@b.co"}),
        ("write to a@b.co", {"to": STRING, "subject": STRING}, {"to": "a@b.co"}),
        ("where is order ABC-123", {"order_id": STRING}, {"order_id": "ABC-123"}),
        ("Who is Ada?", {"query": STRING}, {"query": "Ada"}),
        ("why do cats purr?", {"query": STRING}, {"query": "why do cats purr?"}),
        ("a long question", {"question": {"type": "string", "maxLength": 6}}, {"question": "a long"}),
        ("say 'good day' in French", {"text": STRING, "language": STRING}, {"text": "good day", "language": "French"}),
        (
            "on 2026-03-01 at 3pm",
            {"start": {"type": "string", "format": "date-time"}},
            {"start": "2026-03-01T15:00:00Z"},
        ),
        ("at 15:00", {"at": {"type": "string", "format": "time"}}, {"at": "15:00:00Z"}),
        (
            "100 USD to EUR",
            {"amount": NUMBER, "from_currency": STRING, "to_currency": STRING},
            {"amount": 100, "from_currency": "USD", "to_currency": "EUR"},
        ),
        ("Alice and Bob", {"participants": {"type": "array", "items": STRING}}, {"participants": ["Alice", "Bob"]}),
        ("两个人住三晚", {"guests": INTEGER, "nights": INTEGER}, {"guests": 2, "nights": 3}),
        ("Book a room at the Hilton", {"hotel": STRING}, {"hotel": "Hilton"}),
        ('Play "Blue Train"', {"song": STRING}, {"song": "Blue Train"}),
        ("Paris on 2026-03-01", {"when": STRING, "place": STRING}, {"place": "Paris"}),
        ("on 2026-03-01", {"when": STRING}, {"when": "2026-03-01"}),
        ("in Paris", {"place": {"anyOf": [{"type": "null"}, STRING]}}, {"place": "Paris"}),
        (
            "Tom, 30",
            {"user": {"type": "object", "properties": {"name": STRING, "age": INTEGER}}},
            {"user": {"name": "Tom", "age": 30}},
        ),
    ],
)
def test_values_land_where_they_fit(text: str, properties: dict[str, Any], expected: dict[str, Any]) -> None:
    assert filled(text, **properties).items() >= expected.items()


@pytest.mark.parametrize("kind", [{"type": "string", "format": "date-time"}, {"type": "string", "format": "time"}])
@pytest.mark.parametrize("text", ["give me 7", "give me INV-20", "at 7pm", "'a b'"])
def test_the_only_value_may_be_no_date(kind: dict[str, str], text: str) -> None:
    drawn = filled(text, when=kind)
    assert jsonschema_rs.Draft202012Validator(kind, validate_formats=True).is_valid(drawn["when"])


def test_references_are_followed() -> None:
    schema = {
        "$defs": {"m": {"enum": ["calm", "cross"]}},
        "type": "object",
        "properties": {"mood": {"$ref": "#/$defs/m"}},
    }
    assert fill(schema, "a cross person", sparse=True) == {"mood": "cross"}
    assert collect_slots({"properties": {"a": {"$ref": "#/nowhere"}, "b": True, "c": {"$ref": "#"}}})[:1] == []


def test_what_is_not_named_is_generated_and_valid() -> None:
    drawn = filled("hello", email=EMAIL, n={"type": "integer", "minimum": 5, "maximum": 6})
    assert re.fullmatch(r"\S+@\S+", drawn["email"])
    assert drawn["n"] in (5, 6)


def test_sparse_leaves_out_what_nothing_fills() -> None:
    schema = {"type": "object", "properties": {"city": STRING, "days": INTEGER, "note": STRING}}
    assert fill(schema, "5 days in Rome", sparse=True) == {"city": "Rome", "days": 5}


def test_spread_over_several_values() -> None:
    def cities(**properties: Any) -> int:
        slots = collect_slots({"type": "object", "properties": properties})
        return len(arguments.spread_mentions(slots, Mentions("weather in Paris and Tokyo", TODAY)))

    assert cities(city=STRING) == 2
    assert cities(cities={"type": "array", "items": STRING}) == 1
    assert cities(origin=STRING, destination=STRING) == 1


KEYWORDS = "type properties items enum const format required minimum maxLength anyOf allOf $ref a name".split()
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["string", "object", "array", "integer", "#/a", "date"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS), json_values, max_size=5), st.booleans())
def test_any_schema_is_filled_or_refused(schema: dict[str, Any], sparse: bool) -> None:
    with contextlib.suppress(ContractError):
        fill(schema, "Ada, 3 days in Paris from 2026-03-01", sparse=sparse)


@given(st.text("Paris 3@x.co'\"北京a1-:/ ", max_size=80) | st.text(max_size=80), st.integers(0, 3), st.booleans())
def test_filling_is_always_valid(text: str, seed: int, sparse: bool) -> None:
    properties = {
        "location": STRING,
        "when": DATE,
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
        "query": {"type": "string", "minLength": 1, "maxLength": 12},
        "unit": {"enum": ["a", "b"]},
        "flags": {"type": "array", "items": BOOLEAN},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    if sparse:
        schema["required"] = ["location"]
    drawn = fill(schema, text, Seed.of(seed), sparse=sparse)
    assert jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(drawn)


NODES = [
    STRING,
    INTEGER,
    NUMBER,
    {"type": ["string", "null"]},
    {"type": "array", "items": STRING},
    {"enum": ["red", 7]},
]
NODES += [{"type": "string", "format": form} for form in ("date", "time", "date-time", "email", "uri", "uuid")]
NAMES = "city when start_date datetime email query order_id amount currency from to customer_name 数量".split()
PIECES = (
    "7 three INV-20 Paris 北京 tomorrow 2026-03-01 14:30 2026-03-01T14:30 b@x.org https://x.org/a 'a b' EUR to Ada's"
)


@settings(max_examples=400)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NODES), min_size=1, max_size=2),
    st.lists(st.sampled_from(PIECES.split(" ")), max_size=3).map(" ".join),
    st.booleans(),
)
def test_every_kind_of_value_may_meet_every_parameter(properties: dict[str, Any], text: str, sparse: bool) -> None:
    schema = {"type": "object", "properties": properties, "required": list(properties)[:1]}
    drawn = fill(schema, text, sparse=sparse)
    assert jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(drawn)
