import { modelOf, type Row } from "../../api/types"

/** What a filter asks for: values of fields, and words that the server looks for in request and answer. */
export interface Filter {
  fields: readonly { name: FieldName; value: string; negated: boolean }[]
  text: string
}

const FIELDS = {
  operation: (row: Row) => row.operation ?? "",
  model: modelOf,
  key: (row: Row) => row.key ?? "",
  status: (row: Row) => String(row.status),
  session: (row: Row) => row.session,
  finding: (row: Row) => row.finding ?? "",
  rule: (row: Row) => row.rule ?? "",
  end: (row: Row) => row.end,
  is: (row: Row) => [...(isBroken(row) ? ["broken"] : []), ...(Number(row.cost) > 0 ? ["charged"] : [])],
} as const satisfies Record<string, (row: Row) => string | string[]>

export type FieldName = keyof typeof FIELDS

/** Returns whether the caller got no proper answer. */
export function isBroken(row: Row): boolean {
  return row.status >= 500 || row.status === 0 || row.end !== "finish"
}

const TERM = /(-?)(\w+):("[^"]*"?|\S+)|"([^"]*)"?|(\S+)/g

/** Reads `model:gpt-* status:4xx -finding:damaged "some words"`. */
export function parseFilter(text: string): Filter {
  const fields: { name: FieldName; value: string; negated: boolean }[] = []
  const words: string[] = []
  for (const [whole, minus, name = "", value = "", quoted, word] of text.matchAll(TERM)) {
    if (isField(name)) fields.push({ name, value: value.replaceAll('"', ""), negated: minus === "-" })
    else words.push(quoted ?? word ?? whole)
  }
  return { fields, text: words.join(" ").trim() }
}

function isField(name: string): name is FieldName {
  return Object.hasOwn(FIELDS, name)
}

/** Returns whether a row has the values of a filter; its text is the server's business. */
export function matchRow(filter: Filter, row: Row): boolean {
  return filter.fields.every(
    ({ name, value, negated }) => [FIELDS[name](row)].flat().some((each) => matchValue(value, each)) !== negated,
  )
}

function matchValue(wanted: string, value: string): boolean {
  if (/^[1-5]xx$/.test(wanted)) return value[0] === wanted[0] && value.length === 3
  if (!/[*?]/.test(wanted)) return value.toLowerCase() === wanted.toLowerCase()
  const pattern = wanted
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".")
  return new RegExp(`^${pattern}$`, "i").test(value)
}

/** Returns a filter's text with one more term, unless it has it. */
export function addTerm(text: string, term: string): string {
  return [...text.matchAll(TERM)].some(([whole]) => whole === term) ? text : `${term} ${text}`.trim()
}
