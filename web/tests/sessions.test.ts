import { expect, test } from "vitest"
import { describeSession } from "../src/views/sessions/draft"
import { startOfNextMonth } from "../src/views/sessions/months"

test.each([
  ["2026-04-07T09:30:00Z", "2026-04-30T16:00:00.000Z"],
  ["2026-04-30T15:59:59.999Z", "2026-04-30T16:00:00.000Z"],
  ["2026-04-30T16:00:00Z", "2026-05-31T16:00:00.000Z"],
  ["2026-12-31T20:00:00Z", "2027-01-31T16:00:00.000Z"],
])("the month after %s begins at %s", (instant, expected) => {
  expect(startOfNextMonth(instant)).toBe(expected)
})

test("what is left empty is not asked for", () => {
  const empty = { name: " worker-3 ", seed: "", now: "", frozen: "", pace: "" }
  expect(describeSession(empty)).toEqual({ name: "worker-3" })
  expect(describeSession({ ...empty, seed: "7", frozen: "no", pace: "instant" })).toEqual({
    name: "worker-3",
    seed: "7",
    frozen: false,
    pace: { profile: "instant" },
  })
})
