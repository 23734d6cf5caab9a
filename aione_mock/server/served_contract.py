"""The documents of the contract as this server serves them: with overlays, its own models and its own URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import orjson

from aione_mock.asgi import SESSION_PREFIX
from aione_mock.contract import Contract, Operation
from aione_mock.contract.openapi import locate_node
from aione_mock.server.request import Request, find_root_url
from aione_mock.settings import DOCUMENTS
from aione_mock.tenant.catalogue import Model, ModelCatalogue
from aione_mock.tenant.world import load_default_world
from aione_mock.text.yaml_writer import write_yaml
from aione_mock.types import Json, Reply

_MEDIA_TYPES = {"json": "application/json", "yaml": "application/yaml"}
_MODEL = "model"
"""The name of the member or parameter that says which model is asked."""
_MAX_CACHED = 12


class ServedContract:
    """Answer `GET /openapi.json`, `/openapi.yaml`, and the same for one document: `/openapi/control.json`."""

    def __init__(self, contract: Contract, get_catalogue: Callable[[], ModelCatalogue], scheme: str) -> None:
        """`get_catalogue` returns the models that are served now; `scheme` is that of the server."""
        self._contract, self._get_catalogue, self._scheme = contract, get_catalogue, scheme
        self._write = lru_cache(_MAX_CACHED)(self._write_document)
        self._names = {f"/openapi/{name.removesuffix('.yaml')}": name for name in DOCUMENTS}
        # documents share names of components, so that they cannot be one; most readers want that of the gateway
        self._names["/openapi"] = DOCUMENTS[0]

    def find(self, request: Request) -> Reply | None:
        """Return the document that a request asks for, None if it asks for none."""
        path, _, suffix = request.path.rpartition(".")
        if request.method != "GET" or path not in self._names or suffix not in _MEDIA_TYPES:
            return None
        session = f"{SESSION_PREFIX}{request.session_name}" if request.session_name else ""
        text = self._write(self._names[path], suffix, find_root_url(request, self._scheme) + session)
        return Reply(text, media_type=_MEDIA_TYPES[suffix], headers=(("cache-control", "no-cache"),))

    def _write_document(self, name: str, suffix: str, url: str) -> bytes:
        document = describe_document(self._contract, name, self._get_catalogue(), url)
        return write_yaml(document) if suffix == "yaml" else orjson.dumps(document)


def describe_document(contract: Contract, name: str, catalogue: ModelCatalogue, url: str) -> Json:
    """Return a copy of a document in which requests name models of the catalogue and go to `url`."""
    document = orjson.loads(orjson.dumps(contract.documents[name]))
    document["servers"] = [{"url": url, "description": "This mock."}]
    for operation in contract.operations.values():
        models = [model for model in catalogue.models if model.supports_protocol(operation.protocol)]
        if operation.document != name or not models:
            continue
        raw = document["paths"][operation.path][operation.method.lower()]
        places = list(_list_model_schemas(document, operation, raw))
        for schema in places:
            _name_models(schema, models, closed=catalogue.any is None)
        if places:
            others = _replace_models(models, catalogue)
            raw.update(
                {part: _rename_models(raw[part], others) for part in ("requestBody", "responses") if part in raw}
            )
    return document


def _list_model_schemas(document: Json, operation: Operation, raw: Json) -> Iterator[Json]:
    """Yield the schemas of what says which model an operation asks; parameters lose examples of other models."""
    item = document["paths"][operation.path]
    for node in [*item.get("parameters", ()), *raw.get("parameters", ())]:
        parameter = _resolve(document, node)
        if parameter.get("name") == _MODEL:
            parameter.pop("example", None)
            parameter.pop("examples", None)
            yield _resolve(document, parameter["schema"])
    content = _resolve(document, raw.get("requestBody", {})).get("content", {})
    for media in content.values():
        properties = _resolve(document, media.get("schema", {})).get("properties", {})
        if isinstance(member := properties.get(_MODEL), dict):
            yield _resolve(document, member)


def _resolve(document: Json, node: Json) -> Json:
    while isinstance(node.get("$ref"), str):
        node = locate_node(document, node["$ref"])
    return node


def _name_models(schema: Json, models: list[Model], *, closed: bool) -> None:
    """Let a schema name the models; `closed` if there are no others."""
    schema.pop("example", None)
    schema["examples"] = [model.id for model in models]
    if closed:
        schema["enum"] = [name for model in models for name in (model.id, *model.aliases)]


def _replace_models(models: list[Model], catalogue: ModelCatalogue) -> dict[str, str]:
    """Return what stands in examples for the bundled models that are not served: models of the same abilities."""
    return {
        old.id: max(models, key=lambda model: len({*model.abilities} & {*old.abilities})).id
        for old in load_default_world().catalogue.models
        if old.id not in catalogue.names
    }


def _rename_models(node: Json, others: Mapping[str, str]) -> Json:
    if isinstance(node, dict):
        return {name: _rename_models(value, others) for name, value in node.items()}
    if isinstance(node, list):
        return [_rename_models(value, others) for value in node]
    if isinstance(node, str) and others:
        if node in others:
            return others[node]
        for old, new in others.items():  # events in the text of a stream
            node = node.replace(f'"{old}"', f'"{new}"')
    return node
