"""`aione-mock world`: what there is to ask the mock for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aione_mock.cli import terminal

if TYPE_CHECKING:
    from aione_mock.tenant.ledger import UsageRow
    from aione_mock.tenant.organisation import Organisation
    from aione_mock.tenant.tenants import Tenants

_DAYS = 30
_BAR = 40
"""Characters of the longest bar of the chart."""


def world(
    seed: Annotated[str, typer.Option(help="As of `serve`.")] = "0",
    now: Annotated[str | None, typer.Option(metavar="TIME", help="As of `serve`.")] = None,
    json: Annotated[bool, typer.Option("--json", help="For machines; all organisations.")] = False,
) -> None:
    """The seeded organisation: teams, keys, models, prices and the last 30 days of cost."""
    from aione_mock.clock import Clock, parse_instant
    from aione_mock.seed import Seed
    from aione_mock.server.sessions import check_seed
    from aione_mock.tenant.catalogue import ModelCatalogue
    from aione_mock.tenant.tenants import Tenants

    epoch = Clock(parse_instant(now) if now else None).timestamp()
    made = Tenants.create(Seed.of(check_seed(seed)), epoch, ModelCatalogue.load())
    if json:
        _print_json(made, seed)
    else:
        _print(made)


def _print(made: Tenants) -> None:
    main, *others = made.organisations.values()
    plan, account = main.plan, main.account
    terminal.heading(f"{main.name} ({main.id})")
    budget = f"{account.monthly_budget_rmb} RMB" if account.monthly_budget_rmb is not None else "none"
    typer.echo(f"plan {main.plan_name}: {plan.monthly_fee_rmb} RMB a month, {plan.rpm_limit} RPM, {plan.tpm_limit} TPM")
    typer.echo(f"balance {account.balance_rmb} RMB, credit {account.credit_limit_rmb} RMB, monthly budget {budget}")
    typer.echo(f"other organisations: {', '.join([org.name for org in others])}\n")
    terminal.table(("team", "id", "people"), _teams(main))
    typer.echo()
    terminal.table(("key", "id", "secret", "purpose"), _keys(main))
    typer.echo()
    terminal.table(("model", "input", "cached", "output", "context", "can"), _models(made))
    typer.echo("prices: RMB per million tokens\n")
    _chart(_costs(made, main))


def _teams(org: Organisation) -> list[tuple[str, ...]]:
    return [
        (team.name, team.id, ", ".join([person.name for person in org.people if person.team_id == team.id]))
        for team in org.teams
    ]


def _keys(org: Organisation) -> list[tuple[str, ...]]:
    from aione_mock.tenant.organisation_file import list_credentials

    names = {key.id: key.name for key in org.keys}
    return [(names[c.id], c.id, c.secret, c.purpose) for c in list_credentials() if c.id in names]


def _models(made: Tenants) -> list[tuple[str, ...]]:
    return [
        (
            model.id,
            str(model.prices.input),
            str(model.prices.cached_input),
            str(model.prices.output),
            str(model.context_length),
            ", ".join(model.abilities),
        )
        for model in made.catalogue.models
    ]


def _costs(made: Tenants, org: Organisation) -> list[UsageRow]:
    """One row a day for the last days before the epoch, today included."""
    from aione_mock.store import MemoryStore
    from aione_mock.tenant.calendar import day_to_date, timestamp_to_day
    from aione_mock.tenant.ledger import fill_days

    snapshot = asyncio.run(made.ledgers[org.id].read(MemoryStore()))
    today = day_to_date(timestamp_to_day(made.epoch))
    start = today - timedelta(days=_DAYS - 1)
    return fill_days(snapshot.list_daily_usage(start, today), start, today)


def _chart(rows: list[UsageRow]) -> None:
    highest = max([row.ticks for row in rows]) or 1
    terminal.heading(f"Cost of the last {len(rows)} days in RMB, {sum([row.cost for row in rows])} in all")
    for line in terminal.aligned(
        [(f"{row.date:%a %d %b}", "█" * round(_BAR * row.ticks / highest) or "▏", str(row.cost)) for row in rows]
    ):
        typer.echo(line)


def _print_json(made: Tenants, seed: str) -> None:
    import orjson

    from aione_mock.clock import format_instant

    content = {
        "seed": seed,
        "now": format_instant(datetime.fromtimestamp(made.epoch, UTC)),
        "organisations": [_organisation(made, org) for org in made.organisations.values()],
        "models": [
            {
                "id": model.id,
                "aliases": model.aliases,
                "protocols": model.protocols,
                "abilities": model.abilities,
                "context_length": model.context_length,
                "input_price_rmb": str(model.prices.input),
                "cached_input_price_rmb": str(model.prices.cached_input),
                "output_price_rmb": str(model.prices.output),
            }
            for model in made.catalogue.models
        ],
    }
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), nl=False)


def _organisation(made: Tenants, org: Organisation) -> dict[str, Any]:
    return {
        "id": org.id,
        "name": org.name,
        "plan": {
            "name": org.plan_name,
            "monthly_fee_rmb": str(org.plan.monthly_fee_rmb),
            "rpm_limit": org.plan.rpm_limit,
            "tpm_limit": org.plan.tpm_limit,
        },
        "balance_rmb": str(org.account.balance_rmb),
        "teams": [{"id": team.id, "number": team.number, "name": team.name} for team in org.teams],
        "people": [{"number": p.number, "name": p.name, "team_id": p.team_id} for p in org.people],
        "keys": [
            {"name": name, "id": key_id, "secret": secret, "purpose": purpose}
            for name, key_id, secret, purpose in _keys(org)
        ],
        "daily_cost_rmb": {str(row.date): str(row.cost) for row in _costs(made, org)},
    }
