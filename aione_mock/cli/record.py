"""`aione-mock record`: a proxy in the foreground, with a line for every exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from aione_mock.cli import banner, terminal


def record(
    upstream: Annotated[str, typer.Option(metavar="URL", help="Base URL of the gateway to record.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The cassette to write; it must not be there yet.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8000,
    redact: Annotated[
        bool, typer.Option("--redact", help="Keep no contents either: placeholder words take their place.")
    ] = False,
    overlay: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An OpenAPI Overlay that changes the contract; repeatable."),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], typer.Option(help="What the log on stderr holds.")
    ] = "warning",
) -> None:
    """Pass requests on to a gateway, and keep what is asked and answered until Ctrl-C."""
    import logging

    from aione_mock.cli.cassette import contract
    from aione_mock.clock import SYSTEM_CLOCK, format_instant
    from aione_mock.recorder.cassette import Recording
    from aione_mock.recorder.proxy import Recorder
    from aione_mock.recorder.upstream import checked
    from aione_mock.server.http import UvicornServer, bind_socket, create_uvicorn_config

    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    base = checked(upstream)
    with bind_socket(host, port) as listener:
        measure = contract(overlay)
        recording = Recording.create(out, base, redacted=redact, started=format_instant(SYSTEM_CLOCK.now()))
        recorder = Recorder(measure, base, recording, redact=redact, tell=typer.echo)
        url = banner.base_url(host, listener.getsockname()[1])
        settings = create_uvicorn_config(recorder, log_level=log_level, log_config=None)
        try:
            UvicornServer(settings, lambda: _welcome(url, base, out)).run(sockets=[listener])
        finally:
            # Ctrl-C comes through here too
            wrong = f", {recorder.wrong} of them with something wrong" if recorder.wrong else ""
            typer.echo(f"{recorder.count} exchange{'' if recorder.count == 1 else 's'} in {out}{wrong}")


def _welcome(url: str, upstream: str, out: Path) -> None:
    terminal.heading(f"Recording {upstream} at {url} into {out}")
    typer.echo("Give your client this base URL in place of the gateway's, with the same path and key. Ctrl-C ends.")
