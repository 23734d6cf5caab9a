"""Chance and time come through one door, and the door is labelled."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.clock import WALL, Clock, iso, parse_duration, parse_instant
from aione_mock.errors import ConfigError
from aione_mock.seed import Seed

AT = datetime(2026, 1, 31, 9, tzinfo=UTC)


def test_known_values_never_change() -> None:
    seed = Seed.of("0")
    assert seed.number("content") == Seed.of(0).number("content")
    assert seed.key.hex() == "3955d59fe1ff38f41f29cda86f31bd77"
    assert seed.uuid("x") == str(uuid.UUID(seed.uuid("x")))
    assert uuid.UUID(seed.uuid("x")).version == 4


@given(st.text(), st.text())
def test_labels_are_kept_apart(a: str, b: str) -> None:
    seed = Seed.of(1)
    assert (seed.digest(a, b) == seed.digest(a + b)) is False
    assert (seed.digest(a) == seed.digest(b)) is (a == b)
    assert 0 <= seed.fraction(a, b) < 1
    assert seed.child(a).digest(b) == seed.child(a).digest(b)


def test_a_draw_does_not_shift_another() -> None:
    first, second = Seed.of(1), Seed.of(1)
    first.rng("added").random()
    assert first.rng("kept").random() == second.rng("kept").random()


def test_tokens_have_the_asked_length() -> None:
    assert len(Seed.of(1).token(29, "id")) == 29
    assert Seed.of(1).token(29, "id").isalnum()


def test_a_frozen_clock_stands_still_until_moved() -> None:
    clock = Clock(AT)
    assert clock.now() == AT
    clock.advance(61)
    assert iso(clock.now()) == "2026-01-31T09:01:01Z"
    clock.set(AT)
    assert clock.now() == AT
    assert clock.frozen


def test_a_frozen_clock_can_run_on_and_stop_again() -> None:
    clock = Clock(AT)
    clock.run()
    assert not clock.frozen
    assert 0 <= clock.timestamp() - AT.timestamp() < 60
    clock.freeze()
    assert clock.timestamp() == clock.timestamp()


def test_a_running_clock_can_be_shifted() -> None:
    clock = Clock()
    clock.advance(86400)
    assert abs(clock.timestamp() - WALL.timestamp() - 86400) < 60
    clock.set(AT)
    assert 0 <= clock.timestamp() - AT.timestamp() < 60
    clock.freeze(AT)
    assert clock.now() == AT


def test_a_state_is_restored() -> None:
    clock = Clock(AT)
    state = clock.state()
    clock.advance(5)
    clock.restore(state)
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
    assert iso(parse_instant(text)) == shown


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_instant(text)
