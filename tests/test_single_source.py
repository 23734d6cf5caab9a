"""What the contract says is said there alone: paths, ids, statuses and error codes are not repeated in Python.

Read from the syntax trees of the package, so a docstring may mention what it likes. What plays a client (the checker,
the helpers for tests) or is wrong on purpose (the mutants) has to name what it is about and is left out where noted.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from aione_mock import protocols
from aione_mock.model import images
from aione_mock.protocols import ERROR_NAMES, anthropic, gemini, openai
from aione_mock.protocols.errors import translate_error_name
from aione_mock.server.app import Mock
from aione_mock.server.handlers import HANDLERS
from aione_mock.types import Json

PACKAGE = Path(__file__).parent.parent / "aione_mock"
CLIENTS = ("checker", "testing", "mutants", "recorder/proxy.py", "recorder/contract_check.py")
TABLES = {
    "server/handlers/__init__.py": "the table of handlers",
    "server/control/error_catalogue.py": "which operation of each protocol shows its errors",
    "server/control/__init__.py": "the table of the control API's handlers",
    "cli/serve.py": "which operation the start-up message shows",
    "server/mcp/control_api.py": "which operation says that a mock answers",
    "server/mcp/tools.py": "the table of the tools for agents",
    "protocols/gemini.py": "Google's names of methods, which happen to be ids too",
}
"""Modules that may name operations, and what for."""


@pytest.fixture
def app(extended_app: Mock) -> Mock:
    """The mock with all extensions."""
    return extended_app


def _trees(*, clients: bool) -> Iterator[tuple[str, ast.Module]]:
    for name, tree in _parse_modules().items():
        if clients or not name.startswith(CLIENTS):
            yield name, tree


@cache
def _parse_modules() -> dict[str, ast.Module]:
    return {str(p.relative_to(PACKAGE)): ast.parse(p.read_text()) for p in sorted(PACKAGE.rglob("*.py"))}


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of every literal that is no docstring and no comment of a constant."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def _places(wanted: set[str], *, clients: bool, inside: bool = False) -> list[str]:
    """`module:line text` of literals that are (or, with `inside`, contain) one of the wanted texts."""
    return [
        f"{name}:{line} {text[:60]!r}"
        for name, tree in _trees(clients=clients)
        for line, text in _texts(tree)
        if (any(word in text for word in wanted) if inside else text in wanted)
    ]


def test_the_walk_sees_what_is_there() -> None:
    """The checks below would find something, were it there."""
    assert "handlers/__init__.py:" in " ".join(_places({"createChatCompletion"}, clients=False))
    assert len(_parse_modules()) > 50


def test_paths_are_in_the_contract_alone(app: Mock) -> None:
    paths = {operation.path for operation in app.contract.operations.values() if operation.protocol != "control"}
    assert "/v1/chat/completions" in paths
    # a template's fixed beginning is as telling as a whole path
    fixed = {path.partition("{")[0] for path in paths}
    assert _places({path for path in fixed if len(path) > len("/v1/models/")}, clients=False, inside=True) == []


def test_operations_are_named_in_tables_alone(app: Mock) -> None:
    found = _places(set(app.contract.operations), clients=False)
    assert [place for place in found if place.partition(":")[0] not in TABLES] == []
    assert set(HANDLERS) <= set(app.contract.operations)


def _codes(body: Json, held: str = "") -> Iterator[str]:
    """Values of the members by which clients tell errors apart."""
    if isinstance(body, dict):
        for key, value in body.items():
            if key in ("type", "code", "status", "errCode") and isinstance(value, str) and value != "error":
                yield value
            yield from _codes(value, key)


def test_codes_of_errors_are_in_the_contract_alone(app: Mock) -> None:
    names = {name for _, name in app.contract.errors}
    codes = {code for spec in app.contract.errors.values() for code in _codes(spec.body)}
    assert {"invalid_request_error", "PERMISSION_DENIED", "B.Permission.DeniedException"} <= codes
    assert _places(codes - names, clients=False) == []


def test_statuses_are_in_the_contract_alone() -> None:
    """A refusal is raised by name: no status stands at an APIError, nor in an answer that a handler makes."""
    found = []
    for name, tree in _trees(clients=False):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            numbers = [v.value for v in values if isinstance(v, ast.Constant) and type(v.value) is int]
            refusal = node.func.id == "APIError" and numbers
            answer = node.func.id in ("Reply", "StreamReply") and any(400 <= number < 600 for number in numbers)
            if refusal or answer:
                found.append(f"{name}:{node.lineno}")
    assert found == []


def test_every_error_raised_has_a_name_in_the_contract(app: Mock) -> None:
    names = {name for _, name in app.contract.errors}
    # some are raised by a meaning that each protocol names differently
    for protocol, others in ERROR_NAMES.items():
        assert {(protocol, name) for name in others.values()} <= set(app.contract.errors)
    names |= {meaning for others in ERROR_NAMES.values() for meaning in others}
    raised = {}
    for module, tree in _trees(clients=False):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "APIError":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    raised[first.value] = f"{module}:{node.lineno}"
    assert len(raised) > 8
    assert {name: place for name, place in raised.items() if name not in names} == {}


@pytest.mark.parametrize("protocol", sorted(protocols.ERROR_RENDERERS))
def test_every_protocol_knows_the_errors_that_any_call_can_meet(app: Mock, protocol: str) -> None:
    for name in ("invalid_request", "internal_error", "not_found", "method_not_allowed"):
        own = translate_error_name(protocol, name)
        assert app.contract.find_error(protocol, own) is not None, own


def _list_enumerated(app: Mock, *place: str) -> set[Json]:
    node = app.contract.documents["aione.yaml"]["components"]["schemas"]
    for step in place:
        node = app.contract.resolve("aione.yaml", node[step])
    options = [node, *node.get("anyOf", ()), *node.get("oneOf", ())]
    return {
        v for option in options for v in app.contract.resolve("aione.yaml", option).get("enum", ()) if v is not None
    }


def test_tables_of_meanings_cover_the_enums(app: Mock) -> None:
    """Where Python gives the words of an enum a meaning, it gives one to each, and to no other."""
    chat = ("ChatCompletionRequest", "properties")
    assert set(openai.EFFORT) == _list_enumerated(app, *chat, "reasoning_effort")
    assert set(anthropic._EFFORT) == _list_enumerated(app, "AnthropicOutputConfig", "properties", "effort")
    assert set(openai.FINISH.values()) | {"function_call"} == _list_enumerated(app, "ChatCompletionFinishReason")
    assert set(anthropic.STOP_REASON.values()) <= _list_enumerated(app, "AnthropicStopReason")
    assert set(gemini.FINISH.values()) <= _list_enumerated(app, "GeminiFinishReason")
    assert set(images.ASPECT_RATIOS) == _list_enumerated(app, *chat, "aspect_ratio")
    assert set(images.IMAGE_SIZES) == _list_enumerated(app, *chat, "image_size")
    for model in app.sessions.get().catalogue.models:
        info = ("ModelInfo", "properties")
        assert {*model.protocols} <= _list_enumerated(app, *info, "protocols", "items")
        assert {*model.abilities} <= _list_enumerated(app, *info, "capabilities", "items")
