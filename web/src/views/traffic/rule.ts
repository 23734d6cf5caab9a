import { type Exchange, isObject, type JsonObject, modelOf, type Rule } from "../../api/types"
import { joinTexts, lastUserText, readConversation } from "./conversation"

/** What a rule of a call may ask, each part switched on or off, and what it does. */
export interface RuleDraft {
  id: string
  operation: { on: boolean; value: string }
  model: { on: boolean; value: string }
  text: { on: boolean; value: string }
  stream: { on: boolean; value: boolean }
  outcome: "reply" | "error" | "fault"
  reply: string
  error: string
  fault: string
  /** The faults of the call, with their options. */
  played: JsonObject[]
  times: string
}

const LONGEST = 120

/** Returns the rule that a call suggests: the same question, answered as it was. */
export function draftRule(exchange: Exchange): RuleDraft {
  const conversation = readConversation(exchange)
  const asked = lastUserText(conversation)
  const answer = conversation?.answers[0]
  const { faults, error } = (exchange.explain.action ?? {}) as JsonObject
  const played = Array.isArray(faults) ? faults.filter(isObject) : []
  return {
    id: "",
    operation: { on: true, value: exchange.operation ?? "" },
    model: { on: modelOf(exchange) !== "", value: modelOf(exchange) },
    text: { on: asked !== "", value: firstLine(asked) },
    stream: { on: played.length > 0, value: exchange.stream },
    outcome: played.length > 0 ? "fault" : conversation && !error ? "reply" : "error",
    reply: answer ? joinTexts(answer) : "",
    error: typeof error === "string" ? error : "",
    fault: typeof played[0]?.name === "string" ? played[0].name : "",
    played,
    times: "",
  }
}

function firstLine(text: string): string {
  return (text.split("\n").find((line) => line.trim() !== "") ?? "").trim().slice(0, LONGEST)
}

/** Returns the rule of a draft, as the control API and scenario files take it. */
export function makeRule(draft: RuleDraft): Rule {
  const when: JsonObject = {}
  for (const name of ["operation", "model", "text", "stream"] as const) {
    if (draft[name].on && draft[name].value !== "") when[name] = draft[name].value
  }
  const then: JsonObject = { ...makeOutcome(draft) }
  const times = Number(draft.times)
  if (Number.isInteger(times) && times > 0) then.times = times
  return {
    ...(draft.id ? { id: draft.id } : {}),
    ...(Object.keys(when).length > 0 ? { when } : {}),
    then,
  } as Rule
}

function makeOutcome(draft: RuleDraft): JsonObject {
  if (draft.outcome === "error") return { error: draft.error }
  if (draft.outcome === "fault") {
    return { faults: draft.played[0]?.name === draft.fault ? draft.played : [{ name: draft.fault }] }
  }
  return { reply: { text: draft.reply } }
}
