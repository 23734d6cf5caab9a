import { expect, test } from "vitest"
import { describeEvidence, prepareDocument } from "../src/views/reference/document"

test("evidence is one word or one for each keyword", () => {
  expect(describeEvidence("assumed")).toBe("assumed")
  expect(describeEvidence({ required: "assumed", pattern: "deduced" })).toBe("required: assumed, pattern: deduced")
  expect(describeEvidence(undefined)).toBe("")
})

test("descriptions end in the evidence of their place, but for operations, which have a mark", () => {
  const document = {
    paths: {
      "/": { get: { "x-evidence": "deduced", description: "Ask.", responses: { 200: { "x-evidence": "assumed" } } } },
    },
    schemas: [{ description: "A list.", "x-evidence": { required: "assumed" } }],
  }
  expect(prepareDocument(document, "Evidence", false)).toEqual({
    paths: {
      "/": {
        get: {
          "x-evidence": "deduced",
          description: "Ask.",
          responses: { 200: { "x-evidence": "assumed", description: "Evidence: `assumed`" } },
        },
      },
    },
    schemas: [{ description: "A list.\n\nEvidence: `required: assumed`", "x-evidence": { required: "assumed" } }],
  })
})

test("examples stay what they are, those of the language first", () => {
  const value = { "x-evidence": "assumed", description: "of a tool" }
  const examples = { plain: { value }, plain_zh: { value: "你好" }, other: { value: 1 } }
  const prepared = (chinese: boolean) => prepareDocument({ examples }, "Evidence", chinese)
  expect(prepared(false)).toEqual({ examples })
  expect(JSON.stringify(prepared(true))).toMatch(/^\{"examples":\{"plain_zh"/)
  expect(prepared(true)).toEqual({ examples })
})
