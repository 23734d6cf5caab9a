"""Many files, one document: references into other files inlined, overlays applied, the result cached.

Source: OpenAPI Specification 3.1.0; OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import yaml

from aione_mock.errors import ContractError
from aione_mock.settings import read_text
from aione_mock.types import Json

_KEPT = 8
"""Documents remembered; older ones are deleted."""
_FORMAT = "1"
"""Raised when the meaning of a cached document changes."""


def load(paths: tuple[Path, ...], overlays: tuple[Path, ...], *, cache: bool = True) -> tuple[dict[str, Json], bool]:
    """Documents by file name, and whether they are fresh (not known to have been checked before)."""
    if cache:
        with contextlib.suppress(OSError, orjson.JSONDecodeError):
            return orjson.loads(_cache_file(paths, overlays).read_bytes()), False
    documents = {path.name: bundle(path) for path in paths}
    for overlay in overlays:
        apply_overlay(documents, parse(overlay, "overlay"), overlay.name)
    return documents, True


def remember(paths: tuple[Path, ...], overlays: tuple[Path, ...], documents: Mapping[str, Json]) -> None:
    """Keep checked documents beside their sources, where that is possible."""
    with contextlib.suppress(OSError):
        target = _cache_file(paths, overlays)
        target.parent.mkdir(exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(orjson.dumps(documents))
        part.replace(target)
        for old in sorted(target.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
            old.unlink(missing_ok=True)


def _cache_file(paths: tuple[Path, ...], overlays: tuple[Path, ...]) -> Path:
    state = sha256(_FORMAT.encode())
    for path in paths:
        for source in [path, *sorted((path.parent / path.stem).glob("*.yaml"))]:
            state.update(source.name.encode() + b"\0" + source.read_bytes())
    for path in overlays:
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return paths[0].parent / ".cache" / f"{state.hexdigest()[:32]}.json"


def parse(path: Path, what: str = "document") -> Json:
    """A YAML or JSON file as a mapping. Raises ConfigError or ContractError in one line."""
    text = read_text(path, what)
    try:
        value = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ContractError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(value, dict):
        raise ContractError(
            f"{path}: {'an' if what[0] in 'aeiou' else 'a'} {what} is a mapping, not {type(value).__name__}"
        )
    return value


def bundle(path: Path) -> Json:
    """The document with everything from its parts inside. Raises ContractError for a dangling reference."""
    parts: dict[Path, Json] = {path.resolve(): parse(path)}
    root = parts[path.resolve()]
    _gather(path.resolve(), root, parts)
    components: dict[str, dict[str, Json]] = {}
    for source, part in parts.items():
        for kind, members in part.get("components", {}).items():
            for name, member in members.items():
                if name in components.setdefault(kind, {}):
                    raise ContractError(f"{source.name}#/components/{kind}/{name}: another part has this name too")
                components[kind][name] = _localised(member)
    paths = {name: _localised(_inlined(item, path, parts)) for name, item in root.get("paths", {}).items()}
    return {
        **_localised({k: v for k, v in root.items() if k not in ("paths", "components")}),
        "paths": paths,
        "components": components,
    }


def _gather(source: Path, node: Json, parts: dict[Path, Json]) -> None:
    """Read every file that is referred to."""
    if isinstance(node, list):
        for item in node:
            _gather(source, item, parts)
    if not isinstance(node, dict):
        return
    reference = node.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        target = (source.parent / reference.partition("#")[0]).resolve()
        if target not in parts:
            parts[target] = parse(target)
            _gather(target, parts[target], parts)
    for item in node.values():
        _gather(source, item, parts)


def _inlined(item: Json, path: Path, parts: dict[Path, Json]) -> Json:
    reference = item.get("$ref")
    if reference is None:
        return item
    file, _, pointer = reference.partition("#")
    node = parts[(path.parent / file).resolve()]
    for token in pointer.split("/")[1:]:
        try:
            node = node[token.replace("~1", "/").replace("~0", "~")]
        except (KeyError, TypeError):
            raise ContractError(f"{path.name}: '{reference}' points to nothing") from None
    return node


def _localised(node: Json) -> Json:
    """References into other files become references into the bundle."""
    if isinstance(node, dict):
        return {
            str(key): "#" + value.partition("#")[2] if key == "$ref" and isinstance(value, str) else _localised(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_localised(item) for item in node]
    return node


def apply_overlay(documents: dict[str, Json], overlay: Json, name: str) -> None:
    """Change documents in place as an overlay says.

    It changes the document whose file name `extends` ends with; without one, each action changes the first document
    in which its target matches something. Raises ContractError that names the action.
    """
    import jsonpath

    if str(overlay.get("overlay", "")).split(".")[0] != "1" or not isinstance(overlay.get("actions"), list):
        raise ContractError(f"{name}: not an OpenAPI Overlay 1.x (needs `overlay: 1.0.0` and a list of `actions`)")
    wanted = str(overlay.get("extends", "")).rpartition("/")[2]
    if wanted and wanted not in documents:
        raise ContractError(f"{name}: extends '{wanted}', which is none of {', '.join(documents)}")
    chosen = [documents[wanted]] if wanted else list(documents.values())
    for number, action in enumerate(overlay["actions"], start=1):
        target = action.get("target") if isinstance(action, dict) else None
        if not isinstance(target, str):
            raise ContractError(f"{name}: action {number} has no `target`")
        try:
            hits = next(filter(None, ([*jsonpath.finditer(target, document)] for document in chosen)), [])
        except jsonpath.JSONPathError as error:
            raise ContractError(
                f"{name}: action {number}: '{target}' is not a JSONPath: {str(error).splitlines()[0]}"
            ) from None
        if not hits:
            raise ContractError(f"{name}: action {number}: '{target}' matches nothing in the contract")
        for hit in reversed(hits):
            _act(hit, action, f"{name}: action {number}")


def _act(hit: Any, action: Json, where: str) -> None:
    if action.get("remove"):
        if hit.parent is None:
            raise ContractError(f"{where}: the whole document cannot be removed")
        del hit.parent.obj[hit.parts[-1]]
    elif isinstance(hit.obj, dict) and isinstance(action.get("update"), dict):
        _merge(hit.obj, action["update"])
    elif isinstance(hit.obj, list) and "update" in action:
        update = action["update"]
        hit.obj.extend(update if isinstance(update, list) else [update])
    else:
        raise ContractError(f"{where}: `update` is a mapping for a mapping and anything for a list")


def _merge(target: dict[str, Json], update: dict[str, Json]) -> None:
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, list) and isinstance(target.get(key), list):
            target[key].extend(value)
        else:
            target[key] = value
