"""Actions of an overlay, as values and as YAML.

Source: OpenAPI Overlay Specification 1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import yaml

from aione_mock.types import Json

OverlayAction = tuple[str, Json]
"""JSONPath of the target, and the update; None removes the target."""
_TITLE = "As the gateway does it"


def format_jsonpath(tokens: Iterable[str]) -> str:
    """Return the JSONPath of the node that some steps lead to."""
    steps = (f"[{token}]" if token.isdecimal() else f"['{token}']" for token in tokens)
    return "$" + "".join(steps)


def join_actions(*actions: Iterable[OverlayAction]) -> tuple[OverlayAction, ...]:
    """Return some lists of actions as one, with equal actions once."""
    joined: list[OverlayAction] = []
    for action in chain(*actions):
        if action not in joined:
            joined.append(action)
    return tuple(joined)


def render_overlay(actions: Iterable[OverlayAction]) -> str:
    """Return an overlay as YAML; empty without actions. Equal actions are listed once."""
    listed: list[Json] = [
        {"target": target, "remove": True} if update is None else {"target": target, "update": update}
        for target, update in join_actions(actions)
    ]
    if not listed:
        return ""
    document = {"overlay": "1.0.0", "info": {"title": _TITLE, "version": "1.0.0"}, "actions": listed}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
