import { expect, test } from "vitest"
import { addTerm, matchRow, parseFilter } from "../src/views/traffic/filter"
import { ROW } from "./calls"

test.each([
  ["", true],
  ["model:gpt-5.4", true],
  ["model:gpt-*", true],
  ["model:gpt", false],
  ["model:GPT-5.?", true],
  ["status:4xx", true],
  ["status:404 model:gpt-5.2", false],
  ["-status:4xx", false],
  ['key:"a key"', true],
  ["finding:damaged", false],
  ["model:(", false],
  ["is:broken", false],
])("%s", (text, expected) => {
  expect(matchRow(parseFilter(text), ROW)).toBe(expected)
})

test("what is no field is text for the server", () => {
  expect(parseFilter('status:4xx "some words" http://x y').text).toBe("some words http://x y")
})

test("a field is set, replaced and taken out", () => {
  expect(addTerm('status:4xx "a b"', "is:broken")).toBe('is:broken status:4xx "a b"')
  expect(addTerm("is:broken x", "is:broken")).toBe("is:broken x")
  expect(addTerm("", "is:charged")).toBe("is:charged")
})
