import { signal } from "@preact/signals"
import { useEffect, useState } from "preact/hooks"
import { listSessions } from "./api/client"
import { listen } from "./api/events"
import type { Session } from "./api/types"

export const DEFAULT_SESSION = "default"
const SECOND = 1000

/** The sessions of the server, as it lists them. */
export const sessions = signal<readonly Session[]>([])

/** Grows when anything but a call has changed: a session, a clock, rules, scenarios, the journal. */
export const changes = signal(0)

/** Grows when calls have ended, at most once a second. Views but Traffic, which follows single calls, read again then. */
export const callsEnded = signal(0)

let readAt = 0

export async function readSessions(): Promise<void> {
  const found = await listSessions()
  readAt = performance.now()
  sessions.value = found
}

/** Returns what a session's clock shows by now. */
export function nowOf(session: Session): string {
  const passed = session.frozen ? 0 : performance.now() - readAt
  return new Date(Date.parse(session.now) + passed).toISOString()
}

/** Draws a component again each second, while time passes in a session. */
export function useTime(session: Session | undefined): void {
  const [, tick] = useState(0)
  const running = session !== undefined && !session.frozen
  useEffect(() => {
    if (!running) return undefined
    const timer = setInterval(() => tick((n) => n + 1), SECOND)
    return () => clearInterval(timer)
  }, [running])
}

/** Follows what changes on the server, until it is stopped. */
export function followChanges(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  const stop = listen({}, (events) => {
    if (events.some((event) => !event.name.startsWith("call."))) changes.value++
    if (timer !== undefined || !events.some((event) => event.name === "call.finished")) return
    timer = setTimeout(() => {
      timer = undefined
      callsEnded.value++
    }, SECOND)
  })
  return () => {
    stop()
    clearTimeout(timer)
  }
}
