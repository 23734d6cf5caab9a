"""The life of a key as a state machine: any order of events, compared with a model of eight lines."""

from __future__ import annotations

from typing import Any

from aione_mock.checker.client import Stop
from aione_mock.checker.context import LawContext, TemporaryKey, broken
from aione_mock.checker.finding import BrokenLaw, NotChecked
from aione_mock.checker.law import Law, LawResults
from aione_mock.checker.laws.areas import KEYS
from aione_mock.types import Json

_EXAMPLES, _STEPS = 6, 10


class Departed(Exception):
    """The server went another way than the model."""

    def __init__(self, said: BrokenLaw) -> None:
        super().__init__(said.seen)
        self.said = said


def life(context: LawContext) -> LawResults:
    """In whatever order a key is made, changed, switched, rotated and deleted, it is read as what was done to it,
    its present
    secret works exactly while it is active, and the shortest departure from that is shown.
    """
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
    machine = _machine(context)
    try:
        run_state_machine_as_test(machine, settings=chosen)
    except Departed as departed:
        said = departed.said
        yield BrokenLaw(said.operation, said.expected, said.seen, said.exchange, said.evidence)
    except Flaky:
        raise NotChecked("the server did not answer the same events twice alike") from None
    except BaseExceptionGroup as group:
        for error in group.exceptions:
            if isinstance(error, Departed):
                yield error.said
            elif isinstance(error, (Stop, NotChecked)):
                raise error from None


def _machine(context: LawContext) -> Any:
    from hypothesis import seed
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

    class Life(RuleBasedStateMachine):
        """One key from its making to its end."""

        key: TemporaryKey | None = None
        gone = False

        def __init__(self) -> None:
            super().__init__()
            self.steps: list[str] = []
            self.expected: dict[str, Json] = {}

        @initialize()
        def make(self) -> None:
            self.key = context.new_key("life")
            self.expected = {
                "name": self.key.record["name"],
                "status": "active",
                "rpm_limit": None,
                "models_allowed": None,
            }
            self.steps = ["create"]

        @rule(change=st.fixed_dictionaries({}, optional={
            "name": st.sampled_from(["a", "名字"]), "rpm_limit": st.sampled_from([None, 1000, 2000]),
        }))  # fmt: skip
        def update(self, change: dict[str, Json]) -> None:
            if self._do("updateKey", f"update {change}", body=change):
                self.expected |= change

        @rule()
        def disable(self) -> None:
            if self._do("disableKey", "disable"):
                self.expected["status"] = "disabled"

        @rule()
        def enable(self) -> None:
            if self._do("enableKey", "enable"):
                self.expected["status"] = "active"

        @rule()
        def rotate(self) -> None:
            refused = 409 if self.expected["status"] != "active" else None
            exchange = self._do("rotateKey", "rotate", refused=refused)
            if exchange is not None and self.key is not None:
                secret = exchange.json["key"]
                context.client.mask.learn(secret, "AIONE_NEW_KEY")
                self.key = TemporaryKey(self.key.id, secret, self.key.record)

        @rule(sure=st.integers(0, 3))
        def delete(self, sure: int) -> None:
            # seldom, or nothing else would happen
            if sure == 3 and not self.gone and self.key is not None:
                self._do("deleteKey", "delete")
                context.forget(self.key)
                self.gone = True

        @invariant()
        def is_read_as_it_is(self) -> None:
            if self.key is None:
                return
            exchange = context.call("getKey", {"key_id": self.key.id})
            if self.gone:
                self._say("getKey", 404, exchange.status, exchange)
                return
            self._say("getKey", 200, exchange.status, exchange)
            seen = {name: exchange.json.get(name) for name in self.expected}
            self._say("getKey", self.expected, seen, exchange)

        @invariant()
        def works_while_it_is_active(self) -> None:
            if self.key is None:
                return
            exchange = context.call("listModels", auth=context.bearer(self.key.secret))
            active = not self.gone and self.expected["status"] == "active"
            self._say("getKey" if active else "listKeys", 200 if active else 401, exchange.status, exchange)

        def _do(self, operation: str, what: str, refused: int | None = None, **given: Any) -> Any:
            if self.key is None:
                return None
            self.steps.append(what)
            exchange = context.call(operation, {"key_id": self.key.id}, **given)
            wanted = 404 if self.gone else (refused or context.contract.operations[operation].success)
            self._say(operation, wanted, exchange.status, exchange)
            return exchange if wanted < 300 else None

        def _say(self, operation: str, wanted: Json, seen: Json, exchange: Any) -> None:
            if wanted != seen:
                raise Departed(broken(operation, f"{wanted} after {', '.join(self.steps)}", f"{seen}", exchange))

    return seed(context.seed.draw_integer("life"))(Life)


LAWS = (Law("key-life", "The life of a key, in any order of events", life, KEYS, ("token", "writes"), area="keys"),)
