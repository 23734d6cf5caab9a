"""Check every mutant with all laws and print which are found, by what, and the kill rate. `make mutants` runs it.

python scripts/kill_rate.py [NAME …]     takes some ten minutes for all
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

from aione_mock.checker import check
from aione_mock.checker.target import Target
from aione_mock.mutants import MUTANTS, find_mutant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import list_credentials


def create_target(url: str) -> Target:
    """Return a target with all credentials of the mock."""
    given = {variable: value for c in list_credentials() for variable, value in c.env}
    return Target(
        url,
        key=given["AIONE_API_KEY"],
        token=given["AIONE_CONSOLE_TOKEN"],
        business_token=given["AIONE_BUSINESS_TOKEN"],
        other_token=given["AIONE_OTHER_TOKEN"],
        access_key=given["AIONE_ACCESS_KEY_ID"],
        access_secret=given["AIONE_ACCESS_KEY_SECRET"],
    )


def find_broken_laws(name: str) -> list[str]:
    """Return the laws that a mutant breaks."""
    with Server(create_app(Settings(mutant=name))) as server:
        report = check(create_target(server.url), phases=(), allow_writes=True, extensions=MUTANTS[name].extensions)
    return sorted({finding.law for finding in report.findings})


def main() -> int:
    """Print a line for each mutant and the rate; return 1 if one survives or is only found for another reason."""
    names = sys.argv[1:] or list(MUTANTS)
    killed = 0
    with ProcessPoolExecutor(2) as pool:
        for name, laws in zip(
            names, pool.map(find_broken_laws, [find_mutant(name).name for name in names]), strict=True
        ):
            right = set(laws) & set(MUTANTS[name].found_by)
            killed += bool(right)
            print(f"{'killed  ' if right else 'SURVIVED'}  {name:32} {', '.join(laws[:5])}", flush=True)
    print(f"{killed} of {len(names)} mutants killed: {100 * killed / len(names):.0f} %")
    return int(killed < len(names))


if __name__ == "__main__":
    raise SystemExit(main())
