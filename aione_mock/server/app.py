"""The Starlette application: contract, sessions, handlers and pipeline put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ContractError, did_you_mean
from aione_mock.server import control
from aione_mock.server.handlers import HANDLERS
from aione_mock.server.pipeline import Handler, Pipeline
from aione_mock.server.sessions import Sessions, check_seed
from aione_mock.settings import Settings, document
from aione_mock.tenant.catalogue import ModelCatalogue


class Mock(Starlette):
    """A Starlette application whose requests all go to the pipeline.

    Routing is the contract's own (a dictionary and a few patterns): Starlette's list of routes, tried
    one after the other, would cost half of the throughput.
    """

    eager = True
    """Our server need not make a task for an answer that waits for nothing."""

    def __init__(self, pipeline: Pipeline, lifespan: Any = None) -> None:
        super().__init__(lifespan=lifespan)
        self.pipeline = pipeline
        self._answer = _distorted(pipeline)

    @property
    def contract(self) -> Contract:
        """What is served."""
        return self.pipeline.contract

    @property
    def sessions(self) -> Sessions:
        """The state of every session."""
        return self.pipeline.sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """No middleware: the pipeline answers every request, errors included."""
        await (self._answer if scope["type"] == "http" else super().__call__)(scope, receive, send)


def _distorted(pipeline: Pipeline) -> ASGIApp:
    """The pipeline as the mutant asked for has it, if one is."""
    if pipeline.config.mutant is None:
        return pipeline
    from aione_mock import mutants

    return mutants.Mutation(pipeline, pipeline.contract, mutants.find(pipeline.config.mutant))


def create_app(settings: Settings | None = None, /, **options: Any) -> Mock:
    """Create the mock as an ASGI application.

    Takes either `settings` or the members of `Settings` as keyword arguments: `create_app(seed="7")`.
    Raises ConfigError, ContractError or ScenarioError, each in one line that says what to fix, and TypeError for an
    option that does not exist.
    """
    if settings is not None and options:
        raise TypeError("create_app() takes either settings or options, not both")
    config = settings or Settings(**options)
    check_seed(config.seed)
    if config.mutant is not None:
        from aione_mock import mutants

        mutants.find(config.mutant)
    contract = load_contract([document(name) for name in config.documents], config.overlays)
    contract = contract if config.control else contract.without("control")
    sessions = Sessions(config, ModelCatalogue.load())
    pipeline = Pipeline(contract, sessions, checked(HANDLERS, contract), config)
    if config.control:
        pipeline.handlers = {**pipeline.handlers, **checked(control.handlers(pipeline), contract)}
    return Mock(pipeline)


def checked(handlers: Mapping[str, Handler], contract: Contract) -> dict[str, Handler]:
    """The handlers that the contract has operations for.

    Raises ContractError when one is left over and no overlay can have removed its operation.
    """
    for name in handlers:
        if name not in contract.operations:
            raise ContractError(f"handler for unknown operation '{name}'{did_you_mean(name, contract.operations)}")
    return dict(handlers)
