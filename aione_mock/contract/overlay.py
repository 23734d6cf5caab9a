"""Apply overlays to the contract's documents.

Source: OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aione_mock.errors import ContractError
from aione_mock.types import Json


def apply_overlay(documents: Mapping[str, Json], overlay: Json, name: str) -> None:
    """Change documents in place as an overlay says. Raise ContractError, which names the action, if that fails.

    `extends` names the document to change by the end of its URL. Without it, each action changes the first document
    in which its target matches something.
    """
    import jsonpath

    if str(overlay.get("overlay", "")).split(".")[0] != "1" or not isinstance(overlay.get("actions"), list):
        raise ContractError(f"{name}: not an OpenAPI Overlay 1.x (needs `overlay: 1.0.0` and a list of `actions`)")
    extended = str(overlay.get("extends", "")).rpartition("/")[2]
    if extended and extended not in documents:
        raise ContractError(f"{name}: extends '{extended}', which is none of {', '.join(documents)}")
    chosen = [documents[extended]] if extended else list(documents.values())
    for number, action in enumerate(overlay["actions"], start=1):
        where = f"{name}: action {number}"
        target = action.get("target") if isinstance(action, dict) else None
        if not isinstance(target, str):
            raise ContractError(f"{where} has no `target`")
        try:
            matches = next(filter(None, ([*jsonpath.finditer(target, document)] for document in chosen)), [])
        except jsonpath.JSONPathError as error:
            raise ContractError(f"{where}: '{target}' is not a JSONPath: {str(error).splitlines()[0]}") from None
        if not matches:
            raise ContractError(f"{where}: '{target}' matches nothing in the contract")
        for match in reversed(matches):
            _apply_action(match, action, where)


def _apply_action(match: Any, action: Json, where: str) -> None:
    if action.get("remove"):
        if match.parent is None:
            raise ContractError(f"{where}: the whole document cannot be removed")
        del match.parent.obj[match.parts[-1]]
    elif isinstance(match.obj, dict) and isinstance(action.get("update"), dict):
        _merge(match.obj, action["update"])
    elif isinstance(match.obj, list) and "update" in action:
        update = action["update"]
        match.obj.extend(update if isinstance(update, list) else [update])
    else:
        raise ContractError(
            f"{where}: `update` needs a list as its target, or a mapping that it updates with a mapping"
        )


def _merge(target: dict[str, Json], update: dict[str, Json]) -> None:
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, list) and isinstance(target.get(key), list):
            target[key].extend(value)
        else:
            target[key] = value
