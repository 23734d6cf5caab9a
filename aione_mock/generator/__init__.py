"""Generate instances of JSON Schemas (2020-12) from a seed.

`plan` prepares a schema, `values` generates an instance, `strings`, `patterns` and `numbers` its leaves. `words` knows
what a property of a certain name holds, in English and Chinese.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from aione_mock.errors import ContractError
from aione_mock.generator.plan import NoInstance, Resolve, SchemaPlan, Unsatisfiable
from aione_mock.generator.values import Hints, InstanceBuilder, Location
from aione_mock.seed import Seed
from aione_mock.types import Json

__all__ = ["Hints", "NoInstance", "SchemaPlan", "generate", "plan_schema"]


def generate(
    schema: Json,
    seed: Seed,
    *,
    resolve: Resolve | None = None,
    hints: Hints | None = None,
    sparse: bool = False,
    realistic: bool = False,
) -> Json:
    """Generate a valid instance of a JSON Schema.

    A value depends only on the seed and its path, not on its siblings, unless `uniqueItems` requires it to differ. It
    comes from the first of these that is valid: `hints`, `const`, `examples`/`example`/`default`, `enum`, a value for
    the format, pattern and name of the property.
    `resolve` returns the target of a `$ref`; without it, references are local to the schema. Recursive references end
    after one level. `sparse` omits optional properties without hints. `realistic` takes texts from Faker if installed.
    Raise ContractError if the schema cannot be read, and NoInstance if no instance is found.
    """
    plan = plan_schema(schema, resolve)
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


def plan_schema(schema: Json, resolve: Resolve | None = None) -> SchemaPlan:
    """Return the plan of a schema; a plan is returned unchanged. Raise ContractError if the schema cannot be read."""
    if isinstance(schema, SchemaPlan):
        return schema
    try:
        return _cached_plan(orjson.dumps(schema), resolve)
    except TypeError as error:  # too deep, or not JSON
        raise ContractError(f"the schema cannot be read: {error}") from None


@lru_cache(512)
def _cached_plan(raw: bytes, resolve: Resolve | None) -> SchemaPlan:
    return SchemaPlan(orjson.loads(raw), resolve)
