import { expect, test } from "vitest"
import { splitEvents } from "../src/api/gateway_call"
import { makeRequest, type Question, QuestionError } from "../src/views/playground/request"

const QUESTION: Question = {
  protocol: "openai",
  model: "a model",
  system: "Be brief.",
  messages: [
    { role: "user", text: "Hi" },
    { role: "assistant", text: "Hello" },
  ],
  tools: '[{"name": "f", "description": "d", "parameters": {"type": "object"}}]',
  schema: '{"type": "object"}',
  stream: true,
  scenario: " cut; after=1 ",
}

test("one question in three protocols", () => {
  const openai = makeRequest(QUESTION)
  expect(openai.headers).toContainEqual(["x-mock-scenario", "cut; after=1"])
  expect(openai.body).toMatchObject({
    stream: true,
    messages: [{ role: "system" }, { role: "user", content: "Hi" }, { role: "assistant" }],
    tools: [{ type: "function", function: { name: "f" } }],
  })
  const anthropic = makeRequest({ ...QUESTION, protocol: "anthropic" }).body
  expect(anthropic).toMatchObject({ system: "Be brief.", tools: [{ name: "f", input_schema: { type: "object" } }] })
  const gemini = makeRequest({ ...QUESTION, protocol: "gemini" })
  expect(gemini.path).toBe("/v1beta/models/a%20model:streamGenerateContent")
  expect(gemini.query).toBe("alt=sse")
  expect(gemini.body).toMatchObject({ contents: [{ role: "user" }, { role: "model", parts: [{ text: "Hello" }] }] })
  expect(gemini.body.stream).toBeUndefined()
})

test("tools and schema that are wrong name their field", () => {
  for (const [field, text] of [
    ["tools", "{"],
    ["tools", "{}"],
    ["schema", "[]"],
  ] as const) {
    expect(() => makeRequest({ ...QUESTION, [field]: text })).toThrow(QuestionError)
  }
})

test("events have the time at which their end came", () => {
  const pieces = [
    { at: 1, text: "data: a\n\ndata: " },
    { at: 2, text: "b\r" },
    { at: 3, text: "\n\r\ndata: c\n\nrest" },
  ]
  expect(splitEvents(pieces)).toEqual([
    { at: 1, text: "data: a\n\n" },
    { at: 3, text: "data: b\r\n\r\n" },
    { at: 3, text: "data: c\n\n" },
    { at: 3, text: "rest" },
  ])
})
