"""`aione-mock mirror`: write a configuration whose world looks like a gateway."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from aione_mock.checker import CheckOptions, Target
from aione_mock.checker.options import parse_flags, read_flags
from aione_mock.cli import terminal
from aione_mock.cli.config import check_new_file
from aione_mock.cli.flag_options import with_flags
from aione_mock.settings import CONFIG_FILES

_LIMITS = ("overlay", "timeout", "max_time", "rate_limit")
"""Options of `check` that hold for reading too."""
_MAX_NOTES = 12
"""Notes that are printed; the file has all."""


@with_flags(
    Target, CheckOptions, without=("model", *(f.name for f in read_flags(CheckOptions) if f.name not in _LIMITS))
)
def mirror(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where /v1 and /api begin.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path(CONFIG_FILES[0]),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
    **given: Any,
) -> None:
    """Write a configuration whose models, keys, teams, plan and account are those of a gateway.

    It only reads, and calls no model. Credentials come from options or from environment variables, as for `check`, and
    are never written; the mock's keys have secrets of their own. Exit code 2: nothing could be read.
    """
    from aione_mock.checker.mirror import mirror_gateway
    from aione_mock.checker.progress import StatusLine
    from aione_mock.checker.reports import check_writable, write_file
    from aione_mock.checker.run_setup import load_gateway_contract
    from aione_mock.checker.signals import interrupt_on_terminate
    from aione_mock.clock import SYSTEM_CLOCK

    check_new_file(out, "--out", force=force)
    target = Target.from_environment(url, **parse_flags(Target, given))
    options = CheckOptions(**parse_flags(CheckOptions, given))
    check_writable(out)
    line = StatusLine(partial(terminal.print_line, err=True), live=terminal.is_interactive())
    deadline = None if options.max_time is None else SYSTEM_CLOCK.timestamp() + options.max_time
    with interrupt_on_terminate(), line.open():
        line.print(f"Reading {target.url}.")
        world = mirror_gateway(
            target,
            load_gateway_contract(options.overlays, options.extensions),
            watch=line.update,
            timeout=options.timeout,
            rate_limit=options.rate_limit,
            deadline=deadline,
        )
    write_file(out, world.render().encode())
    notes = world.list_notes()
    for note in notes[:_MAX_NOTES]:
        terminal.print_line(f"Note: {note}")
    if len(notes) > _MAX_NOTES:
        terminal.print_line(f"Note: there are {len(notes) - _MAX_NOTES} more in the file")
    terminal.print_line(f"{out} is written: {world.summary}. `aione-mock serve --config {out}` serves it.")
