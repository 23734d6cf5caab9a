"""The contract: OpenAPI documents read, bundled, overlaid, checked and indexed.

From it come the routes, the validators, the security rules, the error bodies and what the checker
checks. Nothing else in the package repeats a path, a method, a status or an enum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from urllib.parse import unquote

import jsonschema_rs

from aione_mock.contract.stream_grammar import Grammar
from aione_mock.errors import ContractError
from aione_mock.structs import frozen
from aione_mock.types import Json

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
STREAM = "text/event-stream"
_TEMPLATE = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One path, query or header parameter."""

    name: str
    location: str
    required: bool
    types: frozenset[str]
    default: Json
    pointer: str
    validator: jsonschema_rs.Draft202012Validator = field(repr=False, compare=False)


@frozen
class ErrorSpec:
    """A refusal as the contract spells it: the example of that name."""

    name: str
    protocol: str
    status: int
    body: Mapping[str, Json]
    headers: tuple[str, ...]
    description: str = ""


@frozen
class Match:
    """Where a path leads: the operations of its path item, and the path's parameters."""

    operations: Mapping[str, Operation]
    """By upper-case method; empty when no path item fits."""
    params: Mapping[str, str]


class Operation:
    """One operation, with everything that a request needs compiled."""

    def __init__(self, contract: Contract, document: str, path: str, method: str, item: Json, raw: Json) -> None:
        self.document, self.path, self.method, self.raw = document, path, method.upper(), raw
        self.pointer = f"#/paths/{_escape(path)}/{method}"
        self.id: str = raw["operationId"]
        self.protocol: str = raw.get("x-dialect", "console")
        self.evidence: str = raw.get("x-evidence", "documented")
        self.summary: str = raw.get("summary", "")
        self.tags: tuple[str, ...] = tuple(raw.get("tags", ()))
        self.paid: bool = raw.get("x-paid", False)
        self.security: tuple[tuple[str, ...], ...] = tuple(
            tuple(option) for option in raw.get("security", contract.documents[document].get("security", []))
        )
        self.parameters = tuple(contract.parameters(document, self.pointer, item, raw))
        self.responses: Mapping[str, Json] = {
            str(status): contract.resolve(document, response) for status, response in raw["responses"].items()
        }
        self.success = min((int(s) for s in self.responses if s.startswith("2")), default=200)
        self._contract = contract

    def __repr__(self) -> str:
        return f"<Operation {self.id}: {self.method} {self.path}>"

    @cached_property
    def body(self) -> jsonschema_rs.Draft202012Validator | None:
        """Validator of the JSON request body, None when the operation takes none."""
        media = self.request_body.get("content", {}).get("application/json")
        return self._contract.validator(self.document, media["schema"]) if media else None

    @cached_property
    def request_body(self) -> Json:
        """The request body's description, empty when the operation takes none."""
        return self._contract.resolve(self.document, self.raw.get("requestBody", {}))

    @cached_property
    def body_required(self) -> bool:
        """Whether a request without a body is refused."""
        return bool(self.request_body.get("required", False))

    @cached_property
    def stream(self) -> Grammar | None:
        """The grammar of the streamed answer, None when there is none."""
        media = self.responses.get(str(self.success), {}).get("content", {}).get(STREAM, {})
        return Grammar.of(media["x-stream"], f"{self.id}: x-stream") if "x-stream" in media else None

    @cached_property
    def errors(self) -> Mapping[str, ErrorSpec]:
        """The refusals that this operation declares, by name."""
        return {
            spec.name: spec
            for status, response in self.responses.items()
            if not status.startswith("2")
            for spec in _errors(self.protocol, status, response)
        }

    @cached_property
    def response_headers(self) -> Mapping[int, frozenset[str]]:
        """Names of the headers declared for each status."""
        known = [(status, answer) for status, answer in self.responses.items() if status.isdigit()]
        return {int(status): frozenset(answer.get("headers", ())) for status, answer in known}

    def response_validator(self, status: int, media_type: str) -> jsonschema_rs.Draft202012Validator | None:
        """Validator of an answer's body (of one event's envelope for a stream), None when it has no schema."""
        content = self.responses.get(str(status), {}).get("content", {})
        media = content.get(media_type.partition(";")[0].strip())
        if not media or "schema" not in media:
            return None
        return self._contract.validator(self.document, media["schema"])

    def resolve(self, node: Json) -> Json:
        """Return a node of the operation's document, or what its `$ref` points to."""
        return self._contract.resolve(self.document, node)

    def validator(self, schema: Json) -> jsonschema_rs.Draft202012Validator:
        """Return a compiled validator of a schema of the operation's document."""
        return self._contract.validator(self.document, schema)


def _errors(protocol: str, status: str, response: Json) -> Iterator[ErrorSpec]:
    for media in response.get("content", {}).values():
        for name, example in media.get("examples", {}).items():
            if not name.endswith("_zh"):
                headers = tuple(response.get("headers", {}))
                yield ErrorSpec(name, protocol, int(status), example["value"], headers, example.get("summary", ""))


class Contract:
    """All documents together, immutable once loaded."""

    def __init__(self, documents: Mapping[str, Json], hidden: frozenset[str] = frozenset()) -> None:
        self.documents, self._hidden = documents, hidden
        self.locate = lru_cache(4096)(self._locate)
        self._registry = jsonschema_rs.Registry([(f"urn:{name}", doc) for name, doc in documents.items()])
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self.operations: Mapping[str, Operation] = self._operations()
        self.errors: Mapping[tuple[str, str], ErrorSpec] = self._errors()
        self.schemes: Mapping[str, Json] = {
            name: scheme
            for document in documents.values()
            for name, scheme in document.get("components", {}).get("securitySchemes", {}).items()
        }
        self._static, self._templates = self._routes()

    def without(self, protocol: str) -> Contract:
        """The same without the operations of a protocol: their paths lead nowhere."""
        return Contract(self.documents, self._hidden | {protocol})

    def _operations(self) -> dict[str, Operation]:
        found: dict[str, Operation] = {}
        for document, content in self.documents.items():
            for path, item in content.get("paths", {}).items():
                for method in METHODS:
                    if method in item:
                        if "operationId" not in item[method]:
                            raise ContractError(f"{document}#/paths/{_escape(path)}/{method}: operationId is missing")
                        operation = Operation(self, document, path, method, item, item[method])
                        if operation.id in found:
                            raise ContractError(
                                f"{document}{operation.pointer}: operationId '{operation.id}' occurs twice"
                            )
                        found[operation.id] = operation
        return {name: operation for name, operation in found.items() if operation.protocol not in self._hidden}

    def _errors(self) -> dict[tuple[str, str], ErrorSpec]:
        found: dict[tuple[str, str], ErrorSpec] = {}
        for document in self.documents.values():
            for name, response in document.get("components", {}).get("responses", {}).items():
                protocol = response.get("x-dialect")
                # one that no operation refers to (an unknown path, a wrong method) says its status itself
                status = response.get("x-status") or self._status_of(document, name)
                for spec in _errors(protocol, status, response) if protocol and status else ():
                    found[protocol, spec.name] = spec
        return found

    def _status_of(self, document: Json, name: str) -> str:
        """The status under which operations refer to a response component."""
        reference = {"$ref": f"#/components/responses/{name}"}
        for item in document.get("paths", {}).values():
            for method in METHODS:
                for status, response in item.get(method, {}).get("responses", {}).items():
                    if response == reference:
                        return str(status)
        return ""

    def _routes(self) -> tuple[dict[str, Match], list[tuple[re.Pattern[str], dict[str, Operation]]]]:
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in self.operations.values():
            by_path.setdefault(operation.path, {})[operation.method] = operation
        static = {path: Match(table, {}) for path, table in by_path.items() if "{" not in path}
        # the most literal template first: /models/{model}:countTokens before /models/{model}
        templates = sorted((p for p in by_path if "{" in p), key=lambda p: -len(_TEMPLATE.sub("", p)))
        return static, [(_compile(path), by_path[path]) for path in templates]

    def match(self, path: str) -> Match:
        """Where a raw (percent-encoded) path leads; parameters are decoded."""
        if found := self._static.get(path):
            return found
        for pattern, table in self._templates:
            if hit := pattern.fullmatch(path):
                return Match(table, {name: unquote(value) for name, value in hit.groupdict().items()})
        return Match({}, {})

    def find_protocol(self, path: str) -> str:
        """The protocol of a path that leads nowhere: that of the operation with the longest common beginning."""
        return max(self.operations.values(), key=lambda o: (_common(o.path, path), -len(o.path))).protocol

    def error(self, protocol: str, name: str) -> ErrorSpec | None:
        """A refusal of a protocol by its name."""
        return self.errors.get((protocol, name))

    def resolve(self, document: str, node: Json) -> Json:
        """A node, or what its `$ref` points to."""
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            node = self.locate(document, node["$ref"])
        return node

    def _locate(self, document: str, pointer: str) -> Json:
        """The node at a local pointer, following references on the way. Raises ContractError."""
        node = self.documents[document]
        for token in pointer.lstrip("#").split("/")[1:]:
            node = self.resolve(document, node)
            try:
                node = node[token.replace("~1", "/").replace("~0", "~")]
            except (KeyError, TypeError, IndexError):
                raise ContractError(f"{document}{pointer}: points to nothing") from None
        return node

    def validator(self, document: str, schema: Json) -> jsonschema_rs.Draft202012Validator:
        """A compiled validator of a schema of a document; equal references share one."""
        schema = {"$ref": f"urn:{document}{schema['$ref']}"} if set(schema) == {"$ref"} else _absolute(schema, document)
        key = repr(schema)
        if key not in self._validators:
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                schema, registry=self._registry, validate_formats=True
            )
        return self._validators[key]

    def parameters(self, document: str, pointer: str, item: Json, raw: Json) -> Iterator[Parameter]:
        """The parameters of an operation, its own and its path item's."""
        for place, nodes in (("", item.get("parameters", [])), (pointer, raw.get("parameters", []))):
            for position, reference in enumerate(nodes):
                node = self.resolve(document, reference)
                schema = self.resolve(document, node["schema"])
                yield Parameter(
                    node["name"],
                    node["in"],
                    node.get("required", False),
                    _types(schema),
                    schema.get("default"),
                    f"{place}/parameters/{position}",
                    self.validator(document, node["schema"]),
                )


def _types(schema: Json) -> frozenset[str]:
    types = schema.get("type", "string")
    return frozenset([types] if isinstance(types, str) else types)


def _absolute(node: Json, document: str) -> Json:
    """A schema whose local references name their document."""
    if isinstance(node, dict):
        return {
            key: f"urn:{document}{value}"
            if key == "$ref" and isinstance(value, str) and value.startswith("#")
            else _absolute(value, document)
            for key, value in node.items()
        }
    return [_absolute(value, document) for value in node] if isinstance(node, list) else node


def _compile(path: str) -> re.Pattern[str]:
    literal = [re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/]+)" for i, part in enumerate(_TEMPLATE.split(path))]
    return re.compile("".join(literal))


def _common(left: str, right: str) -> int:
    """Number of whole path segments that two paths begin with alike."""
    count = 0
    for a, b in zip(left.split("/"), right.split("/"), strict=False):
        if a != b:
            break
        count += 1
    return count


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
