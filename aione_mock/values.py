"""Frozen values that cost no more than plain ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """A frozen dataclass with slots for the type checker, an unguarded one at run time.

    The guard of `dataclass(frozen=True)` makes each instance eight times as slow to build, and every request builds
    dozens. Equality, hashing and `dataclasses.replace` are those of a frozen dataclass.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
