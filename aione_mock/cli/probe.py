"""`aione-mock probe -- COMMAND`: a program put through faults and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aione_mock.testing import MockSession
    from aione_mock.testing.resilience import Report, Rules, Run

_LEISURE = 60.0
"""Seconds that a trial may take beside the client's patience."""


def probe(
    command: Annotated[
        list[str], typer.Argument(help="The program and its arguments, after `--`.", show_default=False)
    ],
    only: Annotated[
        list[str] | None, typer.Option(metavar="VERDICT", help="Only this verdict, such as hangs; repeatable.")
    ] = None,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="Within which it must give up on a gateway that is silent.")
    ] = 10.0,
    attempts: Annotated[int, typer.Option(help="How often it may send the same request.")] = 5,
) -> int:
    """Run COMMAND against a mock under one fault after the other, and say what its client does wrong.

    It finds the mock by the environment: OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL, GOOGLE_GEMINI_BASE_URL,
    AIONE_BASE_URL and so on. Exit code 0 of COMMAND means that it is content, its standard output is its answer.
    """
    from aione_mock.errors import ConfigError

    if patience <= 0 or attempts < 1:
        raise ConfigError("--patience is a number of seconds above 0, --attempts at least 1")
    report = _examined(command, only or [], patience, attempts)
    typer.echo(str(report))
    return 1 if report.failed else 0


def _examined(command: list[str], only: list[str], patience: float, attempts: int) -> Report:
    from aione_mock.testing import start
    from aione_mock.testing.resilience import Setting, examine
    from aione_mock.testing.resilience.assertion import fresh_key

    with start(auth="any") as server, server.session("probe", api_key=fresh_key(server.url)) as mock:
        usual: list[float] = []

        def run(rules: Rules) -> Run:
            done = _ran(mock, command, rules, patience + (usual[0] if rules else 0.0))
            usual.append(done.seconds)
            return done

        return examine(run, Setting(patience, attempts, mock.api_key), only)


def _ran(mock: MockSession, command: list[str], rules: Rules, limit: float) -> Run:
    """What the program does when these rules are in force; `limit` are the seconds that silence may take it."""
    import subprocess

    from aione_mock.clock import SYSTEM_CLOCK
    from aione_mock.errors import ConfigError
    from aione_mock.settings import build_environment
    from aione_mock.testing.environment import STRAY
    from aione_mock.testing.resilience import Run
    from aione_mock.testing.resilience.assertion import waits

    mock.reset()
    mock.run()
    mock.set_rules(rules)
    began = SYSTEM_CLOCK.timestamp()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=build_environment(mock.env(), without=STRAY),
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise ConfigError(f"cannot run {command[0]}: {error.strerror or error}") from None
    try:
        output, complaints = process.communicate(timeout=limit if waits(rules) else limit + _LEISURE)
        late = False
    except subprocess.TimeoutExpired:
        process.kill()
        output, complaints = process.communicate()
        late = True
    return Run(
        tuple(mock.calls),
        output,
        None if process.returncode == 0 or late else _ending(process.returncode, complaints),
        late,
        SYSTEM_CLOCK.timestamp() - began,
        f"{output}\n{complaints}",
    )


def _ending(code: int, complaints: str) -> str:
    last = next((line.strip() for line in reversed(complaints.splitlines()) if line.strip()), "")
    return f"exit code {code}{': ' + last[:200] if last else ''}"
