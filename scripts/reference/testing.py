"""The page on the test kit: fixtures, the session's methods, options, from signatures and docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields

import pytest

import aione_mock
from aione_mock.tenant.configuration_schema import read_docstrings
from aione_mock.testing import MockServer, MockSession, pytest_plugin
from aione_mock.testing.calls import RecordedCall
from aione_mock.testing.options import SessionOptions
from reference.markdown import format_code, format_table, join_parts

_HEAD = """\
# Test kit

What a test can use, made from the code. [Testing with pytest](../how-to/testing.md) explains it with examples."""
_CLASSES = (MockSession, RecordedCall, MockServer)
_FUNCTIONS = ("mock_server", "assert_resilient", "create_app")


def write_page() -> str:
    """Return the page."""
    return join_parts(
        _HEAD,
        "## Fixtures",
        format_table(("fixture", "what it does"), list_fixtures()),
        "## Options of the marker, of `session()` and of `mock_server()`",
        format_table(("option", "default", "meaning"), _list_options()),
        "## Options of pytest",
        format_table(("option", "meaning"), list_flags()),
        *(_write_class(each) for each in _CLASSES),
        "## Functions",
        *(_write_callable(name, getattr(aione_mock, name)) for name in _FUNCTIONS),
    )


def list_fixtures() -> list[tuple[str, str]]:
    """Return the fixtures and their docstrings."""
    found = vars(pytest_plugin).items()
    return [
        (f"`{name}`", _read_docstring(each))
        for name, each in found
        if type(each).__name__ == "FixtureFunctionDefinition"
    ]


def list_flags() -> list[tuple[str, str]]:
    """Return the options that the plugin adds to pytest."""
    parser = pytest.Parser(_ispytest=True)
    pytest_plugin.pytest_addoption(parser)
    groups = parser._groups
    return [
        (f"`{' '.join(option.names())}`", str(option.attrs().get("help", "")))
        for group in groups
        for option in group.options
    ]


def _list_options() -> Iterator[tuple[str, str, str]]:
    texts = read_docstrings(SessionOptions)
    for field in fields(SessionOptions):
        yield f"`{field.name}`", f"`{field.default!r}`", texts.get(field.name, "")


def _write_class(cls: type) -> str:
    return join_parts(f"## {cls.__name__}", _read_docstring(cls), *_write_members(cls)).rstrip("\n")


def _write_members(cls: type) -> Iterator[str]:
    members = {name: value for base in reversed(cls.__mro__[:-1]) for name, value in vars(base).items()}
    public = {name: value for name, value in members.items() if not name.startswith("_") and _has_text(value)}
    properties = [(f"`{name}`", _read_docstring(value)) for name, value in public.items() if not callable(value)]
    yield format_table(("attribute", "what it is"), properties)
    for name, value in public.items():
        if callable(value):
            yield _write_callable(name, value)


def _write_callable(name: str, value: object) -> str:
    signature = inspect.signature(value)  # type: ignore[arg-type]
    own = [each for each in signature.parameters.values() if each.name != "self"]
    text = str(signature.replace(parameters=own)).replace("'", "") if own else "()"
    return join_parts(f"### {name}", format_code(f"{name}{text}", "python"), _read_docstring(value)).rstrip("\n")


def _has_text(value: object) -> bool:
    return (callable(value) or isinstance(value, property)) and bool(inspect.getdoc(value))


def _read_docstring(value: object) -> str:
    function = getattr(value, "_fixture_function", value)
    return inspect.getdoc(function) or ""
