import os
from pathlib import Path

import jsonschema_rs
import orjson
import pytest

from aione_mock.errors import ScenarioError
from aione_mock.scenarios.catalogue import ScenarioCatalogue
from aione_mock.scenarios.faults import FAULTS
from aione_mock.scenarios.rule_compiler import RuleCompiler, make_rule_schema
from aione_mock.scenarios.rule_files import RuleFiles, read_rules

from .conftest import ROOT

GOOD = "rules:\n  - id: a\n    then: {error: internal_error}\n"
MISTAKES = {
    "": ":1: the file is empty",
    "rules:\n  - then:\n      error: internal_eror\n": ":3: unknown error 'internal_eror'; did you mean 'internal",
    "rules:\n  - when: {}\n    thn: 1\n    then: {delay: 1}\n": ":3: unknown member 'thn'; did you mean 'then'?",
    "#\n\nrules:\n  - when:\n      modl: x\n    then: {delay: 1}\n": ":5: unknown member 'modl'; did you mean 'model'?",
    "rules:\n  - then:\n      faults:\n      - name: crlf\n      - name: ct\n": ":5: unknown value 'ct'; did you mean",
    "rules:\n  - then:\n      faults: [{name: cut,\n      size: 3}]\n": ":4: fault 'cut' has no option 'size'",
    "rules:\n  - then:\n      faults:\n        - {name: stall, after: x}\n": ":4: 'after' is 'x', but",
    "rules:\n  - {then: {faults: [{name: error_event, error: nope}]}}\n": ":2: unknown error 'nope'",
    "rules:\n  - when: {operation: createChatCompletions}\n    then: {delay: 1}\n": ":2: unknown operation",
    "rules:\n  - when:\n      pattern: '('\n    then: {delay: 1}\n": ":3: not a regular expression",
    "rules:\n  - when:\n      or:\n        - {nth: 2}\n    then: {delay: 1}\n": ":4: 'nth' counts the calls of a rule",
    "rules:\n  - then:\n      sequence: [{}]\n      delay: 1\n": ":4: 'delay' belongs inside the steps",
    "rules:\n  - then:\n      delay: 1\n      cycle: true\n": ":4: only a sequence can start over",
    "rules:\n  - then: {error: internal_error,\n      reply: {text: x}}\n": ":3: 'error' and 'reply' exclude",
    "rules:\n  - then: {retry_after: 1}\n": ":2: 'retry_after' belongs to an error",
    "rules:\n  - then:\n      reply:\n        text: x\n        json: 1\n": ":5: 'text' and 'json' exclude each other",
    "rules:\n  - then: {reply: {body: {}, finish: stop}}\n": ":2: 'body' is the whole answer",
    "rules:\n  - then:\n      reply: {text: 'x {{modl}}'}\n": ":3: unknown template '{{modl}}'; did you mean 'model'?",
    "rules:\n  - then: {headers: {set: {Content-Length: '3'}}}\n": ":2: header 'Content-Length' belongs",
    "rules:\n  - then: {headers: {set: {'a b': '3'}}}\n": ':2: \'set\' is {"a b":"3"}: "a b" does not match',
    "rules:\n  - then: {delay: soon}\n": ":2: 'delay' is 'soon', but should be a number of",
    "rules:\n  - then: {delay: 99999999999999d}\n": ":2: '99999999999999d' is too long",
    "rules:\n  - id: a\n    then: {delay: 1}\n  - id: a\n    then: {delay: 1}\n": ":4: there are two rules 'a'",
    "rules:\n  - then: {delay: 1}\n    then: {delay: 2}\n": ":3: 'then' occurs twice",
    "rules:\n  - then: {delay: 1\n": ":3: not YAML",
    "rules: 3\n": ':1: \'rules\' is 3, but should be a list, such as [{"then": {"reply": {"text": "Hello"}}}]',
    "- a\n": ':1: the file is ["a"], but should be a mapping',
    "rules: &a\n  - *a\n": ":1: not YAML: an alias leads back to itself",
    "rules: [{then: {reply: {json: 123456789012345678901234567890}}}]\n": ":1: cannot be represented as JSON",
    "rules: [{1: 2}]\n": ":1: cannot be represented as JSON",
    "? {a: b}\n: 1\n": ":1: not YAML",
    "rules: \x00": ":1: not YAML",
    "a: b: c": ":1: not YAML",
}


def test_examples_are_right(compiler):
    for path in sorted((ROOT / "fixtures" / "scenarios").glob("*.yaml")):
        rules = read_rules(path, compiler)
        assert len({rule.id for rule in rules}) >= 3
        assert all(rule.source.startswith(f"{path.name}:") for rule in rules)


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: text[:60])
def test_mistakes_name_the_line_and_the_remedy(text, compiler, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        read_rules(path, compiler)
    assert str(caught.value).startswith("s.yaml:")
    assert MISTAKES[text] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "line", "message"),
    [
        ("when: {}\n    thn: {delay: 1}", 3, "unknown member 'thn'; did you mean 'then'?"),
        ("when: {}", 2, "'then' is missing; add it, as in {"),
        ("then:\n      reply: hello", 3, "'reply' is 'hello', but should be a mapping, such as {\"text\": \"Hello\"}"),
        ("then:\n      faults: [cut]", 3, "'faults[0]' is 'cut', but should be a mapping, such as {\"name\": \"cut\","),
        ("then: {faults: {name: cut}}", 2, '\'faults\' is {"name":"cut"}, but should be a list, such as [{'),
        ("then: {faults: [{after: 2}]}", 2, '\'name\' is missing; add it, as in {"name": "cut",'),
        (
            "then: {delay: 1}\n    when:\n      header: 'x: y'",
            4,
            "'header' is 'x: y', but should be a mapping, such as {",
        ),
        (
            "then: {delay: 2 seconds}",
            2,
            "'delay' is '2 seconds', but should be a number of at least 0 or text, such as 1.5",
        ),
        ("then: {reply: {}}", 2, "'reply' is {}, but should be a mapping that is not empty, such as {"),
        (
            "then: {delay: 1}\n    when: {nth: a}",
            3,
            "'nth' is 'a', but should be an integer of at least 1 or a list, such",
        ),
        (
            "then: {delay: 1}\n    when: {key: sk-nex-demo-every-model}",
            3,
            "'key' is a secret, which no rule matches; write",
        ),
        ("then: {delay: 1}\n    when: {not: [{key: [a, sk-nex-demo-every-model]}]}", 3, "'key' is a secret, which no"),
        ("id: a b\n    then: {delay: 1}", 2, "'id' is 'a b', but should be text, such as slow-refunds"),
    ],
)
def test_a_mistake_says_what_is_expected(
    rule: str, line: int, message: str, compiler: RuleCompiler, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"rules:\n  - {rule}\n")
    with pytest.raises(ScenarioError) as caught:
        read_rules(path, compiler)
    assert str(caught.value).startswith(f"s.yaml:{line}: {message}")


def test_bytes_that_are_no_text(compiler, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"rules: \xff\xfe")
    with pytest.raises(ScenarioError, match=r"s\.yaml: cannot be read"):
        read_rules(path, compiler)


def test_a_date_in_yaml_is_text(compiler, tmp_path, context):
    path = tmp_path / "s.yaml"
    path.write_text("rules: [{then: {reply: {json: {day: 2026-01-31}}}}]")
    (rule,) = read_rules(path, compiler)
    assert rule.steps[0].action.make_script(context, 1).text == '{"day":"2026-01-31"}'


def test_json_files_and_sources(compiler, tmp_path):
    path = tmp_path / "s.json"
    path.write_text('{"rules": [\n {"then": {"delay": 1}},\n {"then": {"delay": 2}}]}')
    assert [rule.source for rule in read_rules(path, compiler)] == ["s.json:2", "s.json:3"]


def write(path: Path, text: str, tick=iter(range(1, 1000))):  # noqa: B008  (one clock for all writes)
    path.write_text(text)
    os.utime(path, ns=(10**18 + next(tick), 10**18 + next(tick)))


def test_a_half_written_file_keeps_the_last_good_rules(compiler, tmp_path):
    path = tmp_path / "s.yaml"
    write(path, GOOD)
    files = RuleFiles.open([path], compiler)
    assert files.reload(compiler) is files
    write(path, GOOD[:20])
    broken = files.reload(compiler)
    assert (broken.rules, len(broken.errors)) == (files.rules, 1)
    assert broken.reload(compiler) is broken
    path.unlink()
    gone = broken.reload(compiler)
    assert gone.rules == files.rules
    assert "cannot be read" in gone.errors[0]
    write(path, GOOD.replace("id: a", "id: b"))
    mended = gone.reload(compiler)
    assert ([rule.id for rule in mended.rules], mended.errors) == (["b"], ())


def test_folders_follow_their_files(compiler, tmp_path):
    write(tmp_path / "b.yaml", GOOD)
    files = RuleFiles.open([tmp_path], compiler)
    write(tmp_path / "a.yml", GOOD)
    write(tmp_path / "notes.txt", "not a scenario")
    more = files.reload(compiler)
    assert sorted(rule.source for rule in more.rules) == ["a.yml:2", "b.yaml:2"]
    assert [rule.id for rule in more.rules] == ["a", "a-2"]
    write(tmp_path / "b.yaml", "rules:")
    assert [rule.id for rule in more.reload(compiler).rules] == ["a", "a-2"]
    (tmp_path / "b.yaml").unlink()
    assert len(more.reload(compiler).rules) == 1


def test_at_start_up_mistakes_are_errors(compiler, tmp_path):
    with pytest.raises(ScenarioError, match="no such file"):
        RuleFiles.open([tmp_path / "nope.yaml"], compiler)
    write(tmp_path / "s.yaml", "rules: 1")
    with pytest.raises(ScenarioError, match=r"s\.yaml:1"):
        RuleFiles.open([tmp_path], compiler)


def test_the_published_schema_stands_alone(document):
    schema = make_rule_schema(document)
    assert b"#/components" not in orjson.dumps(schema)
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert validator.is_valid({"rules": [{"then": {"error": "x"}}]})
    assert not validator.is_valid({"rules": [{"then": {"eror": "x"}}]})


def test_the_schema_and_the_table_of_faults_agree(document):
    fault = document["components"]["schemas"]["Fault"]["properties"]
    assert fault["name"]["enum"] == list(FAULTS)
    assert {option.name for spec in FAULTS.values() for option in spec.options} == set(fault) - {"name"}
    for spec in FAULTS.values():
        for option in spec.options:
            described = fault[option.name]
            assert described.get("type", "string") == option.type, (spec.name, option.name)
            assert option.choices == tuple(described.get("enum", ()))
            assert (option.minimum, option.maximum) == (described.get("minimum"), described.get("maximum"))
            assert option.default is None or option.accepts(option.default)


def test_the_examples_of_the_control_document_hold(document, compiler):
    put = document["paths"]["/_mock/rules"]["put"]["requestBody"]["content"]["application/json"]["examples"]
    post = document["paths"]["/_mock/rules"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in put.values():
        assert compiler.find_mistakes(example["value"]) == []
    for example in post.values():
        assert compiler.find_mistakes({"rules": [example["value"]]}) == []
    active = document["paths"]["/_mock/scenarios"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    catalogue: ScenarioCatalogue = compiler.catalogue
    for example in active.values():
        then = catalogue.parse_then(example["value"]["scenario"], example["value"].get("times"))
        assert compiler.find_mistakes({"rules": [{"when": example["value"].get("when", {}), "then": then}]}) == []
