"""The life of a key as a Hypothesis state machine: any order of events, compared with a small model."""

from __future__ import annotations

from typing import Any

from aione_mock.checker.context import LawContext, TemporaryKey, bearer_auth
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.law import Law, Need
from aione_mock.checker.laws.operation_groups import KEYS
from aione_mock.types import Json

_EXAMPLES, _STEPS = 6, 10


class _ModelViolated(Exception):
    """The server differs from the model."""

    def __init__(self, broken: BrokenLaw) -> None:
        super().__init__(broken.seen)
        self.broken = broken


def check_key_lifecycle(context: LawContext) -> LawResults:
    """Keep the record of a key consistent with any order of events, and accept its secret only while it is active."""
    from hypothesis import HealthCheck, Phase, Verbosity, settings
    from hypothesis.errors import Flaky
    from hypothesis.stateful import run_state_machine_as_test

    chosen = settings(
        max_examples=_EXAMPLES,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
    try:
        run_state_machine_as_test(_create_machine(context), settings=chosen)
    except _ModelViolated as error:
        yield error.broken
    except Flaky:
        raise NotChecked("the server did not answer the same events alike") from None
    except BaseExceptionGroup as group:
        for failure in group.exceptions:
            if not isinstance(failure, _ModelViolated):
                raise failure from None
            yield failure.broken


class _KeyModel:
    """A temporary key and what its history says about it. Raises _ModelViolated where the server differs."""

    def __init__(self, context: LawContext) -> None:
        self._context = context
        self.key = context.create_key("life")
        self.deleted = False
        self.expected: dict[str, Json] = {
            "name": self.key.record.at("name").value,
            "status": "active",
            "rpm_limit": None,
            "models_allowed": None,
        }
        self._history = ["create"]

    def perform(self, operation: str, what: str, rejection: int | None = None, **request: Any) -> HttpExchange | None:
        """Perform an event; return the exchange, or None if the event was meant to be rejected."""
        self._history.append(what)
        exchange = self._context.call(operation, {"key_id": self.key.id}, **request)
        success = self._context.contract.operations[operation].success
        status = 404 if self.deleted else rejection or success
        self._expect_equal(operation, status, exchange.status, exchange)
        return exchange if status == success else None

    def rotate(self) -> None:
        """Rotate the key."""
        exchange = self.perform("rotateKey", "rotate", 409 if self.expected["status"] != "active" else None)
        if exchange is not None:
            secret = exchange.data.text("key")
            self._context.client.mask.add(secret, "AIONE_NEW_KEY")
            self.key = TemporaryKey(self.key.id, secret, self.key.record)

    def delete(self) -> None:
        """Delete the key."""
        self.perform("deleteKey", "delete")
        self._context.forget_key(self.key)
        self.deleted = True

    def check_record(self) -> None:
        """Compare the record with the model."""
        exchange = self._context.call("getKey", {"key_id": self.key.id})
        self._expect_equal("getKey", 404 if self.deleted else 200, exchange.status, exchange)
        if not self.deleted:
            seen = {name: exchange.data.find(name) for name in self.expected}
            self._expect_equal("getKey", self.expected, seen, exchange)

    def check_secret(self) -> None:
        """Use the secret."""
        exchange = self._context.call("listModels", auth=bearer_auth(self.key.secret))
        active = not self.deleted and self.expected["status"] == "active"
        self._expect_equal("getKey" if active else "listKeys", 200 if active else 401, exchange.status, exchange)

    def _expect_equal(self, operation: str, expected: Json, seen: Json, exchange: HttpExchange) -> None:
        if expected != seen:
            history = ", ".join(self._history)
            raise _ModelViolated(BrokenLaw(operation, f"{expected} after {history}", f"{seen}", exchange))


def _create_machine(context: LawContext) -> Any:
    from hypothesis import seed
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

    changes = st.fixed_dictionaries(
        {}, optional={"name": st.sampled_from(["a", "名字"]), "rpm_limit": st.sampled_from([None, 1000, 2000])}
    )

    class KeyMachine(RuleBasedStateMachine):
        """One key from its creation to its end."""

        model: _KeyModel

        @initialize()
        def create(self) -> None:
            self.model = _KeyModel(context)

        @rule(change=changes)
        def update(self, change: dict[str, Json]) -> None:
            if self.model.perform("updateKey", f"update {change}", body=change):
                self.model.expected |= change

        @rule(event=st.sampled_from([("disable", "disabled"), ("enable", "active")]))
        def switch(self, event: tuple[str, str]) -> None:
            if self.model.perform(f"{event[0]}Key", event[0]):
                self.model.expected["status"] = event[1]

        @rule()
        def rotate(self) -> None:
            self.model.rotate()

        @rule(chance=st.integers(0, 3))
        def delete(self, chance: int) -> None:
            # rarely: nothing else would happen
            if chance == 3 and not self.model.deleted:
                self.model.delete()

        @invariant()
        def record_matches(self) -> None:
            self.model.check_record()

        @invariant()
        def secret_works_while_active(self) -> None:
            self.model.check_secret()

    return seed(context.seed.draw_integer("life"))(KeyMachine)


_NEEDS: tuple[Need, ...] = ("token", "writes")
LAWS = (Law("key-life", "Keys follow their history", check_key_lifecycle, KEYS, area="keys", needs=_NEEDS),)
