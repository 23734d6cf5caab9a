"""Load a contract from its documents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aione_mock.contract import Contract, bundle, lint


def load_contract(paths: Iterable[Path], overlays: Iterable[Path] = (), *, cache: bool = True) -> Contract:
    """Read, bundle, overlay and check documents.

    Raises ContractError that names the document and the JSON pointer, ConfigError for an unreadable file.
    """
    documents, fresh = bundle.load(tuple(paths), tuple(overlays), cache=cache)
    contract = Contract(documents)
    if fresh:
        lint.check(contract)
        bundle.remember(tuple(paths), tuple(overlays), documents)
    return contract
