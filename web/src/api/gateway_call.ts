import type { JsonObject } from "./types"

/** A protocol in which a model is asked. */
export type Protocol = "openai" | "anthropic" | "gemini"

/** A call of the gateway, without its key. */
export interface GatewayRequest {
  protocol: Protocol
  operation: string
  path: string
  query: string
  headers: [string, string][]
  body: JsonObject
}

/** Text that arrived at once, and when, in milliseconds after the request. */
export interface Piece {
  at: number
  text: string
}

export type CallEnd = "running" | "complete" | "broken" | "stopped"

/** What has come of a call so far. */
export interface GatewayAnswer {
  status: number
  headers: [string, string][]
  pieces: readonly Piece[]
  duration: number
  end: CallEnd
}

/** Returns the header in which a protocol sends a key. */
export function keyHeader(protocol: Protocol, key: string): [string, string] {
  if (protocol === "anthropic") return ["x-api-key", key]
  if (protocol === "gemini") return ["x-goog-api-key", key]
  return ["authorization", `Bearer ${key}`]
}

export const NO_ANSWER: GatewayAnswer = { status: 0, headers: [], pieces: [], duration: 0, end: "running" }

const EVENT = /[\s\S]*?(?:\r\n\r\n|\n\n|\r\r)/y

/** Returns the events in pieces of a stream, each with the time at which its end came; the rest comes last. */
export function splitEvents(pieces: readonly Piece[]): Piece[] {
  const events: Piece[] = []
  let rest = ""
  for (const piece of pieces) {
    rest += piece.text
    EVENT.lastIndex = 0
    let end = 0
    for (let found = EVENT.exec(rest); found; found = EVENT.exec(rest)) {
      events.push({ at: piece.at, text: found[0] })
      end = EVENT.lastIndex
    }
    rest = rest.slice(end)
  }
  const last = pieces.at(-1)
  return rest && last ? [...events, { at: last.at, text: rest }] : events
}

export function isStream(answer: GatewayAnswer): boolean {
  return answer.headers.some(([name, value]) => name === "content-type" && value.includes("event-stream"))
}

export function joinPieces(answer: GatewayAnswer): string {
  return answer.pieces.map((piece) => piece.text).join("")
}
