import { signal } from "@preact/signals"
import type {
  ErrorEntry,
  Exchange,
  JsonObject,
  Row,
  Rule,
  RuleCheck,
  RuleState,
  Scenario,
  Session,
  When,
} from "./types"

const TOKEN = "aione-mock.token"
// the page lies at …/_mock/ui/
const BASE = new URL("../", document.baseURI)

/** Whether the server has asked for its control token. */
export const tokenWanted = signal(false)

let token = sessionStorage.getItem(TOKEN) ?? ""
let tokenGiven: (() => void)[] = []

/** An answer that is no success; the message is the server's. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

/** Keeps the control token for this tab, and lets those go on who wait for it. */
export function giveToken(word: string): void {
  token = word
  sessionStorage.setItem(TOKEN, word)
  tokenWanted.value = false
  for (const go of tokenGiven) go()
  tokenGiven = []
}

/** The control token that was given in this tab; empty if none was asked for. */
export function controlToken(): string {
  return token
}

/** The base URL of clients: where the mock answers, without a slash at the end. */
export function clientUrl(session = ""): string {
  const root = new URL("../", BASE).href.replace(/\/$/, "").replace(/\/_session\/[^/]+$/, "")
  return session && session !== "default" ? `${root}/_session/${session}` : root
}

/** Headers of what the page itself reads from the gateway: no row in the list, and no rule that waits for a call is played on it. */
export const OWN_READ = { "X-Mock-Journal": "off", "X-Mock-Scenario": "instant" }

/** Sends a request to the control API; asks for the token if one is needed. */
export async function request(path: string, options: RequestInit & { session?: string } = {}): Promise<Response> {
  const { session, ...rest } = options
  const headers = new Headers(options.headers)
  if (session) headers.set("X-Mock-Session", session)
  if (token) headers.set("Authorization", `Bearer ${token}`)
  const answer = await fetch(new URL(path, BASE), { ...rest, headers })
  if (answer.status === 401) {
    tokenWanted.value = true
    await new Promise<void>((resolve) => tokenGiven.push(resolve))
    return request(path, options)
  }
  if (!answer.ok) throw new ApiError(answer.status, await readMessage(answer))
  return answer
}

async function readMessage(answer: Response): Promise<string> {
  try {
    return ((await answer.json()) as { error: { message: string } }).error.message
  } catch {
    return `HTTP ${answer.status}`
  }
}

async function read<T>(path: string, session?: string): Promise<T> {
  const answer = await request(path, session ? { session } : {})
  return (await answer.json()) as T
}

export async function listSessions(): Promise<Session[]> {
  return (await read<{ items: Session[] }>("sessions")).items
}

/** Returns the newest rows of a session, newest first. */
export async function queryJournal(session: string, filters: Record<string, string>): Promise<Row[]> {
  const query = new URLSearchParams({ ...filters, limit: "1000" })
  const found = await read<{ items: Omit<Row, "session">[] }>(`journal?${query}`, session)
  return found.items.map((row) => ({ ...row, session }))
}

export function getExchange(session: string, number: number): Promise<Exchange> {
  return read<Exchange>(`journal/${number}`, session)
}

export async function listErrors(operation: string): Promise<ErrorEntry[]> {
  return (await read<{ items: ErrorEntry[] }>(`errors?${new URLSearchParams({ operation })}`)).items
}

export async function listFaults(): Promise<Scenario[]> {
  return (await read<{ items: Scenario[] }>("scenarios?kind=fault")).items
}

/** Returns all scenarios, and those that the session plays. */
export function listScenarios(session: string): Promise<{ items: Scenario[]; active: RuleState[] }> {
  return read("scenarios", session)
}

export async function listAllErrors(): Promise<ErrorEntry[]> {
  return (await read<{ items: ErrorEntry[] }>("errors")).items
}

/** Makes something happen to the next calls; returns the id of its rule. */
export async function activateScenario(
  session: string,
  scenario: string,
  times: number | undefined,
  when: When,
): Promise<string> {
  const body = { scenario, ...(times ? { times } : {}), ...(Object.keys(when).length > 0 ? { when } : {}) }
  const answer = await request("scenarios", { method: "POST", body: JSON.stringify(body), session })
  return ((await answer.json()) as RuleState).id
}

export async function clearScenarios(session: string): Promise<void> {
  await request("scenarios", { method: "DELETE", session })
}

/** Returns the rules in force, in the order in which they are asked, and the errors of scenario files. */
export function listRules(session: string): Promise<{ items: RuleState[]; errors: string[] }> {
  return read("rules", session)
}

export async function replaceRules(session: string, rules: readonly Rule[]): Promise<void> {
  await request("rules", { method: "PUT", body: JSON.stringify({ rules }), session })
}

export async function deleteRule(session: string, id: string): Promise<void> {
  await request(`rules/${encodeURIComponent(id)}`, { method: "DELETE", session })
}

/** Switches a rule or a scenario off or on; it keeps its place and its count. */
export async function switchRule(session: string, id: string, enabled: boolean): Promise<void> {
  const body = JSON.stringify({ enabled })
  await request(`rules/${encodeURIComponent(id)}`, { method: "PATCH", body, session })
}

/** Reads the text of a scenario file: its rules, or its mistakes. */
export async function checkRules(text: string): Promise<RuleCheck> {
  const answer = await request("rule-check", { method: "POST", body: JSON.stringify({ text }) })
  return (await answer.json()) as RuleCheck
}

export function getRuleSchema(): Promise<JsonObject> {
  return read("rule-schema")
}

/** Adds a rule in front of the others of a session. */
export async function addRule(session: string, rule: Rule): Promise<string> {
  const answer = await request("rules?first=true", { method: "POST", body: JSON.stringify(rule), session })
  return ((await answer.json()) as { id: string }).id
}

export async function clearJournal(session: string): Promise<void> {
  await request("journal", { method: "DELETE", session })
}

/** Returns the calls of a session as a file. */
export async function exportSession(session: string, format: "cassette" | "har"): Promise<Blob> {
  return (await request(format, { session })).blob()
}
