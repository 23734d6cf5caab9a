"""Generate instances of JSON Schemas (2020-12) from a seed.

`plan` prepares a schema, `values` generates an instance, `strings`, `patterns` and `numbers` its leaves. `words` knows
what a property of a certain name holds, in English and Chinese.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from aione_mock.errors import ContractError
from aione_mock.generator.budget import MAX_BYTES, TooComplex, WorkBudget
from aione_mock.generator.plan import NoInstance, Resolve, SchemaPlan, Unsatisfiable
from aione_mock.generator.values import Hints, InstanceBuilder, Location
from aione_mock.seed import Seed
from aione_mock.types import Json

__all__ = ["Hints", "NoInstance", "SchemaPlan", "TooComplex", "WorkBudget", "generate", "plan_schema"]
LONGEST = 4096
"""Bytes of the longest schema of which anything is cached."""
_LONGEST_WITH_PATTERN = 1024


def generate(
    schema: Json,
    seed: Seed,
    *,
    resolve: Resolve | None = None,
    hints: Hints | None = None,
    sparse: bool = False,
    realistic: bool = False,
    work: WorkBudget | None = None,
) -> Json:
    """Generate a valid instance of a JSON Schema.

    A value depends only on the seed and its path, not on its siblings, unless `uniqueItems` requires it to differ. It
    comes from the first of these that is valid: `hints`, `const`, `examples`/`example`/`default`, `enum`, a value for
    the format, pattern and name of the property.
    `resolve` returns the target of a `$ref`; without it, references are local to the schema. Recursive references end
    after one level. `sparse` omits optional properties without hints. `realistic` takes texts from Faker if installed.
    `work` is what several searches may take together.
    Raise ContractError if the schema cannot be read, TooComplex if an instance would take too long to find, and
    NoInstance if none is found.
    """
    work = work or WorkBudget()
    plan = plan_schema(schema, resolve, work)
    plan.work = work
    for attempt, examples in enumerate((True, True, False, False)):
        # only the first attempt uses hints, since hints that are valid alone may contradict each other
        builder = InstanceBuilder(
            plan, hints if attempt == 0 else None, use_examples=examples, sparse=sparse, realistic=realistic
        )
        try:
            value = builder.build(plan.root, Location(seed, refs=plan.root_refs).retry_with(attempt))
        except (Unsatisfiable, RecursionError):
            continue
        if plan.accepts(plan.root, value):
            return value
    raise NoInstance("no instance of the schema was found; its parts may contradict each other")


def plan_schema(schema: Json, resolve: Resolve | None = None, work: WorkBudget | None = None) -> SchemaPlan:
    """Return the plan of a schema; a plan is returned unchanged. Raise ContractError if the schema cannot be read."""
    if isinstance(schema, SchemaPlan):
        return schema
    try:
        raw = orjson.dumps(schema)
    except TypeError as error:  # too deep, or not JSON
        raise ContractError(f"the schema cannot be read: {error}") from None
    if len(raw) > MAX_BYTES:
        raise ContractError(f"it has {len(raw)} bytes; at most {MAX_BYTES} are allowed")
    # one that refers elsewhere would keep all of that in memory
    return _cached_plan(raw) if resolve is None and _is_light(raw) else SchemaPlan(orjson.loads(raw), resolve, work)


def _is_light(raw: bytes) -> bool:
    """Return whether the plan of a schema is small: compiled patterns take up to a thousand times their length."""
    return len(raw) <= LONGEST and (len(raw) <= _LONGEST_WITH_PATTERN or b'"pattern' not in raw)


@lru_cache(256)
def _cached_plan(raw: bytes) -> SchemaPlan:
    return SchemaPlan(orjson.loads(raw))
