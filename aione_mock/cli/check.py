"""`aione-mock check` and `aione-mock diff`: how far an implementation keeps the contract."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aione_mock.cli import terminal
from aione_mock.errors import ConfigError

if TYPE_CHECKING:
    from aione_mock.checker.report import CheckReport

Url = Annotated[str, typer.Argument(metavar="URL", help="Where /v1 and /api begin.")]
Key = Annotated[str | None, typer.Option(metavar="SECRET", help="API key of the data plane; else $AIONE_API_KEY.")]
Token = Annotated[str | None, typer.Option(metavar="SECRET", help="Console token; else $AIONE_CONSOLE_TOKEN.")]
Business = Annotated[
    str | None, typer.Option(metavar="SECRET", help="Console token with the payers' view; else $AIONE_BUSINESS_TOKEN.")
]
Other = Annotated[
    str | None, typer.Option(metavar="SECRET", help="Console token of a second organisation; else $AIONE_OTHER_TOKEN.")
]
AccessKey = Annotated[
    str | None, typer.Option(metavar="ID", help="ModelRouter access key id; else $AIONE_ACCESS_KEY_ID.")
]
AccessSecret = Annotated[
    str | None, typer.Option(metavar="SECRET", help="ModelRouter access key secret; else $AIONE_ACCESS_KEY_SECRET.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this tag, operation, law, area of laws or generated phase; repeatable."),
]
Skip = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Not this one; repeatable.")]
Overlays = Annotated[
    list[Path] | None,
    typer.Option("--overlay", metavar="FILE", help="An OpenAPI Overlay that changes the contract; repeatable."),
]
SeedOption = Annotated[str, typer.Option(metavar="WORD", help="Names the chance of generated cases.")]
MaxTime = Annotated[str | None, typer.Option(metavar="TIME", help="End after this long, such as 30s or 5m.")]
Workers = Annotated[int, typer.Option(min=1, max=32, help="Generated requests at the same time.")]
Rate = Annotated[str | None, typer.Option(metavar="N/s", help="At most so many requests, such as 5/s or 100/m.")]
Writes = Annotated[
    bool, typer.Option("--allow-writes", help="Create, change and delete keys of its own, and clean up.")
]
Model = Annotated[str | None, typer.Option(metavar="ID", help="The model to call; the cheapest if not given.")]
Spend = Annotated[str, typer.Option(metavar="RMB", help="Stop calling models before this much is spent.")]
Calls = Annotated[int, typer.Option(min=0, help="Stop calling models after so many calls.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Do not check TLS certificates.")]
Timeout = Annotated[str, typer.Option(metavar="TIME", help="The longest that one answer may take.")]


def check(
    url: Url,
    key: Key = None,
    token: Token = None,
    business_token: Business = None,
    other_token: Other = None,
    access_key: AccessKey = None,
    access_secret: AccessSecret = None,
    only: Only = None,
    skip: Skip = None,
    overlay: Overlays = None,
    seed: SeedOption = "0",
    max_time: MaxTime = None,
    workers: Workers = 1,
    rate_limit: Rate = None,
    allow_writes: Writes = False,
    model: Model = None,
    spend_limit: Spend = "5",
    max_paid_calls: Calls = 250,
    timeout: Timeout = "20s",
    insecure: Insecure = False,
    fail_on: Annotated[
        Literal["violation", "assumption"],
        typer.Option(help="What makes the exit code 1: violations alone, or assumption mismatches too."),
    ] = "assumption",
    baseline: Annotated[Path | None, typer.Option(metavar="FILE", help="Known findings, which do not count.")] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write the findings of this run into the baseline.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Report as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Report as one page to read.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Report as JSON.")] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Report as SARIF.")] = None,
) -> None:
    """Hold a gateway against the contract. Exit code 0: kept; 1: findings; 2: could not check.

    Sends only reading requests, and calls to models within the budget, unless --allow-writes is given. Credentials come
    from options or from the variables that `aione-mock keys --format env` prints, and are never shown.
    """
    from aione_mock.checker import baseline as known
    from aione_mock.checker import prepare
    from aione_mock.checker.progress import Progress
    from aione_mock.checker.report import report as outcome
    from aione_mock.checker.run import terminable
    from aione_mock.checker.target import Target

    if update_baseline and baseline is None:
        raise ConfigError("--update-baseline needs --baseline FILE to write to")
    target = Target.from_environment(
        url,
        model=model,
        verify=not insecure,
        key=key,
        token=token,
        business_token=business_token,
        other_token=other_token,
        access_key=access_key,
        access_secret=access_secret,
    )
    accepted = known.load(baseline) if baseline and (baseline.exists() or not update_baseline) else frozenset()
    run = prepare(
        target,
        overlays=overlay or (),
        only=only or (),
        skip=skip or (),
        seed=seed,
        max_time=_seconds(max_time),
        timeout=_seconds(timeout) or 20.0,
        workers=workers,
        rate_limit=_rate(rate_limit),
        allow_writes=allow_writes,
        spend_limit=_amount(spend_limit),
        max_paid_calls=max_paid_calls,
    )
    try:
        with terminable():
            Progress(lambda text: typer.echo(text, err=True), live=terminal.is_interactive()).watch(run)
    finally:
        report = outcome(run, fail_on=fail_on, baseline=accepted)
        _write(report, {"junit": junit, "html": html, "json": json, "sarif": sarif})
    if baseline and update_baseline:
        known.save(baseline, report)
    _show(report)
    raise typer.Exit(report.exit_code)


def diff(
    url_a: Annotated[str, typer.Argument(metavar="URL_A", help="One implementation.")],
    url_b: Annotated[str, typer.Argument(metavar="URL_B", help="The other one, with the same credentials.")],
    key: Key = None,
    token: Token = None,
    business_token: Business = None,
    other_token: Other = None,
    access_key: AccessKey = None,
    access_secret: AccessSecret = None,
    only: Only = None,
    skip: Skip = None,
    overlay: Overlays = None,
    seed: SeedOption = "0",
    max_time: MaxTime = None,
    rate_limit: Rate = None,
    allow_writes: Writes = False,
    model: Model = None,
    spend_limit: Spend = "5",
    max_paid_calls: Calls = 250,
    insecure: Insecure = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="The comparison as JSON.")] = None,
) -> None:
    """The same plan on two implementations: what both keep, what only one keeps, where their answers differ in shape.

    Credentials are those of `check`, for both; a variable with the suffix _B, such as $AIONE_API_KEY_B, is taken for
    the second alone. Exit code 0: alike; 1: they differ; 2: one could not be checked.
    """
    from aione_mock.checker.comparison import compare
    from aione_mock.checker.run import terminable
    from aione_mock.checker.target import Target

    given = {
        "key": key,
        "token": token,
        "business_token": business_token,
        "other_token": other_token,
        "access_key": access_key,
        "access_secret": access_secret,
    }
    first = Target.from_environment(url_a, model=model, verify=not insecure, suffix="", **given)
    second = Target.from_environment(url_b, model=model, verify=not insecure, suffix="_B", **given)
    with terminable():
        found = compare(
            first,
            second,
            overlays=overlay or (),
            only=only or (),
            skip=skip or (),
            seed=seed,
            max_time=_seconds(max_time),
            rate_limit=_rate(rate_limit),
            allow_writes=allow_writes,
            spend_limit=_amount(spend_limit),
            max_paid_calls=max_paid_calls,
        )
    if json:
        from aione_mock.checker.baseline import write

        write(json, found.as_json())
    for line in found.lines():
        typer.echo(line)
    raise typer.Exit(found.exit_code)


def _write(report: CheckReport, wanted: dict[str, Path | None]) -> None:
    from aione_mock.checker.baseline import write
    from aione_mock.checker.reports import as_json, html, junit, sarif

    writers = {"junit": junit.write, "html": html.write, "json": as_json.write, "sarif": sarif.write}
    for name, path in wanted.items():
        if path is not None:
            write(path, writers[name](report))


def _show(report: CheckReport) -> None:
    typer.echo("")
    for finding in report.findings:
        word = "VIOLATION" if finding.severity == "violation" else "ASSUMPTION"
        often = f" ({finding.count} times)" if finding.count > 1 else ""
        terminal.print_heading(f"{word} {finding.operation}: {finding.title} [{finding.law}]{often}")
        typer.echo(f"  expected  {finding.expected}")
        typer.echo(f"  seen      {finding.seen}")
        if finding.curl:
            typer.echo(f"  again     {finding.curl}")
        if finding.overlay:
            typer.echo("  adopt     " + "\n            ".join(finding.overlay.rstrip().splitlines()))
        typer.echo("")
    for reason, laws in report.unchecked[:_REASONS]:
        shown = ", ".join(laws[:4]) + (f" and {len(laws) - 4} more" if len(laws) > 4 else "")
        typer.echo(f"Not checked: {reason} ({shown})")
    counts = report.counts
    typer.echo(
        f"{counts.operations} operations, {counts.laws} laws: {report.cells('kept')} kept, "
        f"{report.cells('broken')} broken, {report.cells('not checked')} not checked. "
        f"{counts.requests} requests ({counts.cases} generated), "
        f"{counts.paid_calls} paid calls, about {counts.spent_rmb} RMB, {counts.seconds} s."
    )
    for left in report.unclean:
        typer.echo(f"Could not delete the key {left}.")
    for known, what in ((report.known, "known by the baseline"), (report.gone, "in the baseline and kept now")):
        if known:
            typer.echo(f"{len(known)} {what}.")
    terminal.print_heading(report.verdict)


_REASONS = 12
"""Reasons for not checking that the terminal shows; reports have all of them."""


def _seconds(text: str | None) -> float | None:
    from aione_mock.clock import parse_duration

    if text is None:
        return None
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ConfigError(f"'{text}' is no time to check in; give one such as 30s or 5m")
    return seconds


def _rate(text: str | None) -> float | None:
    """Requests a second."""
    if text is None:
        return None
    number, _, unit = text.partition("/")
    try:
        rate = float(number) / {"": 1, "s": 1, "m": 60, "h": 3600}[unit.strip()]
        if 0 < rate < float("inf"):
            return rate
    except (ValueError, KeyError):
        pass
    raise ConfigError(f"'{text}' is not a rate such as 5/s or 100/m")


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"'{text}' is not an amount of RMB such as 5 or 0.50")
    return amount
