import { signal } from "@preact/signals"
import { request } from "./client"
import { EventReader, type ServerEvent } from "./sse"

/** Whether events are being received. */
export const connected = signal(false)

const WAITS = [300, 1000, 3000, 5000]

/**
 * Receives the server's events until it is stopped; after a loss of the connection it goes on where it was.
 * `begin` is called once no more events can be missed: what is read then is complete.
 */
export function listen(
  filters: Record<string, string>,
  take: (events: ServerEvent[]) => void,
  begin: () => void = () => {},
): () => void {
  const stopping = new AbortController()
  void follow(filters, take, begin, stopping.signal)
  return () => stopping.abort()
}

async function follow(
  filters: Record<string, string>,
  take: (events: ServerEvent[]) => void,
  begin: () => void,
  stop: AbortSignal,
): Promise<void> {
  const reader = new EventReader()
  let begun = false
  for (let failures = 0; !stop.aborted; failures++) {
    try {
      const headers: Record<string, string> = reader.lastId ? { "Last-Event-ID": reader.lastId } : {}
      const answer = await request(`events?${new URLSearchParams(filters)}`, { headers, signal: stop })
      connected.value = true
      failures = -1
      if (!begun) begin()
      begun = true
      await pump(answer, reader, take)
    } catch {
      // the server has gone, or is not there yet
    }
    if (stop.aborted) return
    connected.value = false
    await new Promise((resolve) => setTimeout(resolve, WAITS[Math.min(Math.max(failures, 0), WAITS.length - 1)]))
  }
}

async function pump(answer: Response, reader: EventReader, take: (events: ServerEvent[]) => void): Promise<void> {
  const decoder = new TextDecoder()
  const stream = answer.body?.getReader()
  for (let part = await stream?.read(); part && !part.done; part = await stream?.read()) {
    const events = reader.read(decoder.decode(part.value, { stream: true }))
    if (events.length > 0) take(events)
  }
}
