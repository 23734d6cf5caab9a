import type { Exchange } from "../../api/types"
import { formatCount, formatDuration } from "../../format"
import { readConversation } from "./conversation"
import { readTiming } from "./timing"

/** A member in which two calls differ; undefined where one of them lacks it. */
export interface Difference {
  member: string
  one: string | undefined
  other: string | undefined
}

export interface Group {
  name: "call" | "request" | "answer" | "timing" | "volatile"
  /** How many members are the same. */
  same: number
  differences: Difference[]
}

type Values = Map<string, string>

/** What is another in each call, and says nothing. */
const VOLATILE =
  /(^|\.)(id|created|created_at|responseId|createTime|system_fingerprint)$|^(x-request-id|request-id|date|content-length|x-ratelimit-.*|anthropic-ratelimit-.*)$/i

/** Returns in what two calls differ, part by part. */
export function compareCalls(one: Exchange, other: Exchange): Group[] {
  const parts = [
    compareValues("call", listFacts(one), listFacts(other)),
    compareValues("request", listRequest(one), listRequest(other)),
    compareValues("answer", listAnswer(one, !other.stream), listAnswer(other, !one.stream)),
    compareValues("timing", listTiming(one), listTiming(other)),
  ]
  const isVolatile = ({ member }: Difference) => VOLATILE.test(member)
  const volatile = parts.flatMap(({ differences }) => differences.filter(isVolatile))
  const steady = parts.map((part) => ({ ...part, differences: part.differences.filter((each) => !isVolatile(each)) }))
  return [...steady, { name: "volatile", same: 0, differences: volatile }]
}

function compareValues(name: Group["name"], one: Values, other: Values): Group {
  const members = [...new Set([...one.keys(), ...other.keys()])]
  const differences = members.flatMap((member) => {
    const values = { one: one.get(member), other: other.get(member) }
    return values.one === values.other ? [] : [{ member, ...values }]
  })
  return { name, same: members.length - differences.length, differences }
}

function listFacts(call: Exchange): Values {
  const { usage, explain } = call
  const facts: Record<string, string | number | null | undefined> = {
    operation: call.operation ?? `${call.method} ${call.path}`,
    model: call.model ?? call.asked_model,
    status: call.status,
    end: call.end,
    key: call.key,
    rule: call.rule,
    scenario: explain.scenario,
    error: explain.error,
    limit: explain.limit,
    finding: call.finding,
    seed: explain.seed,
    prompt: usage?.prompt,
    completion: usage?.completion,
    cost: call.cost,
  }
  return toValues(facts)
}

function toValues(facts: Record<string, string | number | null | undefined>): Values {
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined)
  return new Map(known.map(([name, value]) => [name, String(value)]))
}

function listRequest({ path, request }: Exchange): Values {
  const values: Values = new Map([["path", path]])
  if (request.query) values.set("query", request.query)
  addHeaders(values, request.headers)
  flatten(request.body, "", values)
  return values
}

/** Returns what an answer says; its other members too, if the answers of both calls have the same form. */
function listAnswer(call: Exchange, otherPlain: boolean): Values {
  const values: Values = new Map()
  addHeaders(values, call.response.headers)
  const answers = readConversation(call)?.answers ?? []
  for (const [index, turn] of answers.entries()) {
    for (const [number, part] of turn.parts.entries()) {
      const text = part.kind === "image" ? part.source : part.text
      const called = part.kind === "tool_call" ? `${part.name} ` : ""
      values.set(`answer[${index}][${number}].${part.kind}`, called + text)
    }
  }
  if (answers.length === 0 || (!call.stream && otherPlain)) flatten(call.response.body, "", values)
  return values
}

function addHeaders(values: Values, headers: Exchange["request"]["headers"]): void {
  for (const [name = "", value = ""] of headers) values.set(name.toLowerCase(), value)
}

function flatten(value: unknown, path: string, values: Values): void {
  if (Array.isArray(value) && value.length > 0) {
    for (const [index, each] of value.entries()) flatten(each, `${path}[${index}]`, values)
  } else if (typeof value === "object" && value !== null && Object.keys(value).length > 0) {
    for (const [name, each] of Object.entries(value)) flatten(each, path ? `${path}.${name}` : name, values)
  } else if (value !== undefined && !(path === "" && value === null)) {
    values.set(path || "body", typeof value === "string" ? value : JSON.stringify(value))
  }
}

function listTiming(call: Exchange): Values {
  const values: Values = new Map([["total", formatDuration(call.response.end_ms)]])
  if (!call.stream) return values
  const timing = readTiming(call)
  values.set("first", formatDuration(timing.first))
  values.set("events", formatCount(timing.events.length))
  if (timing.tokensPerSecond !== undefined) values.set("speed", timing.tokensPerSecond.toFixed(1))
  if (timing.longestGap) values.set("gap", formatDuration(timing.longestGap.gap))
  return values
}

/** A text in three parts, of which the middle one is what another text has not. */
export type Cut = readonly [string, string, string]

const AROUND = 60

/** Cuts two texts where they differ, and leaves out most of what is the same around it. */
export function cutTexts(one: string, other: string): [Cut, Cut] {
  const shortest = Math.min(one.length, other.length)
  let start = 0
  while (start < shortest && one[start] === other[start]) start++
  let end = 0
  while (end < shortest - start && one.at(-1 - end) === other.at(-1 - end)) end++
  return [cut(one, start, end), cut(other, start, end)]
}

function cut(text: string, start: number, end: number): Cut {
  const before = text.slice(0, start)
  const after = text.slice(text.length - end)
  return [
    before.length > AROUND ? `…${before.slice(-AROUND)}` : before,
    text.slice(start, text.length - end),
    after.length > AROUND ? `${after.slice(0, AROUND)}…` : after,
  ]
}
