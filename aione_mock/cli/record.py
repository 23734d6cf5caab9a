"""`aione-mock proxy` and `record`: a proxy in the foreground that prints a line for every exchange."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from aione_mock.cli import banner, terminal
from aione_mock.cli.serve import check_access
from aione_mock.cli.setting_options import add_setting_options, read_settings
from aione_mock.clock import SYSTEM_CLOCK, format_instant
from aione_mock.recorder.cassette import CassetteWriter
from aione_mock.recorder.proxy import Recorder
from aione_mock.recorder.upstream import check_prefix, check_url
from aione_mock.server.http import UvicornServer, bind_socket, create_uvicorn_config
from aione_mock.server.origin import is_loopback
from aione_mock.settings import Settings
from aione_mock.text.credentials import configure_logs

_SETTINGS = (
    "host",
    "port",
    "scenarios",
    "pace",
    "time_scale",
    "seed",
    "overlays",
    "extensions",
    "control",
    "control_token",
    "allowed_hosts",
    "ui",
    "journal_entries",
    "journal_bytes",
    "journals_total",
    "max_sessions",
    "config",
    "log_level",
)
"""Settings of the mock that mean something in front of a gateway."""
_Upstream = Annotated[str, typer.Option(metavar="URL", help="Base URL of the gateway to forward to.")]
_Redact = Annotated[bool, typer.Option("--redact", help="Replace texts by placeholder words in the cassette, too.")]


@partial(add_setting_options, only=_SETTINGS)
def run_proxy(
    context: typer.Context,
    upstream: _Upstream,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A cassette to record into; it must not exist yet.")
    ] = None,
    redact: _Redact = False,
) -> None:
    """Forward requests to a gateway until Ctrl-C, with the errors, delays and faults that rules ask for.

    Rules (--scenarios), the header X-Mock-Scenario, paces, the control API and the page work as in `serve`. Nothing is
    recorded without --out.
    """
    _forward_traffic(context.params, upstream, out, redact=redact)


@partial(add_setting_options, only=_SETTINGS)
def record_traffic(
    context: typer.Context,
    upstream: _Upstream,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The cassette to write; it must not exist yet.")],
    redact: _Redact = False,
) -> None:
    """Forward requests to a gateway, and record requests and answers until Ctrl-C.

    It is `proxy` with a cassette. A cassette holds what the gateway answered; what a rule did to it is marked.
    """
    _forward_traffic(context.params, upstream, out, redact=redact)


def _forward_traffic(options: Mapping[str, Any], upstream: str, out: Path | None, *, redact: bool) -> None:
    base = check_url(upstream)
    config = check_access(_choose_control(read_settings(options, find_file=False)))
    configure_logs(config.log_level)
    with bind_socket(config.host, config.port) as listener:
        from aione_mock.server.proxy import create_scenario_proxy

        interceptor = create_scenario_proxy(config)
        contract = interceptor.contract
        check_prefix(base, contract)
        writer = None
        if out is not None:
            writer = CassetteWriter.create(out, base, redacted=redact, started=format_instant(SYSTEM_CLOCK.now()))
        recorder = Recorder(contract, base, writer, interceptor=interceptor, redact=redact, report=_report_line)
        url = banner.format_base_url(config.host, listener.getsockname()[1])
        uvicorn_config = create_uvicorn_config(recorder, log_level=config.log_level, log_config=None)
        UvicornServer(uvicorn_config, lambda: _print_banner(url, base, out, config)).run(sockets=[listener])


def _choose_control(config: Settings) -> Settings:
    """Return the settings without a control API that other machines reach, unless somebody has asked for it."""
    asked = config.control_token is not None or config.get_origin("control") != "default"
    return config if asked or is_loopback(config.host) else config.model_copy(update={"control": False})


def _report_line(line: str) -> None:
    """Print a line. A closed pipe or a full disk behind the output must not keep answers from clients."""
    with suppress(OSError):
        typer.echo(line)


def _print_banner(url: str, upstream: str, out: Path | None, config: Settings) -> None:
    what = f"Forwarding {upstream} at {url}" if out is None else f"Recording {upstream} at {url} into {out}"
    terminal.print_heading(what)
    # who has read the first line may close the output
    _report_line("Give your client this base URL in place of the gateway's, with the same path and key. Ctrl-C stops.")
    if config.control:
        page = f", and the page {url}/_mock/ui" if config.ui else ""
        _report_line(f"Rules, scenarios and the journal: {url}/_mock{page}.")
