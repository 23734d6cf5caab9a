"""`aione-mock coverage`: how much of the contract the clients of a mock have exercised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aione_mock.cli import terminal
from aione_mock.cli.contract import Overlays, load_bundled_contract
from aione_mock.errors import ConfigError, ScenarioError

if TYPE_CHECKING:
    from aione_mock.checker.coverage import ObservedCall
    from aione_mock.testing.calls import RecordedCall

_TOKEN_VARIABLE = "AIONE_MOCK_CONTROL_TOKEN"


def measure_coverage(
    url: Annotated[str, typer.Option(metavar="URL", help="Where the mock answers.")] = "http://127.0.0.1:8000",
    session: Annotated[str, typer.Option(metavar="NAME", help="Session whose journal is read.")] = "default",
    control_token: Annotated[
        str | None, typer.Option(metavar="TOKEN", envvar=_TOKEN_VARIABLE, help="The mock's --control-token.")
    ] = None,
    minimum: Annotated[float, typer.Option("--min", metavar="PERCENT", help="Fail below this coverage.")] = 0.0,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the coverage as JSON.")] = None,
    overlay: Overlays = None,
) -> int:
    """Tell what of the contract the calls in a mock's journal have met: statuses, error codes, streams, parameters.

    Exit code 0: measured; 1: below --min; 2: no mock, or no calls.
    """
    from aione_mock.checker.coverage import COLUMNS, CoverageRecorder

    # Typer's own bounds let NaN through
    if not 0 <= minimum <= 100:
        raise ConfigError("--min must be a percentage from 0 to 100")
    contract = load_bundled_contract(overlay)
    served = [name for name, operation in contract.operations.items() if operation.protocol != "control"]
    recorder = CoverageRecorder(contract, served)
    for call in _read_calls(url, session, control_token):
        recorder.record(call)
    coverage = recorder.measure()
    if json:
        from aione_mock.checker.reports import write_file

        write_file(json, terminal.format_json(coverage.describe()))
    terminal.print_table(COLUMNS, coverage.list_rows())
    terminal.print_heading(coverage.summary)
    return 1 if coverage.percent < minimum else 0


def _read_calls(url: str, session: str, token: str | None) -> list[ObservedCall]:
    """Return the calls of a session's journal. Raises ConfigError if there are none."""
    import httpx2

    from aione_mock.testing.http_control_client import HttpControlClient

    client = HttpControlClient(url, token)
    try:
        calls = [_observe_call(call) for call in client.read_journal(session) if call.operation]
    except (ScenarioError, httpx2.HTTPError) as error:
        raise ConfigError(f"the journal of session {session!r} at {url} cannot be read: {error}") from None
    finally:
        client.close()
    if not calls:
        raise ConfigError(f"session {session!r} at {url} has no calls in its journal; send some first")
    return calls


def _observe_call(call: RecordedCall) -> ObservedCall:
    from urllib.parse import parse_qsl

    from aione_mock.checker.coverage import ObservedCall

    return ObservedCall(
        operation=str(call.operation),
        status=call.status,
        media_type=call.response_headers.get("content-type", "").partition(";")[0].strip(),
        query=[name for name, _ in parse_qsl(call.query, keep_blank_values=True)],
        headers=list(call.headers),
        body=call.body,
        answer=call.response,
    )
