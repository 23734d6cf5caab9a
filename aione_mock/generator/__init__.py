"""Data for a JSON Schema (2020-12) from a seed.

`plan` makes a schema ready, `values` draws an instance, `strings`, `patterns` and `numbers` the leaves;
`words` knows what a property of a certain name holds, in English and Chinese.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from aione_mock.errors import ContractError
from aione_mock.generator.plan import Impossible, NoInstance, Plan, Resolve
from aione_mock.generator.values import Hints, Source, Spot
from aione_mock.seed import Seed
from aione_mock.types import Json

__all__ = ["Hints", "NoInstance", "Plan", "generate", "planned"]


def generate(
    schema: Json,
    seed: Seed,
    *,
    resolve: Resolve | None = None,
    hints: Hints | None = None,
    prefer_examples: bool = True,
    sparse: bool = False,
) -> Json:
    """A valid instance of a JSON Schema 2020-12 schema, or of a plan of one.

    A value depends on the seed and its own path alone, not on its siblings (save where `uniqueItems` moves one out of
    the way). In this order: `hints`, `const`, `examples`/`example`/`default`, `enum`, then a draw by format, pattern
    and the property's name. `resolve` answers a `$ref`; without it references are local to the schema.
    Recursive references end after a level. `sparse` leaves out optional properties unless a hint fills them.
    Raises ContractError if the schema cannot be read, NoInstance if no instance is found.
    """
    plan = planned(schema, resolve)
    for attempt, examples in enumerate((prefer_examples, prefer_examples, False, False)):
        # the second round without hints: together they may say what none forbids alone
        source = Source(plan, hints if attempt == 0 else None, examples, sparse)
        try:
            drawn = source.value(plan.root, Spot(seed, refs=plan.root_refs).again(attempt))
        except (Impossible, RecursionError):
            continue
        if plan.accepts(plan.root, drawn):
            return drawn
    raise NoInstance("no instance of the schema was found; its parts may contradict each other")


def planned(schema: Json, resolve: Resolve | None = None) -> Plan:
    """The plan of a schema, kept for schemas seen lately; a plan comes back as it is.

    Raises ContractError for a schema that cannot be read.
    """
    if isinstance(schema, Plan):
        return schema
    try:
        return _plan(orjson.dumps(schema), resolve)
    except TypeError as problem:  # too deep, or not JSON
        raise ContractError(f"the schema cannot be read: {problem}") from None


@lru_cache(512)
def _plan(raw: bytes, resolve: Resolve | None) -> Plan:
    return Plan(orjson.loads(raw), resolve)
