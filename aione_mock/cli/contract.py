"""The bundled contract with the overlays of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.settings import DOCUMENTS, EXTENSIONS, locate_document, locate_extensions, parse_extensions

Overlays = Annotated[
    list[Path] | None,
    typer.Option("--overlay", metavar="FILE", help="An OpenAPI Overlay that changes the contract; repeatable."),
]


Extensions = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="NAMES", help=f"Extensions: {', '.join(EXTENSIONS)}; repeatable."),
]


def load_bundled_contract(
    overlays: list[Path] | None, extensions: list[str] | None = None, *, cache: bool = True
) -> Contract:
    """Load the bundled contract with extensions and overlays. Raises ConfigError or ContractError."""
    changes = (*locate_extensions(parse_extensions(extensions or ())), *(overlays or ()))
    return load_contract([locate_document(name) for name in DOCUMENTS], changes, cache=cache)
