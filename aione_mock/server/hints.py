"""Explain requests that lead to no operation, and say what to ask for instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from aione_mock.contract import Contract, Operation
from aione_mock.contract.openapi import RouteMatch
from aione_mock.errors import APIError, did_you_mean
from aione_mock.server.request import Request
from aione_mock.settings import EXTENSIONS
from aione_mock.text.credentials import mask_text

_CONTROL_PREFIX = "/_mock"
OWN_PREFIX = b"x-mock-"
_OWN_HEADERS = (b"x-mock-scenario", b"x-mock-session", b"x-mock-explain", b"x-mock-journal")
"""Request headers that are for the mock itself."""
_LONGEST = 200
"""Characters of a path that a message repeats."""
_NOT_OFFERED = frozenset(
    "assistants audio batches completions conversations embeddings files fine_tuning images moderations realtime "
    "rerank responses threads uploads videos".split()
)
"""What gateways of this kind often have, by the part of the path after the version."""
_VERB = re.compile(r":[^/:]+\Z")


def explain_no_operation(request: Request, match: RouteMatch, contract: Contract) -> tuple[str, APIError]:
    """Return the protocol to answer in, and why nothing answers: `not_found` or `method_not_allowed`."""
    near = next(iter(match.operations.values()), None)
    verb = _VERB.search(request.path)
    # to a template such as /models/{model}, a verb that it does not know is part of the parameter
    if near is not None and not (verb and ":" not in near.path):
        return near.protocol, _refuse_method(request, match)
    path = mask_text(request.path[:_LONGEST])
    if found := _find_intended(request, contract):
        operation, intended, remedy = found
        meant = mask_text(intended[:_LONGEST])
        return operation.protocol, APIError("not_found", f"Unknown path {path}; did you mean {meant}? {remedy}")
    protocol = near.protocol if near is not None else contract.find_protocol(request.path)
    return protocol, APIError("not_found", f"Unknown path {path}{_suggest(request.path, verb, contract)}")


def check_own_headers(fields: Mapping[bytes, bytes]) -> None:
    """Raise APIError `invalid_request` for a header of the mock that does not exist, with the nearest one."""
    unknown = next((name for name in fields if name.startswith(OWN_PREFIX) and name not in _OWN_HEADERS), None)
    if unknown is not None:
        name = unknown.decode("latin-1")[:_LONGEST]
        known = [each.decode() for each in _OWN_HEADERS]
        remedy = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        raise APIError("invalid_request", f"Unknown header '{name}'{remedy}", fields={"param": name})


def _refuse_method(request: Request, match: RouteMatch) -> APIError:
    allowed = ", ".join(sorted(match.operations))
    message = f"{request.method} is not allowed here; use {allowed}."
    return APIError("method_not_allowed", message, headers={"allow": allowed})


def _find_intended(request: Request, contract: Contract) -> tuple[Operation, str, str] | None:
    """Return the operation that the path would lead to under another base URL, the right path, and what to change."""
    for path, remedy in _change_prefix(request.path, contract):
        operation = contract.match(path).operations.get(request.method)
        if operation is not None and not (_VERB.search(path) and ":" not in operation.path):
            return operation, path, remedy
    return None


def _change_prefix(path: str, contract: Contract) -> Iterator[tuple[str, str]]:
    prefixes = sorted({f"/{operation.path.split('/')[1]}" for operation in contract.operations.values()})
    for prefix in prefixes:
        yield prefix + path, f"The base URL lacks {prefix}."
    for prefix in prefixes:
        if not path.startswith(f"{prefix}/"):
            continue
        rest = path.removeprefix(prefix)
        yield rest, f"The base URL must not end in {prefix}."
        for other in prefixes:
            yield other + rest, f"The API version of this path is {other[1:]}, which some SDKs call api_version."


def _is_served(extension: str, contract: Contract) -> bool:
    return any(operation.path.endswith(f"/{extension}") for operation in contract.operations.values())


def _suggest(path: str, verb: re.Match[str] | None, contract: Contract) -> str:
    """Return the rest of a sentence that says what is offered."""
    parts = path.strip("/").split("/")
    named = next((part for part in parts[:2] if part in _NOT_OFFERED), None)
    named = named or (verb[0][1:] if verb else None)
    if named is not None:
        # the beginning of the name: Google's verbs are embedContent and batchEmbedContents
        extension = next((name for name in EXTENSIONS if name[:5] in named.lower()), None)
        if extension is not None and _is_served(extension, contract):
            return f". The extension '{extension}' has no such operation."
        if extension is not None:
            return f". Nothing says that AIone offers '{mask_text(named[:40])}'; serve --with {extension} adds it."
        return (
            f". This gateway does not offer '{mask_text(named[:40])}'; an OpenAPI overlay adds an operation "
            "(serve --overlay FILE)."
        )
    own = path.startswith(_CONTROL_PREFIX)
    known = [each.path for each in contract.operations.values() if (each.protocol == "control") == own]
    remedy = did_you_mean(path[:_LONGEST], known)
    return f"{remedy}." if not remedy.endswith("?") else remedy
