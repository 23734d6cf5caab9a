import { expect, test } from "vitest"
import { formatRoute, parseRoute } from "../src/address"
import { addCosts, formatCost, formatDuration, showHidden } from "../src/format"
import { toPython } from "../src/views/traffic/python"
import { draftRule, makeRule } from "../src/views/traffic/rule"
import { toYaml } from "../src/yaml"
import { exchange } from "./calls"

test("durations and costs", () => {
  expect([0, 0.4, 3.6, 310, 2040, 12_400].map(formatDuration)).toEqual([
    "0 ms",
    "<1 ms",
    "4 ms",
    "0.31 s",
    "2.04 s",
    "12.4 s",
  ])
  expect(addCosts(["0.1", "0.2", null, "0.0001"])).toBe("0.3001")
  expect([formatCost("0"), formatCost("0.003")]).toEqual(["0", "0.0030"])
})

test("characters that nobody sees are shown", () => {
  expect(showHidden("a\u001b[31mb\u202ec\u0000\n\td")).toBe("a␛[31mb‹U+202E›c␀\n\td")
})

test("the address holds view, filter and call", () => {
  const route = { view: "traffic", session: "a", filter: 'status:4xx "a & b"', call: "a/3", tab: "raw", item: "b" }
  expect(parseRoute(formatRoute(route))).toEqual(route)
  expect(parseRoute("")).toEqual({ view: "traffic", session: "", filter: "", call: "", tab: "", item: "" })
})

test("values as Python writes them", () => {
  expect(toPython({ a: [true, null, 1.5], "b\u2028": "'\"" })).toBe(
    '{\n    "a": [\n        True,\n        None,\n        1.5,\n    ],\n    "b\\u2028": "\'\\"",\n}',
  )
})

test("values as YAML writes them", () => {
  const rule = { id: "one", when: { text: "yes", stream: true, model: "gpt-*" }, then: { reply: { text: "a: b\nc" } } }
  expect(toYaml({ rules: [rule, { then: {} }] })).toBe(
    [
      "rules:",
      "  - id: one",
      "    when:",
      '      text: "yes"',
      "      stream: true",
      '      model: "gpt-*"',
      "    then:",
      "      reply:",
      '        text: "a: b\\nc"',
      "  - then: {}",
      "",
    ].join("\n"),
  )
})

test("a call suggests the rule that answers it again", () => {
  const call = exchange(
    "createChatCompletion",
    { messages: [{ role: "user", content: "\n Where is it?\nx" }] },
    { choices: [{ message: { content: "There." } }] },
  )
  expect(makeRule(draftRule(call))).toEqual({
    when: { operation: "createChatCompletion", model: "gpt-5.4", text: "Where is it?" },
    then: { reply: { text: "There." } },
  })
  const faults = [{ name: "cut", after: 3 }]
  const cut = { ...call, stream: true, explain: { ...call.explain, action: { faults } } } as typeof call
  expect(makeRule(draftRule(cut))).toEqual({
    when: { operation: "createChatCompletion", model: "gpt-5.4", text: "Where is it?", stream: true },
    then: { faults },
  })
  expect(makeRule({ ...draftRule(cut), fault: "reset" }).then).toEqual({ faults: [{ name: "reset" }] })
  const draft = { ...draftRule(call), id: "x", outcome: "error" as const, error: "rate_limited", times: "2" }
  expect(makeRule(draft).then).toEqual({ error: "rate_limited", times: 2 })
})
