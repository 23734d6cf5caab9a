import { formatRoute, parseRoute } from "../../address"
import type { UsageRow } from "../../api/console"
import { formatCount } from "../../format"
import { route } from "../../route"
import { say } from "../../words"
import { money } from "./money"
import { nameTeam, type Organisation } from "./read"
import { Instant } from "./summary"
import { Bar, type Column, Table } from "./tables"

/** A link to the calls that a filter finds in the session. */
export function CallsLink({ filter, children }: { filter: string; children: string }) {
  const { session } = route.value
  return <a href={formatRoute({ ...parseRoute(""), session, filter })}>{children}</a>
}

function usageColumns(rows: readonly UsageRow[]): Column<UsageRow>[] {
  const costs = rows.map((row) => row.cost_rmb)
  return [
    { name: say("organisation.requests"), number: true, cell: (row) => formatCount(row.requests) },
    { name: say("organisation.tokens"), number: true, cell: (row) => formatCount(row.total_tokens) },
    { name: say("organisation.cost"), number: true, cell: (row) => money(row.cost_rmb) },
    { name: say("organisation.share"), cell: (row) => <Bar value={row.cost_rmb} all={costs} /> },
  ]
}

export function UsageByModel({ content }: { content: Organisation }) {
  return (
    <Table
      title={say("organisation.by_model")}
      rows={content.byModel}
      keyOf={(row) => row.model ?? ""}
      empty={say("organisation.no_calls")}
      columns={[
        {
          name: say("organisation.model"),
          cell: (row) => <CallsLink filter={`model:${row.model ?? ""}`}>{row.model ?? ""}</CallsLink>,
        },
        ...usageColumns(content.byModel),
      ]}
    />
  )
}

export function Teams({ content }: { content: Organisation }) {
  const count = (id: string | null) => content.keys.filter((key) => key.team_id === id).length
  return (
    <Table
      title={say("organisation.by_team")}
      rows={content.byTeam}
      keyOf={(row) => row.team_id ?? ""}
      empty={say("organisation.no_calls")}
      columns={[
        {
          name: say("organisation.team"),
          cell: (row) => nameTeam(row.team_id, content.business) ?? say("organisation.no_team"),
        },
        { name: say("organisation.keys"), number: true, cell: (row) => count(row.team_id) },
        ...usageColumns(content.byTeam),
      ]}
    />
  )
}

export function Models({ content }: { content: Organisation }) {
  return (
    <Table
      title={say("organisation.models")}
      note={say("organisation.prices_note")}
      rows={content.models}
      keyOf={(model) => model.id}
      empty={say("organisation.no_models")}
      columns={[
        { name: say("organisation.model"), cell: (model) => <code>{model.id}</code> },
        { name: say("organisation.provider"), cell: (model) => model.provider },
        { name: say("organisation.price_in"), number: true, cell: (model) => money(model.input_price_rmb) },
        {
          name: say("organisation.price_cached"),
          number: true,
          cell: (model) => (model.cached_input_price_rmb === null ? "–" : money(model.cached_input_price_rmb)),
        },
        { name: say("organisation.price_out"), number: true, cell: (model) => money(model.output_price_rmb) },
        { name: say("organisation.context"), number: true, cell: (model) => formatCount(model.context_length) },
        { name: say("organisation.longest"), number: true, cell: (model) => formatCount(model.max_output_tokens) },
        { name: say("organisation.protocols"), cell: (model) => model.protocols.join(", ") },
        { name: say("organisation.abilities"), cell: (model) => model.capabilities.join(", ") },
      ]}
    />
  )
}

export function Invoices({ content }: { content: Organisation }) {
  return (
    <Table
      title={say("organisation.invoices")}
      rows={content.invoices}
      keyOf={(invoice) => invoice.id}
      empty={say("organisation.no_invoices")}
      columns={[
        { name: say("organisation.number"), cell: (invoice) => invoice.invoice_no },
        { name: say("organisation.period"), cell: (invoice) => `${invoice.period_start} – ${invoice.period_end}` },
        { name: say("organisation.amount"), number: true, cell: (invoice) => money(invoice.amount_rmb) },
        {
          name: say("organisation.state"),
          cell: (invoice) => <span class={invoice.status === "overdue" ? "bad" : undefined}>{invoice.status}</span>,
        },
        { name: say("organisation.issued"), cell: (invoice) => <Instant at={invoice.issued_at} /> },
        { name: say("organisation.paid"), cell: (invoice) => <Instant at={invoice.paid_at} /> },
      ]}
    />
  )
}
