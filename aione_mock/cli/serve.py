"""`aione-mock serve`: a server in the foreground, and what to paste to use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aione_mock.cli import banner
from aione_mock.errors import ConfigError
from aione_mock.tenant.organisation_file import list_credentials

if TYPE_CHECKING:
    from aione_mock.server.app import Mock
    from aione_mock.settings import Settings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8000,
    seed: Annotated[str, typer.Option(help="A number or a word; another seed gives other names and words.")] = "0",
    now: Annotated[
        str | None, typer.Option(metavar="TIME", help="ISO 8601 time at which the clock stands still.")
    ] = None,
    auth: Annotated[
        Literal["keys", "any"], typer.Option(help="`any` takes every non-empty API key as the demo key.")
    ] = "keys",
    overlay: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An OpenAPI Overlay that changes the contract; repeatable."),
    ] = None,
    scenarios: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="A scenario file or a folder of them, watched for changes; repeatable."),
    ] = None,
    pace: Annotated[
        str, typer.Option(help="How fast answers come: instant, realistic, or 'pace; ttft=0.5; tps=20'.")
    ] = "instant",
    flush: Annotated[
        Literal["joined", "each"],
        typer.Option(help="Whether events that are due at once share a write, or have one each."),
    ] = "joined",
    time_scale: Annotated[float, typer.Option(help="Divides every delay; 10 is ten times as fast.")] = 1.0,
    control: Annotated[bool, typer.Option("--control/--no-control", help="Whether /_mock/ is served.")] = True,
    control_token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Bearer token that /_mock/ then asks for.")
    ] = None,
    mutant: Annotated[
        str | None, typer.Option(metavar="NAME", help="A deliberately wrong variant; `aione-mock mutants` lists them.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A cassette that answers before the mock does.")
    ] = None,
    replay_only: Annotated[
        bool, typer.Option("--replay-only", help="404 for what was never recorded, naming the nearest recording.")
    ] = False,
    replay_timing: Annotated[
        Literal["recorded", "none", "scale"],
        typer.Option(help="When recorded answers come: as recorded, at once, or divided by --time-scale."),
    ] = "recorded",
    replay_cycle: Annotated[
        bool, typer.Option("--replay-cycle", help="After the last recording of a request, the first again.")
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], typer.Option(help="What the log on stderr holds.")
    ] = "warning",
) -> None:
    """Answer requests until Ctrl-C."""
    from aione_mock.clock import parse_instant
    from aione_mock.settings import Settings

    config = Settings(
        seed=seed,
        now=parse_instant(now) if now else None,
        auth=auth,
        overlays=tuple(overlay or ()),
        scenarios=tuple(scenarios or ()),
        pace=pace,
        flush=flush,
        time_scale=_positive(time_scale, "--time-scale"),
        control=control,
        control_token=control_token,
        mutant=mutant,
        replay=replay,
        replay_only=_with_replay(replay_only, replay),
        replay_timing=replay_timing,
        replay_cycle=replay_cycle,
    )
    _run(config, host, port, log_level)


def _run(config: Settings, host: str, port: int, log_level: str) -> None:
    import logging

    from aione_mock.cli.process import Foreground
    from aione_mock.server.http import bind, configure, steady, unswept

    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    # before the contract is read: a port in use should be said at once
    with bind(host, port) as listener:
        with unswept():
            from aione_mock.server.app import create_app

            app = create_app(config)
            welcome = _welcome(app, config, host, listener.getsockname()[1])
            settings = configure(app, log_level=log_level, log_config=None)
            steady()
        Foreground(settings, lambda: banner.show(welcome)).run(sockets=[listener])


def _welcome(app: Mock, config: Settings, host: str, port: int) -> banner.Welcome:
    session = app.sessions.get()
    speakers = [model.id for model in session.catalogue.models if model.supports_protocol("openai") and model.streaming]
    return banner.Welcome(
        url=banner.base_url(host, port),
        seed=config.seed,
        key=next(credential.secret for credential in list_credentials() if credential.kind == "key"),
        model=speakers[0],
        chat=app.contract.operations["createChatCompletion"].path,
        control=config.control,
        open=config.control and config.control_token is None and host not in _LOOPBACK,
    )


def _with_replay(wanted: bool, replay: Path | None) -> bool:
    if wanted and replay is None:
        raise ConfigError("--replay-only needs a cassette; add --replay FILE")
    return wanted


def _positive(value: float, option: str) -> float:
    if not 0 < value < float("inf"):
        raise ConfigError(f"{option} is a number above 0, not {value}")
    return value
