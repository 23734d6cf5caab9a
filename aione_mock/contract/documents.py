"""Read OpenAPI documents and bundle each with the files it refers to.

Source: OpenAPI Specification 3.1.0.
"""

from __future__ import annotations

from datetime import date
from math import isfinite
from pathlib import Path

import yaml

from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.errors import ContractError
from aione_mock.text.data_files import load_yaml, read_text
from aione_mock.types import Json


def read_document(path: Path, kind: str = "document") -> Json:
    """Read a YAML or JSON file that holds a mapping. Raise ConfigError or ContractError if it cannot be used."""
    text = read_text(path, kind)
    try:
        _, value = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ContractError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(value, dict):
        raise ContractError(f"{path}: the {kind} must be a mapping, not {type(value).__name__}")
    try:
        return _convert_to_json(value)
    except TypeError as error:
        raise ContractError(f"{path}: {error}; write it in quotation marks") from None


def _convert_to_json(node: Json) -> Json:
    """Return a copy of what YAML holds as JSON can hold it. Raise TypeError for what JSON has no form of."""
    if isinstance(node, dict):
        return {str(key): _convert_to_json(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_convert_to_json(value) for value in node]
    if isinstance(node, date):
        return node.isoformat()
    if node is None or isinstance(node, str | int) or (isinstance(node, float) and isfinite(node)):
        return node
    raise TypeError(f"{str(node)[:80]} is no JSON value")


def bundle_document(path: Path) -> Json:
    """Return a document that contains everything it refers to. Raise ContractError for a dangling reference."""
    root = read_document(path)
    parts: dict[Path, Json] = {path.resolve(): root}
    _read_parts(path.resolve(), root, parts)
    components: dict[str, dict[str, Json]] = {}
    for source, part in parts.items():
        for kind, members in part.get("components", {}).items():
            for name, member in members.items():
                if name in components.setdefault(kind, {}):
                    raise ContractError(f"{source.name}#/components/{kind}/{name}: another file has this name too")
                components[kind][name] = _localize_references(member)
    paths = {name: _inline_item(item, path, parts) for name, item in root.get("paths", {}).items()}
    rest = {key: value for key, value in root.items() if key not in ("paths", "components")}
    return {**_localize_references(rest), "paths": _localize_references(paths), "components": components}


def _read_parts(source: Path, node: Json, parts: dict[Path, Json]) -> None:
    """Read every file that a node refers to."""
    if isinstance(node, list):
        for item in node:
            _read_parts(source, item, parts)
    if not isinstance(node, dict):
        return
    reference = node.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        target = (source.parent / reference.partition("#")[0]).resolve()
        if target not in parts:
            parts[target] = read_document(target)
            _read_parts(target, parts[target], parts)
    for item in node.values():
        _read_parts(source, item, parts)


def _inline_item(item: Json, path: Path, parts: dict[Path, Json]) -> Json:
    reference = item.get("$ref")
    if reference is None:
        return item
    file, _, pointer = reference.partition("#")
    try:
        return resolve_pointer(parts[(path.parent / file).resolve()], pointer)
    except KeyError:
        raise ContractError(f"{path.name}: '{reference}' points to nothing") from None


def _localize_references(node: Json) -> Json:
    """Return a copy in which references to other files refer to the bundled document."""
    if isinstance(node, dict):
        return {
            key: "#" + value.partition("#")[2]
            if key == "$ref" and isinstance(value, str)
            else _localize_references(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_localize_references(item) for item in node]
    return node
