import type {
  Account,
  Business,
  Console,
  Credential,
  Invoice,
  Key,
  Model,
  Plan,
  Tech,
  UsageRow,
} from "../../api/console"

/** Everything that the view shows of an organisation. */
export interface Organisation {
  plan: Plan
  account: Account
  tech: Tech
  business: Business | null
  keys: Key[]
  models: Model[]
  invoices: Invoice[]
  byModel: UsageRow[]
  byTeam: UsageRow[]
  byKey: UsageRow[]
}

export const LONGEST_RANGE = 90

/** Reads an organisation over the last days, today included, as the gateway's dashboard takes them. */
export async function readOrganisation(console: Console, days: number): Promise<Organisation> {
  const [plan, account, tech, business, keys, models, invoices] = await Promise.all([
    console.plan,
    console.account,
    console.techDashboard(days),
    console.businessDashboard(days),
    console.keys,
    console.models,
    console.invoices,
  ])
  if (!tech) throw new Error("the dashboard has no engineers' view")
  // the same days as the dashboard's, whatever the clock has done since
  const first = tech.daily_trend[0]?.date ?? ""
  const last = tech.daily_trend.at(-1)?.date ?? ""
  const [byModel, byTeam, byKey] = await Promise.all([
    console.usage("model", first, last),
    console.usage("team", first, last),
    console.usage("key", first, last),
  ])
  return { plan, account, tech, business, keys, models, invoices, byModel, byTeam, byKey }
}

/** Returns the labels of the organisations, in their order. */
export function listOrganisations(credentials: readonly Credential[]): string[] {
  return [...new Set(credentials.map((each) => each.organisation))]
}

/** Returns how long a range is from what was typed; the dashboard's default for anything else. */
export function parseDays(text: string): number {
  const days = Number(text)
  return Number.isInteger(days) && days >= 1 && days <= LONGEST_RANGE ? days : 7
}

/** Returns the length of a bar in per cent of the longest. For the eye only: figures are shown as they came. */
export function barLength(value: string | number, all: readonly (string | number)[]): number {
  const longest = Math.max(0, ...all.map(Number))
  return longest > 0 ? Math.max(0, (100 * Number(value)) / longest) : 0
}

/** Returns a team's name. Only the payers' dashboard knows names, and only of teams with calls in its range. */
export function nameTeam(id: string | null, business: Business | null): string | null {
  return business?.team_cost_ranking.find((team) => team.team_id === id)?.team_name ?? id
}
