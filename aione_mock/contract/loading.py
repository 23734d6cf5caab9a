"""Load the contract: read its documents, apply overlays, check the result and cache it on disk."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import orjson

from aione_mock.contract.documents import bundle_document, read_document
from aione_mock.contract.lint import find_document_problems, find_problems, find_unfit_examples, list_examples
from aione_mock.contract.openapi import Contract, list_operations
from aione_mock.contract.overlay import OverlayChange, apply_overlay
from aione_mock.errors import ConfigError, ContractError
from aione_mock.types import Json

_MAX_CACHED = 8
"""Number of contracts in the cache; older ones are deleted."""
_ERROR = re.compile(r"/responses/[45]\d\d/")
"""In pointers of examples of errors."""
_DANGLING = re.compile(r"'(#[^']*)' points to nothing")
_CACHE_FORMAT = "4"
"""Changes whenever the content of a cache file changes its meaning."""


def load_contract(paths: Iterable[Path], overlays: Iterable[Path] = (), *, cache: bool = True) -> Contract:
    """Load the contract from its documents.

    Raise ContractError with a line for each problem, which names the overlay and its action, or the document and the
    JSON Pointer, if the contract cannot be served. A contract found in the cache was checked before.
    """
    paths, overlays = tuple(paths), tuple(overlays)
    if cache:
        with contextlib.suppress(OSError, orjson.JSONDecodeError):
            documents, added, removed, notes = orjson.loads(_cache_path(paths, overlays).read_bytes())
            return Contract(documents, frozenset(added), notes=notes, removed=frozenset(removed))
    contract, problems = _examine_contract(paths, overlays)
    if contract is None or problems:
        raise ContractError("\n".join(problems))
    _write_cache(paths, overlays, contract)
    return contract


def _examine_contract(paths: Iterable[Path], overlays: Iterable[Path] = ()) -> tuple[Contract | None, list[str]]:
    """Read documents and apply overlays. Return the contract, if it can be read, and a line for each problem."""
    paths, overlays = tuple(paths), tuple(overlays)
    documents = {path.name: bundle_document(path) for path in paths}
    if not overlays:
        return _examine_documents(documents, None, {})
    bundled = Contract(documents)
    own = {example.place: orjson.dumps(example.value) for example in list_examples(bundled)}
    changes: list[OverlayChange] = []
    problems: list[str] = []
    removed: set[str] = set()
    for overlay in overlays:
        try:
            content = read_document(overlay, "overlay")
        except (ContractError, ConfigError) as error:
            problems.append(str(error))
            continue
        changed, refused = apply_overlay(documents, content, overlay.name, removed)
        changes += changed
        problems += map(str, refused)
    contract, found = _examine_documents(documents, bundled, own)
    return contract, [*problems, *(_name_overlay(problem, changes) for problem in found)]


def _examine_documents(
    documents: Mapping[str, Json], bundled: Contract | None, own: Mapping[str, bytes]
) -> tuple[Contract | None, list[str]]:
    """Return the contract of documents that overlays have changed, and what is wrong with them."""
    if problems := find_document_problems(documents):
        return None, problems
    added, removed = frozenset[str](), frozenset[str]()
    if bundled is not None:
        present = _list_operation_ids(documents)
        added, removed = present - bundled.operations.keys(), frozenset(bundled.operations.keys() - present)
        _complete_operations(documents, added, bundled)
    try:
        contract = Contract(documents, added, removed=removed)
        if bundled is not None:
            notes = dict(_drop_examples(contract, own))
            contract = Contract(documents, added, notes=notes, removed=removed)
        return contract, list(find_problems(contract))
    except (ContractError, ValueError) as error:
        return None, [str(error).splitlines()[0]]


def _complete_operations(documents: Mapping[str, Json], added: Collection[str], bundled: Contract) -> None:
    """Give added operations the extensions that they lack: they are assumed, and speak as their neighbours do."""
    for _, path, method, item in list_operations(documents):
        if item[method]["operationId"] in added:
            item[method].setdefault("x-evidence", "assumed")
            item[method].setdefault("x-dialect", bundled.find_protocol(path))


def _name_overlay(problem: str, changes: Sequence[OverlayChange]) -> str:
    """Put the overlay and the action that have caused a problem before it: the last that changed the place."""
    place = problem.partition(": ")[0]
    near = [change for change in changes if _share_path(place, change.place)]
    if not near and (reference := _DANGLING.search(problem)):
        target = place.partition("#")[0] + reference[1]
        near = [change for change in changes if _share_path(target, change.place)]
    cause = max(reversed(near), key=lambda change: len(change.place), default=None)
    return problem if cause is None else f"{cause.source}: {problem}"


def _share_path(place: str, other: str) -> bool:
    """Return whether one place contains the other."""
    return f"{place}/".startswith(f"{other}/") or f"{other}/".startswith(f"{place}/")


def _drop_examples(contract: Contract, own: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Drop the contract's own examples that overlays no longer allow; yield the place of each and a note.

    Examples of errors are kept, because the mock answers with them.
    """
    with contextlib.suppress(ContractError, ValueError):  # other problems of overlays are reported later
        for example, problem in list(find_unfit_examples(contract)):
            if own.get(example.place) != orjson.dumps(example.value):
                continue
            is_error = _ERROR.search(example.pointer) is not None
            if not is_error:
                del example.holder[example.key]
            done = (
                "stays, although an overlay does not allow it" if is_error else "is left out, as an overlay forbids it"
            )
            yield example.place, f"the example {example.place} {done} ({problem})"


def _list_operation_ids(documents: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(item[method]["operationId"] for _, _, method, item in list_operations(documents))


def _write_cache(paths: Sequence[Path], overlays: Sequence[Path], contract: Contract) -> None:
    """Cache a checked contract beside its sources if they can be written to."""
    with contextlib.suppress(OSError):
        target = _cache_path(paths, overlays)
        target.parent.mkdir(exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(
            orjson.dumps([contract.documents, sorted(contract.added), sorted(contract.removed), contract.notes])
        )
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
