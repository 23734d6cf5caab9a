"""Measure how well the checker finds faults, and how often it is wrong. Writes docs/explanation/proof.*.

python scripts/proof.py [SECTION …]     mutants, schemathesis, alarms, gateways; all by default (an hour on two cores)
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import orjson
from gateways import GATEWAYS, KEY, NotInstalledError, install, run_gateway
from kill_rate import create_target
from proof_page import render_proof

from aione_mock.checker import Target, check
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract.loading import load_contract
from aione_mock.mutants import MUTANTS
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import VERSION, Settings, locate_document, read_variable
from aione_mock.tenant.organisation_file import list_credentials

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))
from tests.checker.variations import VARIATIONS, VariedGateway  # noqa: E402

DOCS = ROOT / "docs" / "explanation"
PROCESSES = 2
COMPARED = (
    "stream_without_done", "stream_usage_with_choices", "messages_unnamed_events", "usage_off_by_one", "errors_nested",
    "validation_500", "any_key", "request_id_missing", "secret_in_list", "update_forgets", "money_as_numbers",
    "dashboard_cost_differs", "page_ignored",
)  # fmt: skip
"""Mutants that Schemathesis is run on: it takes minutes for each."""
SCHEMATHESIS_SECONDS = 180
GATEWAY_SECONDS = 240.0
SEEDS = 20
PACES = {"instant": 1.0, "realistic": 20.0}
"""Pace → by how much time is scaled."""
Json = Any


def measure_mutants() -> Json:
    """Return for each mutant the laws that find it, with and without writes."""
    jobs = [(name, writes) for name in MUTANTS for writes in (True, False)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = dict(zip(jobs, pool.map(find_mutant, *zip(*jobs, strict=True)), strict=True))
    return {
        name: {
            "area": mutant.area,
            "title": mutant.title,
            "with_writes": found[name, True],
            "without_writes": found[name, False],
        }
        for name, mutant in MUTANTS.items()
    }


def find_mutant(name: str, writes: bool) -> list[str]:
    """Return the laws that name the cause of a mutant and find it."""
    laws, extensions = MUTANTS[name].found_by, MUTANTS[name].extensions
    with Server(create_app(Settings(mutant=name))) as server:
        report = check(create_target(server.url), phases=(), allow_writes=writes, only=laws, extensions=extensions)
    return sorted({finding.law for finding in report.findings} & set(laws))


def measure_schemathesis() -> Json:
    """Return what Schemathesis alone finds on some mutants and not on the mock itself."""
    jobs = [(None, 1), (None, 2), *[(name, 1) for name in COMPARED]]
    with ProcessPoolExecutor(PROCESSES) as pool:
        results = dict(zip(jobs, pool.map(run_schemathesis, *zip(*jobs, strict=True)), strict=True))
    noise = {_strip_operation(failure) for seed in (1, 2) for failure in results[None, seed]["failures"]}
    return {
        "seconds": SCHEMATHESIS_SECONDS,
        "noise": sorted(noise),
        "mutants": {
            name: {
                "new": [failure for failure in results[name, 1]["failures"] if _strip_operation(failure) not in noise],
                "requests": results[name, 1]["requests"],
            }
            for name in COMPARED
        },
    }


def _strip_operation(failure: str) -> str:
    """Return the kind of a failure, without its operation."""
    return failure.partition(": ")[2]


def run_schemathesis(mutant: str | None, seed: int) -> Json:
    """Return the failures that Schemathesis reports for a mutant, or for the mock itself, with its own defaults."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import from_schema
    from schemathesis.engine.events import ScenarioFinished

    secrets = {name: value for credential in list_credentials() for name, value in credential.env}
    (document,) = load_contract([locate_document("aione.yaml")]).documents.values()
    schemes = document["components"]["securitySchemes"]
    auth = {}
    for name, scheme in schemes.items():
        secret = secrets["AIONE_CONSOLE_TOKEN" if name == "consoleToken" else "AIONE_API_KEY"]
        auth[name] = {"bearer": secret} if scheme["type"] == "http" else {"api_key": secret}
    failures: set[str] = set()
    requests = 0
    with Server(create_app(Settings(mutant=mutant))) as server:
        config = {
            "seed": seed,
            "base-url": server.url,
            "max-time": SCHEMATHESIS_SECONDS,
            "continue-on-failure": True,
            "auth": {"openapi": auth},
            "warnings": False,
        }
        schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(config))
        for event in from_schema(schema).execute():
            if isinstance(event, ScenarioFinished):
                requests += len(event.recorder.interactions)
                failures |= set(_list_failures(event.recorder))
    return {"failures": sorted(failures), "requests": requests}


def _list_failures(recorder: Any) -> Iterable[str]:
    for case_id, nodes in recorder.checks.items():
        label = recorder.cases[case_id].value.operation.label
        yield from (f"{label}: {node.failure_info.failure.title}" for node in nodes if node.failure_info)


def measure_alarms() -> Json:
    """Return what the checker finds on correct gateways: the mock, and the mock behind harmless variations."""
    jobs = [(str(seed), pace, None) for seed in range(SEEDS) for pace in PACES]
    jobs += [(str(index % SEEDS), "instant", name) for index, name in enumerate(VARIATIONS)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        results = list(pool.map(check_correct, *zip(*jobs, strict=True)))
    runs = [
        {"seed": seed, "pace": pace, "variation": name, **result}
        for (seed, pace, name), result in zip(jobs, results, strict=True)
    ]
    return {"seeds": SEEDS, "paces": list(PACES), "variations": list(VARIATIONS), "runs": runs}


def check_correct(seed: str, pace: str, variation: str | None) -> Json:
    """Check a correct gateway with all laws; return its findings."""
    app: Any = create_app(Settings(seed=seed, pace=pace, time_scale=PACES[pace]))
    if variation is not None:
        app = VariedGateway(app, VARIATIONS[variation]())
    with Server(app) as server:
        report = check(create_target(server.url), phases=(), allow_writes=True, seed=seed)
    return {
        "violations": sorted({f"{f.law} at {f.operation}" for f in report.violations}),
        "mismatches": sorted({f"{f.law} at {f.operation}" for f in report.assumptions}),
        "kept": report.counts.kept,
        "not_checked": report.counts.not_checked,
        "stopped": report.stopped or report.could_not,
    }


def measure_gateways() -> Json:
    """Return the causes that the checker finds on gateways by other people."""
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(PROCESSES) as pool:
        folder = read_variable("AIONE_GATEWAYS") or temporary
        return list(pool.map(check_gateway, range(len(GATEWAYS)), [folder] * len(GATEWAYS)))


def check_gateway(index: int, folder: str) -> Json:
    """Install a gateway below a folder and check it in front of the mock."""
    gateway = GATEWAYS[index]
    described = {"name": gateway.name, "packages": gateway.packages, "options": gateway.options}
    try:
        version = install(gateway, Path(folder, gateway.name))
        with (
            Server(create_app(Settings())) as server,
            run_gateway(gateway, Path(folder, gateway.name), server.url) as url,
        ):
            target = Target(url, key=KEY, headers=gateway.headers(server.url), **gateway.target)
            report = check(target, max_time=GATEWAY_SECONDS, spend_limit="100", **gateway.options)
    except NotInstalledError as error:
        return {**described, "missing": str(error)}
    causes = [
        {
            "severity": cause.severity_name,
            "title": cause.title,
            "operations": len(cause.operations),
            "findings": len(cause.findings),
        }
        for cause in report.causes
    ]
    return {
        **described,
        "version": version,
        "verdict": report.verdict,
        "requests": report.counts.requests,
        "kept": report.counts.kept,
        "not_checked": report.counts.not_checked,
        "causes": causes,
    }


SECTIONS: Mapping[str, Callable[[], Json]] = {
    "mutants": measure_mutants,
    "schemathesis": measure_schemathesis,
    "alarms": measure_alarms,
    "gateways": measure_gateways,
}


def main() -> int:
    """Measure the sections and write both files."""
    path = DOCS / "proof.json"
    proof = orjson.loads(path.read_bytes()) if path.exists() else {}
    for name in sys.argv[1:] or SECTIONS:
        started = SYSTEM_CLOCK.timestamp()
        result = SECTIONS[name]()
        day, seconds = SYSTEM_CLOCK.now().date().isoformat(), round(SYSTEM_CLOCK.timestamp() - started)
        proof[name] = {"day": day, "version": VERSION, "seconds": seconds, "result": result}
        path.write_bytes(orjson.dumps(proof, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        print(f"{name}: {seconds} s", flush=True)
    (DOCS / "proof.md").write_text(render_proof(proof), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
