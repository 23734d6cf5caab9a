"""Load the contract: read its documents, apply overlays, check the result and cache it on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import orjson

from aione_mock.contract.documents import bundle_document, read_document
from aione_mock.contract.lint import check_contract
from aione_mock.contract.openapi import Contract, list_operations
from aione_mock.contract.overlay import apply_overlay
from aione_mock.types import Json

_MAX_CACHED = 8
"""Number of contracts in the cache; older ones are deleted."""
_CACHE_FORMAT = "2"
"""Changes whenever the content of a cache file changes its meaning."""


def load_contract(paths: Iterable[Path], overlays: Iterable[Path] = (), *, cache: bool = True) -> Contract:
    """Load the contract from its documents.

    Raise ContractError, which names the document and the JSON Pointer, if the contract cannot be served, and
    ConfigError if a file cannot be read. A contract found in the cache was checked before.
    """
    paths, overlays = tuple(paths), tuple(overlays)
    if cache:
        with contextlib.suppress(OSError, orjson.JSONDecodeError):
            documents, added = orjson.loads(_cache_path(paths, overlays).read_bytes())
            return Contract(documents, frozenset(added))
    contract = read_contract(paths, overlays)
    check_contract(contract)
    _write_cache(paths, overlays, contract)
    return contract


def read_contract(paths: Iterable[Path], overlays: Iterable[Path] = ()) -> Contract:
    """Read documents and apply overlays, without checking the result. Raise ContractError or ConfigError."""
    documents = {path.name: bundle_document(path) for path in paths}
    bundled = _operation_ids(documents)
    for overlay in overlays:
        apply_overlay(documents, read_document(overlay, "overlay"), overlay.name)
    return Contract(documents, _operation_ids(documents) - bundled)


def _operation_ids(documents: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(item[method].get("operationId") for _, _, method, item in list_operations(documents))


def _write_cache(paths: Sequence[Path], overlays: Sequence[Path], contract: Contract) -> None:
    """Cache a checked contract beside its sources if they can be written to."""
    with contextlib.suppress(OSError):
        target = _cache_path(paths, overlays)
        target.parent.mkdir(exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(orjson.dumps([contract.documents, sorted(contract.added)]))
        part.replace(target)
        for old in sorted(target.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)[:-_MAX_CACHED]:
            old.unlink(missing_ok=True)


def _cache_path(paths: Sequence[Path], overlays: Sequence[Path]) -> Path:
    """Return the cache file for the present content of the sources."""
    state = sha256(_CACHE_FORMAT.encode())
    parts = [part for path in paths for part in (path, *sorted((path.parent / path.stem).glob("*.yaml")))]
    for source in [*parts, *overlays]:
        state.update(source.name.encode() + b"\0" + source.read_bytes())
    return paths[0].parent / ".cache" / f"{state.hexdigest()[:32]}.json"
