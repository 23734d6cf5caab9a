"""Frozen value types. Every request creates dozens of them, so they must be cheap to create."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field, field
from typing import Any, TypeVar, cast, dataclass_transform

import msgspec

T = TypeVar("T")
_INSTANCE_SLOTS = ("__dict__", "__weakref__")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a class a frozen `msgspec.Struct`, which behaves like a frozen dataclass with slots.

    Creating a frozen dataclass takes eight times as long. Of `dataclasses.field`, only `default_factory` is supported.
    """
    if issubclass(cls, msgspec.Struct):  # a subclass of a frozen class
        return cls
    namespace = {name: _convert_field(value) for name, value in vars(cls).items() if name not in _INSTANCE_SLOTS}
    create_struct: Any = type(msgspec.Struct)
    return cast("type[T]", create_struct(cls.__name__, (msgspec.Struct,), namespace, frozen=True))


def _convert_field(value: Any) -> Any:
    if not isinstance(value, Field):
        return value
    if value.default_factory is MISSING or not (value.repr and value.compare):
        raise TypeError("a field of a frozen class takes no option but `default_factory`")
    return msgspec.field(default_factory=value.default_factory)


def replace(value: T, /, **changes: Any) -> T:
    """Return a copy of a frozen value or dataclass with other members. Raise TypeError for an unknown member."""
    module: Any = msgspec.structs if isinstance(value, msgspec.Struct) else dataclasses
    return cast(T, module.replace(value, **changes))


def to_dict(value: Any) -> dict[str, Any]:
    """Return the members of a frozen value by name."""
    return msgspec.structs.asdict(value)
