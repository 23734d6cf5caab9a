"""Mirror a gateway: read what its own API shows of it, and write a configuration whose world looks like it.

Only reading operations are called and none that costs anything. Secrets are never written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aione_mock.checker.client import MISSING_CREDENTIALS, TargetClient
from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import CheckError
from aione_mock.checker.mirror.document import MirroredWorld
from aione_mock.checker.mirror.models import read_aliases, read_models
from aione_mock.checker.mirror.organisation import OrganisationReading, fit_models, read_organisation
from aione_mock.checker.mirror.reader import GatewayReader
from aione_mock.checker.mirror.router import RouterReading, read_router
from aione_mock.checker.mirror.usage import add_past_usage
from aione_mock.checker.preflight import find_common_problem
from aione_mock.checker.target import HOW_TO_GIVE, Target
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract
from aione_mock.errors import ConfigError

__all__ = ["MirroredWorld", "mirror_gateway"]
_LOG_PAGES = 20


def mirror_gateway(
    target: Target, contract: Contract, *, watch: Callable[[str], None] = lambda text: None, **limits: Any
) -> MirroredWorld:
    """Read a gateway. `watch` is called with each step, `limits` are those of `TargetClient`.

    Raises ConfigError without a credential, and CheckError if nothing can be read.
    """
    if not target.credentials:
        raise ConfigError(f"no credential was given; {HOW_TO_GIVE}")
    client = TargetClient(target, contract, **limits)
    # whatever costs or changes something is out of reach
    client.forbidden = frozenset(o.id for o in contract.operations.values() if o.paid or o.method != "GET")
    reader = GatewayReader(LawContext(client), watch)
    try:
        return _read_world(reader)
    finally:
        client.close()


def _read_world(reader: GatewayReader) -> MirroredWorld:
    models = read_models(reader)
    organisations = [read_organisation(reader, "main", "token", "business_token")]
    if reader.context.target.other_token:
        other = read_organisation(reader, "other", "other_token", taken=organisations[0].list_ids())
        if other.id is None or other.id != organisations[0].id:
            organisations.append(other)
    # the log replaces lists that cannot be read
    router = read_router(reader, pages=1 if models and organisations[0].list_entries("keys") else _LOG_PAGES)
    if not reader.used:
        raise CheckError(_explain_failure(reader))
    read_aliases(reader, models, [name for each in organisations for name in each.list_models()])
    for organisation in organisations:
        fit_models(reader, organisation, models)
        add_past_usage(reader, organisation, models)
    _add_router(reader, organisations[0], router)
    _ensure_key(reader, organisations[0])
    return MirroredWorld(
        url=reader.context.target.url,
        at=SYSTEM_CLOCK.now(),
        models=tuple(models.values()) or tuple(router.models.values()),
        are_models_listed=bool(models),
        organisations=tuple(organisations),
        notes=reader.list_notes(),
    )


def _add_router(reader: GatewayReader, main: OrganisationReading, router: RouterReading) -> None:
    """Add what ModelRouter shows; its numbers cannot be joined with the console's ids."""
    if router.access_key:
        main.entries["access_keys"] = [router.access_key]
    if router.keys and not main.entries.get("keys"):
        main.entries["teams"] = list(router.teams.values())
        main.entries["keys"] = list(router.keys.values())
        reader.note("main.keys", "ModelRouter shows numbers of departments and keys alone, so the names are made up")
    elif router.keys:
        text = "the file's keys and teams have numbers of their own: ModelRouter does not say which key has which"
        reader.note("main.access_keys", text)


def _ensure_key(reader: GatewayReader, main: OrganisationReading) -> None:
    """Add a key if none could be read, since a world without one cannot be served."""
    if not main.entries.get("keys"):
        main.entries["keys"] = [{"name": "Mirrored"}]
        reader.note("main.keys", "no key could be read, so this one without limits stands for all of them")


def _explain_failure(reader: GatewayReader) -> str:
    """Return why nothing could be read."""
    problem = find_common_problem(reader.context, reader.answers) if reader.answers else ""
    last = reader.context.client.last
    notes = [text for texts in reader.list_notes().values() for text in texts]
    # what nobody gave a credential for was not asked
    asked = [text for text in notes if not any(missing in text for missing in MISSING_CREDENTIALS.values())]
    reason = (
        problem
        or reader.stopped
        or (last.failure if last and not last.status else "")
        or next(iter(asked or notes), "")
    )
    return reader.mask(f"nothing could be read from {reader.context.target.url}: {reason}")
