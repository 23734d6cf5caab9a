"""Measure generated cases per second: `python -m benchmarks.cases plain|ours URL` prints the rate as JSON.

Both generate the same number of cases for the same operations, in the same phases and with the same checks. The
operations only read, so their cases cost nothing. The server counts the requests.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import urllib.request

from aione_mock.contract.loading import load_contract

OPERATIONS = ("listModels", "retrieveModel", "listGeminiModels", "getGeminiModel", "listKeys", "getKey", "queryUsage",
              "getDashboard", "getPlan", "getBillingAccount", "listInvoices", "listGatewayModels")  # fmt: skip
PHASES = ("fuzzing",)
CASES = 60
KEY, TOKEN = "sk-nex-demo-every-model", "nex-console-tech"


def requests(url: str) -> int:
    """Return the number of requests that the server has received."""
    with urllib.request.urlopen(url + "/_mock/stats", timeout=10) as answer:
        return int(json.load(answer)["requests"])


def plain(url: str) -> None:
    """Run Schemathesis alone."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import from_schema

    from aione_mock.checker.plan import CHECKS
    from aione_mock.settings import locate_document

    contract = load_contract([locate_document("aione.yaml")])
    secrets = {"consoleToken": TOKEN}
    config = {
        "seed": 1,
        "base-url": url,
        "continue-on-failure": True,
        "generation": {"max-examples": CASES, "database": "none"},
        "phases": {n: {"enabled": n in PHASES} for n in ("examples", "coverage", "fuzzing", "stateful")},
        "auth": {"openapi": {n: {"bearer": secrets.get(n, KEY)} for n in ("bearerKey", "consoleToken")}},
        "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
    }
    schema = schemathesis.openapi.from_dict(
        contract.documents["aione.yaml"], config=SchemathesisConfig.from_dict(config)
    )
    for _ in from_schema(schema.include(operation_id=list(OPERATIONS))).execute():
        pass


def ours(url: str) -> None:
    """Run the generated cases of the checker."""
    from aione_mock.checker import Target, check

    target = Target(url, key=KEY, token=TOKEN)
    check(target, only=[*OPERATIONS, *PHASES], cases=CASES, seed=1)


def main() -> None:
    """Run one of the two and print its rate."""
    name, url = sys.argv[1:]
    # imports happen once per run and are not part of the rate
    for module in ("schemathesis.engine", "schemathesis.specs.openapi.schemas", "aione_mock.checker.generated_cases"):
        importlib.import_module(module)

    before, begun = requests(url), time.perf_counter()
    (plain if name == "plain" else ours)(url)
    took, count = time.perf_counter() - begun, requests(url) - before
    print(json.dumps({"cases": count, "seconds": took, "per_second": count / took}))


if __name__ == "__main__":
    main()
