import { expect, test } from "vitest"
import type { Business, Console, Credential, Key, Tech } from "../src/api/console"
import { listFigures, readLines } from "../src/views/organisation/curves"
import { describeChange, describeKey, draftOf, EMPTY_DRAFT } from "../src/views/organisation/key_draft"
import { money } from "../src/views/organisation/money"
import { barLength, listOrganisations, nameTeam, parseDays, readOrganisation } from "../src/views/organisation/read"

test.each([
  ["1", 1],
  ["90", 90],
  ["91", 7],
  ["0", 7],
  ["2.5", 7],
  ["", 7],
  ["status:4xx", 7],
])("the range %j is %d days", (text, days) => {
  expect(parseDays(text)).toBe(days)
})

test("amounts stay as they came", () => {
  expect(money("12345678901234567890.1230")).toBe("¥12345678901234567890.1230")
  expect(money("-37.2050")).toBe("−¥37.2050")
})

test("the longest bar is full, and no bar is drawn where there is nothing", () => {
  expect(barLength("5.0000", ["10.0000", "5.0000"])).toBe(50)
  expect(barLength("0.0000", ["0.0000"])).toBe(0)
  expect(barLength(1, [])).toBe(0)
})

test("a team that the dashboard does not name is called by its id", () => {
  const business = { team_cost_ranking: [{ team_id: "a", team_name: "Support", cost_rmb: "1.0000", conversations: 1 }] }
  expect(nameTeam("a", business as Business)).toBe("Support")
  expect(nameTeam("b", business as Business)).toBe("b")
  expect(nameTeam("a", null)).toBe("a")
  expect(nameTeam(null, null)).toBeNull()
})

test("organisations are listed once, in their order", () => {
  const credentials = ["main", "other", "main"].map((organisation) => ({ organisation }) as Credential)
  expect(listOrganisations(credentials)).toEqual(["main", "other"])
})

test("usage is asked for the days of the dashboard", async () => {
  const asked: string[] = []
  const trend = ["2026-04-11", "2026-04-12", "2026-04-13"].map((date) => ({ date }))
  const console = {
    techDashboard: async () => ({ daily_trend: trend }) as Tech,
    businessDashboard: async () => null,
    usage: async (...query: string[]) => {
      asked.push(query.join(" "))
      return []
    },
  } as unknown as Console
  await readOrganisation(console, 3)
  expect(asked).toEqual(["model", "team", "key"].map((group) => `${group} 2026-04-11 2026-04-13`))
})

test("a key that is changed loses the restrictions that are emptied", () => {
  const draft = { ...EMPTY_DRAFT, name: " Night shift ", models: "gpt-5.4, claude-*", rpm: "2" }
  const change = {
    name: "Night shift",
    models_allowed: ["gpt-5.4", "claude-*"],
    allowed_ips: null,
    rpm_limit: 2,
    tpm_limit: null,
    concurrency_limit: null,
  }
  expect(describeChange(draft)).toEqual(change)
  expect(describeKey({ ...draft, team: "a", sandbox: true })).toEqual({
    ...change,
    team_id: "a",
    expires_at: null,
    is_sandbox: true,
  })
  expect(describeChange(draftOf({ ...change, id: "a" } as unknown as Key))).toEqual(change)
})

test("a line has a value for each time, and figures stand side by side", () => {
  const point = (timestamp: string, value: number, label = "a") => ({ timestamp, value, label })
  const qpm = [
    point("2026-01-01T00:01:00Z", 2),
    point("2026-01-01T00:00:00Z", 0),
    point("2026-01-01T00:01:00Z", 3, "b"),
  ]
  const none = { tpm: [], concurrency: [], callVolume: [], successRate: [], responseTime: [] }
  expect(readLines({ ...none, qpm }, "qpm").lines.map(({ label, values }) => [label, values])).toEqual([
    ["a", [0, 2]],
    ["b", [null, 3]],
  ])
  const rates = { ...none, qpm, callVolume: qpm, successRate: [point("2026-01-01T00:01:00Z", 100), ...qpm.slice(1, 2)] }
  expect(readLines(rates, "successRate").lines.map(({ values }) => values)).toEqual([[null, 100]])
  expect(listFigures({ ...none, qpm, tpm: [point("2026-01-01T00:01:00Z", 7)] })).toEqual([
    { timestamp: "2026-01-01T00:01:00Z", label: "a", figures: { qpm: 2, tpm: 7 } },
    { timestamp: "2026-01-01T00:01:00Z", label: "b", figures: { qpm: 3 } },
  ])
})
