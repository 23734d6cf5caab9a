"""What `spec diff` says of two contracts, and that nothing which breaks clients is left out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aione_mock.cli import main
from aione_mock.contract.schema_comparison import SchemaComparison
from aione_mock.settings import locate_document

NARROWING = {"narrower", "other", "closed"}
WIDENING = {"wider", "other", "opened"}
BOUNDS = st.none() | st.integers(0, 4)


def make_overlay(folder: Path, target: str, change: Any) -> str:
    """Write an overlay that changes one place, and return its path."""
    action = {"target": target, "remove": True} if change is None else {"target": target, "update": change}
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump({"overlay": "1.0.0", "info": {"title": "t", "version": "1"}, "actions": [action]}))
    return str(path)


INVOICES = "$.paths['/api/v1/billing/invoices'].get"
PAGE_SIZE = f"{INVOICES}.parameters[?@.name == 'page_size']"


@pytest.mark.parametrize(
    ("target", "change", "forth", "back"),
    [
        (PAGE_SIZE, None, ("breaking", "removed"), ("additive", "added")),
        (f"{PAGE_SIZE}.schema", {"maximum": 7}, ("breaking", "at most 7, was"), ("additive", "at most")),
        (
            f"{INVOICES}.responses['200'].content['application/json'].schema",
            {"required": ["note"], "properties": {"note": {"type": "string"}}},
            ("additive", "added"),
            ("breaking", "removed"),
        ),
        ("$.paths['/api/v1/billing/plan']", None, ("breaking", "removed"), ("additive", "added")),
    ],
)
def test_changes_are_judged_in_both_directions(
    target: str, change: Any, forth: tuple[str, str], back: tuple[str, str], tmp_path: Path
) -> None:
    overlay, file = make_overlay(tmp_path, target, change), tmp_path / "changes.json"
    source = str(locate_document("aione.yaml"))
    for option, (level, message) in (("--overlay", forth), ("--old-overlay", back)):
        code = main(["spec", "diff", source, source, option, overlay, "--json", str(file)])
        found = json.loads(file.read_text())["changes"]
        assert code == (level == "breaking"), found
        assert any(each["level"] == level and message in each["message"] for each in found), found


def test_a_contract_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "diff", "bundled"]) == 0
    assert capsys.readouterr().out == "0 breaking, 0 additive, 0 cosmetic changes in 0 operations\n"


@pytest.mark.parametrize("reverse", [False, True])
def test_one_document_is_compared_with_its_like(
    reverse: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "ours.yaml"
    assert main(["spec", "bundle", "--document", "modelrouter", "--output", str(own)]) == 0
    capsys.readouterr()
    assert main(["spec", "diff", *(("bundled", str(own)) if reverse else (str(own),))]) == 0
    assert capsys.readouterr().out == "0 breaking, 0 additive, 0 cosmetic changes in 0 operations\n"


def test_words_are_cosmetic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = make_overlay(tmp_path, INVOICES, {"summary": "Other words"})
    source = str(locate_document("aione.yaml"))
    assert main(["spec", "diff", source, source, "--overlay", overlay, "--cosmetic"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["cosmetic", "listInvoices", "-", "another", "summary"]
    assert lines[-1] == "0 breaking, 0 additive, 1 cosmetic changes in 1 operations"


def test_a_revision_of_git_is_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "contract").mkdir()
    document = yaml.safe_load(locate_document("modelrouter.yaml").read_text())
    path = tmp_path / "contract" / "modelrouter.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    git("init", "-q")
    git("add", ".")
    git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first")
    first = next(iter(document["paths"]))
    del document["paths"][first]
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    assert main(["spec", "diff", "git:HEAD:contract", "contract"]) == 1
    assert f"{first} removed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("git:no-such-revision", "git cannot read openapi of 'no-such-revision'"),
        ("git:--output=x", "git cannot read openapi of '--output=x'"),
        ("none.yaml", "cannot read the document 'none.yaml'"),
        ("tests", "there is no OpenAPI document in tests"),
    ],
)
def test_what_cannot_be_read_is_one_line(source: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "diff", source]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_document_without_operations_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.yaml").write_text("{openapi: 3.1.0, info: {title: Empty, version: '1'}, paths: {}}")
    assert main(["spec", "diff", str(tmp_path / "empty.yaml")]) == 2
    assert capsys.readouterr().err == "aione-mock: empty.yaml: there is no operation under `paths`\n"


def make_schemas(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(st.sampled_from("ab"), children, max_size=2)
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": members},
        optional={"required": st.lists(st.sampled_from("ab"), unique=True), "additionalProperties": st.booleans()},
    )
    lists = st.fixed_dictionaries(
        {"type": st.just("array"), "items": children}, optional={"maxItems": st.integers(0, 2)}
    )
    unions = st.fixed_dictionaries({"anyOf": st.lists(children, min_size=1, max_size=2)})
    return objects | lists | unions


def drop_none(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if value is not None}


LEAVES = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "number", "null", "boolean"])}),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from([0, 1, "x", None]), min_size=1, unique=True)}),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": BOUNDS, "maximum": BOUNDS}).map(drop_none),
    st.fixed_dictionaries({"type": st.just("string"), "minLength": BOUNDS, "maxLength": BOUNDS}).map(drop_none),
    st.fixed_dictionaries({"type": st.just("string"), "pattern": st.sampled_from(["^x", "y$"])}),
)
SCHEMAS = st.recursive(LEAVES, make_schemas, max_leaves=4)
VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1, 2, 4, 7, 0.5, "", "x", "xy", "yyyyy"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)


KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["string", "integer", "number", "null", "object", "array", ["string", "null"]]),
    "enum": st.lists(st.sampled_from([0, 1, "x", None]), min_size=1, unique=True),
    "const": st.sampled_from([0, 1, "x", None]),
    "minimum": st.integers(0, 4),
    "maximum": st.integers(0, 4),
    "minLength": st.integers(0, 4),
    "maxItems": st.integers(0, 2),
    "pattern": st.sampled_from(["^x", "y$"]),
    "required": st.lists(st.sampled_from("abc"), unique=True),
    "additionalProperties": st.booleans() | LEAVES,
    "items": LEAVES,
    "anyOf": st.lists(LEAVES, min_size=1, max_size=2),
}


@st.composite
def change_schema(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which one keyword is set or removed, here or in a part."""
    parts = [(name, key) for name in ("properties", "anyOf") for key in _list_keys(schema.get(name, ()))]
    parts += [("items", None)] if isinstance(schema.get("items"), dict) else []
    if parts and draw(st.booleans()):
        name, key = draw(st.sampled_from(parts))
        if key is None:
            return {**schema, name: draw(change_schema(schema[name]))}
        part = draw(change_schema(schema[name][key]))
        whole = {**schema[name], key: part} if isinstance(key, str) else [*schema[name]]
        if isinstance(key, int):
            whole[key] = part
        return {**schema, name: whole}
    keyword = draw(st.sampled_from(sorted(KEYWORDS.keys() & schema.keys() or KEYWORDS) + sorted(KEYWORDS)))
    rest = {name: value for name, value in schema.items() if name != keyword}
    return rest if keyword in schema and draw(st.booleans()) else {**rest, keyword: draw(KEYWORDS[keyword])}


def _list_keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def list_effects(old: Any, new: Any) -> set[str]:
    return {change.effect for change in SchemaComparison(dict, dict).compare(old, new)}


@settings(max_examples=400)
@example(({"type": "string"}, {"type": "string", "pattern": "^x"}), ["yyyyy"])
@example(({"format": "date"}, {}), ["x"])
@given(
    SCHEMAS.flatmap(lambda old: st.tuples(st.just(old), change_schema(old))), st.lists(VALUES, min_size=20, max_size=40)
)
def test_a_value_that_is_no_longer_allowed_is_never_overlooked(schemas: tuple[Any, Any], values: list[Any]) -> None:
    old, new = schemas
    effects = list_effects(old, new)
    was, now = jsonschema_rs.validator_for(old), jsonschema_rs.validator_for(new)
    for value in values:
        if was.is_valid(value) and not now.is_valid(value):
            assert effects & (NARROWING | {"added"}), (old, new, effects, value)
        if now.is_valid(value) and not was.is_valid(value):
            assert effects & (WIDENING | {"removed"}), (old, new, effects, value)


@given(SCHEMAS, SCHEMAS)
def test_the_way_back_is_the_opposite(old: Any, new: Any) -> None:
    opposite = {"narrower": "wider", "wider": "narrower", "added": "removed", "removed": "added"}
    opposite |= {"opened": "closed", "closed": "opened"}
    assert {opposite.get(effect, effect) for effect in list_effects(old, new)} == list_effects(new, old)


@given(SCHEMAS)
def test_a_schema_does_not_differ_from_itself(schema: Any) -> None:
    assert list_effects(schema, json.loads(json.dumps(schema))) == set()
