"""What a text names is found and lands in the property that it fits."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.model import argument_values, dates, entities
from aione_mock.seed import Seed

STRING, INTEGER, NUMBER, BOOLEAN = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
SEED = Seed.of(1)


def found(text: str, *kinds: str, today: date | None = None) -> list[Any]:
    return [item.value for item in entities.find(text, today).of(*kinds)]


def filled(text: str, /, **properties: Any) -> Any:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return argument_values.fill(schema, entities.find(text), SEED)


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("it costs 3.5 or 1,200 or -4", "number", [3.5, 1200, -4]),
        ("a table for two people", "number", [2]),
        ("两个人住三晚", "number", [2, 3]),
        ("今年28岁，有3个孩子", "number", [28, 3]),
        ("pay $20.50", "money", [20.5]),
        ('say "hello there" or 「你好」', "quoted", ["hello there", "你好"]),
        ("it's Bob's book", "quoted", []),
        ("on 2026-03-01 or 2026/3/2", "date", ["2026-03-01", "2026-03-02"]),
        ("March 1st, 2026 and 2 May 2027", "date", ["2026-03-01", "2027-05-02"]),
        ("3月1日，2027年12月31号", "date", ["2026-03-01", "2027-12-31"]),
        ("on February 31st", "date", []),
        ("at 2026-03-01 14:30", "datetime", ["2026-03-01T14:30:00Z"]),
        ("at 7pm, 7:05 am, 23:59, noon or 12 a.m.", "time", ["19:00", "07:05", "23:59", "12:00", "00:00"]),
        ("下午3点半或上午9点", "time", ["15:30", "09:00"]),
        ("write to bob.lee@example.com.", "email", ["bob.lee@example.com"]),
        ("see https://example.com/a?b=1.", "url", ["https://example.com/a?b=1"]),
        ("from new york to Tokyo", "city", ["new york", "Tokyo"]),
        ("Boston, MA and Paris, France", "city", ["Boston, MA", "Paris, France"]),
        ("Tokyo's weather", "city", ["Tokyo"]),
        ("北京和上海的天气", "city", ["北京", "上海"]),
        ("绍兴的天气怎么样", "place", ["绍兴"]),
        ("turkey sandwich", "country", []),
        ("the capital of France", "country", ["France"]),
        ("a dog named Rex", "name", ["Rex"]),
        ("Alice met Bob", "name", ["Alice", "Bob"]),
        ("我叫李雷，张伟住在北京", "name", ["李雷", "张伟"]),
        ("order ABC-123, ticket 4711 and #88", "id", ["ABC-123", "4711", "88"]),
        ("AAPL in USD", "symbol", ["AAPL"]),
        ("AAPL in USD", "currency", ["USD"]),
        ("call +1 202 555 0100", "phone", ["+1 202 555 0100"]),
        ("what is (3 + 5) * 2?", "expression", ["(3 + 5) * 2"]),
    ],
)
def test_kinds(text: str, kind: str, values: list[Any]) -> None:
    assert found(text, kind) == values


def test_units_and_roles() -> None:
    item = entities.find("30 km from Lyon to Rome").items
    assert [(i.unit, i.role) for i in item] == [("km", ""), ("", "from"), ("", "to")]
    assert [i.role for i in entities.find("从北京到上海").items] == ["from", "to"]


def test_relative_days_need_a_today() -> None:
    wednesday = date(2026, 1, 7)
    assert found("tomorrow", "date") == []
    assert found("tomorrow", "relative") == ["tomorrow"]
    text = "today, tomorrow, day after tomorrow, yesterday, Friday, 后天, 下周一, 周日"
    days = ["07", "08", "09", "06", "09", "09", "12", "11"]
    assert found(text, "date", today=wednesday) == [f"2026-01-{day}" for day in days]


def test_a_date_without_year_is_the_next_one() -> None:
    assert dates.written("March 1st", date(2026, 5, 1)) == date(2027, 3, 1)
    assert dates.written("3月1日", date(2026, 2, 1)) == date(2026, 3, 1)


@given(st.text(max_size=200), st.none() | st.dates(date(2000, 1, 1), date(2090, 1, 1)))
def test_any_text_can_be_read(text: str, today: date | None) -> None:
    for item in entities.find(text, today).items:
        assert 0 <= item.start < item.end <= len(text)


@pytest.mark.parametrize(
    "unit", ["a", "A", "1", "a@", "-1", '"', "Aa ", "(", "1 + ", "https://", "+1 ", "北", "，", "Paris "]
)
def test_long_texts_are_read_in_time(unit: str) -> None:
    # quadratic expressions would take minutes over this
    assert entities.find(unit * 200_000) is not None


def test_the_end_of_a_long_text_counts() -> None:
    assert found("word " * 10_000 + "in Paris", "city") == ["Paris"]


def test_places_and_enums() -> None:
    unit = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    assert filled("weather in Paris in Fahrenheit", location=STRING, unit=unit) == {
        "location": "Paris",
        "unit": "fahrenheit",
    }
    assert filled("北京用摄氏度", 城市=STRING, unit=unit) == {"城市": "北京", "unit": "celsius"}
    assert filled("red or dark_blue", c={"type": "array", "items": {"enum": ["dark_blue", "green", "red"]}})["c"] == [
        "red",
        "dark_blue",
    ]


def test_a_member_is_named_by_a_whole_word_only() -> None:
    assert filled("it scared me", c={"enum": ["zzz", "red"], "default": "zzz"}) == {"c": "zzz"}


def test_routes() -> None:
    date_ = {"type": "string", "format": "date"}
    text = "Book a flight to Rome from Boston on 2026-03-01, 2 adults and 1 child"
    drawn = filled(text, origin=STRING, destination=STRING, departure_date=date_, children=INTEGER, adults=INTEGER)
    expected = {"origin": "Boston", "destination": "Rome", "departure_date": "2026-03-01", "children": 1, "adults": 2}
    assert drawn == expected


@pytest.mark.parametrize(
    ("text", "properties", "expected"),
    [
        ("Jason is 25 years old", {"name": STRING, "age": INTEGER}, {"name": "Jason", "age": 25}),
        ("add 3 and 5", {"a": INTEGER, "b": INTEGER}, {"a": 3, "b": 5}),
        ("y = 5, x = 4", {"x": INTEGER, "y": INTEGER}, {"x": 4, "y": 5}),
        (
            "72 degrees and 30% humidity",
            {"humidity": NUMBER, "temperature": NUMBER},
            {"humidity": 30, "temperature": 72},
        ),
        ("at most 700 or 7", {"n": {"type": "integer", "maximum": 9}}, {"n": 7}),
        ("mean of 1, 2 and 3", {"values": {"type": "array", "items": NUMBER}}, {"values": [1, 2, 3]}),
        ("no sugar, with milk", {"sugar": BOOLEAN, "milk": BOOLEAN}, {"sugar": False, "milk": True}),
        ("请不要加糖，需要牛奶", {"糖": BOOLEAN, "牛奶": BOOLEAN}, {"糖": False, "牛奶": True}),
        ("write to a@b.co", {"recipient": {"type": "string", "format": "email"}}, {"recipient": "a@b.co"}),
        ("where is order ABC-123", {"order_id": STRING}, {"order_id": "ABC-123"}),
        ("Invoice INV-2041 is open", {"invoice_number": STRING}, {"invoice_number": "INV-2041"}),
        ("张伟今年28岁", {"name": STRING, "age": INTEGER}, {"name": "张伟", "age": 28}),
        ("please search for cats", {"query": STRING}, {"query": "cats"}),
        ("帮我搜索猫的图片", {"query": STRING}, {"query": "猫的图片"}),
        ("say 'good day' in French", {"text": STRING, "language": STRING}, {"text": "good day", "language": "French"}),
        (
            "meet on 2026-03-01 at 3pm",
            {"start": {"type": "string", "format": "date-time"}},
            {"start": "2026-03-01T15:00:00Z"},
        ),
        ("100 USD to EUR", {"amount": NUMBER, "to_currency": STRING, "from": STRING}, {"amount": 100}),
        ("Alice and Bob", {"participants": {"type": "array", "items": STRING}}, {"participants": ["Alice", "Bob"]}),
        ("订一张机票，2个人", {"passengers": INTEGER}, {"passengers": 2}),
        ("两个人住三晚", {"guests": INTEGER, "nights": INTEGER}, {"guests": 2, "nights": 3}),
        ("5名乘客", {"nights": INTEGER, "passengers": INTEGER}, {"passengers": 5}),
        ("Remind me to call mum at 5pm", {"title": STRING}, {"title": "call mum at 5pm"}),
        ("提醒我下午开会", {"任务": STRING}, {"任务": "下午开会"}),
        ("Book a room at the Hilton", {"hotel": STRING}, {"hotel": "Hilton"}),
        ('Play "Blue Train"', {"song": STRING}, {"song": "Blue Train"}),
        ("What are Siemens's figures?", {"company": STRING}, {"company": "Siemens"}),
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


def test_currencies_go_from_and_to() -> None:
    drawn = filled("convert 100 USD to EUR", from_currency=STRING, to_currency=STRING)
    assert drawn == {"from_currency": "USD", "to_currency": "EUR"}


def test_what_is_not_named_is_generated_and_valid() -> None:
    drawn = filled(
        "hello", email={"type": "string", "format": "email"}, n={"type": "integer", "minimum": 5, "maximum": 6}
    )
    assert re.fullmatch(r"\S+@\S+", drawn["email"])
    assert drawn["n"] in (5, 6)


def test_sparse_leaves_out_what_nothing_fills() -> None:
    schema = {"type": "object", "properties": {"city": STRING, "days": INTEGER, "note": STRING}}
    assert argument_values.fill(schema, entities.find("5 days in Rome"), SEED, sparse=True) == {
        "city": "Rome",
        "days": 5,
    }


def test_spread_over_several_values() -> None:
    one = {"type": "object", "properties": {"city": STRING}}
    many = {"type": "object", "properties": {"cities": {"type": "array", "items": STRING}}}
    route = {"type": "object", "properties": {"origin": STRING, "destination": STRING}}
    both = entities.find("weather in Paris and Tokyo")
    assert [argument_values.fill(one, part, SEED)["city"] for part in argument_values.spread(one, both)] == [
        "Paris",
        "Tokyo",
    ]
    assert argument_values.spread(many, both) == [both]
    assert argument_values.spread(route, both) == [both]


@given(st.text(max_size=80), st.integers(0, 3))
def test_filling_is_always_valid(text: str, seed: int) -> None:
    properties = {
        "location": STRING,
        "when": {"type": "string", "format": "date"},
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
        "query": {"type": "string", "minLength": 1, "maxLength": 12},
        "unit": {"enum": ["a", "b"]},
        "flags": {"type": "array", "items": BOOLEAN},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    drawn = argument_values.fill(schema, entities.find(text), Seed.of(seed))
    assert jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(drawn)
