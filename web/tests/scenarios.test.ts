import { expect, test } from "vitest"
import type { RuleState, Scenario } from "../src/api/types"
import { findOutcomes, readClientTable } from "../src/views/scenarios/client_table"
import { describeThen, isOfFile, matchScenario, writeScenario } from "../src/views/scenarios/scenario_text"
import { findPath, listMembers } from "../src/views/scenarios/schema_help"
import { compareLines, shorten, splitLines } from "../src/views/scenarios/wire_lines"

const option = (name: string, usual: number | null) => ({
  name,
  type: "integer" as const,
  default: usual,
  description: "",
})
const CUT: Scenario = {
  name: "cut",
  kind: "fault",
  title: "The connection drops",
  applies_to: "stream",
  options: [option("after", 1), option("message", null), option("times", null)],
  header: "",
}

test("a scenario is written with what differs from the defaults", () => {
  expect(writeScenario(CUT, { after: "1", times: "3" })).toBe("cut")
  expect(writeScenario(CUT, { after: " 5", message: 'a; "b", c' })).toBe('cut; after=5; message="a; \\"b\\", c"')
})

test("each word of a search has to fit", () => {
  expect(["conn CUT", "fault", "", "cut error"].map((search) => matchScenario(CUT, search))).toEqual([
    true,
    true,
    true,
    false,
  ])
})

test("a rule in a line", () => {
  const then = { faults: [{ name: "cut", after: 5 }], delay: 2, times: 3 }
  const state = { id: "a", source: "rules.yaml:2", rule: { then }, seen: 0, spent: false } as unknown as RuleState
  expect(describeThen(state)).toBe("cut; after=5 · delay: 2")
  expect([isOfFile(state), isOfFile({ ...state, source: "control" })]).toEqual([true, false])
})

test("outcomes of clients come from the measured table", () => {
  const table = "## Streams\n\n| scenario | openai |\n|---|---|\n| `cut; after=0` | **no text**; `openai.APIError` |\n"
  expect(readClientTable(table)).toEqual([
    {
      answers: "Streams",
      scenario: "cut; after=0",
      outcomes: [{ client: "openai", outcome: "no text; openai.APIError" }],
    },
  ])
  expect(findOutcomes("cut").map((row) => row.answers)).toContain("Streams")
  expect(findOutcomes("cut")[0]?.outcomes.length).toBe(5)
})

test("the schema says what may stand at the cursor", () => {
  const text = "rules:\n  - id: a\n    when:\n      text: x\n    then:\n      \n"
  expect(findPath(text, text.indexOf("text:"))).toEqual(["rules", "when"])
  expect(findPath(text, text.length - 1)).toEqual(["rules", "then"])
  expect(findPath(text, text.indexOf("id:"))).toEqual(["rules"])
  const schema = {
    properties: { rules: { items: { $ref: "#/$defs/Rule" } } },
    $defs: { Rule: { properties: { then: { type: "object", description: "What." } } } },
  }
  expect(listMembers(schema, ["rules"])).toEqual([{ name: "then", type: "object", description: "What." }])
  expect(listMembers(schema, ["nowhere"])).toEqual([])
})

test("lines that differ are marked", () => {
  expect(splitLines("a\r\nb\rc\n")).toEqual(["a␍", "b␍", "c", ""])
  expect(shorten("x".repeat(500)).length).toBe(163)
  const { one, other } = compareLines(["a", "", "b", "b"], ["a", "b", "c"])
  expect([[...one], [...other]]).toEqual([[3], [2]])
  const moved = compareLines(["a", "b", "c", "d"], ["a", "c", "b", "d"])
  expect([moved.one.size, moved.other.size]).toEqual([1, 1])
  const twice = compareLines(["a", "b"], ["a", "a", "b"])
  expect([twice.one.size, twice.other.size]).toEqual([0, 1])
})
