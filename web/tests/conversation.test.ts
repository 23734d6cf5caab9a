import { expect, test } from "vitest"
import { lastUserText, readConversation } from "../src/views/traffic/conversation"
import { exchange } from "./calls"

const data = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`

test("OpenAI: plain, and as a stream, with tools and reasoning", () => {
  const body = {
    messages: [
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "Look" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
        ],
      },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", function: { name: "look", arguments: '{"at":1}' } }],
      },
      { role: "tool", tool_call_id: "c1", content: '{"seen":true}' },
    ],
    tools: [{ type: "function", function: { name: "look" } }],
  }
  const plain = readConversation(
    exchange("createChatCompletion", body, { choices: [{ message: { role: "assistant", content: "Yes." } }] }),
  )
  expect(plain?.tools).toEqual(["look"])
  expect(plain?.asked.map((turn) => [turn.role, turn.parts.map((part) => part.kind)])).toEqual([
    ["system", ["text"]],
    ["user", ["text", "image"]],
    ["assistant", ["tool_call"]],
    ["tool", ["tool_result"]],
  ])
  expect(plain?.answers).toEqual([{ role: "assistant", parts: [{ kind: "text", text: "Yes." }] }])
  expect(lastUserText(plain)).toBe("Look")
  const events = [
    data({ choices: [{ index: 0, delta: { role: "assistant", reasoning_content: "Hm" } }] }),
    data({ choices: [{ index: 0, delta: { content: "Y" } }] }),
    data({ choices: [{ index: 0, delta: { content: "es" } }] }),
    data({
      choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { name: "look", arguments: '{"a' } }] } }],
    }),
    data({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '":1}' } }] } }] }),
    "data: [DONE]\n\n",
  ]
  expect(readConversation(exchange("createChatCompletion", body, null, events))?.answers[0]?.parts).toEqual([
    { kind: "reasoning", text: "Hm" },
    { kind: "text", text: "Yes" },
    { kind: "tool_call", name: "look", text: '{\n  "a": 1\n}' },
  ])
})

test("Anthropic: plain, and as a stream", () => {
  const body = { system: "Be brief.", messages: [{ role: "user", content: "Hi" }], tools: [{ name: "look" }] }
  const content = [
    { type: "thinking", thinking: "Hm" },
    { type: "text", text: "Yes" },
    { type: "tool_use", name: "look", input: { a: 1 } },
  ]
  const plain = readConversation(exchange("createMessage", body, { content }))
  const events = [
    data({ type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } }),
    data({ type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "Hm" } }),
    data({ type: "content_block_start", index: 1, content_block: { type: "text", text: "" } }),
    data({ type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Yes" } }),
    data({ type: "content_block_start", index: 2, content_block: { type: "tool_use", name: "look", input: {} } }),
    data({ type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: '{"a":1}' } }),
  ]
  const streamed = readConversation(exchange("createMessage", body, null, events))
  expect(plain?.asked[0]).toEqual({ role: "system", parts: [{ kind: "text", text: "Be brief." }] })
  expect(plain?.answers[0]?.parts.map((part) => part.kind)).toEqual(["reasoning", "text", "tool_call"])
  expect(streamed?.answers).toEqual(plain?.answers)
})

test("Gemini: plain, and as a stream", () => {
  const body = {
    systemInstruction: { parts: [{ text: "Be brief." }] },
    contents: [{ role: "user", parts: [{ text: "Hi" }] }],
  }
  const chunk = (parts: unknown[]) => ({ candidates: [{ content: { role: "model", parts } }] })
  const plain = readConversation(
    exchange("generateContent", body, chunk([{ text: "Hm", thought: true }, { text: "Yes" }])),
  )
  const events = [
    data(chunk([{ text: "Hm", thought: true }])),
    data(chunk([{ text: "Y" }])),
    data(chunk([{ text: "es" }])),
  ]
  expect(plain?.asked.map((turn) => turn.role)).toEqual(["system", "user"])
  expect(readConversation(exchange("streamGenerateContent", body, null, events))?.answers).toEqual(plain?.answers)
})

test("a call of another kind, or a body that is no object, holds none", () => {
  expect(readConversation(exchange("listKeys", null, { keys: [] }))).toBeUndefined()
  expect(readConversation(exchange("createChatCompletion", "{bad", null))).toBeUndefined()
  for (const odd of [{ messages: 3 }, { messages: [null, 3, { content: [[]] }] }, {}]) {
    expect(readConversation(exchange("createChatCompletion", odd, { choices: "x" }))?.answers).toEqual([])
  }
})
