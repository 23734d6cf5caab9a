"""The contract: what it holds, what it refuses, where paths lead."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from aione_mock.contract import loading
from aione_mock.contract.documents import bundle_document
from aione_mock.contract.lint import find_problems
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ContractError
from aione_mock.server.app import Mock, create_app, select_handlers
from aione_mock.server.handlers import HANDLERS
from aione_mock.settings import DOCUMENTS, Settings, locate_document

TINY: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Tiny", "version": "1"},
    "paths": {
        "/things/{id}": {
            "get": {
                "operationId": "getThing",
                "x-evidence": "assumed",
                "x-dialect": "console",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {
                    "200": {
                        "description": "ok",
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/Thing"},
                                "examples": {"one": {"value": {"id": "a"}}},
                            }
                        },
                    }
                },
            }
        }
    },
    "components": {
        "schemas": {"Thing": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}}
    },
}


def write(folder: Path, content: Any, name: str = "tiny.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def break_document(change: Any) -> dict[str, Any]:
    content = copy.deepcopy(TINY)
    change(content)
    return content


def operation(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["paths"]["/things/{id}"]["get"]
    return found


def thing(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["components"]["schemas"]["Thing"]
    return found


def answer(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = operation(content)["responses"]["200"]["content"]["application/json"]
    return found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: operation(c).pop("operationId"), "paths/~1things~1{id}/get: operationId is missing"),
        (lambda c: c["paths"].update({"/x": {"get": operation(c)}}), "operationId 'getThing' occurs twice"),
        (lambda c: thing(c).update(propertys={}),
         "Thing/propertys: unknown schema keyword \'propertys\'; did you mean \'properties\'?"),
        (lambda c: thing(c)["properties"].update(x={"$ref": "#/components/schemas/No"}),
         "'#/components/schemas/No' points to nothing"),
        (lambda c: answer(c)["examples"].update(two={"value": {}}), "examples/two: : \"id\" is a required property"),
        (lambda c: operation(c).pop("x-evidence"), "x-evidence: must be one of documented, deduced, assumed"),
        (lambda c: operation(c).update(security=[{"nope": []}]), "unknown scheme 'nope'"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_by_name(tmp_path: Path, change: Any, told: str) -> None:
    with pytest.raises(ContractError) as refused:
        load_contract([write(tmp_path, break_document(change))], cache=False)
    assert told in str(refused.value)


def test_the_tiny_contract_itself_is_fine(tmp_path: Path) -> None:
    contract = load_contract([write(tmp_path, TINY)])
    assert contract.match("/things/a%2Fb").params == {"id": "a/b"}
    assert contract.match("/things/a/b").operations == {}


def test_a_checked_contract_is_cached_and_a_change_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[object] = []
    monkeypatch.setattr(loading, "find_problems", lambda contract: checked.append(contract) or [])
    path = write(tmp_path, TINY)
    load_contract([path])
    load_contract([path])
    assert len(checked) == 1
    write(tmp_path, break_document(lambda c: operation(c).update(summary="new")))
    load_contract([path])
    assert len(checked) == 2


def test_load_works_where_nothing_can_be_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, TINY)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert list(load_contract([path]).operations) == ["getThing"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_passes_the_specification(name: str) -> None:
    validate(bundle_document(locate_document(name)))


def test_the_document_with_all_extensions_passes_the_specification(extended_app: Mock) -> None:
    validate(extended_app.contract.documents["aione.yaml"])


def test_the_contract_has_no_findings(extended_app: Mock) -> None:
    assert list(find_problems(extended_app.contract)) == []


@pytest.mark.skipif(shutil.which("npx") is None, reason="needs Node, which is not installed")
def test_redocly_recommended_rules_have_no_errors(tmp_path: Path) -> None:
    for name in DOCUMENTS:
        (tmp_path / name).write_text(
            yaml.safe_dump(bundle_document(locate_document(name)), allow_unicode=True), encoding="utf-8"
        )
    (tmp_path / "redocly.yaml").write_text("extends: [recommended]\n", encoding="utf-8")
    command = ["npx", "--yes", "@redocly/cli@2", "lint", "--format=summary", *DOCUMENTS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    if done.returncode and "lint" not in done.stderr + done.stdout:
        pytest.skip(f"Redocly cannot be had here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_operation_is_documented_for_people(extended_app: Mock) -> None:
    for op in extended_app.contract.operations.values():
        assert op.raw.get("summary"), op
        assert op.raw.get("description"), op
        assert op.tags, op


def test_every_error_has_its_chinese_sister(extended_app: Mock) -> None:
    for op in extended_app.contract.operations.values():
        if op.protocol == "control":
            continue
        for status, response in op.responses.items():
            for media in response.get("content", {}).values():
                names = set(media.get("examples", {}))
                english = {n for n in names if not n.endswith("_zh")}
                if not status.startswith("2"):
                    assert {f"{n}_zh" for n in english} <= names, (op, status)


def test_requests_and_answers_have_examples_in_both_languages(extended_app: Mock) -> None:
    for op in extended_app.contract.operations.values():
        if op.protocol == "control":
            continue
        bodies = [op.request_body, op.responses[str(op.success)]]
        for media in [m for b in bodies for t, m in b.get("content", {}).items() if t != "text/event-stream"]:
            names = set(media.get("examples", {}))
            assert any(n.endswith("_zh") for n in names), op
            assert any(not n.endswith("_zh") for n in names), op


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", "createChatCompletion"),
        ("/v1beta/models/gemini-2.5-pro:generateContent", "generateContent"),
        ("/v1beta/models/gemini-2.5-pro:countTokens", "countTokens"),
        ("/v1beta/models/gemini-2.5-pro", "getGeminiModel"),
        ("/api/v1/gateway/keys/x/rotate", "rotateKey"),
        ("/api/v1/modelRouter/open/observation/logs", "ModelRouterQueryObservationLogs"),
    ],
)
def test_paths_lead_to_operations(app: Mock, path: str, expected: str) -> None:
    assert expected in {o.id for o in app.contract.match(path).operations.values()}


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/v1/nope", "openai"),
        ("/v1/messages/nope", "anthropic"),
        ("/v1beta/nope", "gemini"),
        ("/api/v1/nope", "console"),
        ("/api/v1/modelRouter/open/nope", "modelrouter"),
        ("/_mock/nope", "control"),
        ("/", "openai"),
        ("", "openai"),
    ],
)
def test_an_unknown_path_has_the_protocol_of_its_neighbours(app: Mock, path: str, protocol: str) -> None:
    assert app.contract.find_protocol(path) == protocol


def test_a_handler_without_an_operation_is_refused(app: Mock) -> None:
    with pytest.raises(ContractError, match="unknown operation 'listKey'; did you mean 'listKeys'"):
        select_handlers({"listKey": HANDLERS["listModels"]}, app.contract)


OVERLAY = """
overlay: 1.0.0
info: {title: ours, version: '1'}
actions:
  - target: $.paths['/api/v1/obs/dashboard'].get.parameters[0].schema
    update: {maximum: 30}
  - target: $.paths['/v1/models/{model}']
    remove: true
"""


def test_an_overlay_adapts_the_contract(tmp_path: Path) -> None:
    overlay = tmp_path / "ours.yaml"
    overlay.write_text(OVERLAY, encoding="utf-8")
    contract = load_contract([locate_document(n) for n in DOCUMENTS], [overlay], cache=False)
    assert "retrieveModel" not in contract.operations
    parameter = contract.operations["getDashboard"].parameters[0]
    assert not parameter.validator.is_valid(31)


def test_an_overlay_can_name_the_document_it_extends(tmp_path: Path) -> None:
    overlay = tmp_path / "ours.yaml"
    text = "overlay: 1.0.0\nextends: modelrouter.yaml\nactions: [{target: $.info, update: {title: Ours}}]"
    overlay.write_text(text, encoding="utf-8")
    contract = load_contract([locate_document(n) for n in DOCUMENTS], [overlay], cache=False)
    titles = [contract.documents[n]["info"]["title"] for n in DOCUMENTS]
    assert titles[1] == "Ours"
    assert titles.count("Ours") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("overlay: 1.0.0\nextends: other.yaml\nactions: []", "which is none of tiny.yaml"),
        ("a: 1", "not an OpenAPI Overlay"),
        ("overlay: 1.0.0\nactions: [{update: {}}]", "action 1 has no `target`"),
        ("overlay: 1.0.0\nactions: [{target: '$.nope', update: {}}]", "'$.nope' matches nothing"),
        ("overlay: 1.0.0\nactions: [{target: '$[', update: {}}]", "is not a JSONPath"),
        ("overlay: 1.0.0\nactions: [{target: '$.info.title', update: x}]", "`update` needs a list"),
        ("overlay: 1.0.0\nactions: [{target: '$', remove: true}]", "whole document"),
        (": :\n  - [", "not YAML"),
        ("- 1", "must be a mapping, not list"),
    ],
)
def test_a_bad_overlay_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    overlay = tmp_path / "bad.yaml"
    overlay.write_text(text, encoding="utf-8")
    with pytest.raises(ContractError) as refused:
        load_contract([write(tmp_path, TINY)], [overlay])
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


_ADDED = "overlay: 1.0.0\nactions: [{target: $.paths, update: {/v1/x: %s}}]"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("null", "~1v1~1x: must be a mapping"),
        ("{get: null}", "get: must be a mapping"),
        ("{get: {operationId: x}}", "responses is missing; add it"),
        ("{get: {operationId: x, responses: {404: {description: d}}}}", "no answer of success; add '200'"),
        ("{get: {operationId: x, responses: {2XX: {}}}}", "'2XX' is no status"),
        ("{get: {operationId: x, parameters: {a: 1}, responses: {200: {}}}}", "parameters: must be a list"),
        (
            "{get: {operationId: x, parameters: [{name: a, in: cookie, schema: {}}], responses: {200: {}}}}",
            "one of path",
        ),
        ("{get: {operationId: x, parameters: [{name: a, in: query}], responses: {200: {}}}}", "schema is missing"),
        ("{get: {operationId: x, responses: {200: {content: {a/b: {examples: {c: {}}}}}}}}", "value is missing"),
        (
            "{get: {operationId: x, responses: {200: {content: {a/b: {schema: {type: strng}}}}}}}",
            "did you mean 'string'",
        ),
        ("{get: {operationId: x, responses: {200: {$ref: '#/components/responses/No'}}}}", "points to nothing"),
        ("{get: {operationId: x, x-dialect: smtp, responses: {200: {}}}}", "x-dialect: must be one of"),
        ("{get: {operationId: getThing, responses: {200: {}}}}", "occurs twice"),
    ],
)
def test_an_operation_of_another_shape_is_refused_with_its_action(tmp_path: Path, item: str, told: str) -> None:
    overlay = tmp_path / "more.yaml"
    overlay.write_text(_ADDED % item, encoding="utf-8")
    with pytest.raises(ContractError) as refused:
        load_contract([write(tmp_path, TINY)], [overlay], cache=False)
    assert told in str(refused.value)
    assert str(refused.value).startswith("more.yaml: action 1: tiny.yaml#/paths/")


def test_references_in_a_circle_are_refused(tmp_path: Path) -> None:
    circle = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}
    with pytest.raises(ContractError, match="leads back to itself"):
        load_contract(
            [write(tmp_path, break_document(lambda c: c["components"]["schemas"].update(circle)))], cache=False
        )


def test_an_added_operation_needs_no_extension(tmp_path: Path) -> None:
    overlay = tmp_path / "more.yaml"
    sample = "{get: {operationId: x, responses: {200: {content: {application/json: {example: {on: 2026-01-01}}}}}}}"
    text = "overlay: 1.0.0\nactions: [{target: $.paths, update: {/v1beta/x: %s, /api/v1/gateway/x: %s}}]"
    overlay.write_text(text % (sample, sample.replace("x,", "y,", 1)), encoding="utf-8")
    for _ in range(2):  # the second time from the cache
        contract = load_contract([locate_document(n) for n in DOCUMENTS], [overlay])
        assert [(o.id, o.protocol, o.evidence) for o in contract.operations.values() if o.added] == [
            ("x", "gemini", "assumed"),
            ("y", "console", "assumed"),
        ]


@pytest.mark.parametrize("name", ["createChatCompletion", "createKey", "getHealth", "ModelRouterQueryObservationLogs"])
def test_any_operation_can_be_removed(tmp_path: Path, name: str, app: Mock) -> None:
    spec = app.contract.operations[name]
    action = {"target": f"$.paths['{spec.path}']['{spec.method.lower()}']", "remove": True}
    overlay = tmp_path / "less.yaml"
    overlay.write_text(
        json.dumps({"overlay": "1.0.0", "extends": spec.document, "actions": [action]}), encoding="utf-8"
    )
    made = create_app(Settings(overlays=(overlay,)))
    assert made.contract.removed == {name}
    assert name not in made.pipeline.handlers


def test_an_unreadable_overlay_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="cannot read the overlay"):
        load_contract([write(tmp_path, TINY)], [tmp_path / "none.yaml"])
