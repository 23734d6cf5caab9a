"""Apply overlays to the contract's documents.

Source: OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aione_mock.contract.json_pointer import escape_token, format_pointer
from aione_mock.errors import ContractError
from aione_mock.types import Json

_SECONDS = 10
"""Seconds that a target may take to be found."""
_SETS = ("enum", "required", "type")
"""Keywords whose lists name each value once."""


@dataclass(frozen=True, slots=True)
class OverlayChange:
    """A place that an action of an overlay has changed."""

    place: str
    """Document and pointer."""
    source: str
    """The overlay and the number of the action."""


def apply_overlay(
    documents: Mapping[str, Json], overlay: Json, name: str, removed: set[str] | None = None
) -> tuple[list[OverlayChange], list[ContractError]]:
    """Change documents in place as an overlay says. Return what was changed, and what is wrong with each bad action.

    `extends` names the document to change by the end of its URL. Without it, each action changes the first document
    in which its target matches something. `removed` has the targets that overlays before this one removed: to remove
    them again is no mistake. Those of this one are added.
    """
    removed = set() if removed is None else removed
    if str(overlay.get("overlay", "")).split(".")[0] != "1" or not isinstance(overlay.get("actions"), list):
        problem = f"{name}: not an OpenAPI Overlay 1.x (needs `overlay: 1.0.0` and a list of `actions`)"
        return [], [ContractError(problem)]
    extended = str(overlay.get("extends", "")).rpartition("/")[2]
    if extended and extended not in documents:
        return [], [ContractError(f"{name}: extends '{extended}', which is none of {', '.join(documents)}")]
    chosen = {extended: documents[extended]} if extended else documents
    changes: list[OverlayChange] = []
    problems: list[ContractError] = []
    for number, action in enumerate(overlay["actions"], start=1):
        where = f"{name}: action {number}"
        try:
            for document, match in _find_matches(chosen, action, where, removed):
                changes += [OverlayChange(f"{document}#{place}", where) for place in _list_places(match, action)]
                _apply_action(match, action, where)
            if action.get("remove"):
                removed.add(action["target"])
        except ContractError as error:
            problems.append(error)
    return changes, problems


def _find_matches(documents: Mapping[str, Json], action: Json, where: str, removed: Set[str]) -> list[tuple[str, Any]]:
    """Return what the target of an action matches, the last match first, and the documents. Raise ContractError."""
    import jsonpath

    target = action.get("target") if isinstance(action, dict) else None
    if not isinstance(target, str):
        raise ContractError(f"{where} has no `target`; add a JSONPath such as $.paths")
    try:
        with _limit_time(f"{where}: '{target}' takes longer than {_SECONDS} s; make it simpler"):
            for name, document in documents.items():
                if matches := [*jsonpath.finditer(target, document)]:
                    return [(name, match) for match in reversed(matches)]
    except jsonpath.JSONPathError as error:
        raise ContractError(f"{where}: '{target}' is not a JSONPath: {str(error).splitlines()[0]}") from None
    if action.get("remove") and target in removed:
        return []
    raise ContractError(f"{where}: '{target}' matches nothing in the contract; correct it, or remove the action")


def _list_places(match: Any, action: Json) -> Iterator[str]:
    """Yield a pointer to each value that an action puts into the document."""
    here, update = format_pointer(match.parts), action.get("update")
    if not isinstance(match.obj, dict) or not isinstance(update, dict) or action.get("remove"):
        yield here
        return
    waiting = [(here, update)]
    while waiting:
        here, node = waiting.pop()
        for key, value in node.items():
            place = f"{here}/{escape_token(key)}"
            if isinstance(value, dict) and value:
                waiting.append((place, value))
            yield place


@contextmanager
def _limit_time(message: str) -> Iterator[None]:
    """Raise ContractError after some seconds of computing, where the system can interrupt it: in the main thread."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(*_: object) -> None:
        raise ContractError(message)

    before = signal.signal(signal.SIGVTALRM, interrupt)
    # repeated, because Python drops an exception that is raised inside a callback of the garbage collector
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _apply_action(match: Any, action: Json, where: str) -> None:
    if action.get("remove"):
        if match.parent is None:
            raise ContractError(f"{where}: the whole document cannot be removed")
        del match.parent.obj[match.parts[-1]]
    elif isinstance(match.obj, dict) and isinstance(action.get("update"), dict):
        _merge(match.obj, action["update"])
    elif isinstance(match.obj, list) and "update" in action:
        update = action["update"]
        _extend(match.obj, update if isinstance(update, list) else [update], match.parts[-1])
    else:
        raise ContractError(
            f"{where}: `update` needs a list as its target, or a mapping that it updates with a mapping"
        )


def _merge(target: dict[str, Json], update: dict[str, Json]) -> None:
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, list) and isinstance(target.get(key), list):
            _extend(target[key], value, key)
        else:
            target[key] = value


def _extend(target: list[Json], values: list[Json], key: object) -> None:
    target.extend(value for value in values if key not in _SETS or value not in target)
