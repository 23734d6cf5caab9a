"""`aione-mock canaries`: check that a gateway brings each answer back to who asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from aione_mock.cli import terminal
from aione_mock.cli.contract import Overlays, load_bundled_contract
from aione_mock.clock import LONGEST_WAIT
from aione_mock.errors import ConfigError

_STREAMS = {"both": (False, True), "plain": (False,), "streamed": (True,)}


def check_canaries(
    url: Annotated[str, typer.Option(metavar="URL", help="The gateway: where /v1 and /v1beta begin.")],
    upstream: Annotated[
        str, typer.Option(metavar="URL", help="The mock behind it, started with `serve --as-upstream`.")
    ] = "http://127.0.0.1:8000",
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="API key of the gateway; $AIONE_API_KEY if not given.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to ask; by default the first that is listed.")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="openai, anthropic or gemini; repeatable. By default all that are spoken."),
    ] = None,
    stream: Annotated[Literal["both", "plain", "streamed"], typer.Option(help="How answers are asked for.")] = "both",
    calls: Annotated[int, typer.Option(min=1, max=100_000, help="Number of questions.")] = 200,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="Questions under way at a time.")] = 16,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Longest time for an answer.")] = 60.0,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME: VALUE", help="A header for each request; repeatable.")
    ] = None,
    control_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", envvar="AIONE_MOCK_CONTROL_TOKEN", help="The mock's --control-token."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as JSON; - for the output.")
    ] = None,
    overlay: Overlays = None,
) -> int:
    """Ask marked questions through a gateway under load, and say what was lost, doubled, altered or crossed.

    Each question carries a mark, and the mock behind the gateway begins each answer with a canary. The mock's journal
    says for whom a canary was. Exit code 0: every answer came back as it was to who asked; 1: not so; 2: the gateway
    or the mock cannot be used.
    """
    from aione_mock.checker.canaries.run import CanaryOptions
    from aione_mock.checker.canaries.run import check_canaries as check
    from aione_mock.checker.progress import StatusLine
    from aione_mock.checker.target import Target, parse_header

    # Typer's own bounds let NaN through
    if not 0.1 <= timeout <= LONGEST_WAIT:
        raise ConfigError("--timeout must be a number of seconds from 0.1 to a year")
    target = Target.from_environment(url, key=key, headers=tuple(map(parse_header, header or ())))
    options = CanaryOptions(
        upstream, control_token, calls, concurrency, tuple(protocol or ()), _STREAMS[stream], model, timeout
    )
    line = StatusLine(lambda text: typer.echo(text, err=True), live=sys.stderr.isatty())
    contract = load_bundled_contract(overlay)
    with line.open():
        report = check(target, contract, options, lambda done, of: line.update(f"{done} of {of} questions answered"))
    text = terminal.format_json(report.describe())
    if json is not None and str(json) == "-":
        typer.echo(text)
        return int(report.failed)
    if json is not None:
        from aione_mock.checker.reports import write_file

        write_file(json, text)
    for each in report.list_lines():
        typer.echo(each)
    return int(report.failed)
