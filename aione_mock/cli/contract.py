"""The bundled contract with the overlays of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.settings import DOCUMENTS, document_path

Overlays = Annotated[
    list[Path] | None,
    typer.Option("--overlay", metavar="FILE", help="An OpenAPI Overlay that changes the contract; repeatable."),
]


def load_bundled_contract(overlays: list[Path] | None) -> Contract:
    """Load the bundled contract with overlays. Raises ConfigError or ContractError."""
    return load_contract([document_path(name) for name in DOCUMENTS], overlays or ())
