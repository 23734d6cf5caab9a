import { expect, test } from "vitest"
import type { Exchange } from "../src/api/types"
import { judgeAnswer, judgeOrder, judgeRequest } from "../src/views/traffic/verdict"
import { exchange } from "./calls"

const CONTRACT: NonNullable<Exchange["contract"]> = {
  summary: "Ask a model",
  path: "/v1/chat/completions",
  document: "AIone 1.0",
  evidence: "documented",
  statuses: ["200"],
  headers: [],
  grammar: true,
  request_checked: true,
  answer_checked: true,
}

function judge(change: (call: Exchange) => void): string[] {
  const call = { ...exchange("createChatCompletion", {}, null, ["data: {}\n\n"]), contract: { ...CONTRACT } }
  change(call)
  return [judgeRequest(call), judgeAnswer(call), judgeOrder(call)]
}

test("request, answer and order of events are judged apart", () => {
  expect(judge(() => {})).toEqual(["keeps", "keeps", "keeps"])
  expect(
    judge((call) => call.response.violations.push({ part: "stream", member: null, event: null, message: "" })),
  ).toEqual(["keeps", "violates", "violates"])
  expect(
    judge((call) => call.response.violations.push({ part: "event", member: "id", event: 2, message: "" })),
  ).toEqual(["keeps", "violates", "keeps"])
  expect(judge((call) => call.request.violations.push({ part: "body", member: "n", message: "" }))[0]).toBe("violates")
})

test("what was not examined is neither right nor wrong", () => {
  expect(judge((call) => Object.assign(call, { contract: null }))).toEqual(["unknown", "unknown", "unknown"])
  expect(judge((call) => Object.assign(call, { open: true }))).toEqual(["keeps", "unchecked", "unchecked"])
  expect(
    judge((call) => Object.assign(call, { contract: { ...CONTRACT, request_checked: false, answer_checked: false } })),
  ).toEqual(["unchecked", "unchecked", "unchecked"])
})
