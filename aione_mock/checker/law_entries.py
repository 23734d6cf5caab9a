"""What the contract says about laws: the table `x-laws` of a document, and `x-laws` of an operation."""

from __future__ import annotations

from collections.abc import Mapping

from aione_mock.checker.schema_lookup import EVIDENCE_ORDER
from aione_mock.contract import Contract, Operation
from aione_mock.types import Json

EXTENSION = "x-laws"
_OFF = ("off", "False")
"""YAML reads a bare `off` as false."""


def find_law_entry(contract: Contract, law: str, operation: Operation | None = None) -> Mapping[str, Json]:
    """Return what the contract says about a law, for an operation or in general; empty if nothing."""
    documents = [contract.documents[operation.document]] if operation else list(contract.documents.values())
    tables = [document.get(EXTENSION, {}) for document in documents]
    entry: dict[str, Json] = next((table[law] for table in tables if isinstance(table.get(law), dict)), {})
    own = operation.raw.get(EXTENSION, {}).get(law) if operation else None
    return {**entry, **(own if isinstance(own, dict) else {})}


def find_law_evidence(contract: Contract, law: str, operation: Operation | None = None) -> str:
    """Return how it is known that a gateway keeps a law."""
    evidence = str(find_law_entry(contract, law, operation).get("evidence", ""))
    return evidence if evidence in EVIDENCE_ORDER else EVIDENCE_ORDER[0]


def is_switched_off(operation: Operation, law: str) -> bool:
    """Return whether the contract switches a law off for an operation."""
    laws = operation.raw.get(EXTENSION, {})
    return isinstance(laws, dict) and str(laws.get(law)) in _OFF
