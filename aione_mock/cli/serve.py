"""`aione-mock serve`: run the mock in the foreground."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from aione_mock.cli.banner import StartupBanner, format_base_url, print_banner
from aione_mock.cli.setting_options import add_setting_options, name_option, name_source, read_settings
from aione_mock.errors import ConfigError
from aione_mock.settings import MEMORY, Settings, find_cache_folder, list_unknown_variables

if TYPE_CHECKING:
    import uvicorn

    from aione_mock.server.app import Mock
    from aione_mock.server.http import UvicornServer
    from aione_mock.server.reload import FileWatcher
    from aione_mock.server.workers import Worker

_TASKS: set[asyncio.Task[None]] = set()
"""Tasks of the event loop, which itself keeps no reference to them."""
_EXCLUSIVE = (
    ("uds", "port"),
    ("uds", "host"),
    ("uds", "tls_cert"),
    ("uds", "tls_self_signed"),
    ("tls_cert", "tls_self_signed"),
)
"""Settings of which only one may be set."""
_LOADED_MODULES = (
    "aione_mock.server.app",
    "aione_mock.server.reload",
    "aione_mock.server.shared_pipeline",
    "aione_mock.server.shared_sessions",
    "redis.asyncio",
)
"""What every worker needs."""


@add_setting_options
def serve_mock(context: typer.Context) -> None:
    """Answer requests until Ctrl-C.

    Each option is also a member of the configuration file, and an environment variable such as AIONE_MOCK_TIME_SCALE
    for --time-scale. The file `aione-mock.yaml` or `aione-mock.toml` of the working directory is used without
    --config. Options override variables, and variables override the file.
    """
    _run(lambda: _choose_log(_check_workers(_check_network(check_access(read_settings(context.params))))))


def _choose_log(config: Settings) -> Settings:
    """Return the settings with requests logged or not."""
    log = {True: "requests", False: "off"}[sys.stderr.isatty()] if config.log == "auto" else config.log
    return config.model_copy(update={"log": log})


def check_access(config: Settings) -> Settings:
    """Return the settings with the names by which the host is called.

    Raise ConfigError if other machines could control the mock without a token and nobody has said so.
    """
    from aione_mock.server.origin import ANY_HOST, is_loopback

    host, local = config.host, is_loopback(config.host)
    if host.strip() and config.control is True and config.control_token is None and not local:
        remedy = "add --control-token TOKEN, --no-control or, to let them, --control open"
        raise ConfigError(f"--host {host} would let other machines control the mock; {remedy}")
    names = config.allowed_hosts or (() if local else (ANY_HOST,))
    return config.model_copy(update={"allowed_hosts": (*names, host.lower())})


def _check_network(config: Settings) -> Settings:
    """Return the settings. Raise ConfigError for those that do not go together."""
    if bool(config.tls_cert) != bool(config.tls_key):
        given, missing = ("tls_cert", "tls_key") if config.tls_cert else ("tls_key", "tls_cert")
        raise ConfigError(f"{name_source(config, given)} needs {name_option(missing)} too")
    for pair in _EXCLUSIVE:
        if all(_is_set(config, name) for name in pair):
            names = " and ".join([name_source(config, name) for name in pair])
            raise ConfigError(f"{names} exclude each other; remove one")
    return config


def _check_workers(config: Settings) -> Settings:
    """Return the settings. Raise ConfigError if several processes would each have a state of their own."""
    if config.worker_count > 1 and config.store == MEMORY:
        example = "--store redis://127.0.0.1:6379/0"
        reason = f"{config.worker_count} workers need a store that they share; add {example}"
        raise ConfigError(f"{name_source(config, 'workers')}: {reason}")
    return config


def _is_set(config: Settings, name: str) -> bool:
    value = getattr(config, name)
    return value != Settings.model_fields[name].default or (
        value is not False and config.get_origin(name) == name_option(name)
    )


def _check_store(config: Settings) -> None:
    """Raise ConfigError for a store that cannot be used."""
    if config.store != MEMORY:
        from aione_mock.store.redis import check_server, read_seed

        source = name_source(config, "store")
        check_server(config.store, config.store_timeout, source)
        held = read_seed(config.store, config.store_prefix, config.store_timeout, source)
        if held not in (None, config.seed):
            remedy = "use that seed, another --store-prefix, or `aione-mock store clear`"
            origin = name_source(config, "seed").replace("default", "--seed")
            raise ConfigError(f"{origin} {config.seed}: the store holds a mock of seed {held}; {remedy}")


def _run(read: Callable[[], Settings]) -> None:
    from aione_mock.server.http import UvicornServer, pause_gc
    from aione_mock.text.credentials import configure_logs

    for mistake in list_unknown_variables():
        typer.echo(f"aione-mock: {mistake}", err=True)
    with pause_gc():
        config = read()
    configure_logs(config.log_level)
    _check_store(config)
    # bind before the contract is loaded, so that a port in use is reported at once
    with ExitStack() as ending:
        listeners = _listen(config, ending)
        address = _Address.of(config, listeners[0])
        service = _Service(config, read, listeners, address, _serve_tls(config, address, ending))
        if config.worker_count > 1:
            if config.metrics:
                from aione_mock.server.shared_metrics import share_metrics

                ending.enter_context(share_metrics())
            service.supervise(config.worker_count, ending.close)
        else:
            service.serve(UvicornServer, print_banner, ending)


@dataclass(slots=True)
class _Service:
    """What a process needs to serve."""

    config: Settings
    read: Callable[[], Settings]
    listeners: Sequence[socket.socket]
    address: _Address
    tls: Mapping[str, Any]
    """uvicorn's options for HTTPS."""

    def serve(
        self,
        make_server: Callable[[uvicorn.Config, Callable[[], None], float, Callable[[], None]], UvicornServer],
        on_ready: Callable[[StartupBanner], None],
        ending: ExitStack,
    ) -> None:
        """Answer requests until a signal comes. `on_ready` gets the banner."""
        from aione_mock.server.http import create_uvicorn_config, pause_gc, tune_gc

        config = self.config
        with pause_gc():
            from aione_mock.server.app import create_app
            from aione_mock.server.reload import FileWatcher

            app = create_app(config)
            banner = _make_banner(app, config, self.address)
            options = {"root_path": config.root_path, "log_level": config.log_level, "log_config": None, **self.tls}
            settings = create_uvicorn_config(app, config.request_timeout, **options)
            if app.gateway.access_log is not None:
                ending.callback(app.gateway.access_log.close)
            tune_gc()

        def announce() -> None:
            # before anybody knows that changes of files take effect
            watcher = FileWatcher(app, self.read)
            on_ready(banner)
            _watch(watcher)

        make_server(settings, announce, config.drain, ending.close).run(sockets=list(self.listeners))

    def serve_as_worker(self, worker: Worker) -> None:
        """Answer requests in one of several processes, until the parent ends it."""
        from aione_mock.server.reload import keep_fixed
        from aione_mock.server.scenario_engine import FILES_LOG
        from aione_mock.server.workers import WorkerServer

        # all workers find the same mistakes in files
        logging.getLogger(FILES_LOG).disabled = worker.number > 1
        self.config = keep_fixed(self.read(), self.config)
        own = self.listeners[worker.number % len(self.listeners)]
        for listener in self.listeners:
            if listener is not own:
                listener.close()
        self.listeners = [own]
        with ExitStack() as ending:
            self.serve(partial(WorkerServer, worker), worker.announce, ending)

    def supervise(self, count: int, on_end: Callable[[], None]) -> None:
        """Have several processes answer requests until a signal comes."""
        from aione_mock.server.workers import Supervisor

        # what the parent has loaded, no worker has to load
        for name in _LOADED_MODULES:
            with suppress(ImportError):  # a worker says what to install
                import_module(name)
        gc.freeze()
        supervisor = Supervisor(
            count,
            self.serve_as_worker,
            self.listeners,
            on_ready=print_banner,
            on_reload=self._reload,
            on_end=on_end,
            drain=self.config.drain,
        )
        supervisor.run()

    def _reload(self) -> None:
        self.config = self.read()


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a server is reached."""

    url: str
    uds: Path | None
    ca_file: Path | None
    """What clients have to trust."""

    @classmethod
    def of(cls, config: Settings, listener: socket.socket) -> _Address:
        if config.uds:
            return cls(f"http://localhost{config.root_path}", config.uds, None)
        port = listener.getsockname()[1]
        ca_file = find_cache_folder() / f"ca-{port}.pem" if config.tls_self_signed else None
        return cls(format_base_url(config.host, port, config.scheme) + config.root_path, None, ca_file)


def _listen(config: Settings, ending: ExitStack) -> Sequence[socket.socket]:
    """Return the sockets that listen: one, or one for each worker."""
    from aione_mock.server.http import bind_sockets, bind_unix_socket

    if config.uds is None:
        listeners = bind_sockets(config.host, config.port, config.worker_count)
    else:
        listeners = [bind_unix_socket(config.uds)]
        ending.callback(config.uds.unlink, missing_ok=True)
    for listener in listeners:
        ending.callback(listener.close)
    return listeners


def _serve_tls(config: Settings, address: _Address, ending: ExitStack) -> dict[str, Any]:
    """Return uvicorn's options for HTTPS, if it is served."""
    if config.scheme == "http":
        return {}
    from aione_mock.server.tls import create_self_signed, load_certificate

    if address.ca_file:
        names = [config.host.partition("%")[0], *config.allowed_hosts]
        context = create_self_signed([name for name in names if name != "*"], address.ca_file)
        ending.callback(address.ca_file.unlink, missing_ok=True)
    else:
        assert config.tls_cert
        assert config.tls_key
        context = load_certificate(config.tls_cert, config.tls_key)
    return {"ssl_context_factory": lambda *_: context}


def _watch(watcher: FileWatcher) -> None:
    """Start to watch the files behind the mock."""
    task = asyncio.get_running_loop().create_task(watcher.run())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


def _make_banner(app: Mock, config: Settings, address: _Address) -> StartupBanner:
    session = app.sessions.get()
    chat = app.contract.operations.get("createChatCompletion")
    speakers = [model.id for model in session.catalogue.models if model.supports_protocol("openai") and model.streaming]
    return StartupBanner(
        url=address.url,
        seed=config.seed,
        key=session.tenants.demo_key,
        model=(speakers or ["any-model"])[0],
        chat=chat.path if chat else None,
        control=bool(config.control),
        exposed=config.control == "open" and config.control_token is None,
        uds=str(address.uds or ""),
        ca_file=str(address.ca_file or ""),
        workers=config.worker_count,
        store="" if config.store == MEMORY else _name_store(config),
    )


def _name_store(config: Settings) -> str:
    from aione_mock.store.redis import name_store

    return f"{name_store(config.store)} (prefix {config.store_prefix})"
