"""Run the checker on a gateway, within a bounded budget.

It runs in a process of its own: it takes a minute, may be ended at any time, and serving imports no test library.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from aione_mock.clock import parse_duration
from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.server.mcp.tool_arguments import make_object_schema
from aione_mock.settings import build_environment, read_variable
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.types import Json

Report = Callable[[str], Awaitable[None]]
"""Takes a line about the progress."""
_KEY_VARIABLE, _URL_VARIABLE = "AIONE_API_KEY", "AIONE_BASE_URL"
_MAX_SECONDS, _MAX_PAID_CALLS, _MAX_SPEND = 600, 250, 5
_GRACE = 60.0
"""Seconds beyond its own limit after which the process is ended."""
_MAX_RUNNING = 2
"""Most checks at the same time."""
_MAX_CAUSES = 20
_NOT_CHECKED = 2
"""Exit code of a check that could not check anything."""
_STOPPED = -1
"""In place of the exit code of a check that took too long."""
_NAMES = {"type": "array", "items": {"type": "string"}}
SCHEMA = make_object_schema(
    {
        "url": {"type": "string", "description": "Where /v1 and /api of the gateway begin."},
        "only": {**_NAMES, "description": "Check only these tags, operations, laws, areas or phases."},
        "skip": {**_NAMES, "description": "Do not check these."},
        "model": {"type": "string", "description": "Model to call; the cheapest if not given."},
        "max_time": {"type": "string", "description": "End after this time, at most 10m.", "default": "60s"},
        "max_paid_calls": {"type": "integer", "minimum": 0, "maximum": _MAX_PAID_CALLS, "default": 25},
        "spend_limit": {
            "type": "number",
            "description": "Most to spend on models, in RMB.",
            "minimum": 0,
            "maximum": _MAX_SPEND,
            "default": 1,
        },
        "api_key": {
            "type": "string",
            "description": f"API key of the gateway. Without it, credentials of the environment are used, but only if "
            f"${_URL_VARIABLE} names this gateway.",
        },
    },
    ["url"],
)
_OPTIONS = ("only", "skip", "model", "max_time", "max_paid_calls", "spend_limit")
"""Arguments that are options of `aione-mock check`."""


class GatewayChecker:
    """Run a few checks at a time, each in a process."""

    def __init__(self) -> None:
        self._running = 0

    async def check(self, arguments: Mapping[str, Json], report: Report) -> Json:
        """Return the report of a check, in short. Raises ScenarioError if the gateway could not be checked."""
        if self._running >= _MAX_RUNNING:
            raise ScenarioError(f"{_MAX_RUNNING} checks are running already; wait until one has ended")
        self._running += 1
        try:
            return await _check_gateway(arguments, report)
        finally:
            self._running -= 1


async def _check_gateway(arguments: Mapping[str, Json], report: Report) -> Json:
    seconds = _check_budget(arguments)
    with TemporaryDirectory(prefix="aione-mock-") as folder:
        path = Path(folder, "report.json")
        command = [*_list_options(arguments), f"--json={path}", "--", str(arguments["url"])]
        code, last = await _run(command, _choose_environment(arguments), report, seconds + _GRACE)
        if code == _STOPPED or not path.exists():
            raise ScenarioError(last.removeprefix("aione-mock: ") or f"the check ended with exit code {code}")
        result = orjson.loads(path.read_bytes())
        if result["exit_code"] == _NOT_CHECKED:
            raise ScenarioError(result["could_not"] or result["verdict"])
        return _shorten(result)


def _check_budget(arguments: Mapping[str, Json]) -> float:
    """Return the seconds that a check may take. Raises ScenarioError for more than is allowed."""
    try:
        seconds = parse_duration(str(arguments.get("max_time", "60s")))
        paid = int(arguments.get("max_paid_calls", 0))
        spend = float(arguments.get("spend_limit", 0))
    except (ConfigError, ValueError, TypeError) as error:
        raise ScenarioError(str(error)) from None
    limits = {"max_time": (seconds, _MAX_SECONDS), "max_paid_calls": (paid, _MAX_PAID_CALLS)}
    for name, (value, most) in {**limits, "spend_limit": (spend, _MAX_SPEND)}.items():
        if not 0 <= value <= most:
            raise ScenarioError(f"{name} is {arguments[name]}; it must be from 0 to {most}")
    return seconds


def _list_options(arguments: Mapping[str, Json]) -> list[str]:
    """Return the options of `check`. A name and its value are one word, so that no value becomes an option."""
    defaults = {name: node["default"] for name, node in SCHEMA["properties"].items() if "default" in node}
    given = {**defaults, **arguments}
    pairs = [(name, value) for name in _OPTIONS if name in given for value in _list_values(given[name])]
    return [f"--{name.replace('_', '-')}={value}" for name, value in pairs]


def _list_values(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _choose_environment(arguments: Mapping[str, Json]) -> dict[str, str]:
    """Return the environment of the check. No gateway gets the credentials of another one."""
    if key := arguments.get("api_key"):
        return build_environment({_KEY_VARIABLE: str(key)}, without=_list_variables())
    own = (read_variable(_URL_VARIABLE) or "").rstrip("/")
    if own and own == str(arguments["url"]).rstrip("/"):
        return build_environment({})
    return build_environment({}, without=_list_variables())


def _list_variables() -> list[str]:
    return [name for credential in list_credentials() for name, _ in credential.env]


async def _run(words: list[str], environment: dict[str, str], report: Report, seconds: float) -> tuple[int, str]:
    """Run `aione-mock check`; return its exit code and the last line that it wrote to standard error."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "aione_mock", "check", *words],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    last = ""
    try:
        async with asyncio.timeout(seconds):
            assert process.stderr is not None
            async for line in process.stderr:
                last = line.decode("utf-8", "replace").strip() or last
                await report(last)
            return await process.wait(), last
    except TimeoutError:
        return _STOPPED, f"the check has not ended within {seconds:.0f} s; give a shorter max_time"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()


def _shorten(report: Json) -> Json:
    """Return the verdict, and each cause with its clearest finding."""
    members = ("verdict", "stopped", "could_not", "notes", "counts")
    causes = [
        {
            **{name: cause[name] for name in ("title", "severity", "laws", "operations", "count")},
            **{name: cause["findings"][0][name] for name in ("expected", "seen", "curl")},
        }
        for cause in report["causes"][:_MAX_CAUSES]
    ]
    left = max(0, len(report["causes"]) - _MAX_CAUSES)
    return {"kept": report["exit_code"] == 0, **{name: report[name] for name in members}, "causes": causes} | (
        {"causes_left_out": left} if left else {}
    )
