"""Where a command finds a contract: files, a folder, a revision of git, or the bundled one."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError
from aione_mock.settings import DOCUMENTS, locate_document

BUNDLED, REVISION = "bundled", "git:"
_FOLDER = "openapi"
"""Where a repository has its contract, if no other folder is named."""


def load_contract_from(source: str, overlays: list[Path] | None = None) -> Contract:
    """Load a contract, with overlays.

    `source` is `bundled`, a document, a folder with documents, or `git:REVISION` or `git:REVISION:FOLDER` in the
    repository of the working directory. Raises ConfigError or ContractError.
    """
    with _find_documents(source) as paths:
        return load_contract(paths, overlays or (), cache=False)


def load_contract_pair(
    old: str, new: str, old_overlays: list[Path] | None = None, overlays: list[Path] | None = None
) -> tuple[Contract, Contract]:
    """Load two contracts to compare. Of the bundled one, take what can be compared with a single document.

    Raises ConfigError or ContractError.
    """
    first, second = load_contract_from(old, old_overlays), load_contract_from(new, overlays)
    if old == BUNDLED and len(second.documents) == 1:
        return _match_documents(first, second), second
    if new == BUNDLED and len(first.documents) == 1:
        return first, _match_documents(second, first)
    return first, second


def _match_documents(contract: Contract, other: Contract) -> Contract:
    """Return the documents of a contract that have an operation in common with another one; all if none has."""
    shared = {operation.document for operation in contract.operations.values() if operation.id in other.operations}
    documents = {name: document for name, document in contract.documents.items() if name in shared}
    return Contract(documents) if documents else contract


@contextmanager
def _find_documents(source: str) -> Iterator[list[Path]]:
    if source == BUNDLED:
        yield [locate_document(name) for name in DOCUMENTS]
    elif source.startswith(REVISION):
        revision, _, folder = source.removeprefix(REVISION).partition(":")
        with TemporaryDirectory() as temporary:
            _extract(revision, folder or _FOLDER, Path(temporary))
            yield _list_documents(Path(temporary) / (folder or _FOLDER), source)
    elif Path(source).is_dir():
        yield _list_documents(Path(source), source)
    else:
        yield [Path(source)]


def _list_documents(folder: Path, source: str) -> list[Path]:
    """Return the OpenAPI documents of a folder: those files that say that they are one."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".yaml", ".yml", ".json") and path.is_file()]
    found = [path for path in files if b"openapi" in path.read_bytes()[:4096]]
    if not found:
        raise ConfigError(f"there is no OpenAPI document in {source}")
    return found


def _extract(revision: str, folder: str, target: Path) -> None:
    words = ["git", "archive", "--format=tar", "--end-of-options", revision, folder]
    try:
        done = subprocess.run(words, capture_output=True, check=False)
    except OSError as error:
        raise ConfigError(f"cannot run git: {error.strerror or error}") from None
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it fails"]
        raise ConfigError(f"git cannot read {folder} of '{revision}': {reason[0].removeprefix('fatal: ')}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            path, content = (target / member.name).resolve(), archive.extractfile(member)
            if member.isfile() and content and path.is_relative_to(target.resolve()):  # no links, nothing outside
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
