"""OpenAPI documents indexed for use: operations, errors, security schemes, routes and compiled schemas.

Source: OpenAPI Specification 3.1.0. The extensions used are `x-dialect` (the protocol), `x-evidence`, `x-laws`,
`x-paid`, `x-prompt`, `x-ram-action`, `x-status` and `x-stream`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from urllib.parse import unquote

import jsonschema_rs

from aione_mock.contract.json_pointer import format_pointer, parse_pointer
from aione_mock.contract.stream_grammar import StreamGrammar
from aione_mock.errors import ContractError
from aione_mock.structs import frozen
from aione_mock.types import Json

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
STREAM = "text/event-stream"
_MAX_REFERENCES = 50
"""References that are followed from one node; more lead in a circle."""
_TEMPLATE = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A path, query or header parameter."""

    name: str
    location: str
    required: bool
    types: frozenset[str]
    default: Json
    validator: jsonschema_rs.Draft202012Validator = field(repr=False, compare=False)


@frozen
class ErrorSpec:
    """An error response, described by the contract's example of that name."""

    name: str
    protocol: str
    status: int
    body: Mapping[str, Json]
    headers: tuple[str, ...]
    description: str = ""


@frozen
class RouteMatch:
    """The operations of a path and its parameters."""

    operations: Mapping[str, Operation]
    """By upper-case method; empty if no path item matches."""
    params: Mapping[str, str]
    """Path parameters, decoded."""


class Operation:
    """An operation of the contract, with the validators that its requests and responses need."""

    def __init__(self, contract: Contract, document: str, path: str, method: str, item: Json, raw: Json) -> None:
        self._contract = contract
        self.document, self.path, self.method, self.raw = document, path, method.upper(), raw
        self.pointer = "#" + format_pointer(("paths", path, method))
        self.id: str = raw["operationId"]
        self.protocol: str = raw.get("x-dialect", "console")
        self.evidence: str = raw.get("x-evidence", "documented")
        self.tags: tuple[str, ...] = tuple(raw.get("tags", ()))
        self.paid: bool = raw.get("x-paid", False)
        self.prompt_format: str = raw.get("x-prompt", self.protocol if self.paid else "")
        """How a request spells a prompt: the name of a protocol, or of a form of its own; empty without one."""
        self.ram_action: str | None = raw.get("x-ram-action")
        """The RAM action that a caller needs to be allowed."""
        self.security: tuple[tuple[str, ...], ...] = tuple(
            tuple(option) for option in raw.get("security", contract.documents[document].get("security", []))
        )
        self.added: bool = self.id in contract.added
        """Whether an overlay added the operation."""
        self.parameter_nodes = (*item.get("parameters", ()), *raw.get("parameters", ()))
        self.parameters = tuple([self._read_parameter(node) for node in self.parameter_nodes])
        self.responses: Mapping[str, Json] = {
            str(status): self.resolve(response) for status, response in raw["responses"].items()
        }
        self.success = min((int(s) for s in self.responses if s.startswith("2")), default=200)

    def __repr__(self) -> str:
        return f"<Operation {self.id}: {self.method} {self.path}>"

    def _read_parameter(self, node: Json) -> Parameter:
        node = self.resolve(node)
        schema = self.resolve(node["schema"])
        types = schema.get("type", "string")
        return Parameter(
            name=node["name"],
            location=node["in"],
            required=node.get("required", False),
            types=frozenset([types] if isinstance(types, str) else types),
            default=schema.get("default"),
            validator=self.get_schema_validator(node["schema"]),
        )

    @property
    def title(self) -> str:
        """Title and version of the operation's document."""
        info = self._contract.documents[self.document]["info"]
        return f"{info['title']} {info['version']}"

    def locate(self, pointer: str) -> Json:
        """Return the node at a pointer of the operation's document. Raise ContractError if there is none."""
        return self._contract.locate(self.document, pointer)

    def find_place(self, node: Json) -> tuple[str, ...] | None:
        """Return the steps to a mapping of the operation's document; None if it is in no document."""
        return self._contract.places(self.document).get(id(node))

    def resolve(self, node: Json) -> Json:
        """Return a node of the operation's document with its own `$ref` followed."""
        return self._contract.resolve(self.document, node)

    def get_schema_validator(self, schema: Json) -> jsonschema_rs.Draft202012Validator:
        """Return the compiled validator of a schema of the operation's document."""
        return self._contract.get_schema_validator(self.document, schema)

    @cached_property
    def body_validator(self) -> jsonschema_rs.Draft202012Validator | None:
        """Validator of the JSON request body; None if the operation takes none."""
        media = self.request_body.get("content", {}).get("application/json")
        return self.get_schema_validator(media["schema"]) if media else None

    @cached_property
    def body_members(self) -> frozenset[str]:
        """The names of all members that the JSON request body may have, at any depth."""
        found: set[str] = set()
        seen: set[int] = set()
        waiting = [self.request_body]
        while waiting:
            node = self.resolve(waiting.pop())
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, dict):
                found.update(node["properties"] if isinstance(node.get("properties"), dict) else ())
                waiting += [value for key, value in node.items() if key not in ("example", "examples", "default")]
            elif isinstance(node, list):
                waiting += node
        return frozenset(found)

    @cached_property
    def request_body(self) -> Json:
        """The request body object; empty if the operation takes none."""
        return self.resolve(self.raw.get("requestBody", {}))

    @property
    def body_required(self) -> bool:
        """Whether a request must have a body."""
        return bool(self.request_body.get("required", False))

    @cached_property
    def stream(self) -> StreamGrammar | None:
        """The grammar of the streamed response; None if the operation does not stream."""
        media = self.responses.get(str(self.success), {}).get("content", {}).get(STREAM, {})
        return StreamGrammar.parse(media["x-stream"], f"{self.id}: x-stream") if "x-stream" in media else None

    @cached_property
    def errors(self) -> Mapping[str, ErrorSpec]:
        """The errors that this operation declares, by name."""
        return {
            spec.name: spec
            for status, response in self.responses.items()
            if status.isdigit() and not status.startswith("2")
            for spec in _read_errors(self.protocol, status, response)
        }

    @cached_property
    def response_headers(self) -> Mapping[int, frozenset[str]]:
        """Names of the headers declared for each status."""
        return {
            int(status): frozenset(response.get("headers", ()))
            for status, response in self.responses.items()
            if status.isdigit()
        }

    def get_response_validator(self, status: int, media_type: str) -> jsonschema_rs.Draft202012Validator | None:
        """Return the validator of a response body, or of one event of a stream; None without a schema."""
        content = self.responses.get(str(status), {}).get("content", {})
        media = content.get(media_type.partition(";")[0].strip(), {})
        return self.get_schema_validator(media["schema"]) if "schema" in media else None


def locate_node(document: Json, pointer: str, depth: int = 0) -> Json:
    """Return the node at a pointer of a document, following references on the way.

    Raise ContractError if there is none, or if a reference leads back to itself.
    """
    if depth > _MAX_REFERENCES:
        raise ContractError(f"{pointer}: leads back to itself")
    node = document
    for token in parse_pointer(pointer):
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            depth += 1
            node = locate_node(document, node["$ref"], depth)
        try:
            node = node[int(token)] if isinstance(node, list) else node[token]
        except (KeyError, TypeError, IndexError, ValueError):
            raise ContractError(f"{pointer}: points to nothing") from None
    return node


class Contract:
    """All documents of the contract. Immutable once loaded."""

    def __init__(
        self,
        documents: Mapping[str, Json],
        added: frozenset[str] = frozenset(),
        excluded: frozenset[str] = frozenset(),
        notes: Mapping[str, str] | None = None,
        removed: frozenset[str] = frozenset(),
    ) -> None:
        """Index documents by file name.

        `added` and `removed` hold the ids of operations that overlays added and removed. Operations of `excluded`
        protocols are left out. `notes` says what happened to examples that overlays do not allow, by place.
        """
        self.documents, self.added, self.removed, self.notes = documents, added, removed, notes or {}
        self.locate = lru_cache(4096)(self._locate)
        self.places = lru_cache(None)(self._index_places)
        """Document → id of each mapping in it → the steps to it."""
        self._excluded = excluded
        self._registry = jsonschema_rs.Registry([(f"urn:{name}", doc) for name, doc in documents.items()])
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self.operations: Mapping[str, Operation] = self._index_operations()
        if not self.operations:
            raise ContractError(f"{', '.join(documents)}: there is no operation under `paths`")
        self.errors: Mapping[tuple[str, str], ErrorSpec] = {
            (spec.protocol, spec.name): spec
            for document in documents.values()
            for spec in _list_shared_errors(document)
        }
        self.schemes: Mapping[str, Json] = {
            name: scheme
            for document in documents.values()
            for name, scheme in document.get("components", {}).get("securitySchemes", {}).items()
        }
        self._static, self._templates = self._build_routes()
        self._protocols = self._index_protocols()
        self._most_segments = max([prefix.count("/") for prefix in self._protocols]) + 1

    def exclude_protocol(self, protocol: str) -> Contract:
        """Return the contract without the operations of a protocol; their paths match nothing."""
        return Contract(self.documents, self.added, self._excluded | {protocol}, self.notes, self.removed)

    def _index_operations(self) -> dict[str, Operation]:
        found: dict[str, Operation] = {}
        for document, path, method, item in list_operations(self.documents):
            where = f"{document}#{format_pointer(('paths', path, method))}"
            if "operationId" not in item[method]:
                raise ContractError(f"{where}: operationId is missing")
            operation = Operation(self, document, path, method, item, item[method])
            if operation.id in found:
                raise ContractError(f"{where}: operationId '{operation.id}' occurs twice")
            found[operation.id] = operation
        return {name: operation for name, operation in found.items() if operation.protocol not in self._excluded}

    def _build_routes(self) -> tuple[dict[str, RouteMatch], list[tuple[re.Pattern[str], dict[str, Operation]]]]:
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in self.operations.values():
            by_path.setdefault(operation.path, {})[operation.method] = operation
        static = {path: RouteMatch(operations, {}) for path, operations in by_path.items() if "{" not in path}
        # the most literal template first: /models/{model}:countTokens before /models/{model}
        templates = sorted((p for p in by_path if "{" in p), key=lambda p: -len(_TEMPLATE.sub("", p)))
        return static, [(_compile_path(path), by_path[path]) for path in templates]

    def _index_protocols(self) -> dict[str, str]:
        """Map each leading part of a path to the protocol of the shortest path that begins with it.

        The control API is the mock's own, so it comes last.
        """
        found: dict[str, str] = {}
        for operation in sorted(self.operations.values(), key=lambda o: (o.protocol == "control", len(o.path))):
            for prefix in _list_path_prefixes(operation.path):
                found.setdefault(prefix, operation.protocol)
        return found

    def match(self, path: str) -> RouteMatch:
        """Find the operations of a percent-encoded path."""
        if found := self._static.get(path):
            return found
        for pattern, operations in self._templates:
            if hit := pattern.fullmatch(path):
                return RouteMatch(operations, {name: unquote(value) for name, value in hit.groupdict().items()})
        return RouteMatch({}, {})

    def find_protocol(self, path: str) -> str:
        """Return the protocol for an unknown path: that of the operation whose path shares the most segments."""
        # all prefixes of a path of many segments would take its length squared
        prefixes = reversed(_list_path_prefixes(path, self._most_segments))
        return next((self._protocols[prefix] for prefix in prefixes if prefix in self._protocols), self._protocols[""])

    def find_error(self, protocol: str, name: str) -> ErrorSpec | None:
        """Return an error of a protocol by its name."""
        return self.errors.get((protocol, name))

    def resolve(self, document: str, node: Json) -> Json:
        """Return a node with its own `$ref` followed."""
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            node = self.locate(document, node["$ref"])
        return node

    def _index_places(self, document: str) -> dict[int, tuple[str, ...]]:
        found: dict[int, tuple[str, ...]] = {}
        waiting: list[tuple[tuple[str, ...], Json]] = [((), self.documents[document])]
        while waiting:
            place, node = waiting.pop()
            if isinstance(node, dict):
                found[id(node)] = place
            children = node.items() if isinstance(node, dict) else enumerate(node)
            waiting += [((*place, str(key)), child) for key, child in children if isinstance(child, dict | list)]
        return found

    def _locate(self, document: str, pointer: str) -> Json:
        """Return the node at a local pointer, following references on the way. Raise ContractError if there is none."""
        try:
            return locate_node(self.documents[document], pointer)
        except ContractError as error:
            raise ContractError(f"{document}{error}") from None

    def get_schema_validator(self, document: str, schema: Json) -> jsonschema_rs.Draft202012Validator:
        """Return the compiled validator of a schema of a document. Equal schemas share one."""
        schema = _qualify_references(schema, document)
        key = repr(schema)
        if key not in self._validators:
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                schema, registry=self._registry, validate_formats=True
            )
        return self._validators[key]


def list_operations(documents: Mapping[str, Json]) -> Iterator[tuple[str, str, str, Json]]:
    """Yield document name, path, method and path item of every operation."""
    for document, content in documents.items():
        for path, item in content.get("paths", {}).items():
            yield from ((document, path, method, item) for method in METHODS if method in item)


def _list_shared_errors(document: Json) -> Iterator[ErrorSpec]:
    """Yield the errors of the response components of a document."""
    for name, response in document.get("components", {}).get("responses", {}).items():
        # no operation refers to the response for an unknown path, so it declares its status itself
        status = response.get("x-status") or _find_status(document, name)
        if status and "x-dialect" in response:
            yield from _read_errors(response["x-dialect"], status, response)


def _find_status(document: Json, name: str) -> str:
    """Return the status under which operations refer to a response component."""
    reference = {"$ref": f"#/components/responses/{name}"}
    for item in document.get("paths", {}).values():
        for method in METHODS:
            for status, response in item.get(method, {}).get("responses", {}).items():
                if response == reference:
                    return str(status)
    return ""


def _read_errors(protocol: str, status: str, response: Json) -> Iterator[ErrorSpec]:
    """Yield one error for each example of a response, except Chinese variants of another example."""
    for media in response.get("content", {}).values():
        for name, example in media.get("examples", {}).items():
            if not name.endswith("_zh"):
                headers = tuple(response.get("headers", {}))
                yield ErrorSpec(name, protocol, int(status), example["value"], headers, example.get("summary", ""))


def _qualify_references(node: Json, document: str) -> Json:
    """Return a copy of a schema whose local references name their document."""
    if isinstance(node, list):
        return [_qualify_references(value, document) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: f"urn:{document}{value}"
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else _qualify_references(value, document)
        for key, value in node.items()
    }


def _compile_path(path: str) -> re.Pattern[str]:
    parts = enumerate(_TEMPLATE.split(path))
    return re.compile("".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in parts))


def _list_path_prefixes(path: str, most: int | None = None) -> list[str]:
    """Return the leading parts of a path, by whole segments, the shortest first, and at `most` so many."""
    return [*accumulate(path.split("/", -1 if most is None else most)[:most], "{}/{}".format)]
