"""Numbers within bounds, exact until the last step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from aione_mock.generator import words
from aione_mock.generator.plan import Impossible
from aione_mock.seed import Seed

_SPAN = 100
_FORMATS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def number(schema: Mapping[str, Any], name: str, seed: Seed, *, whole: bool) -> int | float:
    """A number for the plain keywords of a schema. Raises Impossible."""
    low, high = _bounds(schema)
    multiple = _exact(schema["multipleOf"]) if "multipleOf" in schema else None
    if multiple is not None and whole:
        multiple = Fraction(math.lcm(multiple.numerator, multiple.denominator), multiple.denominator)
    step = multiple or Fraction(1)
    usual = words.usual_range(name)
    if multiple is None and not whole:
        step = Fraction(1, 10 ** (usual[2] if usual else 2))
    while True:
        found = _on_grid(_window(low, high, usual, step), schema, step, seed)
        if found is not None:
            return found.numerator if whole or found.denominator == 1 else float(found)
        if multiple is not None or whole or step < Fraction(1, 10**30):
            return _edge(low, high, schema, multiple, whole)
        step /= 1000


def _exact(value: float) -> Fraction:
    return Fraction(str(value))


def _bounds(schema: Mapping[str, Any]) -> tuple[Fraction | None, Fraction | None]:
    """The tightest bounds, exclusive ones included."""
    least, greatest = _FORMATS.get(schema.get("format", ""), (None, None))
    lows = [schema.get("minimum"), schema.get("exclusiveMinimum")]
    highs = [schema.get("maximum"), schema.get("exclusiveMaximum")]
    low = max((_exact(x) for x in lows if x is not None), default=None)
    high = min((_exact(x) for x in highs if x is not None), default=None)
    if least is not None and greatest is not None and "type" in schema:
        low = low if low is not None else (None if high is None or high > -_SPAN else Fraction(least))
        high = high if high is not None else (None if low is None or low < 2**30 else Fraction(greatest))
    if low is not None and high is not None and low > high:
        raise Impossible(f"a number from {low} to {high}")
    return low, high


def _window(
    low: Fraction | None, high: Fraction | None, usual: tuple[int, int, int] | None, step: Fraction
) -> tuple[Fraction, Fraction]:
    """Where to draw from: the usual values as far as the bounds allow them, else a span from a bound."""
    if usual:
        least = Fraction(usual[0]) if low is None else max(low, Fraction(usual[0]))
        greatest = Fraction(usual[1]) if high is None else min(high, Fraction(usual[1]))
        if least < greatest or (least == greatest and least not in (low, high)):
            return least, greatest
    span = max(Fraction(_SPAN), step * 4)
    if low is None and high is None:
        return Fraction(0), span
    if low is None:
        assert high is not None
        return (Fraction(0) if high > 0 else high - span), high
    return low, (max(span, low + span) if high is None else high)


def _on_grid(
    window: tuple[Fraction, Fraction], schema: Mapping[str, Any], step: Fraction, seed: Seed
) -> Fraction | None:
    first, last = math.ceil(window[0] / step), math.floor(window[1] / step)
    if "exclusiveMinimum" in schema and first * step <= _exact(schema["exclusiveMinimum"]):
        first += 1
    if "exclusiveMaximum" in schema and last * step >= _exact(schema["exclusiveMaximum"]):
        last -= 1
    return (first + seed.draw_integer("number") % (last - first + 1)) * step if first <= last else None


def _edge(
    low: Fraction | None, high: Fraction | None, schema: Mapping[str, Any], multiple: Fraction | None, whole: bool
) -> int | float:
    """A value from the whole range, for when the window missed it or no grid has a point between the bounds."""
    wide = (low if low is not None else -Fraction(2**62), high if high is not None else Fraction(2**62))
    step = multiple or (Fraction(1) if whole else None)
    if step is None:
        point = wide[0] if "exclusiveMinimum" not in schema else sum(wide, Fraction(0)) / 2
        return float(point)
    found = _on_grid(wide, schema, step, Seed.of(0))
    if found is None:
        raise Impossible("no number within the bounds")
    return found.numerator if whole or found.denominator == 1 else float(found)
