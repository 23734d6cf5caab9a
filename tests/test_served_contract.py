"""The contract as a server serves it: with overlays, with its own models, and with its own URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import yaml
from starlette.applications import Starlette
from starlette.routing import Mount

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.tenant.world import World
from tests.timing import PATIENCE

Serve = Callable[..., str]
_MODELS = """
models:
  - {id: house-chat, aliases: [house], protocols: [openai, anthropic]}
  - {id: house-artist, protocols: [openai, gemini], abilities: [vision, image_output], streaming: false}
"""
_OVERLAY = """
overlay: 1.0.0
info: {title: Ours, version: '1'}
actions:
  - target: $.paths['/v1/models'].get
    update: {description: Only ours.}
  - target: $.paths
    update:
      /v1/embeddings:
        post: {operationId: createEmbedding, summary: Embed, responses: {'204': {description: Done.}}}
"""


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(**options: Any) -> str:
            return stack.enter_context(Server(create_app(Settings(**options)))).url

        yield start


def read(url: str, path: str = "/openapi.json") -> Any:
    answer = httpx2.get(url + path, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    return yaml.load(answer.content, yaml.CSafeLoader) if path.endswith(".yaml") else answer.json()


def test_each_document_is_served_as_json_and_as_yaml(serve: Serve) -> None:
    url = serve()
    titles = {read(url, f"/openapi/{name}.json")["info"]["title"]: name for name in ("aione", "modelrouter", "control")}
    assert len(titles) == 3
    assert read(url) == read(url, "/openapi/aione.json")
    written = httpx2.get(f"{url}/openapi/aione.yaml", timeout=PATIENCE)
    assert written.headers["content-type"] == "application/yaml"
    assert written.content == httpx2.get(f"{url}/openapi.yaml", timeout=PATIENCE).content
    # dates stay text, as JSON has them
    assert yaml.load(written.content, yaml.CBaseLoader)["info"]["title"] == read(url)["info"]["title"]
    for path in ("/openapi/none.json", "/openapi.xml", "/openapi", "/openapi/aione.json/"):
        assert httpx2.get(url + path).status_code == 404, path
    assert httpx2.post(f"{url}/openapi.json").status_code == 404


def test_overlays_are_in_it_and_an_operation_of_this_path_goes_first(serve: Serve, tmp_path: Path) -> None:
    overlay = tmp_path / "ours.yaml"
    overlay.write_text(_OVERLAY)
    document = read(serve(overlays=(overlay,)))
    assert document["paths"]["/v1/models"]["get"]["description"] == "Only ours."
    assert document["paths"]["/v1/embeddings"]["post"]["x-evidence"] == "assumed"
    overlay.write_text(_OVERLAY.replace("/v1/embeddings", "/openapi.json").replace("post:", "get:"))
    url = serve(overlays=(overlay,))
    assert "paths" not in httpx2.get(f"{url}/openapi.json", headers={"authorization": "Bearer sk-nex-x"}).text
    assert "/openapi.json" in read(url, "/openapi/aione.json")["paths"]


def test_own_models_stand_in_schemas_and_examples(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text(_MODELS)
    url = serve(models=models)
    document = read(url)
    asked = find_model_schema(document, "/v1/chat/completions")
    assert asked["enum"] == ["house-chat", "house", "house-artist"]
    assert find_model_schema(document, "/v1/messages")["enum"] == ["house-chat", "house"]
    parameter = document["components"]["parameters"]["GeminiModelId"]
    assert (parameter["schema"]["enum"], "examples" in parameter) == (["house-artist"], False)
    operation = document["paths"]["/v1/chat/completions"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert {example["value"]["model"] for example in examples.values()} == {"house-chat", "house-artist"}
    assert '"gpt-5' not in str(operation["responses"]["200"])
    headers = {"authorization": "Bearer sk-nex-demo-every-model"}
    for name, example in examples.items():
        answer = httpx2.post(f"{url}/v1/chat/completions", json=example["value"], headers=headers, timeout=PATIENCE)
        assert answer.status_code == 200, (name, answer.text)


def find_model_schema(document: Any, path: str) -> Any:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]["model"]


def test_any_model_is_served_so_that_the_list_is_open(serve: Serve) -> None:
    schema = find_model_schema(read(serve(models="any")), "/v1/chat/completions")
    assert "enum" not in schema
    assert "gpt-5.4" in schema["examples"]


def test_the_served_document_accepts_its_own_examples(serve: Serve) -> None:
    document = read(serve())
    checked = 0
    for path in ("/v1/chat/completions", "/v1/messages"):
        media = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        validator = jsonschema_rs.Draft202012Validator({**media["schema"], "components": document["components"]})
        for example in media["examples"].values():
            validator.validate(example["value"])
            checked += 1
    assert checked > 10


def test_its_server_is_where_it_was_asked_for(serve: Serve) -> None:
    url = serve()
    assert read(url)["servers"][0]["url"] == url
    assert read(url, "/_session/mine/openapi.json")["servers"][0]["url"] == f"{url}/_session/mine"
    proxied = httpx2.get(f"{url}/openapi.json", headers={"x-forwarded-proto": "https"}, timeout=PATIENCE).json()
    assert proxied["servers"][0]["url"] == url.replace("http:", "https:")
    with Server(Starlette(routes=[Mount("/mock", create_app(Settings()))])) as server:
        assert read(f"{server.url}/mock")["servers"][0]["url"] == f"{server.url}/mock"


def test_it_stays_without_the_page_and_goes_with_the_control_api(serve: Serve) -> None:
    assert httpx2.get(f"{serve(ui=False)}/openapi/control.json").status_code == 200
    assert httpx2.get(f"{serve(control=False)}/openapi.json").status_code == 404
    url = serve(control_token="a word")
    assert httpx2.get(f"{url}/openapi.json").status_code == 200
    assert httpx2.get(f"{url}/openapi.json", headers={"host": "rebound.example"}).status_code == 421
    assert httpx2.get(f"{url}/_mock/journal", headers={"authorization": "Bearer a word"}).json()["total"] == 0


def test_reloaded_models_are_in_it_at_once(serve: Serve, tmp_path: Path) -> None:
    mock = create_app(Settings())
    with Server(mock) as server:
        assert "enum" in find_model_schema(read(server.url), "/v1/messages")
        settings = Settings(models="any")
        mock.change_settings(settings, World.load(settings), mock.contract)
        assert "enum" not in find_model_schema(read(server.url), "/v1/messages")
