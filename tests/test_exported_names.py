"""The public names: what is listed exists, is a class or a function, and costs nothing until it is used."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

import aione_mock
import aione_mock.testing

PACKAGE = ["MockServer", "MockSession", "Settings", "assert_resilient", "create_app", "mock_server"]
TESTING = [
    "MockServer",
    "MockSession",
    "RecordedCall",
    "SessionOptions",
    "assert_resilient",
    "connect_to_server",
    "mock_server",
    "start_server",
]
HEAVY = ("starlette", "uvicorn", "pydantic", "yaml", "orjson", "msgspec", "httpx2", "jsonschema_rs")


@pytest.mark.parametrize(("package", "names"), [(aione_mock, PACKAGE), (aione_mock.testing, TESTING)])
def test_the_listed_names_exist(package: ModuleType, names: list[str]) -> None:
    assert sorted(package.__all__) == names
    for name in names:
        value: Any = getattr(package, name)
        assert inspect.isclass(value) if name[0].isupper() else inspect.isfunction(value), name
        assert value.__name__ == name
        assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    for package in (aione_mock, aione_mock.testing):
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'mock_servers'"):
            _ = package.mock_servers


@pytest.mark.parametrize("package", ["aione_mock", "aione_mock.testing"])
def test_importing_a_package_loads_no_library(package: str) -> None:
    code = f"import sys, {package}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_can_be_called() -> None:
    names = [info.name for info in pkgutil.walk_packages(aione_mock.__path__, "aione_mock.")]
    modules = [name for name in names if not name.endswith(("__main__", "test_gateway"))]
    assert [name for name in modules if type(import_module(name)) is not ModuleType] == []
