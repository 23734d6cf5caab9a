"""Faker's texts in generated responses: where they come, that they are valid, and that they are always the same."""

from __future__ import annotations

import json
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from aione_mock import create_app
from aione_mock.cli import main
from aione_mock.generator import generate, realistic
from aione_mock.seed import Seed
from aione_mock.server.http import Server

ROOT = Path(__file__).parent.parent
SEED = Seed.of(1)
PROPERTIES: dict[str, Any] = {
    "name": {"type": "string"},
    "company": {"type": "string"},
    "delivery_address": {"type": "string"},
    "city": {"type": "string"},
    "phone": {"type": "string"},
    "contact": {"type": "string", "format": "email"},
    "notes": {"type": "string"},
    "客户": {"type": "string"},
    "id": {"type": "string", "format": "uuid"},
    "shelf": {"type": "string"},
}
SCHEMA = {"type": "object", "required": [*PROPERTIES], "properties": PROPERTIES}
OVERLAY = {
    "overlay": "1.0.0",
    "info": {"title": "Our orders", "version": "1"},
    "actions": [
        {
            "target": "$.paths",
            "update": {
                "/v1/orders": {
                    "get": {
                        "operationId": "listOrders",
                        "x-evidence": "assumed",
                        "x-dialect": "openai",
                        "summary": "Orders",
                        "security": [],
                        "responses": {
                            "200": {"description": "Orders.", "content": {"application/json": {"schema": SCHEMA}}}
                        },
                    }
                }
            },
        }
    ],
}


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    path = tmp_path / "orders.yaml"
    path.write_text(json.dumps(OVERLAY), encoding="utf-8")
    return path


@pytest.fixture
def without_faker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(realistic, "is_installed", lambda: False)
    realistic._create_fakers.cache_clear()
    yield
    realistic._create_fakers.cache_clear()


def test_texts_of_a_known_kind_come_from_faker_in_the_language_of_the_name() -> None:
    plain, drawn = generate(SCHEMA, SEED), generate(SCHEMA, SEED, realistic=True)
    assert {name for name in PROPERTIES if plain[name] == drawn[name]} == {"id", "shelf"}
    assert drawn["contact"].rpartition("@")[2].startswith("example.")
    assert all("\u4e00" <= character <= "\u9fff" for character in drawn["客户"])


@pytest.mark.parametrize(
    "constraint",
    [
        {"maxLength": 3},
        {"minLength": 200},
        {"pattern": "^[A-Z]{2}[0-9]{4}$"},
        {"enum": ["Ann", "Bob"]},
        {"const": "Ann"},
    ],
)
def test_a_text_of_faker_that_is_not_valid_is_not_used(constraint: dict[str, Any]) -> None:
    for number in range(20):
        schema = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", **constraint}}}
        seed = Seed.of(number)
        assert generate(schema, seed, realistic=True) == generate(schema, seed)


def test_the_same_seed_gives_the_same_texts_in_every_process() -> None:
    code = f"""
from aione_mock.generator import generate
from aione_mock.seed import Seed
print(generate({SCHEMA!r}, Seed.of(1), realistic=True))
"""
    for hash_seed in ("0", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONIOENCODING": "utf-8"}
        shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
        assert shown.stdout.decode().strip() == str(generate(SCHEMA, SEED, realistic=True))


def test_only_operations_that_an_overlay_adds_are_realistic(overlay: Path) -> None:
    app = create_app(overlays=overlay)
    assert [operation.id for operation in app.contract.operations.values() if operation.added] == ["listOrders"]
    with Server(app) as server:
        answer = httpx2.get(f"{server.url}/v1/orders").json()
        assert answer == httpx2.get(f"{server.url}/v1/orders").json()
    assert set(answer) == set(PROPERTIES)


def test_without_faker_the_generator_answers_alone_and_says_so_once(
    overlay: Path, without_faker: None, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING, logger="aione_mock"):
        assert generate(SCHEMA, SEED, realistic=True) == generate(SCHEMA, SEED)
    assert [record.message for record in caplog.records] == [f"Faker is not installed: {realistic.INSTALL_HINT}"]
    assert main(["spec", "routes", "--overlay", str(overlay)]) == 0
    assert capsys.readouterr().err.strip() == realistic.INSTALL_HINT
    assert main(["spec", "routes"]) == 0
    assert capsys.readouterr().err == ""


def test_serving_the_bundled_contract_does_not_import_faker() -> None:
    code = "import sys; from aione_mock import create_app; create_app(); print('faker' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert shown.stdout.strip() == "False"


def test_the_script_writes_the_bundled_word_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "words.py"))
    source = (ROOT / "fixtures" / "words.yaml").read_text("utf-8")
    copy = tmp_path / "words.yaml"
    copy.write_text(source.replace("'Bradley'", "'Nobody'"), "utf-8")
    monkeypatch.setitem(script["main"].__globals__, "TARGET", copy)
    script["main"]()
    written = copy.read_text("utf-8")
    # words of another release of Faker may differ, but nothing outside the markers
    assert written.split(script["BEGIN"])[0] == source.split(script["BEGIN"])[0]
    assert written.split(script["END"])[1] == source.split(script["END"])[1]
    for language in ("en", "zh"):
        lists = yaml.safe_load(written)[f"made_{language}"]
        assert {name: len(set(words)) for name, words in lists.items()} == script["LISTS"]
