import { expect, test } from "vitest"
import type { Exchange } from "../src/api/types"
import { compareCalls, cutTexts } from "../src/views/traffic/compare"
import { exchange } from "./calls"

const ask = (text: string, answer: string, more: object = {}): Exchange =>
  exchange(
    "createChatCompletion",
    { model: "gpt-5.4", messages: [{ role: "user", content: text }], ...more },
    { id: `chatcmpl-${answer}`, choices: [{ message: { content: answer } }] },
  )

const differences = (one: Exchange, other: Exchange) =>
  compareCalls(one, other).flatMap(({ name, differences: found }) =>
    found.map(({ member, one: left, other: right }) => [name, member, left, right]),
  )

test("calls differ in members of request and answer, and ids do not count", () => {
  expect(differences(ask("a", "x", { n: 1 }), ask("b", "y"))).toEqual([
    ["request", "messages[0].content", "a", "b"],
    ["request", "n", "1", undefined],
    ["answer", "answer[0][0].text", "x", "y"],
    ["answer", "choices[0].message.content", "x", "y"],
    ["volatile", "id", "chatcmpl-x", "chatcmpl-y"],
  ])
  expect(differences(ask("a", "x"), ask("a", "x"))).toEqual([])
})

test("a streamed answer is compared with a plain one by what it says", () => {
  const streamed = exchange("createChatCompletion", { model: "gpt-5.4" }, null, [
    'data: {"choices":[{"index":0,"delta":{"content":"He"}}]}\n\n',
    'data: {"choices":[{"index":0,"delta":{"content":"llo"}}]}\n\n',
  ])
  streamed.response.times_ms = [100, 200]
  streamed.response.end_ms = 200
  const plain = exchange("createChatCompletion", { model: "gpt-5.4" }, { choices: [{ message: { content: "Hello" } }] })
  expect(differences(streamed, plain).map(([, member]) => member)).toEqual(["total", "first", "events", "gap"])
})

test("texts are cut where they differ", () => {
  expect(cutTexts("one two three", "one 2 three")).toEqual([
    ["one ", "two", " three"],
    ["one ", "2", " three"],
  ])
  const long = "x".repeat(100)
  expect(cutTexts(`${long}a${long}`, `${long}${long}`)[0].map((part) => part.length)).toEqual([61, 1, 61])
  expect(cutTexts("aa", "a")).toEqual([
    ["a", "a", ""],
    ["a", "", ""],
  ])
})
