"""`aione-mock record`: a proxy in the foreground that prints a line for every exchange."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from aione_mock.cli import banner, terminal
from aione_mock.cli.contract import Overlays, load_bundled_contract
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.recorder.cassette import CassetteWriter
from aione_mock.recorder.proxy import Recorder
from aione_mock.recorder.upstream import check_url
from aione_mock.server.http import UvicornServer, bind_socket, create_uvicorn_config


def record_traffic(
    upstream: Annotated[str, typer.Option(metavar="URL", help="Base URL of the gateway to record.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The cassette to write; it must not exist yet.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8000,
    redact: Annotated[bool, typer.Option("--redact", help="Replace texts by placeholder words, too.")] = False,
    overlay: Overlays = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        typer.Option(help="The lowest level of log messages on standard error."),
    ] = "warning",
) -> None:
    """Forward requests to a gateway, and record requests and answers until Ctrl-C."""
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    base = check_url(upstream)
    with bind_socket(host, port) as listener:
        contract = load_bundled_contract(overlay)
        writer = CassetteWriter.create(out, base, redacted=redact, started=format_instant(SYSTEM_CLOCK.now()))
        recorder = Recorder(contract, base, writer, redact=redact, report=typer.echo)
        url = banner.format_base_url(host, listener.getsockname()[1])
        config = create_uvicorn_config(recorder, log_level=log_level, log_config=None)
        try:
            UvicornServer(config, lambda: _print_banner(url, base, out)).run(sockets=[listener])
        finally:
            # on Ctrl-C too
            wrong = f", {recorder.violating} of them with something wrong" if recorder.violating else ""
            typer.echo(f"{recorder.count} exchange{'' if recorder.count == 1 else 's'} in {out}{wrong}")


def _print_banner(url: str, upstream: str, out: Path) -> None:
    terminal.print_heading(f"Recording {upstream} at {url} into {out}")
    typer.echo("Give your client this base URL in place of the gateway's, with the same path and key. Ctrl-C stops.")
