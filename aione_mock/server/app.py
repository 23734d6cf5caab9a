"""The Starlette application: contract, sessions, handlers and pipeline put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from aione_mock.asgi import CONNECTION, Connection, Disconnected
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ContractError, did_you_mean
from aione_mock.server import control, streaming
from aione_mock.server.handlers import HANDLERS
from aione_mock.server.journal import Exchange
from aione_mock.server.pipeline import Handler, Pipeline
from aione_mock.server.request import Request
from aione_mock.server.sessions import Sessions, check_seed
from aione_mock.settings import DOCUMENTS, Settings, document_path
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.types import Response

if TYPE_CHECKING:
    from aione_mock.server.replay import Replay

_NO_EXTENSIONS: Mapping[str, Any] = {}


class Gateway:
    """The gateway as an ASGI application. It finds its operations by the contract."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.respond: Callable[[Exchange], Awaitable[Response]] = _choose_mutant(pipeline) or pipeline.respond
        self._wheel = streaming.Wheel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose body is received by ASGI."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await self.answer(scope, receive, send, None)

    async def answer(self, scope: Scope, receive: Receive, send: Send, body: bytes | None) -> None:
        """Answer a request; without `body` it is received."""
        connection: Connection | None = scope.get("extensions", _NO_EXTENSIONS).get(CONNECTION)
        started, path = SYSTEM_CLOCK.timestamp(), scope.get("raw_path") or scope["path"].encode()
        mount_path = ""
        if root := scope.get("root_path"):
            mount_path, path = _split_path(path, root)
        client = (scope.get("client") or ("127.0.0.1",))[0]
        headers = tuple(scope["headers"])
        if headers and type(headers[0]) is not tuple:
            headers = tuple(map(tuple, headers))
        request = Request(scope["method"], path, scope["query_string"], headers, body, client, receive, mount_path)
        exchange = Exchange(request, self.pipeline.sessions.default)
        try:
            response = await self.respond(exchange)
            if not streaming.write_response(response, connection, send):
                await streaming.play(response, connection, receive, send, self._wheel)
        except Disconnected:
            return
        finally:
            self.pipeline.state.release(exchange)
            exchange.duration_ms = max(0.0, (SYSTEM_CLOCK.timestamp() - started) * 1000)


def _split_path(path: bytes, root: str) -> tuple[str, bytes]:
    """Split a percent-encoded path into the part at which the mock is mounted, `root` decoded, and the rest."""
    mount_path = b"/".join(path.split(b"/")[: root.count("/") + 1])
    if unquote_to_bytes(mount_path) != root.encode():
        return "", path
    return mount_path.decode("latin-1"), path[len(mount_path) :]


def _choose_mutant(pipeline: Pipeline) -> Callable[[Exchange], Awaitable[Response]] | None:
    """Return what answers in place of the pipeline, if a mutant was asked for."""
    if pipeline.settings.mutant is None:
        return None
    from aione_mock import mutants
    from aione_mock.server.mutation import MutatedPipeline

    return MutatedPipeline(pipeline, mutants.find_mutant(pipeline.settings.mutant)).respond


class Mock(Starlette):
    """The mock as a Starlette application: requests that no added route takes go to the gateway.

    Where nothing was added, requests go to the gateway at once: Starlette's middleware and list of routes would cost a
    third of the throughput.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.pipeline, self.gateway = pipeline, Gateway(pipeline)
        self.router.default = self.gateway

    @property
    def contract(self) -> Contract:
        """The contract that is served."""
        return self.pipeline.contract

    @property
    def sessions(self) -> Sessions:
        """The state of every session."""
        return self.pipeline.sessions

    @property
    def eager(self) -> bool:
        """Whether our server may run the application without a task: most answers wait for nothing."""
        return not (self.user_middleware or self.router.routes or self.exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or run the lifespan."""
        if scope["type"] == "http" and not (self.user_middleware or self.router.routes or self.exception_handlers):
            connection = scope.get("extensions", _NO_EXTENSIONS).get(CONNECTION)
            await self.gateway.answer(scope, receive, send, connection.body if connection else None)
        else:
            await super().__call__(scope, receive, send)


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

        mutants.find_mutant(config.mutant)
    contract = load_contract([document_path(name) for name in DOCUMENTS], config.overlays)
    contract = contract if config.control else contract.exclude_protocol("control")
    sessions = Sessions(config, ModelCatalogue.load())
    pipeline = Pipeline(contract, sessions, checked(HANDLERS, contract), config, _load_replay(config, contract))
    if config.control:
        pipeline.handlers = {**pipeline.handlers, **checked(control.make_handlers(pipeline), contract)}
        pipeline.explanations = control.build_explanations(pipeline)
    return Mock(pipeline)


def _load_replay(settings: Settings, contract: Contract) -> Replay | None:
    """Return the cassette that the server replays. Raises ConfigError."""
    if settings.replay is None:
        return None
    # most servers replay nothing, and need not load what reads and redacts cassettes
    from aione_mock.server.replay import Replay

    return Replay(
        settings.replay,
        contract,
        only=settings.replay_only,
        timing=settings.replay_timing,
        cycle=settings.replay_cycle,
        scale=settings.time_scale,
    )


def checked(handlers: Mapping[str, Handler], contract: Contract) -> dict[str, Handler]:
    """Return the handlers by operation. Raise ContractError for one whose operation the contract does not have."""
    for name in handlers:
        if name not in contract.operations:
            raise ContractError(f"handler for unknown operation '{name}'{did_you_mean(name, contract.operations)}")
    return dict(handlers)
