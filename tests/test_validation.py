"""Violations: their place, their type and their message."""

from __future__ import annotations

import pytest

from aione_mock.contract.validation import Violation, parse_body, parse_parameters, raise_violations
from aione_mock.errors import APIError
from aione_mock.server.app import Mock

USER = '{"role": "user", "content": "hi"}'


def found(app: Mock, operation: str, raw: str, media_type: str | None = "application/json") -> list[Violation]:
    return parse_body(app.contract.operations[operation], media_type, raw.encode())[1]


@pytest.mark.parametrize(
    ("raw", "param", "kind"),
    [
        ("{}", "model", "missing"),
        ('{"model": "m", "messages": []}', "messages", "too_short"),
        ('{"model": "m", "messages": [{"role": "usr", "content": "x"}]}', "messages[0].role", "literal_error"),
        ('{"model": "m", "messages": [{"role": "user", "content": 7}]}', "messages[0].content", "string_type"),
        ('{"model": "m", "messages": [{"role": "user"}]}', "messages[0].content", "missing"),
        (
            '{"model": "m", "messages": [{"role": "user", "content": [{"type": "x"}]}]}',
            "messages[0].content[0].type",
            "literal_error",
        ),
        ('{"model": 5, "messages": [%s]}' % USER, "model", "string_type"),
        ('{"model": "m", "messages": [%s], "n": 0}' % USER, "n", "greater_than_equal"),
        ('{"model": "m", "messages": [%s], "temperature": 2.5}' % USER, "temperature", "less_than_equal"),
        ('{"model": "m", "messages": [%s], "n": "2"}' % USER, "n", "int_parsing"),
        ("nope", "body", "json_invalid"),
        ('{"a": NaN}', "body", "json_invalid"),
        ('{"a": "\\ud800"}', "body", "json_invalid"),
        ("[" * 100_000, "body", "json_invalid"),
        ("[]", "body", "dict_type"),
        ("", "body", "missing"),
    ],
)
def test_the_first_finding_names_the_place_and_the_kind(app: Mock, raw: str, param: str, kind: str) -> None:
    first = found(app, "createChatCompletion", raw)[0]
    assert (first.param, first.kind) == (param, kind)


def test_an_unknown_role_is_told_all_known_ones(app: Mock) -> None:
    first = found(app, "createChatCompletion", '{"model": "m", "messages": [{"role": "usr", "content": "x"}]}')[0]
    for role in ("system", "developer", "user", "assistant", "tool", "function"):
        assert f"'{role}'" in first.message


@pytest.mark.parametrize(
    ("member", "param", "words"),
    [
        ('"response_format": {"type": "jsn"}', "response_format.type", "'text', 'json_object' or 'json_schema'"),
        ('"response_format": {"type": null}', "response_format.type", "'text', 'json_object' or 'json_schema'"),
        ('"response_format": "json"', "response_format", "a valid object"),
        ('"tool_choice": {"type": "any"}', "tool_choice.type", "'function' or 'allowed_tools'"),
        ('"tool_choice": "any"', "tool_choice", "'none', 'auto' or 'required'"),
    ],
)
def test_what_may_be_null_is_told_what_else_it_may_be(app: Mock, member: str, param: str, words: str) -> None:
    first = found(app, "createChatCompletion", '{"model": "m", "messages": [%s], %s}' % (USER, member))[0]
    assert (first.param, first.message) == (param, f"Input should be {words}")


def test_all_findings_are_listed(app: Mock) -> None:
    findings = found(app, "createKey", '{"rpm_limit": 0, "tpm_limit": "x", "allowed_ips": ["nonsense"]}')
    assert {f.place[1] for f in findings} == {"name", "rpm_limit", "tpm_limit", "allowed_ips"}


def test_another_media_type_is_refused_and_none_is_taken_as_json(app: Mock) -> None:
    raw = '{"model": "m", "messages": [%s]}' % USER
    assert found(app, "createChatCompletion", raw, "text/plain; charset=utf-8")[0].kind == "model_attributes_type"
    assert found(app, "createChatCompletion", raw, None) == []
    assert found(app, "createChatCompletion", raw, "application/vnd.x+json") == []


@pytest.mark.parametrize(
    ("query", "value"),
    [("range_days=30", 30), ("", 7), ("range_days=1&range_days=2", 2)],
)
def test_parameters_are_converted_and_defaulted(app: Mock, query: str, value: int) -> None:
    operation = app.contract.operations["getDashboard"]
    values, findings = parse_parameters(operation, {}, query, lambda name: None)
    assert (values["range_days"], findings) == (value, [])


@pytest.mark.parametrize("text", ["0", "91", "x", "", "1.5", "9" * 400])
def test_bad_parameters_are_findings(app: Mock, text: str) -> None:
    operation = app.contract.operations["getDashboard"]
    _, findings = parse_parameters(operation, {}, f"range_days={text}", lambda name: None)
    assert findings
    assert findings[0].place == ("query", "range_days")


def test_a_path_parameter_that_is_no_uuid(app: Mock) -> None:
    _, findings = parse_parameters(app.contract.operations["getKey"], {"key_id": "7"}, "", lambda name: None)
    assert [f.to_detail() for f in findings] == [
        {"loc": ["path", "key_id"], "msg": "Input should be a valid UUID", "type": "uuid_parsing"}
    ]


def test_what_is_nested_deeper_than_the_validator_goes_is_a_finding(app: Mock) -> None:
    deep = "[" * 900 + "]" * 900
    raw = '{"model": "m", "messages": [%s], "metadata": {"a": %s}, "x": %s}' % (USER, deep, deep)
    for nested in (raw, raw.replace('"content": "hi"', f'"content": {deep}'), deep):
        findings = found(app, "createChatCompletion", nested)
        assert all(finding.message for finding in findings)


def test_refusing_raises_with_every_finding_and_the_first_in_words() -> None:
    findings = [
        Violation(("body", "name"), "Field required", "missing"),
        Violation(("body", "n"), "Input should be less", "x"),
    ]
    with pytest.raises(APIError) as refused:
        raise_violations(findings)
    assert refused.value.message == "Missing required parameter: 'name'."
    assert [f["loc"] for f in refused.value.findings] == [["body", "name"], ["body", "n"]]
    raise_violations([])


def test_sentences_read_well() -> None:
    assert Violation(("body", "n"), "Input should be a valid integer", "int_type").sentence == (
        "Invalid value for 'n': input should be a valid integer."
    )
