"""What a law works with: a client, the models of the target, and temporary API keys, deleted at the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from aione_mock.checker.budget import ModelPrice
from aione_mock.checker.client import Auth, AuthChoice, TargetClient
from aione_mock.checker.errors import CallFailed, NotChecked, TargetGone, UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.law_entries import find_law_entry
from aione_mock.checker.protocols import PROTOCOLS, ChatProtocol, ChatQuestion
from aione_mock.checker.schema_differences import prune_value
from aione_mock.checker.schema_lookup import SchemaLocation, find_body_schema, find_children, find_evidence
from aione_mock.checker.target import Target
from aione_mock.contract import Contract, Operation
from aione_mock.seed import Seed
from aione_mock.types import Json

T = TypeVar("T")
_KEY_NAME = "aione-mock check"
"""Begins the names of temporary keys, for whoever finds one after a crash."""
_LAST_PRICE = 1e9
"""Sorts models without a price after all others."""


OTHER_MODELS = ("image_output", "embeddings")
"""Abilities of models that do not answer a question in words."""


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """An API key made by the run."""

    id: str
    secret: str = field(repr=False)
    record: JsonReader = field(repr=False)
    """The answer of createKey."""


class LawContext:
    """One run's view of the target. Laws keep no state of their own."""

    def __init__(self, client: TargetClient, seed: str = "0") -> None:
        self.client = client
        self.contract: Contract = client.contract
        self.seed = Seed.of(seed)
        self.usage_lags = True
        """Whether it may help to wait for usage figures; false once they did not come."""
        self._scope: frozenset[str] | None = None
        self._keys: dict[str, TemporaryKey] = {}
        self._cache: dict[str, Any] = {}

    @property
    def target(self) -> Target:
        """The target with the credentials that it accepts."""
        return self.client.target

    # Calls

    def call(self, operation: str, params: dict[str, str] | None = None, **request: Any) -> HttpExchange:
        """Send a request to an operation, whatever the answer."""
        return self.client.call(operation, params, **request)

    def call_ok(self, operation: str, params: dict[str, str] | None = None, **request: Any) -> HttpExchange:
        """Send a request that a law builds on. Raises NotChecked if it fails."""
        return self.require_success(self.client.call(operation, params, **request))

    def require_success(self, exchange: HttpExchange) -> HttpExchange:
        """Return the exchange. Raises NotChecked if it failed: why is the matter of another law."""
        operation = self.client.find_operation(exchange.request.operation)
        if not exchange.is_success or exchange.failure:
            reason = f"{operation.id} answered {exchange.summary}, {operation.success} was needed"
            raise CallFailed(reason, exchange)
        return exchange

    def read(self, operation: str, params: dict[str, str] | None = None, **request: Any) -> JsonReader:
        """Send a request and return the body of its answer. Raises NotChecked if it fails."""
        return self.call_ok(operation, params, **request).data

    def ask(
        self, protocol: ChatProtocol, question: ChatQuestion, model: str, auth: AuthChoice = "target"
    ) -> HttpExchange:
        """Send a question to a model, whatever the answer."""
        return self.client.call(
            protocol.choose_operation(question),
            protocol.make_path_params(model),
            query=protocol.make_query(question),
            body=protocol.make_body(question, model),
            auth=auth,
        )

    def ask_ok(
        self, protocol: ChatProtocol, question: ChatQuestion, model: str, auth: AuthChoice = "target"
    ) -> HttpExchange:
        """Send a question to a model. Raises NotChecked if the call fails."""
        return self.require_success(self.ask(protocol, question, model, auth))

    def compute_once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returned or raised when it was first called under this name."""
        if name not in self._cache:
            try:
                self._cache[name] = make()
            except NotChecked as error:
                self._cache[name] = error
        result: T | NotChecked = self._cache[name]
        if isinstance(result, NotChecked):
            raise result.with_traceback(None)
        return result

    # Scope

    @contextmanager
    def limit_scope(self, operations: Iterable[str]) -> Iterator[None]:
        """Show a law only some operations, those that it is checked for at the moment."""
        self._scope = frozenset(operations)
        try:
            yield
        finally:
            self._scope = None

    def includes(self, operation: str) -> bool:
        """Return whether an operation is in the contract and in the scope of the law that is being checked."""
        return operation in self.contract.operations and (self._scope is None or operation in self._scope)

    def list_operations_of(self, *protocols: str) -> list[Operation]:
        """Return the operations of some protocols, as far as they are in the scope."""
        operations = self.contract.operations.values()
        return [o for o in operations if o.protocol in protocols and self.includes(o.id)]

    def list_declared_operations(self, *operations: str) -> list[Operation]:
        """Return those of some operations that the contract has and that are in the scope."""
        return [self.contract.operations[name] for name in operations if self.includes(name)]

    def list_chat_protocols(self) -> list[ChatProtocol]:
        """Return the chat protocols of which an operation is in the scope."""
        return [p for p in PROTOCOLS.values() if self.includes(p.plain) or self.includes(p.streamed)]

    def list_stream_modes(self, protocol: ChatProtocol) -> list[bool]:
        """Return whether to ask for a stream, once for each way to ask whose operation is in the scope."""
        return [s for s in (False, True) if self.includes(protocol.streamed if s else protocol.plain)]

    def choose_default_protocol(self) -> ChatProtocol:
        """Return the first chat protocol of the scope, or else one that may be called. Raises NotChecked."""
        others = [
            p for p in PROTOCOLS.values() if p.plain in self.contract.operations and self.client.may_call(p.plain)
        ]
        for protocol in (*self.list_chat_protocols(), *others):
            return protocol
        raise NotChecked("there is no chat operation that may be called")

    # Contract

    def find_figure(self, law: str, name: str) -> Any:
        """Return a figure or word that the contract gives for a law. Raises NotChecked if there is none."""
        entry = find_law_entry(self.contract, law)
        if name not in entry:
            raise NotChecked(f"the contract says no {name} in x-laws/{law}")
        return entry[name]

    def find_example(self, operation: str, *path: str | int) -> Json:
        """Return a member of the first example of an operation's successful answer. Raises NotChecked."""
        spec = self.client.find_operation(operation)
        content = spec.responses.get(str(spec.success), {}).get("content", {}).get("application/json", {})
        for example in content.get("examples", {}).values():
            return JsonReader(example["value"], f"the example of {operation}").at(*path).value
        raise NotChecked(f"the contract has no example of an answer of {operation}")

    def find_parameter(self, operation: str, name: str) -> dict[str, Json]:
        """Return the schema of a query parameter. Raises NotChecked if the contract has no such parameter."""
        spec = self.client.find_operation(operation)
        for node in map(spec.resolve, spec.raw.get("parameters", ())):
            if node["name"] == name:
                return dict(spec.resolve(node["schema"]))
        raise NotChecked(f"the contract has no parameter {name} of {operation}")

    def find_member_evidence(self, operation: str, *path: str | int) -> str:
        """Return how a member of an operation's successful answer is known."""
        spec = self.client.find_operation(operation)
        return find_evidence(SchemaLocation(spec, spec.success, "application/json", path))

    def prune_answer(self, exchange: HttpExchange) -> Json:
        """Return the body of an answer without nulls and further members. Raises UnreadableAnswer."""
        return self.prune_value(exchange.request.operation, exchange.json)

    def prune_value(self, operation: str, value: Json, *path: str) -> Json:
        """Return a value like that of an operation's successful answer, or of a member of it, without the same."""
        spec = self.client.find_operation(operation)
        schema = find_body_schema(spec, spec.success, "application/json")
        for step in path:
            schema = {"anyOf": list(find_children(spec, schema, step))}
        return value if schema is None else prune_value(spec, schema, value)

    # Models

    def list_models(self) -> list[dict[str, Json]]:
        """Return the rows of the console's model list, which has prices, or else of the data plane's.

        Raises NotChecked.
        """
        return self.compute_once("models", self._list_models)

    def _list_models(self) -> list[dict[str, Json]]:
        problems: list[str] = []
        for operation, member in (("listGatewayModels", "items"), ("listModels", "data")):
            try:
                rows = [row.value for row in self.read(operation).list_rows(member) if isinstance(row.find("id"), str)]
            except NotChecked as error:
                problems.append(str(error))
                continue
            if rows:
                self.client.budget.image_models |= {row["id"] for row in rows if "image_output" in _list_abilities(row)}
                prices = {row["id"]: ModelPrice.from_row(row) for row in rows}
                self.client.budget.prices |= {model: price for model, price in prices.items() if price}
                return rows
        raise NotChecked("no list of models could be read: " + "; ".join(problems or ["it is empty"]))

    def choose_model(self, protocol: str = "openai", *abilities: str, without: tuple[str, ...] = OTHER_MODELS) -> str:
        """Return the target's model, or else the cheapest with the abilities. Raises NotChecked if there is none."""
        model = self.target.model
        rows = self.find_models(protocol, *abilities, without=without)
        usable = any(row["id"] == model for row in rows) or not self.is_listed(model)
        if model and (not rows or usable) and "image_output" not in abilities:
            return model
        if not rows:
            raise NotChecked(f"no model for {' and '.join((protocol, *abilities))} is listed")
        return str(min(rows, key=lambda row: (self._sum_prices(row), row["id"]))["id"])

    def is_listed(self, model: str | None) -> bool:
        """Return whether a readable list has a model."""
        try:
            return any(row["id"] == model for row in self.list_models())
        except NotChecked:
            return False

    def find_models(
        self, protocol: str, *abilities: str, without: tuple[str, ...] = OTHER_MODELS
    ) -> list[dict[str, Json]]:
        """Return the listed models of a protocol that have all abilities and none of `without`."""
        try:
            rows = self.list_models()
        except NotChecked:
            if self.target.model:
                return []
            raise
        return [row for row in rows if _is_suitable(row, protocol, set(abilities), set(without))]

    def _sum_prices(self, row: dict[str, Json]) -> float:
        price = self.client.budget.prices.get(row["id"])
        return float(price.prompt + price.completion) if price else _LAST_PRICE

    # Keys

    def protect_listed_keys(self) -> None:
        """Let no request change the keys that are listed now, before the run has created any."""
        try:
            rows = self.read("listKeys").list_rows("items")
            self.client.protected = frozenset(str(row.find("id")).lower() for row in rows)
        except NotChecked:
            return

    def create_key(self, name: str = "key", **fields: Json) -> TemporaryKey:
        """Create a temporary key. Raises NotChecked."""
        record = self.read("createKey", body={"name": f"{_KEY_NAME}: {name}", **fields})
        key_id, secret = record.find("id"), record.find("key")
        if not isinstance(key_id, str):
            raise NotChecked("createKey answered without an id")
        if self.client.is_protected(key_id):
            raise NotChecked(f"createKey answered with the id of a key that was there before: {key_id}")
        key = self.track_key(record)
        if not isinstance(secret, str):
            raise NotChecked("createKey answered without a secret")
        return key

    def track_key(self, record: JsonReader) -> TemporaryKey:
        """Remember an answer of createKey: its key will be deleted and its secret masked."""
        key = TemporaryKey(str(record.find("id")), str(record.find("key") or ""), record)
        if not self.client.is_protected(key.id):
            self._keys[key.id] = key
        self.client.mask.add(key.secret, f"AIONE_NEW_KEY_{len(self._keys)}")
        return key

    def track_created_key(self, exchange: HttpExchange) -> None:
        """Remember the key of an answer of createKey, if it has one."""
        if exchange.is_success:
            try:
                exchange.data.read_text("id")
            except UnreadableAnswer:
                return
            self.track_key(exchange.data)

    def rotate_key(self, key: TemporaryKey) -> tuple[TemporaryKey, JsonReader]:
        """Return the key with a new secret, and the answer of rotateKey. Raises NotChecked."""
        answer = self.read("rotateKey", {"key_id": key.id})
        secret = answer.read_text("key")
        self.client.mask.add(secret, f"AIONE_NEW_KEY_{len(self._keys)}_ROTATED")
        return TemporaryKey(key.id, secret, key.record), answer

    def delete_key(self, key: TemporaryKey) -> HttpExchange:
        """Delete a temporary key before the end of the run."""
        exchange = self.call("deleteKey", {"key_id": key.id})
        if exchange.is_success or exchange.status == HTTPStatus.NOT_FOUND:
            self.forget_key(key)
        return exchange

    def forget_key(self, key: TemporaryKey) -> None:
        """Do not delete the key at the end: it is gone."""
        self._keys.pop(key.id, None)

    @property
    def key_ids(self) -> set[str]:
        """Ids of the temporary keys that were not deleted."""
        return set(self._keys)

    def delete_keys(self) -> list[str]:
        """Delete all temporary keys; return the ids of those that could not be, with the reason."""
        self.client.deadline = None
        left: list[str] = []
        gone = False
        for key_id in self._keys:
            problem = "the server is gone"
            if not gone:
                try:
                    answer = self.client.call("deleteKey", {"key_id": key_id}, timeout=5.0)
                    deleted = answer.is_success or answer.status == HTTPStatus.NOT_FOUND
                    problem = "" if deleted else str(answer.status)
                except TargetGone:
                    gone = True
                except Exception as error:  # the others must be deleted all the same
                    problem = type(error).__name__
            if problem:
                left.append(f"{key_id} ({problem})")
        self._keys.clear()
        return left

    def read_server_time(self) -> datetime:
        """Return the time of the server's clock: when a new key was created. Raises NotChecked."""
        key = self.create_key("clock")
        self.delete_key(key)
        return key.record.read_instant("created_at")


def make_bearer_auth(secret: str) -> Auth:
    """Return the credential of an API key in the header that all protocols accept."""
    return Auth("bearerKey", secret)


def make_console_auth(token: str | None) -> Auth:
    """Return the credential of a console token."""
    return Auth("consoleToken", token or "")


def _list_abilities(row: dict[str, Json]) -> set[str]:
    capabilities = row.get("capabilities")
    return set(map(str, capabilities)) if isinstance(capabilities, list) else set()


def _is_suitable(row: dict[str, Json], protocol: str, abilities: set[str], without: set[str]) -> bool:
    protocols, present = row.get("protocols"), _list_abilities(row)
    supported = not isinstance(protocols, list) or protocol in protocols
    return supported and abilities <= present and not without & present
