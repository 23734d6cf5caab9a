"""`aione-mock check` and `aione-mock diff`: how far a gateway keeps the contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from aione_mock.checker import CheckOptions, Target
from aione_mock.checker.options import Flag, parse_flags, read_flags
from aione_mock.cli import terminal
from aione_mock.errors import ConfigError

if TYPE_CHECKING:
    from aione_mock.checker.report import CheckReport

Command = TypeVar("Command", bound=Callable[..., None])
_MAX_REASONS = 12
"""Reasons for not checking that are printed; report files have all."""
_MAX_LAWS = 4
"""Laws that are printed for a reason."""


def _with_flags(*classes: type, without: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Add an option for each flag of some dataclasses to a command, which gets the values as `**given`."""

    def add_flags(command: Command) -> Command:
        flags = [flag for cls in classes for flag in read_flags(cls) if flag.name not in without]
        parameters = inspect.signature(command, eval_str=True).parameters.values()
        arguments = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        options = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters if p.default is not p.empty]
        signature = inspect.Signature([*arguments, *map(_build_parameter, flags), *options])
        command.__signature__ = signature  # type: ignore[attr-defined]
        return command

    return add_flags


def _build_parameter(flag: Flag) -> inspect.Parameter:
    kind: Any = list[str] if flag.is_repeatable else Literal[flag.choices] if flag.choices else str
    is_switch = isinstance(flag.default, bool)
    option = typer.Option(f"--{flag.name.replace('_', '-')}", metavar=flag.metavar or None, help=flag.help)
    return inspect.Parameter(
        flag.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if is_switch else None,
        annotation=Annotated[bool if is_switch else kind | None, option],
    )


@_with_flags(Target, CheckOptions)
def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where /v1 and /api begin.")],
    baseline: Annotated[Path | None, typer.Option(metavar="FILE", help="Known findings, which do not count.")] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write the findings of this run to the baseline.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as one HTML page.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as JSON.")] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as SARIF.")] = None,
    **given: Any,
) -> None:
    """Check a gateway against the contract. Exit code 0: kept; 1: findings; 2: could not check.

    Without --allow-writes it only reads, and calls models within the budget. Credentials come from options or from the
    environment variables that `aione-mock keys --format env` prints, and are never shown.
    """
    from aione_mock.checker import prepare
    from aione_mock.checker.progress import ProgressDisplay
    from aione_mock.checker.report import build_report
    from aione_mock.checker.signals import interrupt_on_terminate

    if update_baseline and baseline is None:
        raise ConfigError("--update-baseline needs --baseline FILE to write to")
    target = Target.from_environment(url, **parse_flags(Target, given))
    known = _load_baseline(baseline, update_baseline)
    options = CheckOptions(**parse_flags(CheckOptions, given))
    run = prepare(target, options)
    try:
        with interrupt_on_terminate():
            ProgressDisplay(lambda text: typer.echo(text, err=True), live=terminal.is_interactive()).watch(run)
    finally:
        report = build_report(run, fail_on=options.fail_on, baseline=known)
        _write_reports(report, {"junit": junit, "html": html, "json": json, "sarif": sarif})
    if baseline and update_baseline:
        from aione_mock.checker.baseline import save_baseline

        save_baseline(baseline, report)
    _print_report(report)
    raise typer.Exit(report.exit_code)


def _load_baseline(path: Path | None, update: bool) -> frozenset[str]:
    if path is None or (update and not path.exists()):
        return frozenset()
    from aione_mock.checker.baseline import load_baseline

    return load_baseline(path)


def _write_reports(report: CheckReport, paths: Mapping[str, Path | None]) -> None:
    for name, path in paths.items():
        if path is not None:
            from aione_mock.checker.reports import RENDERERS, write_file

            write_file(path, RENDERERS[name](report))


@_with_flags(Target, CheckOptions, without=("fail_on",))
def diff(
    url_a: Annotated[str, typer.Argument(metavar="URL_A", help="One gateway.")],
    url_b: Annotated[str, typer.Argument(metavar="URL_B", help="The other one, with the same credentials.")],
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comparison as JSON.")] = None,
    **given: Any,
) -> None:
    """Compare two gateways: what both keep, what only one keeps, and where their answers have different shapes.

    Credentials are given as for `check`, for both gateways; a variable with the suffix _B, such as $AIONE_API_KEY_B, is
    for the second alone. Exit code 0: alike; 1: they differ; 2: one could not be checked.
    """
    from aione_mock.checker.comparison import compare_targets
    from aione_mock.checker.reports import write_file
    from aione_mock.checker.signals import interrupt_on_terminate

    fields = parse_flags(Target, given)
    first = Target.from_environment(url_a, suffix="", **fields)
    second = Target.from_environment(url_b, suffix="_B", **fields)
    options = CheckOptions(**parse_flags(CheckOptions, given))
    with interrupt_on_terminate():
        comparison = compare_targets(first, second, options)
    if json:
        write_file(json, comparison.render_json())
    for line in comparison.render_text():
        typer.echo(line)
    raise typer.Exit(comparison.exit_code)


def _print_report(report: CheckReport) -> None:
    typer.echo("")
    for finding in report.findings:
        times = f" ({finding.times})" if finding.times else ""
        name = finding.severity_name.upper()
        terminal.print_heading(f"{name} {finding.operation}: {finding.title} [{finding.law}]{times}")
        typer.echo(f"  expected  {finding.expected}")
        typer.echo(f"  seen      {finding.seen}")
        if finding.curl:
            typer.echo(f"  repeat    {finding.curl}")
        if finding.overlay:
            typer.echo("  overlay   " + "\n            ".join(finding.overlay.rstrip().splitlines()))
        typer.echo("")
    for reason, laws in report.unchecked[:_MAX_REASONS]:
        more = f" and {len(laws) - _MAX_LAWS} more" if len(laws) > _MAX_LAWS else ""
        typer.echo(f"Not checked: {reason} ({', '.join(laws[:_MAX_LAWS])}{more})")
    counts = report.counts
    typer.echo(
        f"{counts.operations} operations, {counts.laws} laws: {counts.kept} kept, "
        f"{counts.broken} broken, {counts.not_checked} not checked. "
        f"{counts.requests} requests ({counts.cases} generated), "
        f"{counts.paid_calls} paid calls, about {counts.spent_rmb} RMB, {counts.seconds} s."
    )
    for key in report.keys_left:
        typer.echo(f"Could not delete the key {key}.")
    if report.known_findings:
        typer.echo(f"{len(report.known_findings)} findings are in the baseline.")
    if report.fixed_fingerprints:
        typer.echo(f"{len(report.fixed_fingerprints)} findings of the baseline are fixed; remove them from it.")
    terminal.print_heading(report.verdict)
