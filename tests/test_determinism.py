"""Chance and time come through one door, and the door is labelled."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.clock import SYSTEM_CLOCK, Clock, format_instant, parse_duration, parse_instant
from aione_mock.errors import ConfigError
from aione_mock.seed import Seed

AT = datetime(2026, 1, 31, 9, tzinfo=UTC)


def test_known_values_never_change() -> None:
    seed = Seed.of("0")
    assert seed.draw_integer("content") == Seed.of(0).draw_integer("content")
    assert seed.key.hex() == "3955d59fe1ff38f41f29cda86f31bd77"
    assert seed.draw_uuid("x") == str(uuid.UUID(seed.draw_uuid("x")))
    assert uuid.UUID(seed.draw_uuid("x")).version == 4


@given(st.text(), st.text())
def test_labels_are_kept_apart(a: str, b: str) -> None:
    seed = Seed.of(1)
    assert (seed.digest(a, b) == seed.digest(a + b)) is False
    assert (seed.digest(a) == seed.digest(b)) is (a == b)
    assert 0 <= seed.draw_fraction(a, b) < 1
    assert seed.child(a).digest(b) == seed.child(a).digest(b)


def test_a_draw_does_not_shift_another() -> None:
    first, second = Seed.of(1), Seed.of(1)
    first.create_random("added").random()
    assert first.create_random("kept").random() == second.create_random("kept").random()


def test_tokens_have_the_asked_length() -> None:
    assert len(Seed.of(1).draw_token(29, "id")) == 29
    assert Seed.of(1).draw_token(29, "id").isalnum()


def test_a_frozen_clock_stands_still_until_moved() -> None:
    clock = Clock(AT)
    assert clock.now() == AT
    clock.advance(61)
    assert format_instant(clock.now()) == "2026-01-31T09:01:01Z"
    clock.set(AT)
    assert clock.now() == AT
    assert clock.frozen


def test_a_frozen_clock_can_run_on_and_stop_again() -> None:
    clock = Clock(AT)
    clock.unfreeze()
    assert not clock.frozen
    assert 0 <= clock.timestamp() - AT.timestamp() < 60
    clock.freeze()
    assert clock.timestamp() == clock.timestamp()


def test_a_running_clock_can_be_shifted() -> None:
    clock = Clock()
    clock.advance(86400)
    assert abs(clock.timestamp() - SYSTEM_CLOCK.timestamp() - 86400) < 60
    clock.set(AT)
    assert 0 <= clock.timestamp() - AT.timestamp() < 60
    clock.freeze(AT)
    assert clock.now() == AT


def test_a_state_is_restored() -> None:
    clock = Clock(AT)
    state = clock.save_state()
    clock.advance(5)
    clock.restore_state(state)
    assert clock.now() == AT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("61s", 61), ("250ms", 0.25), ("1.5h", 5400), ("1d12h", 129600), ("2", 2), (3, 3), ("-2h", -7200), ("1w", 604800)],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "5 parsecs", "1h!", "s", "9" * 30 + "d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("2026-01-31T09:00:00+08:00", "2026-01-31T01:00:00Z"),
        ("2026-01-31T09:00:00Z", "2026-01-31T09:00:00Z"),
    ],
)
def test_instants(text: str, shown: str) -> None:
    assert format_instant(parse_instant(text)) == shown


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_instant(text)
