"""Wrong arguments of assertions: each is one line that names the argument and what it may be."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import aione_mock
from aione_mock.errors import ScenarioError
from aione_mock.testing import MockServer, MockSession, start_server
from aione_mock.testing.assertions import CallAssertions

NUMBER, LIST, CONDITIONS = "a whole number such as {}=3", "a list such as {}=[", "conditions such as {}={"
WRONG: dict[str, dict[str, tuple[tuple[Any, ...], str]]] = {
    "assert_called": {
        "operation": ((7, ["x"]), "a text such as operation="),
        **dict.fromkeys(("times", "at_least", "at_most", "status"), (("x", 1.5, True, -1, [1]), NUMBER)),
        "when": ((7, "text", [1], {1: 2}), CONDITIONS),
    },
    "assert_order": {"steps": ((7, None, {"text": "x"}, b"x"), LIST)},
    "assert_tool_trajectory": {"steps": ((7, None, {"name": "x"}), LIST)},
    "assert_tokens": dict.fromkeys(("max_total", "max_prompt", "max_completion"), (("x", 1.5, True, -1), NUMBER)),
    "assert_cost": {"max_rmb": ((None, "x", "NaN", "Infinity", [1], (1, 2), True), "a number such as max_rmb='0.05'")},
    "assert_prompt": {
        **dict.fromkeys(("contains", "system"), ((7, [7], {7}, b"x"), "a text such as {}=")),
        "matches": ((7, ["x"], b"x", re.compile(b"x")), "a regular expression such as matches="),
    },
    "assert_matches_snapshot": {"name": ((7, None), "a text such as name=")},
    "assert_resilient": {
        "call": ((7, None, "ask"), "a function such as call="),
        "only": ((7, [7], b"x"), LIST),
        "include": ((7, [7], b"x"), LIST),
        "patience": (("x", 0, True), "a number such as patience="),
        "attempts": (("x", 1.5, -1), NUMBER),
    },
    "assert_schema": {},
    "assert_no_unused_replies": {},
    "assert_strict": {},
}
"""Assertion to argument to wrong values, and what the message says that it takes."""
NEEDED: dict[str, dict[str, Any]] = {"assert_resilient": {"call": lambda: "x"}}
"""Arguments without which an assertion cannot be called."""
CASES = [
    (assertion, name, value, expected.replace("{}", name))
    for assertion, arguments in WRONG.items()
    for name, (values, expected) in arguments.items()
    for value in values
]


@pytest.fixture(scope="module")
def host() -> Iterator[MockServer]:
    with start_server() as running:
        yield running


@pytest.fixture(scope="module")
def mock(host: MockServer) -> Iterator[MockSession]:
    with host.session() as session:
        yield session


@pytest.mark.parametrize(("assertion", "name", "value", "expected"), CASES)
def test_a_wrong_argument_is_named(mock: MockSession, assertion: str, name: str, value: Any, expected: str) -> None:
    with pytest.raises(TypeError) as refused:
        getattr(mock, assertion)(**NEEDED.get(assertion, {}) | {name: value})
    message = str(refused.value)
    assert message.startswith(f"{assertion}() takes {expected}")
    assert message.endswith(f", not {value!r}" if name not in ("contains", "system") else "")
    assert "\n" not in message


def test_the_table_has_every_assertion_and_argument() -> None:
    own = {name for name in dir(MockSession) if name.startswith("assert_")}
    assert own == WRONG.keys()
    for name in own & {*dir(CallAssertions)}:
        parameters = inspect.signature(getattr(CallAssertions, name)).parameters.values()
        assert {p.name for p in parameters if p.kind != p.VAR_KEYWORD} == {"self", *WRONG[name]}, name
    parameters = inspect.signature(aione_mock.assert_resilient).parameters
    assert parameters.keys() - {"mock"} == WRONG["assert_resilient"].keys()


@pytest.mark.parametrize(
    ("assertion", "arguments", "error", "message"),
    [
        ("assert_order", {"steps": [7]}, TypeError, "takes an operation or conditions such as step={'text': 'refund'}"),
        ("assert_tool_trajectory", {"steps": [(7, {})]}, TypeError, "pairs of name and arguments, not (7, {})"),
        ("assert_prompt", {"matches": "("}, ValueError, "matches='(' is no regular expression: missing )"),
        ("assert_resilient", {"call": print, "onyl": ()}, TypeError, "has no option 'onyl'; did you mean 'only'?"),
        (
            "assert_called",
            {"when": {"text": {1}}},
            TypeError,
            "takes conditions such as when={'text': 'refund'}, not {",
        ),
        ("assert_called", {"text": {1}}, TypeError, "takes JSON such as text='refund', not {1}"),
        ("assert_called", {"body": [{1: 2}]}, TypeError, "takes JSON such as body='refund', not [{1: 2}]"),
        ("assert_called", {"model": 7}, ScenarioError, "model: "),
    ],
)
def test_what_arguments_contain_is_checked_too(
    mock: MockSession, assertion: str, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        getattr(mock, assertion)(**arguments)
    assert message in str(refused.value)


def test_a_session_is_checked() -> None:
    with pytest.raises(TypeError, match=r"assert_resilient\(\) takes a session such as mock=aione_mock, not 'x'"):
        aione_mock.assert_resilient(print, mock="x")  # type: ignore[arg-type]
