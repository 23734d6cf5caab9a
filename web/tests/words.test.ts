import { expect, test } from "vitest"
import { en } from "../src/words/en"
import { zh } from "../src/words/zh"

const values = (words: Record<string, string>, key: string) =>
  [...(words[key] ?? "").matchAll(/\{\w+\}/g)].map(String).sort()

test("both languages have the same keys", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort())
})

test("both languages fill in the same values", () => {
  for (const key of Object.keys(en)) expect([key, values(zh, key)]).toEqual([key, values(en, key)])
})

test("no word is empty", () => {
  expect(Object.entries({ ...en, ...zh }).filter(([, text]) => text.trim() === "")).toEqual([])
})
