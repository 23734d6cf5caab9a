"""`aione-mock check` and `aione-mock diff`: how far a gateway keeps the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer

from aione_mock.checker import CheckOptions, Target
from aione_mock.checker.options import parse_flags
from aione_mock.cli import terminal
from aione_mock.cli.flag_options import with_flags
from aione_mock.errors import ConfigError
from aione_mock.structs import replace
from aione_mock.text.escaping import count_nouns

if TYPE_CHECKING:
    from aione_mock.checker.causes import Cause
    from aione_mock.checker.report import CheckReport
    from aione_mock.checker.run import CheckRun

_MAX_REASONS = 12
"""Reasons for not checking that are printed; report files have all."""
_MAX_OTHERS = 5
"""Further findings of a cause that are printed; report files have all."""
_MAX_LAWS = 4
"""Laws that are printed for a reason."""


@with_flags(Target, CheckOptions)
def check(
    url: Annotated[str | None, typer.Argument(metavar="URL", help="Where /v1 and /api begin.")] = None,
    list_names: Annotated[
        bool, typer.Option("--list", help="List the names for --only and --skip, and check nothing.")
    ] = False,
    format: Annotated[Literal["text", "json"], typer.Option(help="Format of the list.")] = "text",  # noqa: A002
    baseline: Annotated[Path | None, typer.Option(metavar="FILE", help="Known findings, which do not count.")] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Add the findings of this run to the baseline.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop findings from the baseline whose law was checked and is kept.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as one HTML page.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as JSON.")] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as SARIF.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a short report as Markdown.")] = None,
    sarif_location: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of your repository that SARIF points at; else an overlay, baseline or workflow."
        ),
    ] = None,
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

    if list_names:
        _print_names(given, format)
        return
    if url is None:
        raise ConfigError("give the URL of the gateway, such as http://127.0.0.1:8000")
    if (update_baseline or prune) and baseline is None:
        raise ConfigError("--update-baseline and --prune need --baseline FILE to write to")
    if sarif_location is not None:
        from aione_mock.checker.reports.sarif import check_location

        check_location(sarif_location)
    target = Target.from_environment(url, **parse_flags(Target, given))
    known = _load_baseline(baseline, update_baseline)
    options = CheckOptions(**parse_flags(CheckOptions, given))
    files = {"junit": junit, "html": html, "json": json, "sarif": sarif, "markdown": markdown}
    run = prepare(target, options)
    _check_files([*files.values(), baseline if update_baseline or prune else None])
    try:
        with interrupt_on_terminate():
            ProgressDisplay(partial(terminal.print_line, err=True), live=terminal.is_interactive()).watch(run)
    finally:
        report = build_report(
            run,
            fail_on=options.fail_on,
            baseline=known,
            coverage_min=options.coverage_min,
            require_checked=options.require_checked,
        )
        location = sarif_location or next(iter(options.overlays), baseline)
        try:
            _print_report(report, prune=prune)
        finally:
            _write_reports(replace(report, location=location), files)
    if baseline and (update_baseline or prune):
        from aione_mock.checker.baseline import update_baseline as write_baseline
        from aione_mock.checker.errors import INTERRUPTED

        count = write_baseline(baseline, known, report, add=update_baseline, prune=prune)
        if count is None:
            terminal.print_line(f"The baseline '{baseline}' was left as it is.")
        else:
            terminal.print_line(f"The baseline '{baseline}' has {count_nouns(count, 'finding')}.")
            if update_baseline and not report.shortfall and report.stopped != INTERRUPTED:
                raise typer.Exit
    raise typer.Exit(report.exit_code)


def _print_names(given: Mapping[str, Any], format: str) -> None:  # noqa: A002
    from aione_mock.checker.laws import LAWS, RULES
    from aione_mock.checker.plan import list_names
    from aione_mock.checker.run_setup import load_gateway_contract

    options = CheckOptions(**parse_flags(CheckOptions, given))
    names = list_names(load_gateway_contract(options.overlays, options.extensions), LAWS, RULES)
    if format == "json":
        rows = [{"kind": name.kind, "name": name.name, "sentence": name.sentence} for name in names]
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    width = max(len(str(name)) for name in names)
    for name in names:
        typer.echo(f"{name!s:{width}}  {name.sentence}")


def _check_files(paths: Iterable[Path | None]) -> None:
    """Find out whether files can be written, before the run costs anything."""
    for path in filter(None, paths):
        from aione_mock.checker.reports import check_writable

        check_writable(path)


def _load_baseline(path: Path | None, update: bool) -> frozenset[str]:
    if path is None or (update and not path.exists()):
        return frozenset()
    if not path.exists():
        raise ConfigError(f"cannot read the baseline '{path}': there is none; create it with --update-baseline")
    from aione_mock.checker.baseline import load_baseline

    return load_baseline(path)


def _write_reports(report: CheckReport, paths: Mapping[str, Path | None]) -> None:
    failures = []
    for name, path in paths.items():
        if path is not None:
            from aione_mock.checker.errors import CheckError
            from aione_mock.checker.reports import RENDERERS, write_file

            try:
                write_file(path, RENDERERS[name](report))
            except CheckError as error:
                # the run was paid for, so the other files are written all the same
                failures.append(error)
    if failures:
        raise failures[0]


@with_flags(Target, CheckOptions, without=("fail_on", "coverage_min", "require_checked"))
def diff(
    url_a: Annotated[str, typer.Argument(metavar="URL_A", help="One gateway.")],
    url_b: Annotated[str, typer.Argument(metavar="URL_B", help="The other one, with the same credentials.")],
    baseline: Annotated[Path | None, typer.Option(metavar="FILE", help="Known findings, which do not count.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comparison as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what only B breaks as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what only B breaks as HTML.")] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what only B breaks as SARIF.")] = None,
    **given: Any,
) -> None:
    """Compare two gateways: what both keep, what only one keeps, and where their answers have different shapes.

    Credentials are given as for `check`, for both gateways; a variable with the suffix _B, such as $AIONE_API_KEY_B, is
    for the second alone. Exit code 0: alike; 1: they differ; 2: one could not be checked.
    """
    from aione_mock.checker.comparison import compare_targets
    from aione_mock.checker.progress import ProgressDisplay
    from aione_mock.checker.reports import write_file
    from aione_mock.checker.signals import interrupt_on_terminate

    fields = parse_flags(Target, given)
    first = Target.from_environment(url_a, suffix="", **fields)
    second = Target.from_environment(url_b, suffix="_B", **fields)
    options = CheckOptions(**parse_flags(CheckOptions, given))
    known = _load_baseline(baseline, update=False)
    files = {"junit": junit, "html": html, "sarif": sarif}
    _check_files([json, *files.values()])

    def watch(run: CheckRun) -> None:
        ProgressDisplay(partial(terminal.print_line, err=True), live=terminal.is_interactive()).watch(run)

    with interrupt_on_terminate():
        comparison = compare_targets(first, second, options, baseline=known, watch=watch)
    try:
        for line in comparison.render_text():
            terminal.print_line(line)
    finally:
        if json:
            write_file(json, comparison.render_json())
        _write_reports(comparison.only_second, files)
    raise typer.Exit(comparison.exit_code)


def _print_report(report: CheckReport, *, prune: bool) -> None:
    if report.headline and not report.could_not:
        terminal.print_heading(report.headline)
    terminal.print_line()
    for cause in report.causes:
        _print_cause(cause)
    # the verdict says why nothing could be checked
    general_reason = report.could_not or None
    unchecked = [
        (reason, laws) for reason, laws in report.unchecked if not general_reason or general_reason not in reason
    ]
    for reason, laws in unchecked[:_MAX_REASONS]:
        more = f" and {len(laws) - _MAX_LAWS} more" if len(laws) > _MAX_LAWS else ""
        terminal.print_line(f"Not checked: {reason} ({', '.join(laws[:_MAX_LAWS])}{more})")
    for note in report.notes[:_MAX_REASONS]:
        terminal.print_line(f"Note: {note}")
    counts = report.counts
    terminal.print_line(
        f"{count_nouns(counts.operations, 'operation')}, {count_nouns(counts.laws, 'law')}. "
        f"Cells (operation × law): {counts.kept} kept, {counts.broken} broken, {counts.not_checked} not checked. "
        f"{count_nouns(counts.requests, 'request')} ({counts.cases} generated), "
        f"{count_nouns(counts.paid_calls, 'paid call')}, about {counts.spent_rmb} RMB, {counts.seconds} s."
    )
    for key in report.keys_left:
        terminal.print_line(f"Could not delete the key {key}.")
    if fixed := len(report.fixed_fingerprints):
        are = f"{count_nouns(fixed, 'finding')} of the baseline {'is' if fixed == 1 else 'are'}"
        terminal.print_line(f"{are} fixed{'' if prune else '; --prune drops what is fixed'}.")
    terminal.print_line(report.coverage.summary)
    if report.could_not:
        terminal.print_line(report.result, err=True)
    else:
        terminal.print_heading(report.result)


def _print_cause(cause: Cause) -> None:
    finding = cause.principal
    times = f" ({cause.times})" if cause.times else ""
    terminal.print_heading(f"{cause.severity_name.upper()} {cause.title} [{finding.law}]{times}")
    if len(cause.operations) > 1:
        terminal.print_line(f"  at        {', '.join(cause.operations)}")
    terminal.print_line(f"  expected  {finding.expected}")
    terminal.print_line(f"  seen      {finding.seen}")
    if finding.curl:
        terminal.print_lines(f"  repeat    {finding.curl}")
    for other, operations in cause.other_findings[:_MAX_OTHERS]:
        where = f" at {', '.join(operations)}" if operations != cause.operations else ""
        terminal.print_line(f"  also      {other.law}: expected {other.expected}; saw {other.seen}{where}")
    if (more := len(cause.other_findings) - _MAX_OTHERS) > 0:
        terminal.print_line(f"            and {more} more, which the reports list")
    if overlay := cause.overlay:
        terminal.print_lines("  overlay   " + "\n            ".join(overlay.rstrip().splitlines()))
    if cause.overlay_note:
        terminal.print_line(f"  overlay   {cause.overlay_note}")
    terminal.print_line()
