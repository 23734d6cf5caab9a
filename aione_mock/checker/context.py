"""What a law has in its hands: a client, the models that may be called, and keys of its own that are cleaned away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from aione_mock.checker.budget import ModelPrice
from aione_mock.checker.client import AUTO, Auth, TargetClient, TargetGone, _Auto
from aione_mock.checker.finding import BrokenLaw, NotChecked
from aione_mock.checker.protocols import PROTOCOLS, ChatProtocol, ChatQuestion
from aione_mock.checker.traffic import HttpExchange, Unreadable
from aione_mock.contract import Contract, Operation
from aione_mock.errors import ConfigError
from aione_mock.seed import Seed
from aione_mock.types import Json

T = TypeVar("T")
NAME = "aione-mock check"
"""Keys that a run makes are called so, for whoever finds one after a crash."""


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """A key that the run has made."""

    id: str
    secret: str = field(repr=False)
    record: Json = field(repr=False)


class LawContext:
    """One run's view of the target. Laws send through it and remember nothing themselves."""

    def __init__(self, client: TargetClient, seed: str = "0") -> None:
        self.client = client
        self.contract: Contract = client.contract
        self.target = client.target
        self.seed = Seed.of(seed)
        self._made: dict[str, TemporaryKey] = {}
        self._memo: dict[str, Any] = {}
        self.hopeful = True
        """Whether figures that lag behind are worth waiting for; not when they never came."""

    # Calls

    def call(self, operation: str, params: dict[str, str] | None = None, **given: Any) -> HttpExchange:
        """Any call; the answer is as it is."""
        return self.client.call(operation, params, **given)

    def ok(self, operation: str, params: dict[str, str] | None = None, **given: Any) -> HttpExchange:
        """A call that a law builds on. Raises NotChecked when it fails: why is another law's matter."""
        return self.good(self.client.call(operation, params, **given))

    def good(self, exchange: HttpExchange) -> HttpExchange:
        """The exchange if it went well. Raises NotChecked."""
        operation = self.client.operation(exchange.request.operation)
        if exchange.status != operation.success or exchange.failure:
            raise NotChecked(f"{operation.id} answered {exchange.outcome} where {operation.success} was needed")
        return exchange

    def read(self, operation: str, params: dict[str, str] | None = None, **given: Any) -> Json:
        """The JSON of a call that went well. Raises NotChecked."""
        try:
            return self.ok(operation, params, **given).json
        except Unreadable as error:
            raise NotChecked(f"{operation} answered {error}") from None

    def ask(
        self, protocol: ChatProtocol, question: ChatQuestion, model: str, auth: Auth | _Auto | None = AUTO
    ) -> HttpExchange:
        """One call to a model, as it comes back."""
        return self.client.call(
            protocol.operation(question),
            protocol.params(model),
            query=protocol.query(question),
            body=protocol.body(question, model),
            auth=auth,
        )

    def bearer(self, secret: str) -> Auth:
        """A key of the data plane in the header that all protocols take."""
        return Auth("bearerKey", secret)

    def console(self, secret: str) -> Auth:
        """A console token."""
        return Auth("consoleToken", secret)

    def memo(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once in a run; a refusal to make it is remembered too."""
        if name not in self._memo:
            try:
                self._memo[name] = make()
            except NotChecked as error:
                self._memo[name] = error
        found = self._memo[name]
        if isinstance(found, NotChecked):
            raise NotChecked(str(found))
        return found  # type: ignore[no-any-return]

    def operations(self, *protocols: str) -> list[Operation]:
        """The operations of some protocols."""
        return [operation for operation in self.contract.operations.values() if operation.protocol in protocols]

    # Models

    def rows(self) -> list[dict[str, Json]]:
        """The models, from the console's list, which has prices, else from the data plane's. Raises NotChecked."""
        return self.memo("models", self._rows)

    def _rows(self) -> list[dict[str, Json]]:
        tried: list[str] = []
        for operation, member in (("listGatewayModels", "items"), ("listModels", "data")):
            try:
                answer = self.read(operation)
            except NotChecked as error:
                tried.append(str(error))
                continue
            rows = answer.get(member) if isinstance(answer, dict) else None
            found = (
                [r for r in rows if isinstance(r, dict) and isinstance(r.get("id"), str)]
                if isinstance(rows, list)
                else []
            )
            if found:
                self.client.budget.prices |= {r["id"]: price for r in found if (price := ModelPrice.of(r))}
                return found
        raise NotChecked("no list of models could be read: " + "; ".join(tried or ["it is empty"]))

    def model(self, protocol: str = "openai", *abilities: str, without: tuple[str, ...] = ("image_output",)) -> str:
        """A model for a protocol: the given one, else the cheapest that has the abilities. Raises NotChecked."""
        wanted = self.target.model
        rows = list(self._fitting(protocol, abilities, without))
        listed = any(r["id"] == wanted for r in rows) or not self.lists(wanted)
        if wanted and (not rows or listed) and "image_output" not in abilities:
            return wanted
        if not rows:
            raise NotChecked(f"no model for {' and '.join((protocol, *abilities))} is listed")
        return str(min(rows, key=lambda r: (self._price(r), r["id"]))["id"])

    def lists(self, model: str | None) -> bool:
        """Whether a model stands in the list, as far as one can be read."""
        try:
            return any(row["id"] == model for row in self.rows())
        except NotChecked:
            return False

    def _fitting(
        self, protocol: str, abilities: tuple[str, ...], without: tuple[str, ...]
    ) -> Iterator[dict[str, Json]]:
        try:
            rows = self.rows()
        except NotChecked:
            if self.target.model:
                return
            raise
        for row in rows:
            protocols, has = row.get("protocols"), row.get("capabilities")
            has = has if isinstance(has, list) else []
            fits = not isinstance(protocols, list) or protocol in protocols
            if fits and set(abilities) <= set(map(str, has)) and not set(without) & set(map(str, has)):
                yield row

    def _price(self, row: dict[str, Json]) -> float:
        price = self.client.budget.prices.get(row["id"])
        return float(price.prompt + price.completion) if price else 1e9

    def protocols(self) -> list[ChatProtocol]:
        """The protocols whose operations the contract has."""
        return [p for p in PROTOCOLS.values() if p.plain in self.contract.operations]

    # Keys

    def new_key(self, name: str = "key", **fields: Json) -> TemporaryKey:
        """A key of the run's own, deleted at its end. Raises NotChecked."""
        record = self.read("createKey", body={"name": f"{NAME}: {name}", **fields})
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            raise NotChecked("createKey answered without an id")
        if not isinstance(record.get("key"), str):
            self._made[record["id"]] = TemporaryKey(record["id"], "", record)
            raise NotChecked("createKey answered without a secret")
        return self.adopt(TemporaryKey(record["id"], record["key"], record))

    def adopt(self, key: TemporaryKey) -> TemporaryKey:
        """Remember a key for cleaning up, and its secret for masking."""
        self._made[key.id] = key
        self.client.mask.learn(key.secret, f"AIONE_NEW_KEY_{len(self._made)}")
        return key

    def rotated(self, key: TemporaryKey) -> tuple[TemporaryKey, Json]:
        """The key with a new secret, and the answer to the rotation. Raises NotChecked."""
        answer = self.read("rotateKey", {"key_id": key.id})
        if not isinstance(answer, dict) or not isinstance(answer.get("key"), str):
            raise NotChecked("rotateKey answered without a secret")
        self.client.mask.learn(answer["key"], f"AIONE_NEW_KEY_{len(self._made)}_ROTATED")
        return TemporaryKey(key.id, answer["key"], key.record), answer

    def forget(self, key: TemporaryKey) -> None:
        """The key was deleted on purpose."""
        self._made.pop(key.id, None)

    @property
    def made(self) -> set[str]:
        """Ids of the keys that the run has made and not deleted."""
        return set(self._made)

    def clean(self) -> list[str]:
        """Delete what was made; ids that could not be."""
        left: list[str] = []
        self.client.deadline = None
        gone = False
        for key_id in list(self._made):
            if gone:
                left.append(f"{key_id} (the server is gone)")
                continue
            try:
                status = self.client.call("deleteKey", {"key_id": key_id}, timeout=5.0).status
            except TargetGone:
                left.append(f"{key_id} (the server is gone)")
                gone = True
                continue
            except Exception as error:
                left.append(f"{key_id} ({type(error).__name__})")
                continue
            if status not in (200, 204, 404):
                left.append(f"{key_id} ({status})")
        self._made.clear()
        return left

    def server_now(self) -> datetime:
        """The time by the server's own clock: when a new key says that it was made. Raises NotChecked."""
        key = self.new_key("clock")
        self.delete(key)
        return instant(key.record.get("created_at"))

    def delete(self, key: TemporaryKey) -> HttpExchange:
        """Delete a key of the run's own."""
        exchange = self.call("deleteKey", {"key_id": key.id})
        if exchange.status in (204, 404):
            self.forget(key)
        return exchange


def instant(text: Json) -> datetime:
    """An ISO 8601 time. Raises NotChecked."""
    from aione_mock.clock import parse_instant

    try:
        return parse_instant(text)
    except (ConfigError, TypeError):
        raise NotChecked(f"{text!r} is not an ISO 8601 time") from None


def broken(
    operation: str | Operation, expected: str, seen: str, exchange: HttpExchange | None = None, **more: Any
) -> BrokenLaw:
    """A short way to say what a law saw."""
    return BrokenLaw(operation if isinstance(operation, str) else operation.id, expected, seen, exchange, **more)
