"""What a law works with: a client, the models of the target, and temporary API keys, deleted at the end of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from aione_mock.checker.budget import ModelPrice
from aione_mock.checker.client import Auth, AuthChoice, TargetClient
from aione_mock.checker.errors import NotChecked, TargetGone, UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.protocols import PROTOCOLS, ChatProtocol, ChatQuestion
from aione_mock.contract import Contract, Operation
from aione_mock.seed import Seed
from aione_mock.types import Json

T = TypeVar("T")
_KEY_NAME = "aione-mock check"
"""Begins the names of temporary keys, for whoever finds one after a crash."""
_LAST_PRICE = 1e9
"""Sorts models without a price after all others."""


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
        self.target = client.target
        self.seed = Seed.of(seed)
        self.usage_lags = True
        """Whether it may help to wait for usage figures; false once they did not come."""
        self._keys: dict[str, TemporaryKey] = {}
        self._cache: dict[str, Any] = {}

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
        if exchange.status != operation.success or exchange.failure:
            raise NotChecked(f"{operation.id} answered {exchange.summary}, {operation.success} was needed")
        return exchange

    def read(self, operation: str, params: dict[str, str] | None = None, **request: Any) -> JsonReader:
        """Send a request and return the body of its answer. Raises NotChecked if it fails."""
        return self.call_ok(operation, params, **request).data

    def ask(
        self, protocol: ChatProtocol, question: ChatQuestion, model: str, auth: AuthChoice = "target"
    ) -> HttpExchange:
        """Send a question to a model, whatever the answer."""
        return self.client.call(
            protocol.operation(question),
            protocol.path_params(model),
            query=protocol.query(question),
            body=protocol.body(question, model),
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
            raise NotChecked(str(result))
        return result

    def operations_of(self, *protocols: str) -> list[Operation]:
        """Return the operations of some protocols."""
        return [operation for operation in self.contract.operations.values() if operation.protocol in protocols]

    def declared_operations(self, *operations: str) -> list[Operation]:
        """Return those of some operations that the contract has."""
        return [self.contract.operations[name] for name in operations if name in self.contract.operations]

    def chat_protocols(self) -> list[ChatProtocol]:
        """Return the chat protocols whose operations the contract has."""
        return [protocol for protocol in PROTOCOLS.values() if protocol.plain in self.contract.operations]

    def default_protocol(self) -> ChatProtocol:
        """Return the first chat protocol that the contract has. Raises NotChecked if there is none."""
        for protocol in self.chat_protocols():
            return protocol
        raise NotChecked("the contract has no chat operation")

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
                rows = [row.value for row in self.read(operation).rows(member) if isinstance(row.find("id"), str)]
            except NotChecked as error:
                problems.append(str(error))
                continue
            if rows:
                prices = {row["id"]: ModelPrice.from_row(row) for row in rows}
                self.client.budget.prices |= {model: price for model, price in prices.items() if price}
                return rows
        raise NotChecked("no list of models could be read: " + "; ".join(problems or ["it is empty"]))

    def choose_model(
        self, protocol: str = "openai", *abilities: str, without: tuple[str, ...] = ("image_output",)
    ) -> str:
        """Return the target's model, or else the cheapest with the abilities. Raises NotChecked if there is none."""
        model = self.target.model
        rows = self.find_models(protocol, *abilities, without=without)
        usable = any(row["id"] == model for row in rows) or not self.is_listed(model)
        if model and (not rows or usable) and "image_output" not in abilities:
            return model
        if not rows:
            raise NotChecked(f"no model for {' and '.join((protocol, *abilities))} is listed")
        return str(min(rows, key=lambda row: (self._total_price(row), row["id"]))["id"])

    def is_listed(self, model: str | None) -> bool:
        """Whether a readable list has a model."""
        try:
            return any(row["id"] == model for row in self.list_models())
        except NotChecked:
            return False

    def find_models(
        self, protocol: str, *abilities: str, without: tuple[str, ...] = ("image_output",)
    ) -> list[dict[str, Json]]:
        """Return the listed models of a protocol that have all abilities and none of `without`."""
        try:
            rows = self.list_models()
        except NotChecked:
            if self.target.model:
                return []
            raise
        return [row for row in rows if _is_suitable(row, protocol, set(abilities), set(without))]

    def _total_price(self, row: dict[str, Json]) -> float:
        price = self.client.budget.prices.get(row["id"])
        return float(price.prompt + price.completion) if price else _LAST_PRICE

    # Keys

    def create_key(self, name: str = "key", **fields: Json) -> TemporaryKey:
        """Create a temporary key. Raises NotChecked."""
        record = self.read("createKey", body={"name": f"{_KEY_NAME}: {name}", **fields})
        key_id, secret = record.find("id"), record.find("key")
        if not isinstance(key_id, str):
            raise NotChecked("createKey answered without an id")
        key = self.track_key(record)
        if not isinstance(secret, str):
            raise NotChecked("createKey answered without a secret")
        return key

    def track_key(self, record: JsonReader) -> TemporaryKey:
        """Remember an answer of createKey: its key will be deleted and its secret masked."""
        key = TemporaryKey(str(record.find("id")), str(record.find("key") or ""), record)
        self._keys[key.id] = key
        self.client.mask.add(key.secret, f"AIONE_NEW_KEY_{len(self._keys)}")
        return key

    def track_created_key(self, exchange: HttpExchange) -> None:
        """Remember the key of an answer of createKey, if it has one."""
        if exchange.status == 201:
            try:
                exchange.data.text("id")
            except UnreadableAnswer:
                return
            self.track_key(exchange.data)

    def rotate_key(self, key: TemporaryKey) -> tuple[TemporaryKey, JsonReader]:
        """Return the key with a new secret, and the answer of rotateKey. Raises NotChecked."""
        answer = self.read("rotateKey", {"key_id": key.id})
        secret = answer.text("key")
        self.client.mask.add(secret, f"AIONE_NEW_KEY_{len(self._keys)}_ROTATED")
        return TemporaryKey(key.id, secret, key.record), answer

    def delete_key(self, key: TemporaryKey) -> HttpExchange:
        """Delete a temporary key before the end of the run."""
        exchange = self.call("deleteKey", {"key_id": key.id})
        if exchange.status in (204, 404):
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
                    status = self.client.call("deleteKey", {"key_id": key_id}, timeout=5.0).status
                    problem = "" if status in (200, 204, 404) else str(status)
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
        return key.record.instant("created_at")


def bearer_auth(secret: str) -> Auth:
    """Return the credential of an API key in the header that all protocols accept."""
    return Auth("bearerKey", secret)


def console_auth(token: str | None) -> Auth:
    """Return the credential of a console token."""
    return Auth("consoleToken", token or "")


def _is_suitable(row: dict[str, Json], protocol: str, abilities: set[str], without: set[str]) -> bool:
    protocols, capabilities = row.get("protocols"), row.get("capabilities")
    present = set(map(str, capabilities)) if isinstance(capabilities, list) else set()
    supported = not isinstance(protocols, list) or protocol in protocols
    return supported and abilities <= present and not without & present
