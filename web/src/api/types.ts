import type { components } from "./control"

type Schemas = components["schemas"]

/** A call as the journal lists it, and as events report it. */
export type Row = Schemas["ExchangeSummary"] & { session: string }
export type Exchange = Schemas["Exchange"]
/** What a call consists of, whoever made it. */
export type CallContent = Pick<
  Exchange,
  "operation" | "method" | "path" | "status" | "model" | "stream" | "usage" | "duration_ms" | "request" | "response"
>
export type Finding = Schemas["Finding"]
export type Rule = Schemas["Rule"]
export type RuleState = Schemas["RuleState"]
export type RuleCheck = Schemas["RuleCheck"]
export type RuleMistake = RuleCheck["mistakes"][number]
export type When = Schemas["When"]
export type Session = Schemas["Session"]
export type ErrorEntry = Schemas["ErrorEntry"]
export type Scenario = Schemas["Scenario"]
export type Headers = Schemas["HeaderList"]

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
export type JsonObject = { [name: string]: Json }

/** Returns the model that answered, or that was asked for. */
export function modelOf(row: Pick<Row, "model" | "asked_model">): string {
  return row.model ?? row.asked_model ?? ""
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** Returns the objects of a list, and nothing for any other value. */
export function objectsOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : ""
}
