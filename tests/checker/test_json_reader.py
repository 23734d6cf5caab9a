"""Readers return the requested type or raise UnreadableAnswer, whatever the answer is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.checker.errors import UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, HttpRequest
from aione_mock.checker.json_reader import JsonReader

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1E+999999", "9999-12-31"])
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
TYPES = {
    "list_rows": list,
    "read_members": dict,
    "read_text": str,
    "read_number": int | float,
    "read_integer": int,
    "read_decimal": Decimal,
    "read_instant": datetime,
    "read_day": date,
}


@given(VALUES, st.sampled_from(sorted(TYPES)), st.lists(st.text() | st.integers(0, 3), max_size=2))
def test_a_reader_returns_its_type_or_raises_one_error(value: Any, method: str, path: list[str | int]) -> None:
    reader = JsonReader(value, "listKeys")
    try:
        found, problem = getattr(reader, method)(*path), ""
    except UnreadableAnswer as error:
        found, problem = None, str(error)
    assert isinstance(found, TYPES[method]) or ("listKeys" in problem and "\n" not in problem)


@given(VALUES, st.lists(st.text() | st.integers(0, 3), max_size=2))
def test_find_never_raises(value: Any, path: list[str | int]) -> None:
    JsonReader(value, "listKeys").find(*path)


@pytest.mark.parametrize(
    ("method", "value", "expected"),
    [
        ("read_integer", 3, 3),
        ("read_integer", 3.0, 3),
        ("read_number", 1.5, 1.5),
        ("read_decimal", "86.5000", Decimal("86.5000")),
        ("read_decimal", 86.5, Decimal("86.5")),
        ("read_instant", "2026-11-20T10:30:00Z", datetime(2026, 11, 20, 10, 30, tzinfo=UTC)),
        ("read_day", "2026-11-20", date(2026, 11, 20)),
    ],
)
def test_values_are_converted(method: str, value: Any, expected: Any) -> None:
    assert getattr(JsonReader({"a": [value]}, "x"), method)("a", 0) == expected


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("read_integer", True),
        ("read_integer", 1.5),
        ("read_integer", 10**15),
        ("read_number", float("nan")),
        ("read_number", float("inf")),
        ("read_decimal", "NaN"),
        ("read_decimal", "1E+15"),
        ("read_decimal", True),
        ("read_instant", "9999-12-31T23:59:59Z"),
        ("read_day", "0001-01-01"),
        ("read_text", 7),
    ],
)
def test_values_that_break_calculations_are_refused(method: str, value: Any) -> None:
    with pytest.raises(UnreadableAnswer):
        getattr(JsonReader(value, "x"), method)()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_a_body_that_cannot_be_processed_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer, match="listKeys"):
        _ = HttpExchange(HttpRequest("listKeys", "GET", "/"), 200, body=body).data
