"""The tables of all laws, in the order in which they are checked. Each module ends with its laws."""

from __future__ import annotations

from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.laws import (
    access,
    basics,
    billing,
    chat,
    conformance,
    embeddings,
    errors,
    isolation,
    key_lifecycle,
    keys,
    limits,
    modelrouter,
    models,
    responses,
    robustness,
    streams,
    usage,
)

RULES: tuple[ExchangeRule, ...] = conformance.RULES
LAWS: tuple[Law, ...] = (
    *basics.LAWS,
    *access.LAWS,
    *errors.LAWS,
    *keys.LAWS,
    *key_lifecycle.LAWS,
    *isolation.LAWS,
    *usage.LAWS,
    *billing.LAWS,
    *modelrouter.LAWS,
    *streams.LAWS,
    *chat.LAWS,
    *limits.LAWS,
    *robustness.LAWS,
    *models.LAWS,
    *embeddings.LAWS,
    *responses.LAWS,
)

AREAS: dict[str, str] = {rule.name: rule.area for rule in RULES} | {law.name: law.area for law in LAWS}
"""Law or rule → area."""
