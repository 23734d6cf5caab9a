"""`aione-mock serve`: run the mock in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aione_mock.cli.banner import StartupBanner, format_base_url, print_banner
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import list_credentials

if TYPE_CHECKING:
    from aione_mock.server.app import Mock

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _option(field: str, name: str, metavar: str | None = None) -> Any:
    """Return the option of a setting. Without the option, the environment decides, and then the default."""
    info = Settings.model_fields[field]
    default = ("yes" if info.default else "no") if isinstance(info.default, bool) else info.default
    text = info.description if default in (None, ()) else f"{info.description} Default: {default}."
    return typer.Option(name, help=text, metavar=metavar, show_default=False)


def serve_mock(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8000,
    seed: Annotated[str | None, _option("seed", "--seed")] = None,
    now: Annotated[str | None, _option("now", "--now", "TIME")] = None,
    auth: Annotated[Literal["keys", "any"] | None, _option("auth", "--auth")] = None,
    overlays: Annotated[list[Path] | None, _option("overlays", "--overlay", "FILE")] = None,
    scenarios: Annotated[list[Path] | None, _option("scenarios", "--scenarios", "PATH")] = None,
    pace: Annotated[str | None, _option("pace", "--pace")] = None,
    flush: Annotated[Literal["joined", "each"] | None, _option("flush", "--flush")] = None,
    time_scale: Annotated[float | None, _option("time_scale", "--time-scale")] = None,
    control: Annotated[bool | None, _option("control", "--control/--no-control")] = None,
    control_token: Annotated[str | None, _option("control_token", "--control-token", "TOKEN")] = None,
    max_body: Annotated[int | None, _option("max_body", "--max-body", "BYTES")] = None,
    journal_entries: Annotated[int | None, _option("journal_entries", "--journal-entries")] = None,
    journal_bytes: Annotated[int | None, _option("journal_bytes", "--journal-bytes", "BYTES")] = None,
    max_sessions: Annotated[int | None, _option("max_sessions", "--max-sessions")] = None,
    cache: Annotated[bool | None, _option("cache", "--cache/--no-cache")] = None,
    mutant: Annotated[str | None, _option("mutant", "--mutant", "NAME")] = None,
    replay: Annotated[Path | None, _option("replay", "--replay", "FILE")] = None,
    replay_only: Annotated[bool | None, _option("replay_only", "--replay-only/--no-replay-only")] = None,
    replay_timing: Annotated[
        Literal["recorded", "none", "scale"] | None, _option("replay_timing", "--replay-timing")
    ] = None,
    replay_cycle: Annotated[bool | None, _option("replay_cycle", "--replay-cycle/--no-replay-cycle")] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        typer.Option(help="The lowest level of log messages on standard error."),
    ] = "warning",
) -> None:
    """Answer requests until Ctrl-C.

    Each option but the host, the port and the log level can also be set by an environment variable, such as
    AIONE_MOCK_TIME_SCALE for --time-scale.
    """
    given = {
        name: value
        for name, value in context.params.items()
        if name in Settings.model_fields and value is not None and value != []
    }
    _run(Settings(_name_option=_name_option, **given), host, port, log_level)


def _name_option(field: str) -> str:
    return "--overlay" if field == "overlays" else f"--{field.replace('_', '-')}"


def _run(config: Settings, host: str, port: int, log_level: str) -> None:
    import logging

    from aione_mock.server.http import UvicornServer, bind_socket, create_uvicorn_config, pause_gc, tune_gc

    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    # bind before the contract is loaded, so that a port in use is reported at once
    with bind_socket(host, port) as listener:
        with pause_gc():
            from aione_mock.server.app import create_app

            app = create_app(config)
            ready = _make_banner(app, config, host, listener.getsockname()[1])
            settings = create_uvicorn_config(app, log_level=log_level, log_config=None)
            tune_gc()
        UvicornServer(settings, lambda: print_banner(ready)).run(sockets=[listener])


def _make_banner(app: Mock, config: Settings, host: str, port: int) -> StartupBanner:
    session = app.sessions.get()
    speakers = [model.id for model in session.catalogue.models if model.supports_protocol("openai") and model.streaming]
    return StartupBanner(
        url=format_base_url(host, port),
        seed=config.seed,
        key=next(credential.secret for credential in list_credentials() if credential.kind == "key"),
        model=speakers[0],
        chat=app.contract.operations["createChatCompletion"].path,
        control=config.control,
        exposed=config.control and config.control_token is None and host not in _LOOPBACK,
    )
