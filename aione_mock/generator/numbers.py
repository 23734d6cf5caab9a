"""Generate numbers within bounds. Fractions keep them exact until the last step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Any

from aione_mock.generator import words
from aione_mock.generator.plan import Unsatisfiable
from aione_mock.seed import Seed

_SPAN = 100
"""Width of the range to draw from if the schema has fewer than two bounds."""
_INTEGERS = range(-(2**63), 2**64)
"""The integers that are written as such."""
_FORMATS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def draw_number(schema: Mapping[str, Any], name: str, seed: Seed, *, whole: bool) -> int | float:
    """Return a number for the plain keywords of a schema. Raise Unsatisfiable if there is none."""
    low, high = _find_bounds(schema)
    multiple = _to_fraction(schema["multipleOf"]) if "multipleOf" in schema else None
    if multiple is not None and whole:
        multiple = Fraction(math.lcm(multiple.numerator, multiple.denominator), multiple.denominator)
    step = multiple or Fraction(1)
    usual = words.usual_range(name)
    if multiple is None and not whole:
        step = Fraction(1, 10 ** (usual[2] if usual else 2))
    while True:
        drawn = _draw_multiple(_choose_range(low, high, usual, step), schema, step, seed)
        if drawn is not None:
            return _to_number(drawn, low, high, schema)
        if multiple is not None or whole or step < Fraction(1, 10**30):
            return _draw_from_all(low, high, schema, multiple, whole)
        step /= 1000


def _to_fraction(value: float) -> Fraction:
    return Fraction(str(value))


def _find_bounds(schema: Mapping[str, Any]) -> tuple[Fraction | None, Fraction | None]:
    """Return the tightest bounds, whether inclusive or exclusive."""
    least, most = _FORMATS.get(schema.get("format", ""), (None, None))
    lows = [schema.get("minimum"), schema.get("exclusiveMinimum")]
    highs = [schema.get("maximum"), schema.get("exclusiveMaximum")]
    low = max((_to_fraction(x) for x in lows if x is not None), default=None)
    high = min((_to_fraction(x) for x in highs if x is not None), default=None)
    if least is not None and most is not None and "type" in schema:
        low = low if low is not None else (None if high is None or high > -_SPAN else Fraction(least))
        high = high if high is not None else (None if low is None or low < 2**30 else Fraction(most))
    if low is not None and high is not None and low > high:
        raise Unsatisfiable(f"a number from {low} to {high}")
    return low, high


def _choose_range(
    low: Fraction | None, high: Fraction | None, usual: tuple[int, int, int] | None, step: Fraction
) -> tuple[Fraction, Fraction]:
    """Return the range to draw from: the usual values within the bounds, else values next to a bound."""
    if usual:
        least = Fraction(usual[0]) if low is None else max(low, Fraction(usual[0]))
        most = Fraction(usual[1]) if high is None else min(high, Fraction(usual[1]))
        if least < most or (least == most and least not in (low, high)):
            return least, most
    # floats beyond 64 bits are far apart
    far = [abs(bound) / 1000 for bound in (low, high) if bound is not None and abs(bound) >= 2**63]
    span = max([Fraction(_SPAN), step * 4, *far])
    if low is None and high is None:
        return Fraction(0), span
    if low is None:
        assert high is not None
        return (Fraction(0) if high > 0 else high - span), high
    return low, (max(span, low + span) if high is None else high)


def _draw_multiple(
    span: tuple[Fraction, Fraction], schema: Mapping[str, Any], step: Fraction, seed: Seed
) -> Fraction | None:
    """Return a multiple of `step` within a range; None if there is none."""
    first, last = math.ceil(span[0] / step), math.floor(span[1] / step)
    if "exclusiveMinimum" in schema and first * step <= _to_fraction(schema["exclusiveMinimum"]):
        first += 1
    if "exclusiveMaximum" in schema and last * step >= _to_fraction(schema["exclusiveMaximum"]):
        last -= 1
    return (first + seed.draw_integer("number") % (last - first + 1)) * step if first <= last else None


def _draw_from_all(
    low: Fraction | None, high: Fraction | None, schema: Mapping[str, Any], multiple: Fraction | None, whole: bool
) -> int | float:
    """Return a value from anywhere between the bounds, if the chosen range contains none."""
    span = (low if low is not None else -Fraction(2**62), high if high is not None else Fraction(2**62))
    step = multiple or (Fraction(1) if whole else None)
    if step is None:
        point = span[0] if "exclusiveMinimum" not in schema else sum(span, Fraction(0)) / 2
        return _to_float(point)
    drawn = _draw_multiple(span, schema, step, Seed.of(0))
    if drawn is None:
        raise Unsatisfiable("no number within the bounds")
    return _to_number(drawn, low, high, schema)


def _to_number(drawn: Fraction, low: Fraction | None, high: Fraction | None, schema: Mapping[str, Any]) -> int | float:
    """Return a number that JSON can carry: an integer beyond 64 bits becomes the nearest float within the bounds."""
    if drawn.denominator == 1 and drawn.numerator in _INTEGERS:
        return drawn.numerator
    number = _to_float(drawn)
    if drawn.denominator != 1:
        return number
    exact = _to_fraction(number)
    if low is not None and (exact < low or (exact == low and "exclusiveMinimum" in schema)):
        number = math.nextafter(number, math.inf)
    elif high is not None and (exact > high or (exact == high and "exclusiveMaximum" in schema)):
        number = math.nextafter(number, -math.inf)
    return _to_float(number)


def _to_float(value: Fraction | float) -> float:
    """Return a finite float. Raise Unsatisfiable if there is none of 64 bits."""
    with suppress(OverflowError):
        if math.isfinite(number := float(value)):
            return number
    raise Unsatisfiable("no number of 64 bits within the bounds")
