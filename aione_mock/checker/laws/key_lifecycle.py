"""The life of a key as a Hypothesis state machine: any order of events, compared with a small model."""

from __future__ import annotations

from typing import Any, NoReturn

from aione_mock.checker.context import LawContext, TemporaryKey, make_bearer_auth
from aione_mock.checker.errors import NotChecked
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.checker.law import Law, Need
from aione_mock.checker.laws.operation_groups import KEYS
from aione_mock.checker.schema_lookup import find_status_evidence
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
            "status": context.find_example("createKey", "status"),
            "rpm_limit": None,
            "models_allowed": None,
        }
        self._history = ["create"]

    def perform(self, operation: str, what: str, error: str = "", **request: Any) -> HttpExchange | None:
        """Perform an event; return the exchange, or None if the event was meant to be rejected."""
        self._history.append(what)
        exchange = self._context.call(operation, {"key_id": self.key.id}, **request)
        error = "not_found" if self.deleted else error
        self._expect_answer(operation, error, exchange)
        return None if error else exchange

    def rotate(self) -> None:
        """Rotate the key."""
        exchange = self.perform("rotateKey", "rotate", "" if self._is_active else "conflict")
        if exchange is not None:
            secret = exchange.data.read_text("key")
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
        self._expect_answer("getKey", "not_found" if self.deleted else "", exchange)
        for name, expected in self.expected.items() if not self.deleted else ():
            if (seen := exchange.data.find(name)) != expected:
                evidence = self._context.find_member_evidence("getKey", name)
                self._fail("getKey", f"{name} {expected!r}", f"{seen!r}", exchange, evidence)

    def check_secret(self) -> None:
        """Use the secret."""
        exchange = self._context.call("listModels", auth=make_bearer_auth(self.key.secret))
        active = not self.deleted and self._is_active
        if active != exchange.is_success:
            expected = "the secret to be accepted" if active else "the secret to be rejected"
            self._fail("getKey" if active else "listKeys", expected, exchange.summary, exchange, "documented")

    @property
    def _is_active(self) -> bool:
        return bool(self.expected["status"] == self._context.find_example("createKey", "status"))

    def _expect_answer(self, name: str, error: str, exchange: HttpExchange) -> None:
        """Raise _ModelViolated unless an answer is a success, or the error of that name."""
        operation = self._context.contract.operations[name]
        spec = operation.errors.get(error)
        if spec is None and not error and not exchange.is_success:
            self._fail(name, "a success", exchange.summary, exchange, operation.evidence)
        if spec is not None and exchange.status != spec.status:
            evidence = "documented" if exchange.is_success else find_status_evidence(operation, spec.status)
            self._fail(name, f"{spec.status}", exchange.summary, exchange, evidence)

    def _fail(self, operation: str, expected: str, seen: str, exchange: HttpExchange, evidence: str) -> NoReturn:
        expected = f"{expected} after {', '.join(self._history)}"
        raise _ModelViolated(BrokenLaw(operation, expected, seen, exchange, evidence))


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

        @rule(event=st.sampled_from(["disableKey", "enableKey"]))
        def switch(self, event: str) -> None:
            if self.model.perform(event, event.removesuffix("Key")):
                self.model.expected["status"] = context.find_example(event, "status")

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
