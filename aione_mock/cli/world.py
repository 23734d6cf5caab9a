"""`aione-mock world`: show the seeded organisation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from aione_mock.cli import terminal
from aione_mock.cli.setting_options import read_settings
from aione_mock.clock import Clock, format_instant
from aione_mock.seed import Seed
from aione_mock.store import MemoryStore
from aione_mock.tenant.calendar import day_to_date, timestamp_to_day
from aione_mock.tenant.catalogue import Model
from aione_mock.tenant.ledger import UsageRow, fill_days
from aione_mock.tenant.organisation import Organisation
from aione_mock.tenant.tenants import Tenants
from aione_mock.tenant.world import World
from aione_mock.types import Json

_DAYS = 30
_LONGEST_BAR = 40
"""Characters."""


def show_world(
    seed: Annotated[str | None, typer.Option(help="As for `serve`.")] = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="As for `serve`.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with all organisations.")] = False,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="As for `serve`.")] = None,
) -> None:
    """Show the seeded organisation: teams, keys, models, prices and the cost of the last 30 days."""
    settings = read_settings({"seed": seed, "now": now, "config": config})
    world, epoch = World.load(settings), Clock(settings.now).timestamp()
    key = Seed.of(settings.seed)
    tenants = Tenants.create(key, epoch, world.catalogue, world.organisations)
    if json:
        terminal.print_json(_world_to_json(tenants, world, settings.seed))
    else:
        _print_world(tenants, world)


def _print_world(tenants: Tenants, world: World) -> None:
    main, *others = tenants.organisations.values()
    plan, account = main.plan, main.account
    terminal.print_heading(f"{main.name} ({main.id})")
    budget = f"{account.monthly_budget_rmb} RMB" if account.monthly_budget_rmb is not None else "none"
    typer.echo(f"plan {main.plan_name}: {plan.monthly_fee_rmb} RMB a month, {plan.rpm_limit} RPM, {plan.tpm_limit} TPM")
    typer.echo(f"balance {account.balance_rmb} RMB, credit {account.credit_limit_rmb} RMB, monthly budget {budget}")
    typer.echo(f"other organisations: {', '.join([org.name for org in others]) or 'none'}\n")
    if main.teams:
        terminal.print_table(("team", "id", "people"), _list_teams(main))
    typer.echo()
    terminal.print_table(("key", "id", "secret", "purpose"), _list_keys(main, world))
    typer.echo()
    terminal.print_table(("model", "input", "cached", "output", "context", "can"), _list_models(tenants))
    typer.echo("prices: RMB per million tokens\n")
    _print_chart(_sum_daily_usage(tenants, main))


def _list_teams(org: Organisation) -> list[tuple[str, ...]]:
    return [
        (team.name, team.id, ", ".join([person.name for person in org.people if person.team_id == team.id]))
        for team in org.teams
    ]


def _list_keys(org: Organisation, world: World) -> list[tuple[str, ...]]:
    names = {key.id: key.name for key in org.keys}
    return [(names[c.id], c.id, c.secret, c.purpose) for c in world.list_credentials() if c.id in names]


def _list_models(tenants: Tenants) -> list[tuple[str, ...]]:
    return [
        (
            model.id,
            str(model.prices.input),
            str(model.prices.cached_input),
            str(model.prices.output),
            str(model.context_length),
            ", ".join(model.abilities),
        )
        for model in tenants.catalogue.models
    ]


def _sum_daily_usage(tenants: Tenants, org: Organisation) -> list[UsageRow]:
    """Return one row for each of the last days, today included."""
    snapshot = asyncio.run(tenants.ledgers[org.id].read(MemoryStore()))
    today = day_to_date(timestamp_to_day(tenants.epoch))
    start = today - timedelta(days=_DAYS - 1)
    return fill_days(snapshot.list_daily_usage(start, today), start, today)


def _print_chart(rows: list[UsageRow]) -> None:
    highest = max([row.ticks for row in rows]) or 1
    terminal.print_heading(f"Cost of the last {len(rows)} days in RMB, {sum([row.cost for row in rows])} in all")
    bars = ["█" * round(_LONGEST_BAR * row.ticks / highest) or "▏" for row in rows]
    lines = [(f"{row.date:%a %d %b}", bar, str(row.cost)) for row, bar in zip(rows, bars, strict=True)]
    for line in terminal.align_columns(lines):
        typer.echo(line)


def _world_to_json(tenants: Tenants, world: World, seed: str) -> Json:
    return {
        "seed": seed,
        "now": format_instant(datetime.fromtimestamp(tenants.epoch, UTC)),
        "organisations": [_organisation_to_json(tenants, world, org) for org in tenants.organisations.values()],
        "models": [_model_to_json(model) for model in tenants.catalogue.models],
    }


def _model_to_json(model: Model) -> Json:
    return {
        "id": model.id,
        "aliases": model.aliases,
        "protocols": model.protocols,
        "abilities": model.abilities,
        "context_length": model.context_length,
        "input_price_rmb": str(model.prices.input),
        "cached_input_price_rmb": str(model.prices.cached_input),
        "output_price_rmb": str(model.prices.output),
    }


def _organisation_to_json(tenants: Tenants, world: World, org: Organisation) -> Json:
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
            for name, key_id, secret, purpose in _list_keys(org, world)
        ],
        "daily_cost_rmb": {str(row.date): str(row.cost) for row in _sum_daily_usage(tenants, org)},
    }
