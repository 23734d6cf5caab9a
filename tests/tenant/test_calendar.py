"""Days and months of Asia/Shanghai."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.tenant import calendar


@given(st.datetimes(datetime(1970, 1, 2), datetime(2500, 1, 1), timezones=st.just(UTC)))
def test_an_instant_lies_in_its_day_and_its_day_in_its_month(at: datetime) -> None:
    day = calendar.timestamp_to_day(at.timestamp())
    assert calendar.day_to_timestamp(day) <= at.timestamp() < calendar.day_to_timestamp(day + 1)
    assert calendar.day_to_date(day) == at.astimezone(calendar.SHANGHAI).date()
    assert calendar.date_to_day(calendar.day_to_date(day)) == day
    month = calendar.day_to_month(day)
    assert calendar.month_to_day(month) <= day < calendar.month_to_day(month + 1)


def test_midnight_in_shanghai_is_four_in_the_afternoon_in_utc() -> None:
    before = datetime(2026, 11, 22, 15, 59, 59, tzinfo=UTC).timestamp()
    assert calendar.day_to_date(calendar.timestamp_to_day(before)) == date(2026, 11, 22)
    assert calendar.day_to_date(calendar.timestamp_to_day(before + 1)) == date(2026, 11, 23)


def test_instants_show_milliseconds_only_where_there_are_any() -> None:
    assert calendar.format_timestamp(0) == "1970-01-01T00:00:00Z"
    assert calendar.format_timestamp(0.25) == "1970-01-01T00:00:00.250Z"
    assert calendar.format_timestamp(1.9999999) == "1970-01-01T00:00:02Z"


@given(st.integers(0, 4_102_444_800_000))
def test_what_is_spelled_can_be_read(milliseconds: int) -> None:
    assert calendar.parse_timestamp(calendar.format_timestamp(milliseconds / 1000)) == pytest.approx(
        milliseconds / 1000, abs=1e-4
    )


def test_reading_knows_offsets_and_refuses_what_no_calendar_has() -> None:
    assert (
        calendar.parse_timestamp("1970-01-02T08:00:00+08:00")
        == calendar.parse_timestamp("1970-01-02t00:00:00z")
        == 86400
    )
    never = ("0000-01-01T00:00:00Z", "2027-12-31T23:59:60Z", "9999-12-31T23:59:59.9Z", "9999-12-31T23:59:59-01:00")
    assert [calendar.parse_timestamp(text) for text in never] == [None] * 4
