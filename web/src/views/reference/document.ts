import { isObject, type Json, type JsonObject } from "../../api/types"

const EVIDENCE = "x-evidence"
const CHINESE = "_zh"

/** What a document says about the certainty of a place: one word, or one for each keyword of a schema. */
export function describeEvidence(evidence: Json | undefined): string {
  if (!isObject(evidence)) return typeof evidence === "string" ? evidence : ""
  return Object.entries(evidence)
    .map(([keyword, word]) => `${keyword}: ${String(word)}`)
    .join(", ")
}

/** Returns a copy whose descriptions end in their evidence, and whose examples begin with those of a language. */
export function prepareDocument(node: Json, word: string, chinese: boolean): Json {
  if (Array.isArray(node)) return node.map((each) => prepareDocument(each, word, chinese))
  if (!isObject(node)) return node
  const copy: JsonObject = {}
  for (const [name, value] of Object.entries(node)) {
    if (name === "value" || name === "example") copy[name] = value
    else if (name === "examples" && isObject(value)) copy[name] = sortExamples(value, chinese)
    else copy[name] = prepareDocument(value, word, chinese)
  }
  const evidence = describeEvidence(node[EVIDENCE])
  // operations have a mark in their head
  if (evidence && !("responses" in node)) {
    const description = typeof node.description === "string" ? `${node.description}\n\n` : ""
    copy.description = `${description}${word}: \`${evidence}\``
  }
  return copy
}

function sortExamples(examples: JsonObject, chinese: boolean): JsonObject {
  if (!chinese) return examples
  return Object.fromEntries(
    Object.entries(examples).sort(([a], [b]) => Number(b.endsWith(CHINESE)) - Number(a.endsWith(CHINESE))),
  )
}
