"""Frozen values that cost little to build, since every request builds dozens."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field, field
from typing import Any, TypeVar, cast, dataclass_transform

import msgspec

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """A class like a frozen dataclass with slots, made and guarded in C (`msgspec.Struct`).

    A dataclass takes twice as long to build, and a guarded one eight times. Of `field` only `default_factory` is known.
    """
    if issubclass(cls, msgspec.Struct):  # made of one, and so one already
        return cls
    inside = {name: _member(value) for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    make: Any = type(msgspec.Struct)
    return cast("type[T]", make(cls.__name__, (msgspec.Struct,), inside, frozen=True))


def _member(value: Any) -> Any:
    if not isinstance(value, Field):
        return value
    if value.default_factory is MISSING or not (value.repr and value.compare):
        raise TypeError("only `default_factory` can be asked of a field")
    return msgspec.field(default_factory=value.default_factory)


def replace(value: T, /, **changes: Any) -> T:
    """The value, frozen or a dataclass, with other members. Raises TypeError for one that it does not have."""
    known: Any = value
    return cast(T, (msgspec.structs if isinstance(value, msgspec.Struct) else dataclasses).replace(known, **changes))


def to_dict(value: Any) -> dict[str, Any]:
    """The members of a frozen value by name."""
    return msgspec.structs.asdict(value)
