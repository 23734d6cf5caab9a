"""The JSON Schemas for editors accept the files that the package writes and comes with, and refuse mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml

from aione_mock.cli.config import format_configuration
from aione_mock.cli.schemas import SchemaName, make_schema
from aione_mock.recorder.cassette import (
    Interaction,
    RecordedEvent,
    RecordedRequest,
    RecordedResponse,
    RecordedScenario,
    dump_head,
    dump_interaction,
)

ROOT = Path(__file__).parents[1]
REQUEST = RecordedRequest(method="POST", path="/v1/x", headers=(("a", "1"), ("a", "2")), body=b'{"a": 1}')
RESPONSES = (
    RecordedResponse(status=200, body=b"\xff\xfe"),
    RecordedResponse(status=200, body=b"words", end="cut"),
    RecordedResponse(
        status=200,
        events=(
            RecordedEvent(at=0.1, raw=b'data: {"a":1}\n\n'),
            RecordedEvent(at=0.2, raw=b"event: e\ndata: x\n\n"),
            RecordedEvent(at=0.2, raw=b"\xff"),
        ),
    ),
)
SCENARIO = RecordedScenario(rule="r", played="cut")


def is_valid(name: SchemaName, document: object) -> bool:
    return jsonschema_rs.validator_for(make_schema(name)).is_valid(document)


def read(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def test_a_cassette_as_it_is_written_is_valid() -> None:
    items = [dump_interaction(Interaction(request=REQUEST, response=each, scenario=SCENARIO)) for each in RESPONSES]
    text = dump_head("https://gateway.example", started="2026-01-01T00:00:00Z") + "".join(items)
    document = read(text)
    assert is_valid("cassette", document)
    assert not is_valid("cassette", {**document, "path": "x"})
    document["interactions"][0]["response"]["status"] = 99
    assert not is_valid("cassette", document)


@pytest.mark.parametrize("path", sorted(ROOT.glob("fixtures/scenarios/*.yaml")), ids=lambda path: path.stem)
def test_bundled_scenario_files_are_valid(path: Path) -> None:
    document = read(path.read_text(encoding="utf-8"))
    assert is_valid("scenarios", document)
    document["rules"][0]["wehn"] = {}
    assert not is_valid("scenarios", document)


def test_bundled_overlays_are_valid() -> None:
    overlays = [read(path.read_text(encoding="utf-8")) for path in ROOT.glob("openapi/extensions/*.yaml")]
    assert overlays
    assert all(is_valid("overlay", each) for each in overlays)
    assert not is_valid("overlay", {"overlay": "1.0.0", "actions": [{"traget": "$.info"}]})


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        (format_configuration(), "aione-mock.schema.json"),
        (dump_head("https://gateway.example"), "cassette.schema.json"),
    ],
    ids=["init", "recording"],
)
def test_written_files_name_their_schema(text: str, schema: str) -> None:
    assert f"# yaml-language-server: $schema={schema}\n" in text


@pytest.mark.parametrize("name", ["configuration", "scenarios", "cassette", "overlay"])
def test_the_command_prints_each_schema(name: SchemaName) -> None:
    command = [sys.executable, "-m", "aione_mock", "config", "schema", "--of", name]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert orjson.loads(printed) == make_schema(name)
    jsonschema_rs.meta.validate(orjson.loads(printed))
