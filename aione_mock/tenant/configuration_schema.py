"""The JSON Schema of the configuration file, printed from the models that read it."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from typing import Any

from pydantic import BaseModel

from aione_mock.settings import RULES, Settings
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.organisation_file import WorldFile
from aione_mock.types import Json

_CONTENTS: dict[str, type[BaseModel]] = {"models": ModelCatalogue, "world": WorldFile}
"""Settings that may be written out in the configuration file, and what reads them."""
_LISTS = ("overlays", "scenarios")


def make_schema(rules: Json) -> Json:
    """Return the schema; `rules` is the schema of a scenario file."""
    schema = Settings.model_json_schema()
    definitions: dict[str, Json] = {**schema.get("$defs", {}), **rules.get("$defs", {})}
    properties = {name: value for name, value in schema["properties"].items() if name != "config"}
    for name in _LISTS:
        properties[name]["anyOf"] = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
        properties[name] = {key: properties[name][key] for key in ("anyOf", "description")}
    for name, model in _CONTENTS.items():
        content = model.model_json_schema()
        definitions.update(content.pop("$defs"))
        definitions[model.__name__] = content
        text = properties[name]["description"]
        properties[name] = {"description": text, "anyOf": [{"type": "string"}, {"$ref": f"#/$defs/{model.__name__}"}]}
    for model in _list_models(*_CONTENTS.values()):
        _describe_members(model, definitions)
    properties[RULES] = {"description": "Rules, as in a scenario file.", **rules["properties"]["rules"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of aione-mock",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }


def _list_models(*models: type[BaseModel]) -> list[type[BaseModel]]:
    """List the models, and the classes beside and above them that say what their members mean."""
    modules = {model.__module__ for model in models}
    found = [value for module in modules for value in vars(sys.modules[module]).values() if inspect.isclass(value)]
    return [each for each in found if issubclass(each, BaseModel) and each.__module__ in modules]


def _describe_members(model: type[BaseModel], definitions: dict[str, Json]) -> None:
    """Add the docstrings of a model's members to the schema of the model and of those that inherit from it."""
    texts = read_docstrings(model)
    for name, definition in definitions.items():
        if name in {each.__name__ for each in (model, *_list_subclasses(model))}:
            for member, text in texts.items():
                if member in definition.get("properties", {}):
                    definition["properties"][member].setdefault("description", text)


def _list_subclasses(model: type[Any]) -> list[type[Any]]:
    return [below for each in model.__subclasses__() for below in (each, *_list_subclasses(each))]


def read_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text that stands below each member in the source."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for member, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(member, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(member.target)] = str(text.value.value)
    return found
