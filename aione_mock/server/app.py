"""The Starlette application: contract, sessions, handlers and pipeline put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from aione_mock.asgi import CONNECTION, Connection, Disconnected
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError, ContractError, did_you_mean
from aione_mock.server import control, streaming
from aione_mock.server.handlers import HANDLERS, load_extension_handlers
from aione_mock.server.journal import Exchange
from aione_mock.server.observers import Observer, WatchedCall
from aione_mock.server.pipeline import Handler, Pipeline
from aione_mock.server.request import Request
from aione_mock.server.scenario_engine import ScenarioEngine
from aione_mock.server.sessions import Sessions
from aione_mock.server.state import MemoryState
from aione_mock.settings import DOCUMENTS, MEMORY, Settings, locate_document, locate_extensions
from aione_mock.tenant.world import World
from aione_mock.types import Headers, Response

if TYPE_CHECKING:
    from aione_mock.server.access_log import AccessLog
    from aione_mock.server.metrics import Metrics
    from aione_mock.server.replay import Replay

_NO_EXTENSIONS: Mapping[str, Any] = {}


class Gateway:
    """The gateway as an ASGI application. It finds its operations by the contract."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.respond: Callable[[Exchange], Awaitable[Response]] = _choose_mutant(pipeline) or pipeline.respond
        self.access_log: AccessLog | None = None
        self.observers: tuple[Observer, ...] = ()
        self.ended = False
        """Whether answers that are not sent to their end are cut by the server, not by their client."""
        self._timer_wheel = streaming.TimerWheel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Its body is received by ASGI, unless nothing stands between our server and the mock."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            return
        connection: Connection | None = scope.get("extensions", _NO_EXTENSIONS).get(CONNECTION)
        started, path = SYSTEM_CLOCK.timestamp(), scope.get("raw_path") or scope["path"].encode()
        mount_path = ""
        if root := scope.get("root_path"):
            mount_path, path = _split_path(path, root)
            if (
                root == self.pipeline.settings.root_path
                and not self.pipeline.contract.match(path.decode("latin-1")).operations
            ):
                # uvicorn adds the root path, which a proxy may not have removed
                path = path.removeprefix(root.encode()) if path.startswith(f"{root}/".encode()) else path
        client = scope.get("client")
        headers = tuple(scope["headers"])
        if headers and type(headers[0]) is not tuple:
            headers = tuple(map(tuple, headers))
        request = Request(
            scope["method"],
            path,
            scope["query_string"],
            headers,
            connection.body if connection is not None else None,
            client[0] if client else "127.0.0.1",
            receive,
            mount_path,
            scope,
        )
        exchange = Exchange(request, self.pipeline.sessions.default)
        exchange.started = started
        if request.method == "OPTIONS" and (preflight := self.pipeline.cors.answer_preflight(request)) is not None:
            await preflight(scope, receive, send)
            if self.access_log is not None and preflight.status_code >= 400:
                exchange.refusal = f"{bytes(preflight.body).decode()}; --cors allows other pages"
                self.access_log.add(exchange, preflight.status_code, sent=True)
            return
        response, sent = None, False
        observed = WatchedCall(self.observers, exchange, started) if self.observers else None
        try:
            response = await self.respond(exchange)
            if observed is not None:
                observed.start_answer(response)
            sent = streaming.write_response(response, connection, send)
            if not sent:
                note = None if observed is None else observed.note_first_byte
                sent = await streaming.send_response(
                    response, scope, connection, receive, send, self._timer_wheel, note
                )
        except Disconnected:
            return
        finally:
            exchange.duration_ms = max(0.0, (SYSTEM_CLOCK.timestamp() - started) * 1000)
            if observed is not None:
                observed.finish(sent=sent)
            self.pipeline.state.release(exchange)
            if self.access_log is not None:
                status = 0 if response is None else response.status
                self.access_log.add(exchange, status, sent=sent, server_ended=self.ended)


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
        super().__init__(lifespan=_run_lifespan)
        self.pipeline, self.gateway = pipeline, Gateway(pipeline)
        self.router.default = self.gateway

    def change_settings(self, settings: Settings, world: World, contract: Contract) -> None:
        """Serve other models, organisations, rules and overlays from the next request on.

        Sessions, limits and figures stay. Raises ContractError or ScenarioError, and then changes nothing.
        """
        old = self.pipeline
        pipeline = _create_pipeline(settings, contract, old.sessions, old.replay, old.state)
        pipeline.metrics = old.metrics
        old.sessions.change_world(world)
        self.pipeline, self.gateway.pipeline = pipeline, pipeline
        self.gateway.respond = _choose_mutant(pipeline) or pipeline.respond

    @property
    def contract(self) -> Contract:
        """The contract that is served."""
        return self.pipeline.contract

    @property
    def sessions(self) -> Sessions:
        """The state of every session."""
        return self.pipeline.sessions

    def render_refusal(self, path: str, status: int, message: str) -> tuple[Headers, bytes]:
        """Return headers and body for a request that HTTP refuses, in the envelope of its path."""
        return self.pipeline.errors.render_refusal(path.removeprefix(self.pipeline.settings.root_path), status, message)

    def set_draining(self, draining: bool) -> None:
        """Note whether the server shuts down. If so, end the streams of events, which last as long as their readers."""
        self.pipeline.draining, self.gateway.ended = draining, False
        if draining:
            self.pipeline.state.feed.close()

    def note_end(self) -> None:
        """Note that the server closes all connections, whatever is being sent."""
        self.gateway.ended = True

    @property
    def direct(self) -> ASGIApp | None:
        """What our server may run in place of the application, without a task: most answers wait for nothing."""
        added = self.user_middleware or self.router.routes or self.exception_handlers
        return None if added else self.gateway


@contextlib.asynccontextmanager
async def _run_lifespan(mock: Mock) -> AsyncIterator[None]:
    await mock.pipeline.state.check_store()  # which logs a store that is away
    yield
    for observer in mock.gateway.observers:
        await asyncio.to_thread(observer.flush)


def create_app(settings: Settings | None = None, /, **options: Any) -> Mock:
    """Create the mock as an ASGI application.

    Takes either `settings` or the members of `Settings` as keyword arguments: `create_app(seed="7")`.
    Raises ConfigError, ContractError or ScenarioError, each in one line that says what to fix, and TypeError for an
    option that does not exist.
    """
    if settings is not None and options:
        raise TypeError("create_app() takes either settings or options, not both")
    config = settings or Settings(**options)
    if config.mutant is not None:
        from aione_mock import mutants

        needed = mutants.find_mutant(config.mutant).extensions
        config = config.model_copy(update={"extensions": tuple(dict.fromkeys((*config.extensions, *needed)))})
    contract = load_served_contract(config)
    state, sessions = _create_state(config, contract)
    mock = Mock(_create_pipeline(config, contract, sessions, _load_replay(config, contract), state))
    if config.mcp:
        _serve_agents(mock)
    if config.log == "requests":
        from aione_mock.server.access_log import open_access_log

        mock.gateway.access_log = open_access_log(config.log_format)
    if config.metrics:
        _add_metrics(mock, _open_metrics(config))
    if config.otel:
        from aione_mock.server.tracing import open_tracing

        mock.gateway.observers += (open_tracing(config.scheme),)
    return mock


def _serve_agents(mock: Mock) -> None:
    """Serve the Model Context Protocol too. Raises ConfigError without its package."""
    check_mcp_package("--mcp")
    from aione_mock.server.mcp.endpoint import add_endpoint

    add_endpoint(mock)


def check_mcp_package(what: str) -> None:
    """Raise ConfigError if the package `mcp`, which `what` needs, is not installed."""
    if find_spec("mcp") is None:
        raise ConfigError(f"{what} needs the package mcp: pip install 'aione-mock[mcp]'")


def _create_state(config: Settings, contract: Contract) -> tuple[MemoryState, Sessions]:
    """Return the state of this process, or what it shares with others."""
    world = World.load(config)
    if config.store == MEMORY:
        return MemoryState(), Sessions(config, world)
    from aione_mock.server.shared_sessions import SharedSessions
    from aione_mock.server.shared_state import SharedState

    state: Any = SharedState(config, contract)
    return state, SharedSessions(config, world, state.store, state.read_time)


def _choose_pipeline(settings: Settings) -> type[Pipeline]:
    if settings.store == MEMORY:
        return Pipeline
    from aione_mock.server.shared_pipeline import SharedPipeline

    return SharedPipeline


def load_served_contract(settings: Settings) -> Contract:
    """Load the contract that a server with these settings serves. Raises ContractError or ConfigError."""
    overlays = (*locate_extensions(settings.extensions), *settings.overlays)
    contract = load_contract([locate_document(name) for name in DOCUMENTS], overlays)
    return contract if settings.control else contract.exclude_protocol("control")


def check_files(settings: Settings) -> None:
    """Read the files that settings name. Raises ContractError, ConfigError or ScenarioError, as `create_app` does."""
    World.load(settings)
    contract = load_served_contract(settings)
    ScenarioEngine(contract, settings)
    _load_replay(settings, contract)


def _create_pipeline(
    settings: Settings,
    contract: Contract,
    sessions: Sessions,
    replay: Replay | None,
    state: MemoryState | None = None,
) -> Pipeline:
    handlers = {**HANDLERS, **load_extension_handlers(settings.extensions)}
    pipeline = _choose_pipeline(settings)(
        contract, sessions, select_handlers(handlers, contract), settings, replay, state
    )
    if settings.control:
        pipeline.handlers = {**pipeline.handlers, **select_handlers(control.make_handlers(pipeline), contract)}
        pipeline.explanations = control.build_explanations(pipeline)
    return pipeline


def _open_metrics(settings: Settings) -> Metrics:
    """Return the metrics of a server. Raises ConfigError where nobody could read them."""
    from aione_mock.server.metrics import open_metrics

    if not settings.control:
        raise ConfigError("--metrics needs the control API, which serves them; remove --no-control")
    return open_metrics()


def _add_metrics(mock: Mock, metrics: Metrics) -> None:
    mock.pipeline.metrics = metrics
    mock.gateway.observers += (metrics,)
    if (scripts := getattr(mock.pipeline.state, "scripts", None)) is not None:
        scripts.observe = metrics.observe_store_trip


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


def select_handlers(handlers: Mapping[str, Handler], contract: Contract) -> dict[str, Handler]:
    """Return the handlers by operation, without those whose operation an overlay has removed.

    Raise ContractError for one whose operation the contract never had.
    """
    handlers = {name: handler for name, handler in handlers.items() if name not in contract.removed}
    for name in handlers:
        if name not in contract.operations:
            raise ContractError(f"handler for unknown operation '{name}'{did_you_mean(name, contract.operations)}")
    return handlers
