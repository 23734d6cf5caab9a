"""Set up a run from its options."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from aione_mock.checker.budget import Budget
from aione_mock.checker.client import TargetClient
from aione_mock.checker.context import LawContext
from aione_mock.checker.generated_cases import run_generated_cases
from aione_mock.checker.laws import LAWS, RULES
from aione_mock.checker.options import CheckOptions
from aione_mock.checker.plan import make_plan
from aione_mock.checker.run import CheckRun
from aione_mock.checker.target import Target
from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError
from aione_mock.settings import DOCUMENTS, locate_document, locate_extensions, parse_extensions

GATEWAY_DOCUMENTS = tuple(name for name in DOCUMENTS if name != "control.yaml")
"""All documents but that of the control API, which only the mock has."""


def load_gateway_contract(overlays: Iterable[Path] = (), extensions: Iterable[str] = ()) -> Contract:
    """Return the contract that a gateway has to keep. Raises ConfigError or ContractError."""
    changes = (*locate_extensions(parse_extensions(extensions)), *overlays)
    return load_contract([locate_document(name) for name in GATEWAY_DOCUMENTS], changes)


def set_up_run(target: Target, options: CheckOptions) -> CheckRun:
    """Return a run that has not begun. Raises ConfigError or ContractError for unusable options."""
    # reading the contract is part of the time of a run
    deadline = None if options.max_time is None else SYSTEM_CLOCK.timestamp() + options.max_time
    contract = load_gateway_contract(options.overlays, options.extensions)
    plan = make_plan(contract, LAWS, RULES, options.only, options.skip, options.phases)
    if plan.phases and find_spec("schemathesis") is None:
        raise ConfigError("generated cases need Schemathesis: pip install 'aione-mock[check]'")
    client = TargetClient(
        target,
        contract,
        budget=Budget(options.max_paid_calls, Decimal(options.spend_limit)),
        allow_writes=options.allow_writes,
        rate_limit=options.rate_limit,
        timeout=options.timeout,
        model_timeout=options.model_timeout,
        deadline=deadline,
        seed=str(options.seed),
    )
    client.forbidden = plan.forbidden
    generated = partial(run_generated_cases, options=options) if plan.phases else None
    return CheckRun(LawContext(client, str(options.seed)), plan, generated, options=options)
