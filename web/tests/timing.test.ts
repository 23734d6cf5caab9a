import { expect, test } from "vitest"
import { readTiming } from "../src/views/traffic/timing"
import { exchange } from "./calls"

test("first token, speed and the longest gap, which may be before the end", () => {
  const call = exchange("createChatCompletion", {}, null, ['data: {"content":" a"}\n\n', "data: b\n\n", "data: c\n\n"])
  call.response.times_ms = [100, 150, 350]
  call.response.end_ms = 350
  call.usage = { prompt: 1, completion: 6, reasoning: 0, cached: 0, cache_write: 0 }
  const timing = readTiming(call)
  expect([timing.first, timing.end, timing.longestGap?.gap, timing.tokensPerSecond]).toEqual([100, 350, 200, 20])
  expect(timing.events.map((event) => [event.number, event.gap, event.said])).toEqual([
    [1, 100, " a"],
    [2, 50, ""],
    [3, 200, ""],
  ])
  call.response.end_ms = 1350
  expect(readTiming(call).longestGap).toEqual({ at: 1350, gap: 1000 })
})

test("an answer without events has no figures", () => {
  const timing = readTiming(exchange("createChatCompletion", {}, null))
  expect([timing.first, timing.end, timing.longestGap?.gap, timing.tokensPerSecond]).toEqual([
    0,
    0,
    undefined,
    undefined,
  ])
})
