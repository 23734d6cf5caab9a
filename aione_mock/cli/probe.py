"""`aione-mock probe -- COMMAND`: run a program under faults and check what it does."""

from __future__ import annotations

from typing import Annotated

import typer

from aione_mock.clock import LONGEST_WAIT
from aione_mock.errors import ConfigError
from aione_mock.testing.resilience.program import check_program


def probe_program(
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND...", help="The program and its arguments, after `--`.", show_default=False),
    ],
    only: Annotated[
        list[str] | None, typer.Option(metavar="CHECK", help="Run only this check or group, such as hangs; repeatable.")
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="Run this group of checks as well: awkward; repeatable."),
    ] = None,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="The time in which it must give up on a silent gateway.")
    ] = 10.0,
    attempts: Annotated[int, typer.Option(help="How often it may send the same request.")] = 5,
) -> int:
    """Run COMMAND against a mock under one fault after the other, and report mistakes of its client.

    COMMAND finds the mock through the environment: OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL,
    GOOGLE_GEMINI_BASE_URL, AIONE_BASE_URL and so on. Its exit code is 0 if it succeeded; its standard output is the
    answer.
    """
    if not 0 < patience <= LONGEST_WAIT or attempts < 1:
        raise ConfigError("--patience must be a number of seconds above 0, at most a year, and --attempts at least 1")
    report = check_program(command, only or [], patience, attempts, include or [])
    typer.echo(str(report))
    return 1 if report.failed else 0
