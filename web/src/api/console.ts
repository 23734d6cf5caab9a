import type { components, operations } from "./aione"
import { ApiError, clientUrl, OWN_READ, request } from "./client"
import type { components as Control } from "./control"

type Schemas = components["schemas"]
export type Credential = Control["schemas"]["Credential"]
export type Dashboard = Schemas["DashboardResponse"]
export type Tech = Schemas["TechDashboardData"]
export type Business = Schemas["BusinessDashboardData"]
export type Day = Schemas["DailyTrend"]
export type UsageRow = Schemas["UsageRow"]
export type Plan = Schemas["PlanDetailResponse"]
export type Account = Schemas["BillingAccountResponse"]
export type Key = Schemas["KeyMaskedResponse"]
export type Model = Schemas["ModelInfo"]
export type Invoice = Schemas["InvoiceListResponse"]
export type KeyWanted = Schemas["KeyCreateRequest"]
export type KeyChange = Schemas["KeyUpdateRequest"]
export type CreatedKey = Schemas["KeyCreatedResponse"]
export type KeyLimits = Control["schemas"]["KeyLimits"]
export type RotatedKey = Schemas["KeyRotateResponse"]
export type GroupBy = NonNullable<NonNullable<operations["queryUsage"]["parameters"]["query"]>["group_by"]>

export async function listCredentials(): Promise<Credential[]> {
  const answer = await request("credentials")
  return ((await answer.json()) as { items: Credential[] }).items
}

/** Returns what keys have used of their limits; those that are missing have used nothing lately. */
export async function listLimits(session: string): Promise<KeyLimits[]> {
  const answer = await request("limits", { session })
  return ((await answer.json()) as { items: KeyLimits[] }).items
}

/** Asks the gateway under console tokens of an organisation. What it reads is not kept in the journal and meets no rules. */
export class Console {
  constructor(
    readonly session: string,
    private readonly tech: string,
    private readonly business: string | undefined,
  ) {}

  get plan(): Promise<Plan> {
    return this.#read("/billing/plan")
  }

  get account(): Promise<Account> {
    return this.#read("/billing/account")
  }

  get keys(): Promise<Key[]> {
    return this.#read<{ items: Key[] }>("/gateway/keys").then((found) => found.items)
  }

  get models(): Promise<Model[]> {
    return this.#read<{ items: Model[] }>("/gateway/models").then((found) => found.items)
  }

  get invoices(): Promise<Invoice[]> {
    return this.#read("/billing/invoices?page_size=100")
  }

  async techDashboard(days: number): Promise<Tech | null> {
    return (await this.#read<Dashboard>(`/obs/dashboard?range_days=${days}`)).tech
  }

  /** Returns null where no console token has the payers' view. */
  async businessDashboard(days: number): Promise<Business | null> {
    if (this.business === undefined) return null
    return (await this.#read<Dashboard>(`/obs/dashboard?range_days=${days}`, this.business)).business
  }

  usage(groupBy: GroupBy, first: string, last: string): Promise<UsageRow[]> {
    return this.#read(`/obs/usage?${new URLSearchParams({ group_by: groupBy, start_date: first, end_date: last })}`)
  }

  async changeKey(id: string, change: "disable" | "enable"): Promise<void> {
    await this.#ask(`/gateway/keys/${id}/${change}`, this.tech, { method: "PUT" })
  }

  async rotateKey(id: string): Promise<RotatedKey> {
    const answer = await this.#ask(`/gateway/keys/${id}/rotate`, this.tech, { method: "PUT" })
    return (await answer.json()) as RotatedKey
  }

  async createKey(wanted: KeyWanted): Promise<CreatedKey> {
    const answer = await this.#ask("/gateway/keys", this.tech, { method: "POST", body: JSON.stringify(wanted) })
    return (await answer.json()) as CreatedKey
  }

  async updateKey(id: string, change: KeyChange): Promise<void> {
    await this.#ask(`/gateway/keys/${id}`, this.tech, { method: "PUT", body: JSON.stringify(change) })
  }

  async deleteKey(id: string): Promise<void> {
    await this.#ask(`/gateway/keys/${id}`, this.tech, { method: "DELETE" })
  }

  async #read<T>(path: string, token = this.tech): Promise<T> {
    const answer = await this.#ask(path, token, { headers: OWN_READ })
    return (await answer.json()) as T
  }

  async #ask(path: string, token: string, options: RequestInit): Promise<Response> {
    const headers = new Headers(options.headers)
    headers.set("Authorization", `Bearer ${token}`)
    headers.set("X-Mock-Session", this.session)
    if (options.body !== undefined) headers.set("Content-Type", "application/json")
    const answer = await fetch(`${clientUrl()}/api/v1${path}`, { ...options, headers })
    if (!answer.ok) throw new ApiError(answer.status, `HTTP ${answer.status}: ${await readDetail(answer)}`)
    return answer
  }
}

/** Returns what the console says about an error: a text, or a list of what is wrong. */
async function readDetail(answer: Response): Promise<string> {
  try {
    const { detail } = (await answer.json()) as { detail: string | { msg: string }[] }
    return typeof detail === "string" ? detail : detail.map((each) => each.msg).join("; ")
  } catch {
    return answer.statusText
  }
}

/** Opens the console of an organisation: with a token that may write if there is one, else with an API key. */
export function openConsole(
  session: string,
  organisation: string,
  credentials: readonly Credential[],
): Console | undefined {
  const own = credentials.filter((each) => each.organisation === organisation)
  const tokens = own.filter((each) => each.kind === "token")
  const engineers = tokens.filter((each) => each.view === "tech")
  const first = engineers.find((each) => each.may_write) ?? engineers[0] ?? own.find((each) => each.kind === "key")
  const business = tokens.find((each) => each.view === "business")
  return first && new Console(session, first.secret, business?.secret)
}
