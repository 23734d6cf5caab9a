import type { CallContent } from "../../api/types"

/** One event of a stream, where it lies in time. */
export interface TimedEvent {
  number: number
  at: number
  /** Milliseconds since the event before it, or since the request. */
  gap: number
  text: string
  violations: string[]
  /** The piece of an answer's text that it carries. */
  said: string
}

/** A wait, by when it ended. */
export interface Gap {
  at: number
  gap: number
}

export interface Timing {
  events: TimedEvent[]
  /** When the answer ended, in milliseconds. */
  end: number
  first: number
  /** The longest wait after the first event; the end of the answer counts as one. */
  longestGap: Gap | undefined
  tokensPerSecond: number | undefined
}

const PIECE = /"(?:content|reasoning_content|text|thinking|partial_json|arguments)":("(?:[^"\\]|\\.)*")/g

function findText(text: string): string {
  return [...text.matchAll(PIECE)].map(([, piece = '""']) => readString(piece)).join("")
}

function readString(piece: string): string {
  try {
    return JSON.parse(piece) as string
  } catch {
    return piece
  }
}

/** Returns where the events of a stream lie in time. */
export function readTiming(exchange: CallContent): Timing {
  const { events: texts, times_ms: times, violations } = exchange.response
  const events = texts.map((text, index) => {
    const at = times[index] ?? 0
    const found = violations.filter((each) => each.event === index + 1).map((each) => each.message)
    return { number: index + 1, at, gap: at - (times[index - 1] ?? 0), text, violations: found, said: findText(text) }
  })
  const first = events[0]?.at ?? 0
  const last = events.at(-1)?.at ?? 0
  const end = Math.max(last, exchange.response.end_ms)
  const ends = [...events.map((event) => event.at), end]
  const gaps = ends.slice(1).map((at, index) => ({ at, gap: at - (ends[index] ?? 0) }))
  const longestGap = gaps.reduce<Gap | undefined>(
    (best, each) => (best && best.gap >= each.gap ? best : each),
    undefined,
  )
  const tokens = exchange.usage?.completion ?? 0
  const tokensPerSecond = last > first && tokens > 1 ? (tokens - 1) / ((last - first) / 1000) : undefined
  return { events, end, first, longestGap, tokensPerSecond }
}
